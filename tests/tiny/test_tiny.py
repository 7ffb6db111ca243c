"""The tiny model as the host's MODEL, CLIP and VAE, its prompt, codec and file."""

from __future__ import annotations

import importlib

import comfy.sample
import comfy.utils
import pytest
import torch
from hifi_portrait.tiny import base_file
from hifi_portrait.tiny.codec import TinyCodec
from hifi_portrait.tiny.config import TinyBaseConfig
from hifi_portrait.tiny.model import load_tiny_portrait_model
from hifi_portrait.tiny.prompt import CONCEPTS, LENGTH, PADDING, concept_ids, parse_prompt
from safetensors.torch import load_file, save_file

CHANNELS = base_file.base_config(base_file.BASE_FILE).latent_channels
PROMPT = "portrait of a woman, blue background, red shirt, soft warm light from the left"


@pytest.fixture(scope="module")
def parts():
    return load_tiny_portrait_model()


def sample(parts, prompt=PROMPT, seed=1, latent=None, denoise=1.0, steps=8):
    model, clip, _ = parts
    positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(p)) for p in (prompt, ""))
    latent = torch.zeros(1, 4, 16, 16) if latent is None else latent
    latent = comfy.sample.fix_empty_latent_channels(model, latent)
    noise = comfy.sample.prepare_noise(latent, seed)
    return comfy.sample.sample(
        model, noise, steps, 2.0, "euler", "normal", positive, negative, latent,
        denoise=denoise, seed=seed, disable_pbar=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        (PROMPT, ["background blue", "clothes red", "light soft", "light warm", "light left"]),
        ("gray wall and a violet dress", ["background grey", "clothes purple"]),
        ("(teal background:1.3), harsh overhead lighting", ["background teal", "light hard", "light above"]),
        ("a man with soft skin, left hand", []),
        ("", []),
    ],
)
def test_prompts_become_concepts(text, concepts):
    assert parse_prompt(text) == concepts


def test_concepts_are_padded_and_unknown_ones_refused():
    assert concept_ids([]) == [PADDING] * LENGTH
    assert len(concept_ids(list(CONCEPTS))) == LENGTH
    with pytest.raises(ValueError, match="plaid"):
        concept_ids(["clothes plaid"])


def test_a_linear_codec_round_trips_what_it_was_fitted_on():
    coarse = torch.randn(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    pictures = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(-1, 1)
    codec = TinyCodec()
    assert codec.fit(pictures) > 28
    latents = codec.encode(pictures)
    assert latents.shape == (16, codec.channels, 4, 4)
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    assert float(latents[:, 0].std().detach()) == pytest.approx(1.0, rel=0.02)
    assert (codec.decode(latents) - pictures).abs().mean() < 0.06


def test_standard_sampling_gives_a_portrait_sized_picture(parts):
    model, _, vae = parts
    assert type(model.model).__mro__[0].__name__ == "SDXL"
    latent = sample(parts)
    assert latent.shape == (1, CHANNELS, 16, 16)
    picture = vae.decode(latent)
    assert picture.shape == (1, 128, 128, 3)
    assert picture.min() >= 0
    assert picture.max() <= 1
    assert picture.std() > 0.02
    assert torch.equal(latent, sample(parts)), "the same seed"
    assert not torch.equal(latent, sample(parts, seed=2))


def test_the_prompt_matters(parts):
    assert (sample(parts) - sample(parts, "green background, white shirt")).abs().max() > 1e-3


def test_batches_other_sizes_and_image_to_image(parts):
    _, _, vae = parts
    assert sample(parts, latent=torch.zeros(3, 4, 16, 20), steps=2).shape == (3, CHANNELS, 16, 20)
    picture = torch.rand(1, 131, 128, 3, generator=torch.Generator().manual_seed(0))
    latent = vae.encode(picture)
    assert latent.shape == (1, CHANNELS, 16, 16)
    near = sample(parts, latent=latent, denoise=0.2, steps=4)
    far = sample(parts, latent=latent, denoise=1.0, steps=4)
    assert (near - latent).abs().mean() < (far - latent).abs().mean()


def test_core_nodes_accept_clip_and_vae(parts):
    nodes = importlib.import_module("nodes")  # the host's
    _, clip, vae = parts
    assert nodes.CLIPTextEncode().encode(clip, PROMPT)[0][0][0].shape == (1, LENGTH, 64)
    assert nodes.CLIPSetLastLayer().set_last_layer(clip, -2)[0].tokenize(PROMPT) == clip.tokenize(PROMPT)
    latent = nodes.VAEEncode().encode(vae, torch.rand(1, 128, 128, 3))[0]
    assert nodes.VAEDecode().decode(vae, latent)[0].shape == (1, 128, 128, 3)
    assert nodes.VAEDecodeTiled().decode(vae, latent, 512)[0].shape == (1, 128, 128, 3)
    assert (
        nodes.VAEEncodeTiled().encode(vae, torch.rand(1, 128, 128, 3), 512, 64)[0]["samples"].shape[1]
        == CHANNELS
    )


def test_the_model_survives_cloning_with_a_patch(parts):
    model = parts[0]
    clone = model.clone()
    key = "diffusion_model.out.2.bias"
    clone.add_patches({key: ("diff", (torch.ones(CHANNELS),))}, 1.0)
    plain = sample(parts)
    patched = sample((clone, *parts[1:]))
    assert not torch.allclose(plain, patched)
    assert torch.equal(plain, sample(parts)), "the original is as it was"


def test_shipped_files_are_small_and_say_what_they_are():
    files = [base_file.BASE_FILE, base_file.HIFI_NET_FILE]
    assert sum(f.stat().st_size for f in files) <= 25e6
    metadata = base_file.read_base_metadata(base_file.BASE_FILE)
    assert base_file.base_config(base_file.BASE_FILE) == TinyBaseConfig()
    assert metadata["trained"] in ("true", "false")
    assert ("UNTRAINED" in base_file.describe_base(base_file.BASE_FILE)) == (metadata["trained"] == "false")


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match="not a tiny base model"):
        load_tiny_portrait_model(path)
    save_file(
        {"codec.to_latent.bias": torch.zeros(CHANNELS)},
        path,
        base_file.read_base_metadata(base_file.BASE_FILE),
    )
    with pytest.raises(ValueError, match="does not fit"):
        load_tiny_portrait_model(path)
    for config in ("", "[]", '{"colour": 3}'):
        save_file({"x": torch.zeros(1)}, path, {"format": base_file.FORMAT, "config": config})
        with pytest.raises(ValueError, match="configuration is damaged"):
            load_tiny_portrait_model(path)


def test_the_small_networks_fit_this_base(parts):
    from hifi_portrait.patching.apply import check_fit
    from hifi_portrait.patching.loading import load_hifi_net

    hifi_net = load_hifi_net(base_file.HIFI_NET_FILE)
    check_fit(parts[0], hifi_net)
    assert hifi_net.config.latent_channels == CHANNELS
    assert hifi_net.config.recognizer == "sface"


def test_the_patched_host_samples_what_training_samples(parts):
    """UV textures, tokens and landmarks reach the host's UNet as they reach it in training."""
    from hifi_portrait.identity.identity import Identity
    from hifi_portrait.landmarks.generate import generate
    from hifi_portrait.landmarks.model import FaceModel
    from hifi_portrait.models.tokens import FaceBatch
    from hifi_portrait.patching.apply import apply_hifi_net
    from hifi_portrait.patching.loading import load_hifi_net
    from hifi_portrait.patching.settings import PatchSettings
    from hifi_portrait.patching.target_maps import picture_maps
    from hifi_portrait.training.runs import load_exported

    hifi_net, system = load_hifi_net(base_file.HIFI_NET_FILE), load_exported()
    config, generator = hifi_net.config, torch.Generator().manual_seed(0)
    assert config.texture_size, "the shipped network reads UV textures"

    def noise(*shape):
        return torch.rand(2, *shape, generator=generator)

    size, coarse = config.crop_size, torch.nn.functional.interpolate
    embeddings = torch.nn.functional.normalize(noise(config.embedding_dim) - 0.5)
    faces = FaceBatch(
        crops=coarse(noise(3, 8, 8), size=(size, size)) * 2 - 1,
        coords=coarse(noise(3, 4, 4), size=(size, size)),
        embeddings=embeddings,
        weights=torch.tensor([1.0, 0.5]),
        textures=coarse(noise(4, 8, 8), size=(config.texture_size, config.texture_size)),
    ).batched()
    with torch.no_grad():
        tokens, detail = hifi_net.network.refiner(faces.each(lambda tensor: tensor[0]))
    face = FaceModel.load()
    identity = Identity(
        tokens, detail, embeddings.mean(0), face.mean[:0, 0], config.recognizer, hifi_net.checkpoint_id,
        ("a", "b"), (1.0, 0.5), "random",
    )  # fmt: skip
    landmarks = generate(face, pose=(20, 5, -4), width=128, height=128, position=(64, 60), scale=35.0)
    settings = PatchSettings(identity_strength=1.0, landmark_strength=1.0)
    patched = apply_hifi_net(parts[0], hifi_net, identity, landmarks, settings)
    made = sample((patched, *parts[1:]))

    latent = comfy.sample.fix_empty_latent_channels(parts[0], torch.zeros(1, 4, 16, 16))
    wanted = system.sample(
        comfy.sample.prepare_noise(latent, 1),
        torch.tensor([concept_ids(parse_prompt(PROMPT))]),
        picture_maps(landmarks, 0, (16, 16), config, with_uv=True),
        faces,
        decode=False,
    )
    alone = sample(parts)
    assert (made - wanted).abs().max() < 0.02 * float((made - alone).abs().max())


def test_files_of_version_1_still_load(tmp_path):
    """Then the codec's refinement was called ``mend``."""
    weights, metadata = load_file(str(base_file.BASE_FILE)), base_file.read_base_metadata(base_file.BASE_FILE)
    old = {}
    for key, value in weights.items():
        old[key.replace("codec.refinement.", "codec.mend.")] = value
    assert any(k.startswith("codec.mend.") for k in old)
    path = tmp_path / "base.safetensors"
    save_file(old, path, metadata | {"version": "1"})
    _, _, first = load_tiny_portrait_model(path)
    _, _, second = load_tiny_portrait_model()
    for name, value in second.get_sd().items():
        assert torch.equal(first.get_sd()[name], value), name
    assert any(name.startswith("refinement.") for name in first.get_sd())


def test_files_of_a_later_version_are_refused(tmp_path):
    path = tmp_path / "base.safetensors"
    metadata = base_file.read_base_metadata(base_file.BASE_FILE) | {"version": "99"}
    save_file({"x": torch.zeros(1)}, path, metadata)
    with pytest.raises(ValueError, match="version 99"):
        load_tiny_portrait_model(path)
