"""`FaceLandmarks3D`: what the landmark generator hands to the networks and to drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from .names import POINT_COUNT


@dataclass(frozen=True, eq=False)
class FaceLandmarks3D:
    """A batch of B posed faces of one person on one canvas.

    Attributes
    ----------
    points : np.ndarray
        (B, 72, 3) float32: x, y in canvas px, z in px towards the viewer.
    visible : np.ndarray
        (B, 72) bool, not hidden by the face itself.
    pose : np.ndarray
        (B, 3) float32 yaw, pitch, roll in degrees.
    expression : np.ndarray
        (B, 52) float32 ARKit coefficients in 0..1.
    shape : np.ndarray
        (K,) float32 identity coefficients.
    width, height : int
        Canvas, px.
    notes : tuple[str, ...]
        What was limited on the way, one sentence each.
    """

    points: np.ndarray
    visible: np.ndarray
    pose: np.ndarray
    expression: np.ndarray
    shape: np.ndarray
    width: int
    height: int
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check shapes and values; raises ValueError."""
        if self.points.ndim != 3 or self.points.shape[1:] != (POINT_COUNT, 3) or not len(self.points):
            raise ValueError(
                f"landmarks: points must be (B, {POINT_COUNT}, 3) with B >= 1, got {self.points.shape}"
            )
        if not np.isfinite(self.points).all():
            raise ValueError("landmarks: points contain NaN or infinity")
        if self.visible.shape != self.points.shape[:2]:
            raise ValueError(f"landmarks: visible must be {self.points.shape[:2]}, got {self.visible.shape}")
        if self.pose.shape != (len(self.points), 3) or len(self.expression) != len(self.points):
            raise ValueError("landmarks: pose and expression need one row per face of the batch")
        if self.width < 16 or self.height < 16:
            raise ValueError(
                f"landmarks: the canvas is {self.width} x {self.height} px; at least 16 x 16 is needed"
            )

    def __len__(self) -> int:
        """Return the number of faces in the batch."""
        return len(self.points)

    def __getitem__(self, index: int | slice) -> FaceLandmarks3D:
        """One face (an int keeps a batch of 1) or a slice of the batch."""
        if isinstance(index, int):
            index = slice(index, index + 1) if index != -1 else slice(-1, None)
        return replace(
            self,
            points=self.points[index],
            visible=self.visible[index],
            pose=self.pose[index],
            expression=self.expression[index],
        )

    def resized(self, width: int, height: int) -> FaceLandmarks3D:
        """Fit the same faces to another canvas: scaled evenly and centred, never stretched or cropped."""
        scale = min(width / self.width, height / self.height)
        offset = np.array([(width - self.width * scale) / 2, (height - self.height * scale) / 2, 0.0])
        return replace(
            self,
            points=(self.points * scale + offset).astype(np.float32),
            width=int(width),
            height=int(height),
        )


def concatenate(parts: Sequence[FaceLandmarks3D]) -> FaceLandmarks3D:
    """One batch out of several on the same canvas; shape of the first, notes of all (each once)."""
    if not parts:
        raise ValueError("landmarks: nothing to put together")
    if len({(part.width, part.height) for part in parts}) > 1:
        sizes = ", ".join(sorted({f"{part.width} x {part.height}" for part in parts}))
        raise ValueError(f"landmarks: canvases differ ({sizes}); make all landmarks on one canvas size")
    return replace(
        parts[0],
        points=np.concatenate([part.points for part in parts]),
        visible=np.concatenate([part.visible for part in parts]),
        pose=np.concatenate([part.pose for part in parts]),
        expression=np.concatenate([part.expression for part in parts]),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
