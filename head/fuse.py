"""Reference faces become one textured head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..faces.geometry import transform
from ..faces.records import FaceRecord, ReferenceFaces
from ..landmarks.fit import fit_faces
from ..landmarks.fit_result import FaceFit
from ..landmarks.model import FaceModel
from .bend import PersonGeometry, fit_head
from .expression import expressed
from .matting import person_alpha
from .model import HeadModel
from .outline import raised_scalp
from .posed import Posed
from .records import TEXTURE_SIZES, Head
from .texture import fuse_texture

_SMALL = 60.0
"""Face size, px, below which the texture is coarse and a note says so."""
_TURNED = 40.0
"""Degrees of yaw from which one side of the face is hidden."""
_NO_COLOUR = 4.0
"""Mean difference of the channels, of 255, below which a photo is black and white."""
_MISSING = 0.75
"""Completeness below which a photo lacks part of the face."""


def fuse_head(
    references: ReferenceFaces, size: int = 1024, progress: Callable[[int, int], None] | None = None
) -> Head:
    """Fuse the references of one person into a textured head.

    Parameters
    ----------
    references : ReferenceFaces
        With the source pixels (``photo``) of each record; records of weight 0 are not there.
    size : int
        Side of the texture, px; one of `TEXTURE_SIZES`.
    progress : callable, optional
        Called with (steps done, steps in all); may raise to stop.

    Returns
    -------
    Head

    Raises
    ------
    ValueError
        No record has a weight and source pixels, or the size is none of those.
    """
    if size not in TEXTURE_SIZES:
        raise ValueError(f"head: the texture can have {', '.join(map(str, TEXTURE_SIZES))} px, not {size}")
    faces = [face for face in references.faces if face.weight > 0 and face.photo is not None]
    if not faces:
        raise ValueError(
            "head: no reference has source pixels and a weight above 0; load photos with Load Reference Faces"
        )
    face_model, model = FaceModel.load(), HeadModel.load()
    fits = fit_faces([face.landmarks for face in faces], [face.weight for face in faces], face_model)
    person = fit_head(faces, fits, model)
    alphas = []
    for done, face in enumerate(faces, start=1):
        assert face.photo is not None
        alphas.append(person_alpha(face.photo))
        if progress is not None:
            progress(done, len(faces) + 2)
    posed = [_posed(person, index, face, alphas[index]) for index, face in enumerate(faces)]
    person = replace(person, bend=person.bend + raised_scalp(posed, person.geometry(), model))
    posed = [_posed(person, index, face, alphas[index]) for index, face in enumerate(faces)]
    geometry = person.geometry()
    if progress is not None:
        progress(len(faces) + 1, len(faces) + 2)
    fused = fuse_texture(posed, geometry, model, size)
    if progress is not None:
        progress(len(faces) + 2, len(faces) + 2)
    weights = np.array([face.weight for face in faces])
    expression = np.tensordot(weights / weights.sum(), np.stack([fit.expression for fit in fits]), 1)
    return Head(
        geometry=geometry,
        shape=fits[0].shape.astype(np.float32),
        expression=expression.clip(0, 1).astype(np.float32),
        texture=fused.texture,
        opacity=fused.opacity,
        confidence=fused.confidence,
        light=fused.light,
        sources=tuple(face.source for face in faces),
        shares=fused.shares,
        notes=_notes(faces, fits),
        licences=references.licences,
    )


def _posed(person: PersonGeometry, index: int, face: FaceRecord, alpha: np.ndarray) -> Posed:
    """Pose the person's head as one photo shows it, in px of the record's source pixels."""
    photo, seen, model = face.photo, person.photos[index], person.model
    assert photo is not None
    moved = expressed(person.model, person.geometry(), seen.expression)
    posed = model.posed(person.geometry(seen.expression), seen.rotation)
    return Posed(
        face=face,
        photo=photo,
        vertices=transform(person.in_photo(index), photo.matrix),
        normals=model.normals(posed[model.source]),
        moved=np.linalg.norm(moved, axis=1)[model.source],
        alpha=alpha,
        grey=_grey(face),
        scale=float(seen.scale * photo.matrix[0, 0]),
    )


def _grey(face: FaceRecord) -> bool:
    """Whether the photo is black and white."""
    shown = face.crop[face.mask > 0.9].astype(np.int16)
    return bool(len(shown)) and float(np.ptp(shown, axis=1).mean()) < _NO_COLOUR


def _notes(faces: list[FaceRecord], fits: list[FaceFit]) -> tuple[str, ...]:
    """Say what the photos do not show."""
    notes = []
    largest = max(face.quality.size_px for face in faces)
    if largest < _SMALL:
        notes.append(f"The largest face has {largest:.0f} px: the texture is coarse")
    yaws = [fit.pose[0] for fit in fits]
    if min(yaws) > _TURNED or max(yaws) < -_TURNED:
        notes.append("All photos show the same side of the face: the other is its mirror image")
    if max(face.quality.completeness for face in faces) < _MISSING:
        notes.append("No photo shows the whole face: what is missing is mirrored or filled in smoothly")
    grey = [face.source for face in faces if _grey(face)]
    if grey:
        if len(grey) == len(faces):
            notes.append("All photos are black and white, and so is the head")
        else:
            notes.append(f"Black and white, coloured from the other photos: {', '.join(grey)[:120]}")
    return tuple(notes)
