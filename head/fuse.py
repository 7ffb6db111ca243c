"""Reference faces become one textured head."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import RBFInterpolator

from ..faces.geometry import transform
from ..faces.records import FaceRecord, ReferenceFaces
from ..landmarks.camera import project
from ..landmarks.fit import FaceFit, fit_faces
from ..landmarks.model import FaceModel
from .model import HeadModel
from .posed import Posed
from .records import TEXTURE_SIZES, Head
from .texture import fuse_texture

_SMALL = 60.0
"""Face size, px, below which the texture is coarse and a note says so."""
_TURNED = 40.0
"""Degrees of yaw from which one side of the face is hidden."""
_MISSING = 0.75
"""Completeness below which a photo lacks part of the face."""


def fuse_head(references: ReferenceFaces, size: int = 1024) -> Head:
    """Fuse the references of one person into a textured head.

    Parameters
    ----------
    references : ReferenceFaces
        With the source pixels (``photo``) of each record; records of weight 0 are not there.
    size : int
        Side of the texture, px; one of `TEXTURE_SIZES`.

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
    geometry = _geometry(fits, face_model, model)
    posed = [_posed(face, fit, geometry, model) for face, fit in zip(faces, fits, strict=True)]
    fused = fuse_texture(posed, geometry, model, size)
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
    )


def _geometry(fits: list[FaceFit], face_model: FaceModel, model: HeadModel) -> np.ndarray:
    """(G, 3) float32 the person's neutral head."""
    base = model.geometry(fits[0].shape).astype(np.float64)
    offset = RBFInterpolator(face_model.points(fits[0].shape), fits[0].offset, neighbors=20, smoothing=1e-3)(
        base
    )
    reach = np.linalg.norm(base - np.array([0, -0.4, 0.2]), axis=1)
    near = np.exp(-(np.clip(reach - 1.2, 0, None) ** 2) / 0.3)
    return (base + offset * near[:, None]).astype(np.float32)


def _posed(face: FaceRecord, fit: FaceFit, geometry: np.ndarray, model: HeadModel) -> Posed:
    moved = model.expressed(fit.expression.astype(np.float32))
    vertices = (geometry + moved)[model.source]
    photo = face.photo
    assert photo is not None
    matrix = photo.matrix
    points = transform(project(vertices, fit.rotation, fit.scale, fit.translation), matrix)
    return Posed(
        face=face,
        photo=photo,
        vertices=points,
        normals=model.normals(vertices @ fit.rotation.T),
        moved=np.linalg.norm(moved, axis=1)[model.source],
        scale=float(fit.scale * matrix[0, 0]),
    )


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
    return tuple(notes)
