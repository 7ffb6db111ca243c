"""Bend the template head to a person by the dense points that detectors found in all photos. *Ours*.

1. The fit of the 72 points (``landmarks/fit.py``) gives shape, and pose and expression of each photo.
2. Each photo's points are taken back into the head frame: perspective undone, depth levelled with the
   template, the photo's own expression taken off.
3. Each point is averaged over photos with a 3 x 3 weight: precise across the line of sight, vague along
   it, so that a profile corrects depth that a frontal photo only guesses; less where a photo sees a side
   at a grazing angle; robustly. The template holds with a wide tolerance, more in depth where nothing
   else is known.
4. Poses are refined on the person's own points, and 2 to 3 repeated.
5. What the points ask for is spread smoothly over the whole head (``head/surface.py``).
6. What is left in each photo is spread over its picture, for registration of its pixels (`in_photo`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..faces.records import FaceRecord
from ..landmarks import names
from ..landmarks.camera import CAMERA_DISTANCE
from ..landmarks.fit_result import FaceFit
from .expression import expressed
from .model import HeadModel
from .surface import points_of, spread

ACROSS, ALONG = 0.018, 0.07
"""Expected error of a detected point across and along the line of sight, interocular distances."""
PIXEL_NOISE = 0.7
"""Error of a detected point in px of the photo: counts in small photos."""
TEMPLATE = 0.10
"""How far people's points differ from the template of their shape, interocular distances."""
FARTHEST = 0.35
"""No point is bent farther than this, interocular distances."""
ROUNDS = 3
_REGISTER_STIFFNESS = 4.0
_FARTHEST_IN_PHOTO = 0.12
_OFTEN_HIDDEN = 0.03


@dataclass(frozen=True, eq=False)
class PhotoPose:
    """How a photo sees the head.

    Attributes
    ----------
    rotation : np.ndarray
        (3, 3) head frame -> camera.
    scale : float
        Px per interocular distance.
    translation : np.ndarray
        (2,) px of the head's origin.
    expression : np.ndarray
        (52,) ARKit coefficients.
    share : float
        How much this photo said about the person's shape, 0..1, 1 for the one that said most.
    registration : np.ndarray
        (G, 2) float32, px right and down: what brings the posed head onto this photo's own points.
    """

    rotation: np.ndarray
    scale: float
    translation: np.ndarray
    expression: np.ndarray
    share: float
    registration: np.ndarray


@dataclass(frozen=True, eq=False)
class PersonGeometry:
    """A head bent to a person.

    Attributes
    ----------
    model : HeadModel
        The template.
    shape : np.ndarray
        (K,) identity coefficients.
    bend : np.ndarray
        (G, 3) float32, head frame: what the person differs from the template of this shape.
    photos : tuple[PhotoPose, ...]
        One for each record, in their order.
    """

    model: HeadModel
    shape: np.ndarray
    bend: np.ndarray
    photos: tuple[PhotoPose, ...]

    def geometry(self, expression: np.ndarray | None = None) -> np.ndarray:
        """(G, 3) float32 places of the person's head, head frame."""
        neutral = self.model.geometry(self.shape) + self.bend
        return neutral if expression is None else neutral + expressed(self.model, neutral, expression)

    def vertices(self, expression: np.ndarray | None = None) -> np.ndarray:
        """Vertices of the person's head before it is posed.

        Parameters
        ----------
        expression : np.ndarray | None
            (52,) ARKit coefficients; None is neutral.

        Returns
        -------
        np.ndarray
            (V, 3) float32 in the head frame.
        """
        return self.geometry(expression)[self.model.source]

    def in_photo(self, index: int, registered: bool = True) -> np.ndarray:
        """Vertices as photo `index` shows them.

        Parameters
        ----------
        index : int
            Photo, in the order of the records.
        registered : bool
            True follows the photo's own detected points; False is the posed head alone.

        Returns
        -------
        np.ndarray
            (V, 3) float64: x, y px of the photo (y down) and z px towards the viewer.
        """
        photo = self.photos[index]
        posed = self.model.posed(self.geometry(photo.expression), photo.rotation)
        result = _project(posed, photo.scale, photo.translation)
        if registered:
            result[:, :2] += photo.registration
        return result[self.model.source]


def _project(posed: np.ndarray, scale: float, centre: np.ndarray) -> np.ndarray:
    enlarge = scale * CAMERA_DISTANCE / (CAMERA_DISTANCE - posed[:, 2])
    return np.stack(
        [centre[0] + posed[:, 0] * enlarge, centre[1] - posed[:, 1] * enlarge, posed[:, 2] * scale], 1
    )


class _Photo:
    """One photo's points while the head is being bent."""

    def __init__(self, record: FaceRecord, fit: FaceFit, model: HeadModel):
        points = np.asarray(record.landmarks, np.float64)
        if len(points) in (468, 478):
            self.layout, points = "facemesh", points[:468]
        elif len(points) in (68, 72):
            self.layout, points = "68", points[:68]
        else:
            raise ValueError(
                f"'{record.source}': {len(points)} face landmarks; 468 (Face Mesh) or 68 are understood"
            )
        self.points, self.model = points, model
        self.read = points_of(model, self.layout).read
        self.rotation, self.scale = fit.rotation.copy(), fit.scale
        self.translation = np.array(fit.translation, float)
        self.expression = fit.expression
        self.expressed = self.read(model.expressed(fit.expression))
        self.weight = float(record.weight) * (0.05 + float(record.quality.score) ** 2)
        self.known = np.asarray(np.isfinite(points[:, :2]).all(axis=1))
        self.has_depth = points.shape[1] > 2 and bool(np.isfinite(points[self.known, 2]).all())
        self.robust = np.ones(len(points))
        error = ACROSS**2 + (PIXEL_NOISE / self.scale) ** 2
        wander = model.facemesh_spread if self.layout == "facemesh" else _wander()
        self.error = np.sqrt(error + (wander - wander.min()) ** 2)

    def in_head(self, expected: np.ndarray) -> np.ndarray:
        """(P, 3) detected points in the head frame; `expected` (P, 3) levels the depth."""
        posed = expected @ self.rotation.T
        depth = posed[:, 2]
        if self.has_depth:
            measured = self.points[:, 2] / self.scale
            depth = measured + np.median((depth - measured)[self.known])
        shrink = (CAMERA_DISTANCE - depth) / (CAMERA_DISTANCE * self.scale)
        x = (self.points[:, 0] - self.translation[0]) * shrink
        y = -(self.points[:, 1] - self.translation[1]) * shrink
        found = np.stack([x, y, depth], 1)
        return np.where(self.known[:, None], found, posed) @ self.rotation

    def refine_pose(self, expected: np.ndarray, visible: np.ndarray) -> None:
        """Pose of least squares for known points (P, 3) in the head frame, robustly."""
        for _ in range(2):
            posed = expected @ self.rotation.T
            enlarge = CAMERA_DISTANCE / (CAMERA_DISTANCE - posed[:, 2])
            flat = posed[:, :2] * enlarge[:, None] * [1.0, -1.0]
            left = (self.points[:, :2] - self.translation) / self.scale - flat
            distance = np.linalg.norm(left, axis=1)
            weight = visible * self.known / (1 + (distance / (3 * ACROSS)) ** 2)
            x, y, z = posed.T
            zero, one = np.zeros_like(x), np.ones_like(x)
            # Derivatives by turns about the camera's axes, scale and place (perspective's change left out).
            across = np.stack([zero, z, -y, flat[:, 0], one, zero], 1)
            down = np.stack([z, zero, -x, flat[:, 1], zero, one], 1)
            across[:, :3] *= enlarge[:, None]
            down[:, :3] *= enlarge[:, None]
            left = np.where(self.known[:, None], left, 0.0)
            matrix = np.concatenate([across, down]) * np.sqrt(np.tile(weight, 2))[:, None]
            target = left.T.ravel() * np.sqrt(np.tile(weight, 2))
            hold = np.diag([0.02, 0.02, 0.02, 0.02, 0.02, 0.02]) * max(weight.sum(), 1e-6)
            step = np.linalg.solve(matrix.T @ matrix + hold, matrix.T @ target)
            self.rotation = _turn(step[:3]) @ self.rotation
            self.translation = self.translation + self.scale * step[4:]
            self.scale *= float(np.exp(np.clip(step[3], -0.1, 0.1)))

    def visible(self, normals: np.ndarray) -> np.ndarray:
        """(P,) 0..1, how well the photo sees each point, by the angle of (G, 3) normals of the head."""
        facing = self.read(normals) @ self.rotation[2]
        return np.clip((facing - 0.05) / 0.45, _OFTEN_HIDDEN, 1.0) * self.known

    def information(self, visible: np.ndarray, share: float) -> np.ndarray:
        """(P, 3, 3) inverse covariance of the points in the head frame."""
        along = (ALONG**2 + self.error**2) if self.has_depth else np.full(len(self.error), 1e6)
        inverse = np.stack([self.error**-2, self.error**-2, 1 / along], 1)
        turned = np.einsum("ki,pk,kj->pij", self.rotation, inverse, self.rotation)
        return (share * visible * self.robust)[:, None, None] * turned


def _turn(vector: np.ndarray) -> np.ndarray:
    """(3, 3) rotation by a small vector (Cayley), exactly orthonormal."""
    x, y, z = np.clip(vector, -0.2, 0.2) / 2
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.solve(np.eye(3) - cross, np.eye(3) + cross)


def _wander() -> np.ndarray:
    """(68,) how much each of the 68 points slides over the skin from picture to picture: the jaw does."""
    result = np.zeros(68)
    result[list(names.JAW)] = 0.08
    return result


def _bounded(vectors: np.ndarray, limit: float) -> np.ndarray:
    """Vectors (N, D) no longer than `limit`, short ones unchanged."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors * (limit * np.tanh(length / limit) / np.maximum(length, 1e-9))


def fit_head(
    records: Sequence[FaceRecord], fits: Sequence[FaceFit], model: HeadModel | None = None
) -> PersonGeometry:
    """Bend the template head to a person.

    Parameters
    ----------
    records : Sequence[FaceRecord]
        Photos of one person, with 468 (Face Mesh) or 68 points; those of weight 0 say nothing about the
        person, but get a pose.
    fits : Sequence[FaceFit]
        The joint fit of the same photos (`landmarks.fit.fit_faces`), in the same order.
    model : HeadModel | None
        None is the one that ships with the pack.

    Returns
    -------
    PersonGeometry

    Raises
    ------
    ValueError
        When there is no photo, or a photo's landmarks are of an unknown layout.
    """
    if not len(records) or len(records) != len(fits):
        raise ValueError(f"head: {len(records)} photos and {len(fits)} fits; one fit for each is needed")
    model = HeadModel.load() if model is None else model
    shape = fits[0].shape
    photos = [_Photo(record, fit, model) for record, fit in zip(records, fits, strict=True)]
    weights = np.array([photo.weight for photo in photos])
    shares = weights / weights.max() if weights.max() > 0 else np.ones(len(weights))
    start = _average_offset(model, fits)
    template = model.geometry(shape) + start
    bend = np.zeros_like(template)
    for number in range(ROUNDS):
        person = template + bend
        normals = _normals(model, person)
        if number:
            for photo in photos:
                photo.refine_pose(photo.read(person) + photo.expressed, photo.visible(normals))
        bend = _bend_once(model, photos, shares, template, person, normals)
    person = template + bend
    normals = _normals(model, person)
    poses = []
    for photo, share in zip(photos, shares, strict=True):
        visible = photo.visible(normals)
        moved = expressed(model, person, photo.expression)
        photo.expressed = photo.read(moved)
        photo.refine_pose(photo.read(person) + photo.expressed, visible)
        poses.append(_register(model, photo, float(share), person + moved, visible))
    return PersonGeometry(model, shape, (person - model.geometry(shape)).astype(np.float32), tuple(poses))


def _normals(model: HeadModel, geometry: np.ndarray) -> np.ndarray:
    """(G, 3) outward normals."""
    result = np.zeros_like(geometry)
    result[model.source] = model.normals(geometry[model.source])
    return result


def _average_offset(model: HeadModel, fits: Sequence[FaceFit]) -> np.ndarray:
    """(G, 3) what the detector's average face differs from the template's, spread from the 72 points."""
    offset = np.mean([fit.offset for fit in fits], 0)
    if not offset.any():
        return np.zeros_like(model.mean)
    certainty = np.full(names.POINT_COUNT, 1 / 0.03**2)
    certainty[list(names.JAW)] *= 0.1
    use = np.setdiff1d(np.arange(names.POINT_COUNT), [names.RIGHT_PUPIL, names.LEFT_PUPIL])
    return spread(model, points_of(model, "70"), offset[use], certainty[use])


def _bend_once(
    model: HeadModel,
    photos: list[_Photo],
    shares: np.ndarray,
    template: np.ndarray,
    person: np.ndarray,
    normals: np.ndarray,
) -> np.ndarray:
    """(G, 3) displacement from the template that all photos' points ask for, spread over the head."""
    asked, certainty = [], []
    layouts = sorted({photo.layout for photo in photos})
    for layout in layouts:
        group = [
            (photo, share) for photo, share in zip(photos, shares, strict=True) if photo.layout == layout
        ]
        first = group[0][0]
        expected, held = first.read(person), first.read(template)
        matrix = np.broadcast_to(np.eye(3) / TEMPLATE**2, (len(held), 3, 3)).copy()
        right = np.zeros((len(held), 3))
        found = [photo.in_head(expected + photo.expressed) - photo.expressed for photo, _ in group]
        for (photo, share), points in zip(group, found, strict=True):
            information = photo.information(photo.visible(normals), share)
            matrix += information
            right += np.einsum("pij,pj->pi", information, points - held)
        shift = np.linalg.solve(matrix, right[..., None])[..., 0]
        if len(group) > 2:
            for (photo, _), points in zip(group, found, strict=True):
                left = ((points - held - shift) @ photo.rotation.T)[:, :2]
                photo.robust = 1 / (1 + (np.linalg.norm(left, axis=1) / (2.5 * ACROSS)) ** 2)
        asked.append(_bounded(shift, FARTHEST))
        certainty.append(np.trace(matrix, axis1=1, axis2=2) / 3)
    return spread(model, points_of(model, *layouts), np.concatenate(asked), np.concatenate(certainty))


def _register(
    model: HeadModel, photo: _Photo, share: float, person: np.ndarray, visible: np.ndarray
) -> PhotoPose:
    """Pose of a photo, and the smooth rest in its picture."""
    posed = person @ photo.rotation.T
    left = photo.points[:, :2] - photo.read(_project(posed, photo.scale, photo.translation))[:, :2]
    left = np.where(photo.known[:, None], left, 0.0) / photo.scale
    field = spread(
        model,
        points_of(model, photo.layout),
        _bounded(left, _FARTHEST_IN_PHOTO),
        visible / photo.error**2,
        stiffness=_REGISTER_STIFFNESS,
    )
    return PhotoPose(
        photo.rotation, photo.scale, photo.translation, photo.expression, share, field * photo.scale
    )
