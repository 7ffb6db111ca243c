"""The stages of one person, once it is known who is who: matte, fit, texture, caption, and its samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ..boundary.text import reason
from ..faces.records import FaceRecord
from ..landmarks.fit_result import FaceFit
from .analyse import Tools
from .caption import caption
from .decode import read_again, reduced, rejected
from .fit import fit_person
from .matte import matte
from .record import PictureRecord
from .shards import Members, encode_arrays, encode_json, encode_picture
from .texture import reference_of, texture_of


@dataclass
class FinishedPerson:
    """A person's samples.

    Attributes
    ----------
    person : str
        Id.
    records : list of PictureRecord
        All of the person's pictures, rejected ones too.
    samples : list of tuple
        Key and members, a sample per picture that was not rejected.
    members : dict
        Of the person's own sample; empty where too few pictures are left.
    """

    person: str
    records: list[PictureRecord] = field(default_factory=list)
    samples: list[tuple[str, Members]] = field(default_factory=list)
    members: Members = field(default_factory=dict)


def finish_person(
    person: str,
    records: Sequence[PictureRecord],
    tools: Tools,
    begun: Callable[[PictureRecord], bool] = lambda record: True,
) -> FinishedPerson:
    """Take one person through the last stages.

    Parameters
    ----------
    person : str
        Id.
    records : sequence of PictureRecord
        The person's, in order.
    tools : Tools
        What the stages need.
    begun : callable
        Told before each picture; false rejects the picture (a worker died of it).
    """
    done = FinishedPerson(person)
    fitted = _fitted(records, tools)
    faces: list[FaceRecord] = []
    kept: list[tuple[PictureRecord, FaceFit]] = []
    for before, fit in fitted:
        record, members, face = before, Members(), None
        if fit is not None:
            if begun(record):
                record, members, face = _picture(record, fit, tools)
            else:
                record = rejected(record, "shards", "a worker died of it")
        done.records.append(record)
        if fit is not None and members:
            kept.append((record, fit))
            done.samples.append((sample_key(record), members))
            faces += [face] if face is not None else []
    if len(kept) < tools.config.people.fewest_pictures:
        numbers = {"left": len(kept), "limit": tools.config.people.fewest_pictures}
        done.records = [
            r if r.rejected else rejected(r, "shards", "too few pictures of the person are left", **numbers)
            for r in done.records
        ]
        done.samples = []
        return done
    done.members = _person(person, kept, faces, tools)
    return done


def sample_key(record: PictureRecord) -> str:
    """Return a picture's key in the shards: it tells nothing of the source."""
    return f"{record.person}-{record.sha256[:16]}"


def _fitted(records: Sequence[PictureRecord], tools: Tools) -> list[tuple[PictureRecord, FaceFit | None]]:
    try:
        return fit_person(records, tools.face_model, tools.config.fit)
    except ValueError as error:  # landmarks that no face has
        return [(rejected(r, "fit", "cannot be fitted", detail=reason(error)), None) for r in records]


def _picture(
    record: PictureRecord, fit: FaceFit, tools: Tools
) -> tuple[PictureRecord, Members, FaceRecord | None]:
    config, analyzer = tools.config, tools.analyzer
    try:
        record, pixels = read_again(record, config.decode)
        if pixels is None:
            return record, {}, None
        small = reduced(pixels, config.shards.longest_side)
        record, alpha = matte(record, small, analyzer, config.matte)
        if record.rejected:
            return record, {}, None
        face = reference_of(record, pixels, analyzer)
        text = caption(record, pixels, fit, tools.face_model, config.caption, tools.captioner)
        record = replace(record, caption=text, pose=np.array(fit.pose, np.float32))
        members = _members(record, fit, face, small, tools)
        members |= {"matte.png": encode_picture(alpha, "png"), "txt": text.encode()}
        if config.texture.per in ("picture", "both"):
            texture = texture_of([face], analyzer, config.texture)
            members["texture.png"] = encode_picture(texture, "png")
        keep = config.texture.per in ("person", "both")
        return record, members, face if keep else None
    except Exception as error:  # one picture must not stop a million
        detail = f"{type(error).__name__}: {reason(error)}"
        return rejected(record, "shards", "an error in the last stages", detail=detail), {}, None


def _members(
    record: PictureRecord, fit: FaceFit, face: FaceRecord, picture: np.ndarray, tools: Tools
) -> Members:
    """Everything but matte, text and texture; coordinates are px of the shard's picture."""
    height, width = picture.shape[:2]
    across, down = width / record.width, height / record.height
    zoom = np.array([across, down, (across * down) ** 0.5])
    to_crop = face.crop_matrix @ np.diag([1 / across, 1 / down, 1.0])
    shards = tools.config.shards
    values = {
        "person": record.person,
        "caption": record.caption,
        "sha256": record.sha256,
        "width": width,
        "height": height,
        "pose": [round(float(angle), 4) for angle in fit.pose],
        "box": (record.box * np.tile(zoom[:2], 2)).round(3).tolist(),
        "keypoints": (record.keypoints * zoom[:2]).round(3).tolist(),
        "recognizer": tools.analyzer.recognizer,
        "quality": round(record.quality, 6),
        "sharpness": round(record.sharpness, 6),
        "exposure": round(record.exposure, 6),
        "completeness": round(record.completeness, 6),
        "size_px": round(record.size_px, 3),
        "fit_residual": round(float(fit.residual), 6),
    }
    arrays = {
        "points": fit.points(tools.face_model) * zoom,
        "landmarks": record.landmarks * zoom,
        "expression": fit.expression,
        "shape": fit.shape,
        "embedding": record.embedding,
        "embedding_norm": np.array(record.embedding_norm, np.float32),
        "crop": face.crop,
        "crop_matrix": to_crop,
        "mask": (face.mask * 255 + 0.5).astype(np.uint8),
    }
    return {
        shards.kind: encode_picture(picture, shards.kind, shards.quality),
        "npz": encode_arrays(arrays),
        "json": encode_json(values),
    }


def _person(
    person: str, kept: list[tuple[PictureRecord, FaceFit]], faces: list[FaceRecord], tools: Tools
) -> Members:
    mean = np.mean([record.embedding for record, _ in kept], axis=0)
    mean = mean / max(float(np.linalg.norm(mean)), 1e-9)
    members = {
        "npz": encode_arrays({"shape": kept[0][1].shape, "embedding": mean}),
        "json": encode_json(
            {
                "person": person,
                "pictures": [sample_key(record) for record, _ in kept],
                "recognizer": tools.analyzer.recognizer,
            }
        ),
    }
    if faces:
        texture = texture_of(faces, tools.analyzer, tools.config.texture)
        members["texture.png"] = encode_picture(texture, "png")
    return members
