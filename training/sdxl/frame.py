"""The square that a picture is trained in: shorter side to the resolution, cropped around the face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Frame:
    """How a picture becomes a square of ``side`` px."""

    side: int
    width: int
    height: int
    """px of the picture as it is."""
    scaled: tuple[int, int]
    """Width and height, px, before cropping."""
    left: int
    top: int
    """px of the scaled picture that are cut off."""

    @classmethod
    def around(cls, width: int, height: int, points: np.ndarray, side: int) -> Frame:
        """Return the square of a picture; its centre is the face's, as far as the picture reaches.

        Parameters
        ----------
        points
            (72, 3) landmarks, px of the picture.
        """
        scale = side / min(width, height)
        scaled = (max(side, round(width * scale)), max(side, round(height * scale)))
        x, y = (points[:, :2].min(0) + points[:, :2].max(0)) / 2 * scale
        left = int(np.clip(round(float(x) - side / 2), 0, scaled[0] - side))
        top = int(np.clip(round(float(y) - side / 2), 0, scaled[1] - side))
        return cls(side, width, height, scaled, left, top)

    def cut(self, image: np.ndarray) -> np.ndarray:
        """Return the square of ``image (H, W, 3)``."""
        how = cv2.INTER_AREA if self.scaled[0] < self.width else cv2.INTER_CUBIC
        resized = cv2.resize(image, self.scaled, interpolation=how)
        return np.asarray(resized[self.top : self.top + self.side, self.left : self.left + self.side])

    def moved(self, points: np.ndarray) -> np.ndarray:
        """Return landmarks (72, 3) in px of the square."""
        factor = self.scaled[0] / self.width
        return (points * factor - np.array([self.left, self.top, 0.0])).astype(np.float32)

    @property
    def time_ids(self) -> list[float]:
        """SDXL's six sizes: of the picture, of what is cut off, and of the square; height before width."""
        return [*map(float, (self.height, self.width, self.top, self.left, self.side, self.side))]
