"""Fusion learns to look at the same place of the face: a short training, and a picture of the attention."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hifi_portrait.landmarks.canonical import canonical_map
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.target import generate_for
from hifi_portrait.models import FaceBatch, build
from hifi_portrait.models.layers import coordinate_features

from tests.models.networks import OTHER

CONFIG = replace(
    OTHER,
    latent_channels=4,
    block_out_channels=(32, 64),
    transformer_depth=(1, 1),
    mid_depth=1,
    hint_widths=(4, 4, 4, 4),
    crop_size=48,
    pyramid_widths=(16, 24),
    detail_levels=(1,),
    detail_channels=32,
    refiner_depth=1,
    coordinate_frequencies=5,
    fusion_levels=(True, True),
)
LATENT = 20
STEPS = 150
LEFT_EYE, RIGHT_EYE = range(42, 48), range(36, 42)


def maps(model: FaceModel, size: int, poses: np.ndarray) -> torch.Tensor:
    """Canonical maps ``(P, 3, size, size)`` of frontal to half-turned faces."""
    made = []
    for yaw, pitch in poses:
        face = generate_for(model, {"yaw": float(yaw), "pitch": float(pitch), "scale": 1.5}, 240, 240)
        made.append(canonical_map(face.points[0] * (size / 240), size, size, model))
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


def painted(texture: torch.Tensor, coords: torch.Tensor) -> torch.Tensor:
    """Faces ``(B, 3, h, w)`` with the ``texture (B, 3, n, n)`` at each pixel's place, black around."""
    grid = coords[:, :2].permute(0, 2, 3, 1) * 2 - 1
    return F.grid_sample(texture, grid, align_corners=False, padding_mode="border") * coords[:, 2:]


class People:
    """Endless people: a random texture each, seen twice as reference and once as target, in random poses."""

    def __init__(self, model: FaceModel) -> None:
        poses = np.random.default_rng(0).uniform((-45, -20), (45, 20), (48, 2))
        self.crops = maps(model, CONFIG.crop_size, poses)
        self.targets = maps(model, LATENT, poses)
        self.generator = torch.Generator().manual_seed(0)

    def batch(self, size: int) -> tuple[FaceBatch, torch.Tensor, torch.Tensor]:
        """References, the target's canonical map, and the target."""
        texture = torch.randn((size, 3, 10, 10), generator=self.generator)
        pick = torch.randint(len(self.crops), (size, 3), generator=self.generator)
        coords = self.crops[pick[:, :2]]
        crops = painted(texture.repeat_interleave(2, 0), coords.flatten(0, 1)).unflatten(0, (size, 2))
        where = self.targets[pick[:, 2]]
        faces = FaceBatch(crops, coords, torch.zeros(size, 2, CONFIG.embedding_dim), torch.ones(size, 2))
        return faces, where, painted(texture, where)


class Reader(torch.nn.Module):
    """The refiner and one fusion layer of HiFi-Net, and a linear layer to read colours off its output.

    The pixels bring nothing but their place on the face, so whatever is read must come from the references.
    """

    def __init__(self) -> None:
        super().__init__()
        self.portrait = build(CONFIG, seed=1)
        self.refiner = self.portrait.refiner
        self.fusion = self.portrait.hifi_net.transformer_blocks()[0][1].fusion
        self.colour = torch.nn.Linear(CONFIG.block_out_channels[0], 3, bias=False)

    def prepare(self, faces, where):
        """Fusion's keys, and the coordinates of the detail tokens."""
        _, detail = self.refiner(faces)
        octaves = CONFIG.coordinate_frequencies
        pixels = coordinate_features(where.flatten(2).transpose(1, 2), octaves)
        tokens = coordinate_features(detail.coords, octaves)
        return self.fusion.prepare(detail.tokens, tokens, detail.bias, pixels), detail.coords

    def forward(self, faces, where):
        """Predicted target, ``(B, 3, h, w)``."""
        prepared, _ = self.prepare(faces, where)
        out = self.colour(self.fusion(torch.zeros_like(prepared.queries), prepared))
        return out.transpose(1, 2).unflatten(2, where.shape[-2:])

    @torch.no_grad()
    def attention(self, faces, where):
        """Attention ``(B, pixels, tokens)`` without the null token, and the tokens' coordinates."""
        prepared, places = self.prepare(faces, where)
        return self.fusion.attention_map(torch.zeros_like(prepared.queries), prepared)[..., 1:], places


def eye_figures(reader, people: People, model: FaceModel) -> dict[str, float]:
    """Mean attention to tokens at the left eye: from its pixels, the right eye's, and all but its own."""
    faces, where, _ = people.batch(24)
    weights, places = reader.attention(faces, where)
    eyes = [torch.tensor(model.uv[list(ids)].mean(0), dtype=torch.float32) for ids in (LEFT_EYE, RIGHT_EYE)]
    pixels = where.flatten(2).transpose(1, 2)

    def near(coords, eye):
        return ((coords[..., :2] - eye).norm(dim=-1) < 0.09) & (coords[..., 2] > 0.5)

    token = near(places, eyes[0])
    to_eye = (weights * token[:, None]).sum(-1)
    left, right = near(pixels, eyes[0]), near(pixels, eyes[1])
    assert left.sum() > 20
    assert right.sum() > 20
    return {
        "left_eye": float(to_eye[left].mean()),
        "right_eye": float(to_eye[right].mean()),
        "elsewhere": float(to_eye[~left].mean()),
    }


@pytest.mark.slow
def test_left_eye_tokens_are_read_by_left_eye_pixels(artifacts):
    torch.manual_seed(0)
    model = FaceModel.load()
    people = People(model)
    reader = Reader()
    before = eye_figures(reader, people, model)
    optimizer = torch.optim.AdamW(reader.parameters(), 3e-3)
    losses = []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1.0, (step + 1) / 20, (STEPS - step) / 60)
        faces, where, target = people.batch(8)
        predicted = reader(faces, where)
        shown = where[:, 2:]
        loss = ((predicted - target) ** 2 * shown).sum() / (3 * shown.sum())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    after = eye_figures(reader, people, model)
    print({"before": before, "after": after, "loss": (np.mean(losses[:5]), np.mean(losses[-20:]))})
    draw(reader, people, model, artifacts / "fusion_attention.png")
    assert np.mean(losses[-20:]) < 0.6 * np.mean(losses[:5])
    assert after["left_eye"] > 3 * after["elsewhere"]
    assert after["left_eye"] > 2 * after["right_eye"]
    assert after["left_eye"] / after["elsewhere"] > before["left_eye"] / before["elsewhere"]


def draw(reader, people, model, path, rows=4, size=160):
    """References, target, prediction, and where the target looks at the references' left eye."""
    faces, where, target = people.batch(rows)
    with torch.no_grad():
        predicted = reader(faces, where)
    weights, places = reader.attention(faces, where)
    eye = torch.tensor(model.uv[list(LEFT_EYE)].mean(0), dtype=torch.float32)
    token = ((places[..., :2] - eye).norm(dim=-1) < 0.09) & (places[..., 2] > 0.5)
    heat = (weights * token[:, None]).sum(-1).unflatten(1, (LATENT, LATENT)).numpy()
    pixel = where.permute(0, 2, 3, 1)
    at_eye = (((pixel[..., :2] - eye).norm(dim=-1) < 0.09) & (pixel[..., 2] > 0.5)).numpy().astype(np.uint8)

    def tile(picture, smooth=False):
        how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
        return cv2.resize(picture, (size, size), interpolation=how)

    def colour(tensor):
        return tile(((tensor.permute(1, 2, 0).numpy() * 0.25 + 0.5).clip(0, 1) * 255).astype(np.uint8))

    lines = []
    for row in range(rows):
        refs = []
        for n in range(2):
            picture = colour(faces.crops[row, n])
            c = faces.coords[row, n]
            mask = ((c[:2] - eye[:, None, None]).norm(dim=0) < 0.09) & (c[2] > 0.5)
            outline(picture, mask.numpy().astype(np.uint8), size)
            refs.append(picture)
        level = (heat[row] / heat[row].max() * 255).astype(np.uint8)
        hot = cv2.applyColorMap(tile(level), cv2.COLORMAP_INFERNO)[..., ::-1].copy()
        outline(hot, at_eye[row], size)
        lines.append(np.hstack([*refs, colour(target[row]), colour(predicted[row] * where[row, 2:]), hot]))
    sheet = np.vstack(lines)
    header = np.full((28, sheet.shape[1], 3), 255, np.uint8)
    for i, text in enumerate(("reference 1", "reference 2", "target", "predicted", "reads the left eye")):
        cv2.putText(
            header, text, (i * size + 6, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA
        )
    cv2.imwrite(str(path), np.vstack([header, sheet])[..., ::-1])


def outline(picture, mask, size):
    """White line around a mask, scaled to the picture."""
    big = cv2.resize(mask, (size, size), interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(big, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, (255, 255, 255), 1)
