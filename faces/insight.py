"""InsightFace packs (SCRFD + ArcFace + 3D-68) as an analyzer; the package is optional, imported when used."""

from __future__ import annotations

import contextlib
import hashlib
import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..boundary import text
from ..boundary.files import stamp
from ..boundary.licences import FileLicence
from .analyzer import DetectedFace
from .files import PERSON_MASK, locate
from .geometry import RECOGNIZER_SIZE
from .runtime import LiteModel, missing_package, onnx_providers, provider_note, running_provider


@dataclass(frozen=True)
class Pack:
    """What is known of a pack by its name."""

    licence: str
    commercial_use: bool | None
    source: str


_RELEASE = "https://github.com/deepinsight/insightface/releases/download/v0.7"

KNOWN_PACKS = {
    "antelopev2": Pack(
        "InsightFace model licence: non-commercial research", False, f"{_RELEASE}/antelopev2.zip"
    ),
    "buffalo_l": Pack(
        "InsightFace model licence: non-commercial research", False, f"{_RELEASE}/buffalo_l.zip"
    ),
    "auraface": Pack("Apache-2.0 (AuraFace)", True, "https://huggingface.co/fal/AuraFace-v1"),
}
_UNKNOWN = Pack("unknown: see where the pack came from", None, "")

_DETECTION_SIZE = (640, 640)


def find_packs(folders: Sequence[Path]) -> dict[str, Path]:
    """Find packs under ``models/insightface``, well placed or not.

    A pack is a folder with .onnx files. Looked for in ``<folder>/models/<name>``, in ``<folder>/<name>`` (the
    level forgotten) and in ``.../<name>/<name>`` (unpacked into a folder of its own name, as antelopev2's
    archive does).

    Returns
    -------
    dict of str to Path
        Name of the pack, and the folder that really holds its files.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for parent in (folder / "models", folder):
            if not parent.is_dir():
                continue
            for place in sorted(p for p in parent.iterdir() if p.is_dir() and p.name != "models"):
                inner = next((p for p in (place, place / place.name) if any(p.glob("*.onnx"))), None)
                if inner is None:
                    nested = sorted({p.parent for p in place.glob("*/*.onnx")})
                    inner = nested[0] if len(nested) == 1 else None
                if inner is not None:
                    found.setdefault(place.name, inner)
    return found


def pack_licences(name: str) -> tuple[FileLicence, ...]:
    """Return what a pack of this name may be used for."""
    known = KNOWN_PACKS.get(name, _UNKNOWN)
    return (FileLicence(text.name(name), text.printable(known.licence, 80), known.commercial_use),)


class InsightFaceAnalyzer:
    """Detection, recognition and 68 3D landmarks of an InsightFace pack.

    Parameters
    ----------
    name : str
        The pack's name.
    folders : sequence of Path
        Folders ``models/insightface``.
    provider : str
        One of `PROVIDER_CHOICES`; "auto" takes CUDA, DirectML or CoreML where ONNX Runtime has them.
    model_folders : sequence of Path
        Where the person mask's file is looked for; without it the background stays.

    Raises
    ------
    FileNotFoundError
        The pack is not there: the message says where it belongs and where it comes from.
    ValueError
        The pack lacks a detector, a recognizer or the 3D landmarks.
    MissingPackageError
        insightface is not installed.
    """

    def __init__(
        self, name: str, folders: Sequence[Path], provider: str = "auto", model_folders: Sequence[Path] = ()
    ) -> None:
        known = KNOWN_PACKS.get(name, _UNKNOWN)
        place = find_packs(folders).get(name)
        if place is None:
            raise FileNotFoundError(_missing_pack(name, known, folders))
        providers = onnx_providers(provider)
        self._app = _open(place, providers)
        tasks = {"detection": "a detector", "recognition": "a recognizer", "landmark_3d_68": "3D landmarks"}
        lacking = [label for task, label in tasks.items() if task not in self._app.models]
        if lacking:
            names = text.printable(", ".join(sorted(p.name for p in place.glob("*.onnx"))), 60)
            where = text.printable(place, 100)
            raise ValueError(
                f"the pack {text.name(name)} in {where} lacks {' and '.join(lacking)} (it has {names})"
            )
        self._shown = text.name(name)
        self.recognizer = name
        self.licence = known.licence
        self.commercial_use = known.commercial_use
        self.licences = pack_licences(name)
        self.provider = provider_note(provider, running_provider(self._app.models["recognition"].session))
        mask = locate([PERSON_MASK], model_folders)
        self._mask = LiteModel(mask[PERSON_MASK]) if mask else None
        versions = [stamp(path) for path in sorted(place.glob("*.onnx"))]
        key = repr(("v2", name, versions, self._mask is not None)).encode(errors="replace")
        self.fingerprint = f"{name}-" + hashlib.blake2b(key, digest_size=8).hexdigest()

    def analyze(self, image: np.ndarray, name: str) -> list[DetectedFace]:
        """Find all faces of a (H, W, 3) uint8 RGB picture, largest first."""
        # Smaller ones make the package's resizing fail.
        if min(image.shape[:2]) < 8:
            return []
        faces = []
        for found in self._find(image):
            landmarks = np.asarray(found["landmark_3d_68"], np.float32).copy()
            # The pack's z grows towards the viewer, as ours does, and starts anywhere.
            landmarks[:, 2] -= landmarks[:, 2].mean()
            vector = np.asarray(found["embedding"], np.float32)
            faces.append(
                DetectedFace(
                    box=np.asarray(found["bbox"], np.float32),
                    score=float(found["det_score"]),
                    keypoints=np.asarray(found["kps"], np.float32),
                    landmarks=landmarks,
                    embedding=vector / max(float(np.linalg.norm(vector)), 1e-9),
                    embedding_norm=float(np.linalg.norm(vector)),
                )
            )
        return sorted(faces, key=lambda face: (-face.size, *face.box.tolist()))

    def _find(self, image: np.ndarray) -> list[Any]:
        try:
            return list(self._app.get(np.ascontiguousarray(image[..., ::-1])))
        except Exception as error:  # whatever the package raises on models of another kind
            raise ValueError(
                f"the InsightFace pack {self._shown} cannot read a picture ({text.reason(error)}); "
                "unpack the pack again, or choose the open analyzer"
            ) from None

    def embed(self, image: np.ndarray, keypoints: np.ndarray) -> np.ndarray:
        """Embed the face with these (5, 2) keypoints; returns (512,) float32 of unit length."""
        from insightface.utils import face_align

        # The package's own alignment, so that this gives what `analyze` gave.
        aligned = face_align.norm_crop(np.ascontiguousarray(image[..., ::-1]), keypoints, RECOGNIZER_SIZE)
        vector: np.ndarray = self._app.models["recognition"].get_feat(aligned).ravel()
        return (vector / max(float(np.linalg.norm(vector)), 1e-9)).astype(np.float32)

    def person_mask(self, view: np.ndarray) -> np.ndarray:
        """Matte a (256, 256, 3) uint8 RGB view; returns (256, 256) float32, 1 on people."""
        if self._mask is None:
            return np.ones(view.shape[:2], np.float32)
        return self._mask(view)[0][0, :, :, 0]


def _open(place: Path, providers: list[str]) -> Any:
    try:
        from insightface.app import FaceAnalysis
    except ImportError:
        # --no-deps: the package asks for opencv-python, which would replace the OpenCV that is there.
        raise missing_package(
            "insightface",
            "this analyzer",
            f'--no-deps insightface && "{sys.executable}" -m pip install scikit-image',
        ) from None
    shown = text.printable(place, 120)
    # Given the folder itself, the package loads what is there and never downloads. It prints while it loads.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app = FaceAnalysis(name=str(place), root=str(place.parent), providers=providers)
        except AssertionError:
            raise ValueError(f"the pack in {shown} has no face detector (a SCRFD .onnx file)") from None
        except Exception as error:
            raise ValueError(f"the pack in {shown} cannot be opened: {text.reason(error)}") from None
        try:
            app.prepare(ctx_id=0, det_size=_DETECTION_SIZE)
        except Exception as error:  # whatever the package raises on models of another kind
            raise ValueError(f"the pack in {shown} cannot be used: {text.reason(error)}") from None
    return app


def _missing_pack(name: str, known: Pack, folders: Sequence[Path]) -> str:
    target = (folders[0] if folders else Path("models/insightface")) / "models" / text.name(name)
    there = text.printable(", ".join(sorted(find_packs(folders))) or "none", 60)
    source = f" It comes from {known.source} ({known.licence})." if known.source else ""
    return (
        f"the InsightFace pack {text.name(name)} is not there (packs found: {there}).{source} "
        f"Unpack its .onnx files into {text.printable(target, 100)}, or choose the open analyzer"
    )
