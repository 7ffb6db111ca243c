"""SFace with gradients: the recognizer that conditions the tiny model, as a torch module.

At inference SFace runs in ONNX Runtime, which has no gradients. Its graph is a plain chain, so the same
weights make the same network here (Zhong et al. 2021, in OpenCV Zoo's file).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...faces.geometry import RECOGNIZER_SIZE
from ...faces.runtime import unpacked_onnx


class SFace(nn.Module):
    """(B, 3, 112, 112) aligned crops in -1..1 to (B, 128) embeddings, not normalised; frozen.

    Parameters
    ----------
    path : Path
        SFace's ONNX file.

    Raises
    ------
    ValueError
        If the file's graph is not the chain that is expected.
    """

    SIDE = RECOGNIZER_SIZE

    def __init__(self, path: Path) -> None:
        super().__init__()
        import onnx
        from onnx import numpy_helper

        graph = onnx.load_model_from_string(unpacked_onnx(path)).graph
        stored = {item.name: numpy_helper.to_array(item) for item in graph.initializer}
        for node in graph.node:
            if node.op_type == "Reshape" and node.input[0] in stored:
                stored[node.output[0]] = stored[node.input[0]].reshape(stored[node.input[1]])
        layers: list[nn.Module] = []
        value = graph.input[0].name
        nodes = [n for n in graph.node if n.op_type not in ("Reshape", "Constant")]
        for node in nodes:
            if node.input[0] != value:
                raise ValueError(f"{path.name}: not SFace's graph (at {node.name or node.op_type})")
            value = node.output[0]
            constants = [torch.from_numpy(np.array(stored[n])) for n in node.input[1:] if n in stored]
            layer = _layer(node.op_type, constants, _attributes(node))
            if layer is None:
                raise ValueError(f"{path.name}: not SFace's graph (operator {node.op_type})")
            previous = layers[-1] if layers else None
            if isinstance(layer, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
                layers[-1] = torch.nn.utils.fuse_conv_bn_eval(previous.eval(), layer.eval())
            elif isinstance(layer, nn.BatchNorm2d) and isinstance(previous, nn.Linear):
                layers[-1] = torch.nn.utils.fuse_linear_bn_eval(previous.eval(), layer.eval())
            elif not isinstance(layer, nn.Identity):
                layers.append(layer)
        self.layers = nn.Sequential(*layers).eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> Tensor:
        """Embed."""
        return self.layers((crops + 1) * 127.5)


class _Affine(nn.Module):
    """Adds, or multiplies by, a constant."""

    def __init__(self, gain: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.gain: Tensor
        self.shift: Tensor
        self.register_buffer("gain", gain)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gain + self.shift


def _attributes(node: Any) -> dict[str, Any]:
    import onnx

    return {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}


def _layer(kind: str, constants: list[Tensor], attributes: dict[str, Any]) -> nn.Module | None:  # noqa: PLR0911 - one operation each
    """Return the torch layer of one ONNX node, None where this network has no such node."""
    match kind:
        case "Sub":
            return _Affine(torch.ones(()), -constants[0])
        case "Mul":
            return _Affine(constants[0], torch.zeros(()))
        case "Conv":
            weight, groups = constants[0], int(attributes.get("group", 1))
            pads, strides = attributes["pads"], attributes["strides"]
            if pads[:2] != pads[2:]:
                return None
            conv = nn.Conv2d(
                weight.shape[1] * groups,
                weight.shape[0],
                (weight.shape[2], weight.shape[3]),
                (strides[0], strides[1]),
                (pads[0], pads[1]),
                groups=groups,
                bias=len(constants) > 1,
            )
            conv.weight.data = weight
            if len(constants) > 1:
                assert conv.bias is not None
                conv.bias.data = constants[1]
            return conv
        case "BatchNormalization":
            gain, shift, mean, variance = constants
            norm = nn.BatchNorm2d(len(gain), eps=attributes["epsilon"])
            if not attributes.get("spatial", 1):
                return None
            norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var = (
                gain,
                shift,
                mean,
                variance,
            )
            return norm
        case "PRelu":
            relu = nn.PReLU(constants[0].numel())
            relu.weight.data = constants[0].flatten()
            return relu
        case "Gemm":
            linear = nn.Linear(constants[0].shape[1], constants[0].shape[0])
            linear.weight.data, linear.bias.data = constants
            return linear
        case "Flatten":
            return nn.Flatten()
        case "Dropout":
            return nn.Identity()
    return None
