"""Refine Faces on real photos: what counts, what does not, and what is refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hifi_portrait.head.model import HeadModel
from hifi_portrait.identity.refine import face_batch, fingerprint, refine_faces
from hifi_portrait.landmarks.fit import fit_faces
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.models import HiFiNetConfig, build


def weighted(references, *weights):
    faces = tuple(replace(face, weight=w) for face, w in zip(references.faces, weights, strict=True))
    return replace(references, faces=faces)


def test_real_faces_become_an_identity(identity, references, network):
    config = network.config
    assert identity.tokens.shape == (1, config.identity_tokens, config.context_dim)
    assert identity.detail.tokens.shape == (1, 3 * config.detail_tokens, config.detail_channels)
    assert identity.detail.coords.shape == (1, 3 * config.detail_tokens, 3)
    assert identity.detail.bias.exp().sum().item() == pytest.approx(config.detail_tokens, rel=1e-4)
    assert identity.embedding.norm().item() == pytest.approx(1, abs=1e-5)
    assert identity.shape.shape == (FaceModel.load().components,)
    assert np.abs(identity.shape).max() > 0.2
    assert (identity.expression >= 0).all()
    assert identity.expression.max() > 0.1
    assert identity.recognizer == "sface"
    assert identity.sources == tuple(face.source for face in references.faces)
    assert all(t.isfinite().all() for t in (identity.tokens, identity.detail.tokens, identity.detail.coords))
    assert "3 references" in identity.describe()


def test_canonical_coordinates_lie_on_the_eyes(references, artifacts):
    """The place that the map calls 'left eye' is where the detector found the left eye."""
    model, config = FaceModel.load(), HiFiNetConfig.tiny()
    faces = list(references.faces)
    fits = fit_faces([face.landmarks for face in faces], None, model)
    batch = face_batch(faces, fits, model, replace(config, crop_size=224))
    tiles = []
    for face, crop, coords in zip(faces, batch.crops, batch.coords, strict=True):
        keypoints = face.keypoints @ face.crop_matrix[:, :2].T + face.crop_matrix[:, 2]
        for point, ids in ((0, range(36, 42)), (1, range(42, 48))):
            x, y = keypoints[point]
            found = coords[:, int(y), int(x)].numpy()
            wanted = model.uv[list(ids)].mean(0)
            assert found[2] == 1
            # The eyes are .27 apart; the detector itself is off by up to .06 on a raised head.
            assert np.linalg.norm(found[:2] - wanted) < 0.08
        picture = ((crop.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.uint8)
        colour = (coords.permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        tiles.append(np.vstack([picture, cv2.addWeighted(picture, 0.5, colour, 0.5, 0)]))
        assert crop.min() >= -1
        assert crop.max() <= 1
    cv2.imwrite(str(artifacts / "canonical_crops.png"), np.hstack(tiles)[..., ::-1])


def test_photos_of_one_person_agree_on_the_uv_texture(references, artifacts):
    """The same place of the head lies at the same place, whatever the pose and crop of the photo."""
    model, config = FaceModel.load(), HiFiNetConfig.tiny()
    faces = list(references.faces)
    fits = fit_faces([face.landmarks for face in faces], None, model)
    heads = face_batch(faces, fits, model, config).textures
    assert heads.shape == (len(faces), 4, config.texture_size, config.texture_size)
    assert float(heads.abs().max()) <= 1
    brightness, seen = heads[:, :3].mean(1).numpy(), heads[:, 3].numpy() > 0.8
    # Features without the light, which differs from photo to photo.
    brightness = np.stack([b - cv2.GaussianBlur(b, (0, 0), 8) for b in brightness])
    inner = np.zeros_like(seen[0])
    inner[38:100, 32:96] = True  # the face

    def likeness(a, b):
        both = a[1] & b[1] & inner
        return np.corrcoef(a[0][both], b[0][both])[0, 1]

    for i in range(len(faces)):
        for j in range(i):
            one, two = (brightness[i], seen[i]), (brightness[j], seen[j])
            moved = tuple(np.roll(part, 6, 0) for part in two)
            assert likeness(one, two) > 0.3
            assert likeness(one, two) > likeness(one, moved) + 0.2, "6 px lower it is another place"
    shown = ((heads[:, :3] * (heads[:, 3:] > 0) + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
    cv2.imwrite(str(artifacts / "uv_textures.png"), np.hstack(list(shown))[..., ::-1])


def test_weight_zero_is_leaving_out(references, network):
    without = replace(references, faces=(references.faces[0], references.faces[2]))
    zero = refine_faces(
        weighted(references, references.faces[0].weight, 0.0, references.faces[2].weight), network
    )
    wanted = refine_faces(without, network)
    assert zero.tokens.equal(wanted.tokens)
    assert zero.detail.tokens.equal(wanted.detail.tokens)
    assert np.array_equal(zero.shape, wanted.shape)
    assert zero.weights[1] == 0
    assert len(zero.sources) == 3


def test_weights_count(references, network, identity):
    other = refine_faces(weighted(references, 5.0, 1.0, 1.0), network)
    assert not other.tokens.equal(identity.tokens)
    assert other.fingerprint != identity.fingerprint
    even = refine_faces(weighted(references, 1.0, 1.0, 1.0), network)
    loud = refine_faces(weighted(references, 4.0, 4.0, 4.0), network)
    assert torch.allclose(even.tokens, loud.tokens, atol=1e-5)


def test_order_changes_nothing(references, network, identity):
    turned = refine_faces(replace(references, faces=references.faces[::-1]), network)
    assert turned.fingerprint == identity.fingerprint
    assert turned.tokens.equal(identity.tokens)
    assert turned.detail.tokens.equal(identity.detail.tokens)
    assert np.array_equal(turned.shape, identity.shape)


def test_raw_embeddings_for_networks_that_read_them(references):
    config = replace(HiFiNetConfig.tiny(), embedding_kind="raw")
    faces = [replace(face, embedding_norm=20.0) for face in references.faces]
    model = FaceModel.load()
    fits = fit_faces([face.landmarks for face in faces], None, model)
    raw = face_batch(faces, fits, model, config).embeddings
    assert torch.allclose(raw.norm(dim=1), torch.tensor(20.0))
    unit = face_batch(faces, fits, model, HiFiNetConfig.tiny()).embeddings
    assert torch.allclose(unit.norm(dim=1), torch.tensor(1.0), atol=1e-4)


def test_networks_without_detail(references):
    network = build(replace(HiFiNetConfig.tiny(), detail_channels=0, texture_size=0), seed=0)
    identity = refine_faces(references, network)
    assert identity.detail.tokens.shape[1] == 0


def test_clip_tokens_are_read_when_given(references):
    config = replace(HiFiNetConfig.tiny(), clip_dim=24, image_encoder="test")
    network = build(config, seed=0)
    seen = []

    def encode(crops):
        seen.append(crops.shape)
        return torch.randn((len(crops), 257, 24), generator=torch.Generator().manual_seed(0))

    identity = refine_faces(references, network, encode_image=encode)
    assert seen == [(3, 3, 224, 224)]
    assert identity.detail.tokens.shape[1] == 3 * (config.detail_tokens + 257)
    assert "clip_vision" in refused(references, network)


def refused(references, network) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the text is looked at
        refine_faces(references, network)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_what_cannot_be_used_is_named(references, network):
    assert "dropped" in refused(replace(references, faces=()), network)
    assert "weight 0" in refused(weighted(references, 0.0, 0.0, 0.0), network)
    text = refused(replace(references, recognizer="antelopev2"), network)
    assert "'antelopev2'" in text
    assert "needs 'sface'" in text
    short = replace(references.faces[1], embedding=np.ones(64, np.float32))
    text = refused(replace(references, faces=(references.faces[0], short)), network)
    assert short.source in text
    assert "64 numbers" in text
    blind = replace(references.faces[0], landmarks=np.full((468, 3), np.nan, np.float32))
    assert blind.source in refused(replace(references, faces=(blind,)), network)
    assert "too many" in refused(replace(references, faces=references.faces * 30), network)


def test_fingerprint_depends_on_the_checkpoint(references):
    assert fingerprint(references, "a") != fingerprint(references, "b")


def test_a_network_of_the_heads_layout_gets_the_heads_textures(references):
    config, model = replace(HiFiNetConfig.tiny(), uv_layout="head"), FaceModel.load()
    faces = list(references.faces[:2])
    fits = fit_faces([face.landmarks for face in faces], None, model)
    textures = face_batch(faces, fits, model, config).textures.numpy()
    assert textures.shape == (2, 4, config.texture_size, config.texture_size)
    head = HeadModel.load()

    def confidence(region):
        u, v = (head.uv[head.in_region(region)] * (config.texture_size - 1)).round().astype(int).T
        return np.median(textures[:, 3, v, u])

    assert confidence("lips") > 2 * confidence("scalp")
    network = build(config, seed=0).eval()
    made = refine_faces(replace(references, faces=tuple(faces)), network)
    assert made.detail.texture.shape[-2:] == (config.texture_size, config.texture_size)
    assert made.detail.texture.isfinite().all()
