"""A stand-in InsightFace pack: real ONNX files of the real layout, with made-up networks of a few kilobytes.

The published packs cannot be fetched where tests run. These files have the inputs and outputs by which the
package tells detector, recognizer and landmarks apart; the detector always "finds" the face it was made for,
the landmarks always lie where they were put, and the recognizer embeds with random weights. What they show is
that our code and the package work together, not how well InsightFace recognises people.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ANCHORS = 2
STRIDES = (8, 16, 32)


def write_pack(folder: Path, box: np.ndarray, keypoints: np.ndarray, points: np.ndarray) -> None:
    """Write the three files.

    Parameters
    ----------
    folder : Path
        The pack's folder.
    box, keypoints : np.ndarray
        (4,) and (5, 2): the face in px of the detector's 640 x 640 input.
    points : np.ndarray
        (68, 3): landmarks in -1..1 of the landmark network's view.
    """
    folder.mkdir(parents=True)
    _save(folder / "scrfd_stand_in.onnx", *_detector(box, keypoints))
    _save(folder / "arcface_stand_in.onnx", *_recognizer())
    _save(folder / "1k3d68_stand_in.onnx", *_landmarks(points))


def _save(path: Path, nodes: list, size: object, outputs: list, constants: dict[str, np.ndarray]) -> None:
    shape = [1, 3, size, size]
    graph = helper.make_graph(
        nodes,
        "stand_in",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _detector(box: np.ndarray, keypoints: np.ndarray) -> tuple:
    """Scores, distances to the box's sides and keypoint offsets per anchor, in strides; one anchor says
    yes."""
    constants: dict[str, np.ndarray] = {
        "nothing": np.float32([0.0]),
        "axes": np.array([0, 1, 2, 3]),
        "flat": np.array([1, 1]),
    }
    nodes = [
        helper.make_node("Mul", ["input.1", "nothing"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros", "axes"], ["total"], keepdims=1),
        helper.make_node("Reshape", ["total", "flat"], ["zero"]),
    ]
    centre = (box[:2] + box[2:]) / 2
    outputs = []
    tables = {"score": [], "bbox": [], "kps": []}
    for stride in STRIDES:
        side = 640 // stride
        rows = side * side * ANCHORS
        score, distance, offset = np.zeros((rows, 1)), np.zeros((rows, 4)), np.zeros((rows, 10))
        if stride == 32:
            column, line = np.round(centre / stride).astype(int)
            row = (line * side + column) * ANCHORS
            anchor = np.array([column, line]) * stride
            score[row] = 0.9
            distance[row] = np.concatenate([anchor - box[:2], box[2:] - anchor]) / stride
            offset[row] = ((keypoints - anchor) / stride).ravel()
        tables["score"].append(score)
        tables["bbox"].append(distance)
        tables["kps"].append(offset)
    for kind, values in tables.items():
        for stride, value in zip(STRIDES, values, strict=True):
            name = f"{kind}_{stride}"
            constants[f"table_{name}"] = value.astype(np.float32)
            nodes.append(helper.make_node("Add", ["zero", f"table_{name}"], [name]))
            outputs.append((name, list(value.shape)))
    return nodes, "?", outputs, constants


def _recognizer() -> tuple:
    weights = np.random.default_rng(72).normal(size=(3 * 14 * 14, 512)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["blocks"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["blocks"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    return nodes, 112, [("embedding", [1, 512])], {"weights": weights}


def _landmarks(points: np.ndarray) -> tuple:
    table = np.zeros((1103, 3), np.float32)
    table[-68:] = points
    constants = {"nothing": np.float32([0.0]), "table": table.reshape(1, -1), "axes": np.array([2, 3])}
    constants["weights"] = np.zeros((3, 3309), np.float32)
    nodes = [
        helper.make_node("ReduceSum", ["input.1", "axes"], ["sums"], keepdims=0),
        helper.make_node("MatMul", ["sums", "weights"], ["zero"]),
        helper.make_node("Add", ["zero", "table"], ["fc1"]),
    ]
    constants.pop("nothing")
    return nodes, 192, [("fc1", [1, 3309])], constants
