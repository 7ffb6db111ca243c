"""YuNet, the face detector of the open analyzer, in plain ONNX Runtime.

OpenCV's own class for it differs between OpenCV versions; this decodes the network's outputs as the upstream
project does (OpenCV Zoo, ``face_detection_yunet``; MIT).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from .runtime import onnx_session, running_provider, unpacked_onnx

_SIZE = 640
_STRIDES = (8, 16, 32)
_OUTPUTS = [f"{kind}_{stride}" for stride in _STRIDES for kind in ("cls", "obj", "bbox", "kps")]


class YuNet:
    """Face detector: boxes, scores and five keypoints.

    Parameters
    ----------
    path : Path
        The model file.
    providers : list of str
        ONNX Runtime's providers.
    """

    def __init__(self, path: Path, providers: list[str]) -> None:
        self._session = onnx_session(unpacked_onnx(path), providers)
        self.provider = running_provider(self._session)
        self._grids = {}
        for stride in _STRIDES:
            side = _SIZE // stride
            y, x = np.divmod(np.arange(side * side, dtype=np.float32), side)
            self._grids[stride] = np.stack([x, y], axis=1)

    def detect(self, image: np.ndarray, threshold: float = 0.6) -> np.ndarray:
        """Find faces.

        A picture where none is found is looked at again twice: smaller, in a wide margin (a face that fills
        the picture), and, where it is large, in overlapping tiles (faces that are small in it).

        Parameters
        ----------
        image : np.ndarray
            (H, W, 3) uint8 RGB.
        threshold : float
            Lowest score.

        Returns
        -------
        np.ndarray
            (N, 15) float32: x0, y0, x1, y1, five keypoints (x, y), score, in px; best first.
        """
        height, width = image.shape[:2]
        found = self._detect_view(image, threshold)
        if not len(found):
            found = self._detect_view(image, threshold, fill=0.5)
        if not len(found) and max(height, width) > 2 * _SIZE:
            found = self._detect_tiles(image, threshold)
        return found

    def _detect_tiles(self, image: np.ndarray, threshold: float) -> np.ndarray:
        height, width = image.shape[:2]
        # At most 5 x 5 tiles: an 8000 px picture is then seen at half its size.
        side = int(max(2 * _SIZE, max(height, width) / 2.8))
        rows = [np.zeros((0, 15), np.float32)]
        for y in _starts(height, side):
            for x in _starts(width, side):
                tile = self._detect_view(image[y : y + side, x : x + side], threshold)
                tile[:, 0:14:2] += x
                tile[:, 1:14:2] += y
                rows.append(tile)
        return _suppress(np.concatenate(rows))

    def _detect_view(self, image: np.ndarray, threshold: float, fill: float = 1.0) -> np.ndarray:
        height, width = image.shape[:2]
        zoom = fill * _SIZE / max(height, width)
        if fill == 1.0:
            # Enlarging finds nothing more and costs nothing less; small pictures stay as they are.
            zoom = min(zoom, 1.0)
        inner = max(round(width * zoom), 1), max(round(height * zoom), 1)
        mode = cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR
        left, top = ((_SIZE - inner[0]) // 2, (_SIZE - inner[1]) // 2) if fill != 1.0 else (0, 0)
        canvas = np.zeros((_SIZE, _SIZE, 3), np.uint8)
        view = image if inner == (width, height) else cv2.resize(image, inner, interpolation=mode)
        canvas[top : top + inner[1], left : left + inner[0]] = view
        blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        outputs = self._session.run(_OUTPUTS, {"input": blob})
        rows = []
        for index, stride in enumerate(_STRIDES):
            cls, obj, box, points = (item[0] for item in outputs[4 * index : 4 * index + 4])
            score = np.sqrt(cls[:, 0].clip(0, 1) * obj[:, 0].clip(0, 1))
            keep = np.flatnonzero(score >= threshold)
            grid = self._grids[stride][keep]
            centre = (grid + box[keep, :2]) * stride
            half = np.exp(box[keep, 2:]) * stride / 2
            keypoints = (points[keep].reshape(-1, 5, 2) + grid[:, None]) * stride
            rows.append(
                np.concatenate(
                    [centre - half, centre + half, keypoints.reshape(-1, 10), score[keep, None]], axis=1
                )
            )
        found = np.concatenate(rows).astype(np.float32)
        found[:, 0:14:2] = (found[:, 0:14:2] - left) * (width / inner[0])
        found[:, 1:14:2] = (found[:, 1:14:2] - top) * (height / inner[1])
        return _suppress(found)


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    count = int(np.ceil((length - side) / (0.75 * side))) + 1
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _suppress(rows: np.ndarray, overlap: float = 0.3) -> np.ndarray:
    """Keep the best of every group of boxes that overlap (non-maximum suppression)."""
    # The box's place breaks ties, so that the result does not depend on the order of the candidates.
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0], -rows[:, 14]))]
    area = np.prod(np.maximum(rows[:, 2:4] - rows[:, :2], 0), axis=1)
    kept: list[int] = []
    alive = np.ones(len(rows), bool)
    for i in range(len(rows)):
        if not alive[i]:
            continue
        kept.append(i)
        size = np.minimum(rows[i, 2:4], rows[:, 2:4]) - np.maximum(rows[i, :2], rows[:, :2])
        common = np.prod(np.maximum(size, 0), axis=1)
        alive &= common <= overlap * (area[i] + area - common)
    return rows[kept]
