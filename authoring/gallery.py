"""Portraits of the people in real photos, by the tiny model, through the same path as the nodes take.

``python -m authoring.gallery FACE_MODELS OUT.jpg PHOTO...``: rows for one to four references
over a sweep of yaw and smile, each portrait with its similarity to the references. The photos themselves are
not in the sheet: they belong to others and stay out of the repository.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from hifi_portrait.training.host import add_comfyui_to_path

add_comfyui_to_path()

import comfy.sample  # noqa: E402
from hifi_portrait.faces.open_analyzer import OpenAnalyzer  # noqa: E402
from hifi_portrait.faces.pictures import NamedImage, read_image  # noqa: E402
from hifi_portrait.faces.references import load_references  # noqa: E402
from hifi_portrait.identity.refine import refine_faces  # noqa: E402
from hifi_portrait.landmarks.generate import generate  # noqa: E402
from hifi_portrait.landmarks.landmarks import FaceLandmarks3D  # noqa: E402
from hifi_portrait.landmarks.model import FaceModel  # noqa: E402
from hifi_portrait.patching.apply import apply_hifi_net  # noqa: E402
from hifi_portrait.patching.loading import load_hifi_net  # noqa: E402
from hifi_portrait.patching.settings import PatchSettings  # noqa: E402
from hifi_portrait.tiny.base_file import HIFI_NET_FILE  # noqa: E402
from hifi_portrait.tiny.model import load_tiny_portrait_model  # noqa: E402
from hifi_portrait.training.data.sheets import captioned_line, resized, write_sheet  # noqa: E402

PROMPT = "portrait, blue background, white shirt, soft light from the front"
SWEEP = ((-30.0, 0.0), (-15.0, 0.0), (0.0, 0.0), (0.0, 0.8), (15.0, 0.8), (30.0, 0.8))
"""Yaw in degrees and smile, 0..1."""
SCALE, CENTRE = 35.0, (64.0, 61.0)
"""px per interocular distance, and the eyes' midpoint: the middle of what the tiny model was trained on."""


def targets(shape: np.ndarray) -> list[FaceLandmarks3D]:
    """Landmarks of the sweep for one identity shape."""
    model = FaceModel.load()
    smile = {"mouthSmileLeft": 1.0, "mouthSmileRight": 1.0, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5}
    return [
        generate(
            model, shape, (yaw, 0, 0), model.coefficients({k: v * amount for k, v in smile.items()}), 128,
            128, CENTRE, SCALE,
        )
        for yaw, amount in SWEEP
    ]  # fmt: skip


def portraits(
    face_models: Path,
    photos: list[Path],
    counts: tuple[int, ...] = (1, 2, 3, 4),
    seed: int = 1,
    cfg: float = 2.5,
) -> tuple[dict[int, list[np.ndarray]], dict[int, list[float]]]:
    """Sample portraits of the person in the photos.

    Returns
    -------
    tuple
        Portraits (128, 128, 3) uint8 by number of references, and their similarity to all references' mean
        embedding (NaN where no face is found).
    """
    analyzer = OpenAnalyzer([face_models], "CPU")
    model, clip, vae = load_tiny_portrait_model()
    hifi_net = load_hifi_net(HIFI_NET_FILE)
    images = [NamedImage(p.name, read_image(p)) for p in photos]
    everything = load_references(images, analyzer)
    mean = np.stack([f.embedding for f in everything.faces]).mean(0)
    mean /= np.linalg.norm(mean)
    positive, negative = (clip.encode_from_tokens_scheduled(clip.tokenize(t)) for t in (PROMPT, ""))
    made: dict[int, list[np.ndarray]] = {}
    scores: dict[int, list[float]] = {}
    for count in counts:
        references = load_references(images[:count], analyzer)
        identity = refine_faces(references, hifi_net.network)
        made[count], scores[count] = [], []
        for landmarks in targets(identity.shape):
            settings = PatchSettings(identity_strength=1.0, landmark_strength=1.0)
            patched = apply_hifi_net(model, hifi_net, identity, landmarks, settings)
            latent = torch.zeros(1, vae.latent_channels, 16, 16)
            noise = comfy.sample.prepare_noise(latent, seed)
            done = comfy.sample.sample(
                patched,
                noise,
                8,
                cfg,
                "euler",
                "normal",
                positive,
                negative,
                latent,
                seed=seed,
                disable_pbar=True,
            )
            picture = (vae.decode(done)[0].numpy() * 255).round().astype(np.uint8)
            faces = analyzer.analyze(picture, "portrait")
            made[count].append(picture)
            scores[count].append(float(faces[0].embedding @ mean) if faces else float("nan"))
    return made, scores


def sheet(path: Path, made: dict[int, list[np.ndarray]], scores: dict[int, list[float]]) -> None:
    """Write the sheet: one row for each number of references, similarities below."""
    lines = [
        captioned_line(resized(np.stack(pictures), 192), [f"{count} ref  {s:.2f}" for s in scores[count]])
        for count, pictures in made.items()
    ]
    write_sheet(path, np.concatenate(lines))


def main(argv: list[str] | None = None) -> int:
    """Sample and write the sheet; see the module's text."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("face_models", type=Path, help="folder of the open analyzer's files")
    parser.add_argument("out", type=Path, help="JPEG to write")
    parser.add_argument("photos", type=Path, nargs="+", help="photos of one person")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    results = portraits(args.face_models, args.photos)
    sheet(args.out, *results)
    print({k: [round(x, 3) for x in v] for k, v in results[1].items()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
