"""Stage fit: one identity shape for all pictures of a person, pose and expression for each."""

from __future__ import annotations

from collections.abc import Sequence

from ..landmarks.fit import fit_face, fit_faces
from ..landmarks.fit_result import FaceFit
from ..landmarks.model import FaceModel
from .config import Fit
from .decode import rejected
from .record import PictureRecord


def fit_person(
    records: Sequence[PictureRecord], model: FaceModel, config: Fit
) -> list[tuple[PictureRecord, FaceFit | None]]:
    """Fit the 3D face to all pictures of one person.

    The identity shape comes from the best pictures together (``fit.most_pictures``), each counting by its
    quality; the others are fitted with that shape. Pictures that fit badly are rejected, but have been part
    of the identity: the fit's own robust weights keep them from bending it.

    Parameters
    ----------
    records : sequence of PictureRecord
        Of one person.
    model : FaceModel
        The 3D face.
    config : Fit
        Limits.

    Returns
    -------
    list
        Record and fit, in the order given; None where the picture is rejected.
    """
    ranked = sorted(range(len(records)), key=lambda i: (-records[i].quality, records[i].key))
    best = ranked[: config.most_pictures]
    fits: dict[int, FaceFit] = dict(
        zip(
            best,
            fit_faces(
                [records[i].landmarks for i in best], [max(records[i].quality, 0.01) for i in best], model
            ),
            strict=True,
        )
    )
    shape = fits[best[0]].shape
    for index in ranked[config.most_pictures :]:
        fits[index] = fit_face(records[index].landmarks, model, shape=shape)
    results: list[tuple[PictureRecord, FaceFit | None]] = []
    for index, record in enumerate(records):
        residual = float(fits[index].residual)
        if residual > config.largest_residual:
            numbers = {"residual": round(residual, 4), "limit": config.largest_residual}
            results.append((rejected(record, "fit", "the 3D face does not fit", **numbers), None))
        else:
            results.append((record, fits[index]))
    return results
