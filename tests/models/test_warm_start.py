"""A converted checkpoint computes what InstantID computes; and the trunk starts as the base's encoder."""

import pickle
import zipfile
from dataclasses import replace

import pytest
import torch
from hifi_portrait.cli import main
from hifi_portrait.models import FaceBatch, HiFiNetConfig, build
from hifi_portrait.models.checkpoint import CheckpointError, load, read_metadata
from hifi_portrait.models.warm_start import convert_instantid, init_from_base, trunk_from_base
from safetensors.torch import load_file, save_file

from tests.models.networks import OTHER, SMALL, random_inputs
from tests.models.parity import instantid_parts, noise_difference


@pytest.fixture(scope="module", params=[False, True], ids=["as published", "with extra layers"])
def converted(request, instantid_files, tmp_path_factory):
    """The checkpoint made of InstantID's files, loaded."""
    out = tmp_path_factory.mktemp("converted") / "instantid.safetensors"
    convert_instantid(*instantid_files, out, dtype=None, extra_layers=request.param)
    return load(out)


@pytest.fixture(scope="module")
def reference(instantid_files):
    """InstantID's parts with the same weights."""
    return instantid_parts(instantid_files)


def test_sizes_are_found_in_the_files(converted):
    wanted = replace(
        SMALL,
        size_embedding_dim=256,
        pooled_dim=SMALL.vector_dim - 6 * 256,
        **{
            name: getattr(HiFiNetConfig.sdxl(), name)
            for name in (
                "crop_size",
                "pyramid_widths",
                "detail_levels",
                "refiner_head_channels",
                "face_queries",
            )
        },
        coordinate_frequencies=6,
        detail_channels=converted.config.detail_channels,
        resampler_heads=converted.config.resampler_heads,
        resampler_head_channels=converted.config.resampler_head_channels,
        refiner_depth=2,
    )
    assert converted.config == wanted


def test_image_projection_equals_instantids_formulas(converted, reference):
    generator = torch.Generator().manual_seed(1)
    for scale in (1.0, 22.0):  # raw ArcFace embeddings are about 22 long
        embedding = torch.randn((3, SMALL.embedding_dim), generator=generator) * scale
        ours = converted.refiner.image_proj(embedding)
        assert (ours - reference[1].tokens(embedding)).abs().max() <= 1e-5


def test_zero_identity_is_the_projection_of_zero(converted, reference):
    wanted = reference[1].tokens(torch.zeros(1, SMALL.embedding_dim))
    assert (converted.refiner.zero_tokens(torch.zeros(1)) - wanted).abs().max() <= 1e-5


def test_several_references_are_the_mean_embedding(converted, reference):
    """InstantID's own way with several pictures."""
    crop = converted.config.crop_size
    count = 3
    faces = FaceBatch(
        torch.zeros(count, 3, crop, crop),
        torch.zeros(count, 3, crop, crop),
        torch.randn((count, SMALL.embedding_dim), generator=torch.Generator().manual_seed(2)),
        torch.ones(count),
    )
    tokens, _ = converted.refiner(faces)
    assert (tokens - reference[1].tokens(faces.embeddings.mean(0, keepdim=True))).abs().max() <= 1e-5


@pytest.mark.parametrize("seed", [0, 1])
def test_noise_prediction_equals_instantid(converted, reference, seed):
    """A whole UNet pass: ControlNet on the face tokens, text and face apart in the UNet's attention."""
    assert noise_difference(converted, reference, seed) <= 1e-5


def test_command_line(instantid_files, tmp_path, capsys):
    out = tmp_path / "made.safetensors"
    arguments = [
        "--controlnet",
        str(instantid_files[0]),
        "--adapter",
        str(instantid_files[1]),
        "--out",
        str(out),
    ]
    assert main(["convert", "instantid", *arguments]) == 0
    assert "recognizer antelopev2" in capsys.readouterr().out
    info = read_metadata(out)
    assert (info.config.landmark_style, info.config.base, info.config.embedding_kind) == (
        "kps5",
        "sdxl",
        "raw",
    )
    assert info.title == "InstantID (warm start)"
    assert load(out).hifi_net.conv_in.weight.dtype == torch.float16
    assert main(["convert", "instantid", *arguments[:-1], str(tmp_path / "made.bin")]) == 2
    assert main(["convert", "instantid", *arguments[2:], "--controlnet", str(tmp_path / "gone")]) == 2
    error = capsys.readouterr().err
    assert "must end in .safetensors" in error
    assert "gone: there is no such file" in error


class Bomb:
    def __reduce__(self):
        return (print, ("this must never run",))


def refusal(files, tmp_path) -> str:
    out = tmp_path / "out.safetensors"
    with pytest.raises(CheckpointError) as error:
        convert_instantid(*files, out)
    assert not out.exists()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_files_that_are_not_instantids_are_refused(instantid_files, tmp_path, capsys):
    controlnet, adapter = instantid_files
    evil = tmp_path / "evil.bin"
    torch.save({"image_proj": Bomb(), "ip_adapter": {}}, evil)
    assert refusal((controlnet, evil), tmp_path).startswith("evil.bin: damaged, or more than plain weights")
    evil.write_bytes(pickle.dumps(Bomb()))
    assert refusal((controlnet, evil), tmp_path).startswith("evil.bin: ")
    assert "never run" not in capsys.readouterr().out

    cut = tmp_path / "cut.bin"
    cut.write_bytes(adapter.read_bytes()[:-2000])
    assert refusal((controlnet, cut), tmp_path).startswith("cut.bin: damaged")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(controlnet.read_bytes()[:-2000])
    assert refusal((cut, adapter), tmp_path).startswith("cut.safetensors: damaged")

    plain = tmp_path / "plain.bin"
    torch.save({"image_proj": {"latents": torch.zeros(1)}}, plain)
    assert "has no ip_adapter" in refusal((controlnet, plain), tmp_path)
    other = tmp_path / "other.safetensors"
    save_file({"x": torch.zeros(1)}, other)
    assert "not an SDXL ControlNet" in refusal((other, adapter), tmp_path)
    weights = torch.load(adapter, weights_only=True)
    del weights["ip_adapter"]["3.to_k_ip.weight"]
    torch.save(weights, plain)
    assert "missing: identity_attention.3.to_k_ip.weight" in refusal((controlnet, plain), tmp_path)
    assert refusal((adapter, adapter), tmp_path).startswith("ip-adapter.bin: damaged or not a safetensors")


def changed_adapter(change):
    def make(weights, path):
        change(weights)
        torch.save(weights, path)

    return make


def raw_pickle(weights, path):
    path.write_bytes(pickle.dumps(weights))


def compressed(weights, path):
    torch.save(weights, path)
    with zipfile.ZipFile(path) as plain:
        members = [(member.filename, plain.read(member)) for member in plain.infolist()]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members:
            archive.writestr(member, content)


FORGED_ADAPTERS = {
    "whole numbers": changed_adapter(lambda w: w["image_proj"].update(latents=torch.ones(1, 4, 64).int())),
    "complex numbers": changed_adapter(lambda w: w["image_proj"].update(latents=torch.ones(1, 4, 64) * 1j)),
    "no data": changed_adapter(lambda w: w["image_proj"].update(latents=torch.ones(1, device="meta"))),
    "sparse": changed_adapter(lambda w: w["image_proj"].update(latents=torch.eye(4).to_sparse())),
    "one number for 4 GB": changed_adapter(
        lambda w: w["image_proj"].update(latents=torch.ones(1).expand(1, 1 << 15, 1 << 15))
    ),
    "shared numbers": changed_adapter(
        lambda w: w["ip_adapter"].update({str(n): w["image_proj"]["latents"] for n in range(999)})
    ),
    "names that are numbers": changed_adapter(lambda w: w["image_proj"].update({("a", 7): torch.ones(1)})),
    "names of two lines": changed_adapter(lambda w: w["image_proj"].update({"a\nb": torch.ones(1)})),
    "a list": changed_adapter(lambda w: w.update(ip_adapter=[torch.ones(1)])),
    "a text for a weight": changed_adapter(lambda w: w["image_proj"].update(latents="x" * 10**5)),
    "no output": changed_adapter(lambda w: w["image_proj"].pop("proj_out.weight")),
    "an output of one axis": changed_adapter(
        lambda w: w["image_proj"].update({"proj_out.weight": torch.ones(64)})
    ),
    "a number for latents": changed_adapter(lambda w: w["image_proj"].update(latents=torch.ones(()))),
    "latents of no width": changed_adapter(lambda w: w["image_proj"].update(latents=torch.ones(1, 4, 0))),
    "99999999 layers": changed_adapter(
        lambda w: w["image_proj"].update({"layers.99999999.0.to_q.weight": torch.ones(1)})
    ),
    "a layer of a name": changed_adapter(
        lambda w: w["image_proj"].update({"layers.first.0.to_q.weight": torch.ones(1)})
    ),
    "a pickle alone": raw_pickle,
    "compressed": compressed,
}


@pytest.mark.parametrize("kind", FORGED_ADAPTERS)
def test_forged_adapters_are_one_line(instantid_files, tmp_path, kind):
    controlnet, adapter = instantid_files
    FORGED_ADAPTERS[kind](torch.load(adapter, weights_only=True), tmp_path / "forged.bin")
    text = refusal((controlnet, tmp_path / "forged.bin"), tmp_path)
    assert "forged.bin" in text
    assert text.isprintable()
    assert len(text) < 300


FORGED_TRUNKS = {
    "whole numbers": {"conv_in.weight": torch.ones(32, 4, 3, 3).int()},
    "one axis": {"conv_in.weight": torch.ones(32)},
    "an embedding of one axis": {"add_embedding.linear_1.weight": torch.ones(8)},
    "no axis": {"mid_block.attentions.0.transformer_blocks.0.attn2.to_k.weight": torch.ones(())},
    "99999999 levels": {"down_blocks.99999999.resnets.0.conv1.weight": torch.ones(1)},
    "99999999 transformers": {"mid_block.attentions.0.transformer_blocks.99999999.x": torch.ones(1)},
    "nothing of its input": {"conv_in.weight": None},
    "a name of 100 kB": {"x" * 100_000: torch.ones(1)},
}


@pytest.mark.parametrize("kind", FORGED_TRUNKS)
def test_forged_controlnets_are_one_line(instantid_files, tmp_path, kind):
    controlnet, adapter = instantid_files
    weights = {**load_file(controlnet), **FORGED_TRUNKS[kind]}
    path = tmp_path / "forged.safetensors"
    save_file({name: tensor for name, tensor in weights.items() if tensor is not None}, path)
    text = refusal((path, adapter), tmp_path)
    assert "forged.safetensors" in text
    assert text.isprintable()
    assert len(text) < 300


def test_an_old_pytorch_does_not_read_pickles(instantid_files, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.5.1+cu124"))
    text = refusal(instantid_files, tmp_path)
    assert "PyTorch 2.5.1+cu124 cannot read pickled weights safely; update PyTorch to 2.6" in text


def test_weights_of_an_old_pytorch_are_read(instantid_files, tmp_path):
    weights, path = torch.load(instantid_files[1], weights_only=True), tmp_path / "old.bin"
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert (
        convert_instantid(instantid_files[0], path, tmp_path / "a.safetensors").mid_depth == SMALL.mid_depth
    )
    convert_instantid(*instantid_files, tmp_path / "b.safetensors")
    assert read_metadata(tmp_path / "a.safetensors").id == read_metadata(tmp_path / "b.safetensors").id
    weights["image_proj"] = Bomb()
    torch.save(weights, path, _use_new_zipfile_serialization=False)
    assert "it names" in refusal((instantid_files[0], path), tmp_path)


def test_weights_that_were_saved_as_parameters_are_read(instantid_files, tmp_path):
    weights = torch.load(instantid_files[1], weights_only=True)
    weights["image_proj"] = {k: torch.nn.Parameter(v.half()) for k, v in weights["image_proj"].items()}
    path = tmp_path / "parameters.bin"
    torch.save(weights, path)
    assert (
        convert_instantid(instantid_files[0], path, tmp_path / "out.safetensors").mid_depth == SMALL.mid_depth
    )


@pytest.mark.parametrize("config", [SMALL, OTHER, HiFiNetConfig.tiny()], ids=["sdxl-like", "other", "tiny"])
def test_trunk_starts_as_the_bases_encoder(config, comfy_unet):
    base = comfy_unet(config)
    net = build(config, seed=0).hifi_net.requires_grad_(False)
    copied = init_from_base(net, base.state_dict())
    renamed = trunk_from_base(config, base.state_dict())
    assert copied == len(renamed)
    state = net.state_dict()
    assert all(state[k].equal(v) for k, v in renamed.items())
    # Run both: with the same tokens and no drawing, the features are the same.
    inputs = random_inputs(config)
    tokens = torch.randn(2, 3, config.context_dim, generator=torch.Generator().manual_seed(0))
    seen = []
    for conv in (*net.controlnet_down_blocks, net.controlnet_mid_block):
        conv.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    target = replace(inputs["target"], hint=torch.zeros_like(inputs["target"].hint))
    net(context=tokens, **{**inputs, "target": target})
    wanted = []
    for block in (*base.input_blocks, base.middle_block):
        block[-1].register_forward_hook(lambda *args: wanted.append(args[-1]))
    base(inputs["x"], inputs["timesteps"], tokens, inputs["y"])
    assert len(seen) == len(wanted)
    for ours, theirs in zip(seen, wanted, strict=True):
        assert (ours - theirs).abs().max() <= 2e-5 * max(1.0, float(theirs.abs().max()))


def test_a_base_of_other_sizes_is_refused(comfy_unet):
    with pytest.raises(ValueError, match="the configurations differ"):
        init_from_base(build(SMALL).hifi_net, comfy_unet(OTHER).state_dict())
