"""Pictures in, the references of one person out: chosen, rated, weighed, and never two people mixed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from .analyzer import DetectedFace, FaceAnalyzer
from .crop import canonical_crop
from .photo import head_photo
from .picture_files import UnreadablePictureError, forget_pixels
from .pictures import Picture, UnreadableImage
from .quality import measure, with_agreement
from .records import DroppedPicture, FaceRecord, Quality, ReferenceFaces
from .regions import Region, faces_inside
from .select import PICKS, group_people, pick_common, pick_single
from .thresholds import threshold_for

MAX_REFERENCES = 64
DISAGREE = ("drop", "keep with weight 0", "stop with an error")
"""What happens to a reference that shows somebody else."""

_CACHED_BYTES = 400_000_000
"""Most memory that source pixels may take in one cache."""
_DUPLICATE_SIMILARITY = 0.98
_DUPLICATE_DIFFERENCE = 5.0
_LISTED = 3
"""Pictures named in one message."""

T = TypeVar("T")


@dataclass(frozen=True)
class ReferenceOptions:
    """What the artist chose.

    Attributes
    ----------
    pick : str
        One of `PICKS`: which face of a picture with several people.
    index : int
        For picking by index: 0 is the leftmost face of each picture, negative counts from the right.
    disagree : str
        One of `DISAGREE`.
    weights : tuple of float or None
        One per input picture; None derives them from the quality.
    min_face : float
        Faces smaller than this (px) are not used.
    same : float or None
        Similarity from which two faces are one person; None takes the recognizer's own.
    regions : tuple of Region or None
        One per input picture, None where any of its faces may be the person: only faces in it are.
    """

    pick: str = PICKS[0]
    index: int = 0
    disagree: str = DISAGREE[0]
    weights: tuple[float, ...] | None = None
    min_face: float = 24.0
    same: float | None = None
    regions: tuple[Region | None, ...] | None = None


class _Cache:
    """Keeps the most recent results in memory; safe to use from several threads."""

    def __init__(self, entries: int, size: Callable[[Any], int] = lambda value: 0) -> None:
        self._entries, self._size = entries, size
        self._items: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
                kept: T = self._items[key]
                return kept
        value = make()
        with self._lock:
            self._items[key] = value
            while len(self._items) > 1 and (
                len(self._items) > self._entries or self._bytes() > _CACHED_BYTES
            ):
                self._items.popitem(last=False)
        return value

    def _bytes(self) -> int:
        return sum(self._size(item) for item in self._items.values())

    def clear(self) -> None:
        with self._lock:
            self._items.clear()


_faces_cache = _Cache(256)
_crop_cache = _Cache(256)
_set_cache = _Cache(16, lambda references: sum(f.photo.nbytes for f in references.faces if f.photo))
_photo_cache = _Cache(64, lambda photo: photo.nbytes)


def clear_cache() -> None:
    """Forget everything that was analysed (tests and benchmarks)."""
    for cache in (_faces_cache, _crop_cache, _set_cache, _photo_cache):
        cache.clear()
    forget_pixels()


def analyze_cached(image: Picture, analyzer: FaceAnalyzer) -> list[DetectedFace]:
    """Find the faces of a picture, once per content and analyzer."""
    key = (image.digest, analyzer.fingerprint)
    return _faces_cache.get(key, lambda: analyzer.analyze(image.pixels, image.name))


def load_references(
    images: Sequence[Picture | UnreadableImage],
    analyzer: FaceAnalyzer,
    options: ReferenceOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ReferenceFaces:
    """Make the references of one person out of pictures.

    The order of the pictures changes nothing but `source_index` and names made from it: records are sorted by
    the pictures' content before anything is computed from several of them.

    Parameters
    ----------
    images : sequence of Picture or UnreadableImage
        1 to 64 pictures; unreadable ones are listed among the dropped. Files are decoded one at a time.
    analyzer : FaceAnalyzer
        Finds and recognises faces.
    options : ReferenceOptions, optional
        The artist's choices.
    progress : callable, optional
        Called with (pictures done, pictures in all).

    Raises
    ------
    ValueError
        No picture, too many, none with a usable face, no majority for one person (the groups are named),
        somebody else among the references where that is to be an error, or weights that do not fit.
    """
    options = options or ReferenceOptions()
    _check(images, options)
    key = (
        tuple((item.name, item.reason if isinstance(item, UnreadableImage) else item.key) for item in images),
        analyzer.fingerprint,
        options,
    )
    try:
        return _set_cache.get(key, lambda: _load(images, analyzer, options, progress))
    finally:
        forget_pixels()


@dataclass(frozen=True, eq=False)
class _Candidate:
    """The picked face of one picture, cropped and rated."""

    image: Picture
    index: int
    face: DetectedFace
    crop: np.ndarray
    matrix: np.ndarray
    mask: np.ndarray
    quality: Quality


def _load(
    images: Sequence[Picture | UnreadableImage],
    analyzer: FaceAnalyzer,
    options: ReferenceOptions,
    progress: Callable[[int, int], None] | None,
) -> ReferenceFaces:
    same = threshold_for(analyzer.recognizer).same if options.same is None else options.same
    dropped: list[DroppedPicture] = []
    notes: list[str] = []
    usable = _find_faces(images, analyzer, options, dropped, progress)
    candidates = []
    for (index, image, faces), choice in zip(usable, _pick(usable, options, same, notes), strict=True):
        if choice is None:
            reason = f"has {len(faces)} faces, so none with index {options.index}"
            dropped.append(DroppedPicture(image.name, index, reason, None))
        else:
            candidates.append(_crop_and_rate(index, image, faces[choice], analyzer))
    candidates = _merge_duplicates(candidates, dropped)
    if not candidates:
        reasons = [f"{item.source}: {item.reason}" for item in sorted(dropped, key=_input_order)]
        raise ValueError(f"no picture has a face to use. {_few(reasons)}")

    records = _of_one_person(candidates, analyzer, options, same, dropped)
    return ReferenceFaces(
        _weigh(records, options),
        tuple(sorted(dropped, key=_input_order)),
        analyzer.recognizer,
        analyzer.fingerprint,
        tuple(notes),
        analyzer.licences,
    )


def _of_one_person(
    candidates: list[_Candidate],
    analyzer: FaceAnalyzer,
    options: ReferenceOptions,
    same: float,
    dropped: list[DroppedPicture],
) -> list[FaceRecord]:
    """Return the records of the majority's person, and of the others too where they are kept."""
    threshold = threshold_for(analyzer.recognizer)
    groups = group_people(np.stack([item.face.embedding for item in candidates]), same)
    if groups.undecided:
        shown = "; ".join(
            f"person {n}: {_few([candidates[i].image.name for i in group], ', ')}"
            for n, group in enumerate(groups.members, start=1)
        )
        raise ValueError(
            f"the pictures show different people and none has the majority ({shown}): use the pictures of "
            f"one, or, if they are one person, set same_person_from below {same:.2f}"
        )
    records = []
    for position, candidate in enumerate(candidates):
        value = groups.similarity[position]
        similarity = None if np.isnan(value) else float(value)
        record = _record(candidate, with_agreement(candidate.quality, similarity, threshold), analyzer)
        if position in groups.members[0]:
            records.append(record)
            continue
        reason = f"shows somebody else (similarity {value:.2f}, one person from {same:.2f})"
        if options.disagree == DISAGREE[2]:
            raise ValueError(
                f"{candidate.image.name} {reason}: remove it, or let it be dropped or kept with weight 0"
            )
        if options.disagree == DISAGREE[1]:
            records.append(replace(record, weight=0.0))
            reason = f"{reason}; kept with weight 0"
        dropped.append(
            DroppedPicture(candidate.image.name, candidate.index, reason, similarity, candidate.crop)
        )
    return records


def _check(images: Sequence[Picture | UnreadableImage], options: ReferenceOptions) -> None:
    if not images:
        raise ValueError("there are no pictures: connect at least one photo of the person, or name a folder")
    if len(images) > MAX_REFERENCES:
        raise ValueError(f"there are {len(images)} pictures; give at most {MAX_REFERENCES} references")
    if options.pick not in PICKS:
        raise ValueError(f"unknown way to pick a face {options.pick!r}; choose one of {', '.join(PICKS)}")
    if options.disagree not in DISAGREE:
        raise ValueError(f"unknown choice {options.disagree!r}; choose one of {', '.join(DISAGREE)}")
    if options.weights is not None:
        if len(options.weights) != len(images):
            raise ValueError(f"there are {len(options.weights)} weights for {len(images)} pictures: one each")
        if not all(np.isfinite(w) and w >= 0 for w in options.weights):
            raise ValueError("weights must be numbers of at least 0")


def _find_faces(
    images: Sequence[Picture | UnreadableImage],
    analyzer: FaceAnalyzer,
    options: ReferenceOptions,
    dropped: list[DroppedPicture],
    progress: Callable[[int, int], None] | None,
) -> list[tuple[int, Picture, list[DetectedFace]]]:
    """Look at each picture once: index, picture and faces of those that have one, by content."""
    first: dict[str, str] = {}
    usable: list[tuple[int, Picture, list[DetectedFace]]] = []
    for index, image in enumerate(images):
        try:
            if isinstance(image, UnreadableImage):
                dropped.append(DroppedPicture(image.name, index, image.reason, None))
            elif image.digest in first:
                reason = f"is the same picture as {first[image.digest]}: merged"
                dropped.append(DroppedPicture(image.name, index, reason, 1.0))
            else:
                first[image.digest] = image.name
                faces = analyze_cached(image, analyzer)
                large = [face for face in faces if face.size >= options.min_face]
                meant = large
                if options.regions is not None and (region := options.regions[index]) is not None:
                    meant = faces_inside(large, region, image.size)
                if meant:
                    usable.append((index, image, meant))
                else:
                    reason = _why_no_face(image, large or faces, options.min_face)
                    dropped.append(DroppedPicture(image.name, index, reason, None))
        except UnreadablePictureError as error:
            dropped.append(DroppedPicture(image.name, index, f"unreadable: {error}", None))
        if progress is not None:
            progress(index + 1, len(images))
    return sorted(usable, key=lambda item: item[1].digest)


def _why_no_face(image: Picture, faces: Sequence[DetectedFace], smallest: float) -> str:
    width, height = image.size
    if faces:
        size = max(face.size for face in faces)
        if size >= smallest:
            return f"none of its {len(faces)} faces lies in the boxes or the mask given for it"
        return f"its largest face is {size:.0f} px, too small to recognise (from {smallest:.0f} px on)"
    return f"no face found ({width} x {height} px)"


def _pick(
    usable: list[tuple[int, Picture, list[DetectedFace]]],
    options: ReferenceOptions,
    same: float,
    notes: list[str],
) -> list[int | None]:
    if options.pick == PICKS[0] and len(usable) > 1:
        picked, note = pick_common([faces for _, _, faces in usable], same)
        if note:
            notes.append(note)
        return picked
    chosen = []
    for _, image, faces in usable:
        width, height = image.size
        chosen.append(pick_single(faces, width, height, options.pick, options.index))
        if options.pick == PICKS[0] and len(faces) > 1:
            notes.append(
                f"{image.name} has {len(faces)} faces and is the only picture: the largest was picked"
            )
    return chosen


def _crop_and_rate(index: int, image: Picture, face: DetectedFace, analyzer: FaceAnalyzer) -> _Candidate:
    def make() -> tuple[np.ndarray, np.ndarray, np.ndarray, Quality]:
        crop, matrix, mask = canonical_crop(image.pixels, face.landmarks, analyzer.person_mask)
        return crop, matrix, mask, measure(image.pixels, face, crop, matrix, mask)

    key = (image.digest, analyzer.fingerprint, face.box.tobytes())
    return _Candidate(image, index, face, *_crop_cache.get(key, make))


def _merge_duplicates(candidates: list[_Candidate], dropped: list[DroppedPicture]) -> list[_Candidate]:
    """Merge re-saved or resized copies: the better one stays."""
    kept: list[_Candidate] = []
    for item in sorted(candidates, key=lambda c: (-c.quality.score, c.image.digest)):
        for other in kept:
            similarity = float(item.face.embedding @ other.face.embedding)
            if similarity < _DUPLICATE_SIMILARITY:
                continue
            difference = np.abs(item.crop.astype(np.int16) - other.crop.astype(np.int16)).mean()
            if difference < _DUPLICATE_DIFFERENCE:
                reason = f"is nearly the same picture as {other.image.name}: merged"
                dropped.append(DroppedPicture(item.image.name, item.index, reason, similarity, item.crop))
                break
        else:
            kept.append(item)
    return sorted(kept, key=lambda c: c.image.digest)


def _record(item: _Candidate, quality: Quality, analyzer: FaceAnalyzer) -> FaceRecord:
    face = item.face
    key = (item.image.digest, analyzer.fingerprint, face.box.tobytes())
    photo = _photo_cache.get(key, lambda: head_photo(item.image.pixels, face.landmarks, analyzer.person_mask))
    return FaceRecord(
        source=item.image.name,
        source_index=item.index,
        box=face.box,
        score=face.score,
        keypoints=face.keypoints,
        landmarks=face.landmarks,
        embedding=face.embedding,
        crop=item.crop,
        crop_matrix=item.matrix,
        mask=item.mask,
        quality=quality,
        weight=1.0,
        embedding_norm=face.embedding_norm,
        photo=photo,
    )


def _weigh(records: list[FaceRecord], options: ReferenceOptions) -> tuple[FaceRecord, ...]:
    """Set the weights: the artist's own, or quality over the mean quality of those in use."""
    if options.weights is not None:
        given = options.weights
        weighed = tuple(replace(r, weight=given[r.source_index] if r.weight else 0.0) for r in records)
    else:
        mean = float(np.mean([r.quality.score for r in records if r.weight]))
        weighed = tuple(replace(r, weight=r.quality.score / mean if r.weight else 0.0) for r in records)
    if not any(r.weight > 0 for r in weighed):
        raise ValueError("all references have weight 0: give at least one of them more")
    return weighed


def _few(texts: Sequence[str], between: str = "; ") -> str:
    more = len(texts) - _LISTED
    return between.join(texts[:_LISTED]) + (f"{between}and {more} more" if more > 0 else "")


def _input_order(item: DroppedPicture) -> int:
    return item.source_index
