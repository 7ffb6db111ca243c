"""Sessions of the two inference engines, ONNX Runtime and LiteRT, imported only when something runs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from ..boundary import text
from .files import read_pinned

PROVIDERS = {
    "CPU": "CPUExecutionProvider",
    "CUDA": "CUDAExecutionProvider",
    "DirectML": "DmlExecutionProvider",
    "CoreML": "CoreMLExecutionProvider",
}
"""Names shown to the artist and what ONNX Runtime calls them."""

VARIANTS = ("onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino", "onnxruntime")
"""Packages that all bring the folder ``onnxruntime``: whichever is installed last wins, in part."""

PROVIDER_CHOICES = ("auto", *PROVIDERS)

_AUTO_ORDER = ("CUDA", "DirectML", "CoreML", "CPU")


class MissingPackageError(ImportError):
    """An optional package is not installed; the message has the exact install line."""


def missing_package(package: str, purpose: str, install: str | None = None) -> MissingPackageError:
    """Make the error for a package that is not installed, with the line that installs it here."""
    line = f'"{sys.executable}" -m pip install {install or package}'
    return MissingPackageError(
        f"{purpose} needs the package {package}. Install it with:  {line}  and restart"
    )


def onnx_providers(choice: str, auto: tuple[str, ...] = _AUTO_ORDER) -> list[str]:
    """ONNX Runtime's provider list for a choice of the artist.

    Parameters
    ----------
    choice : str
        One of `PROVIDER_CHOICES`. A provider that this ONNX Runtime was not built with falls back to the CPU;
        `provider_note` then says so.
    auto : tuple of str
        What "auto" tries, in order.

    Raises
    ------
    ValueError
        Unknown choice.
    """
    runtime = _onnxruntime()
    if choice not in PROVIDER_CHOICES:
        raise ValueError(f"unknown provider {choice!r}; choose one of {', '.join(PROVIDER_CHOICES)}")
    available = set(runtime.get_available_providers())
    wanted = auto if choice == "auto" else (choice,)
    names = [PROVIDERS[name] for name in wanted if PROVIDERS[name] in available][:1]
    return [*dict.fromkeys([*names, PROVIDERS["CPU"]])]


def provider_note(choice: str, running: str) -> str:
    """Describe the provider that really runs, why where it is not the chosen one, and doubled packages."""
    problem = variants_problem(installed_variants(), usable=True)
    if problem:
        return f"{running}; {problem}"
    if choice in ("auto", running):
        return running
    package = {"CUDA": "onnxruntime-gpu", "DirectML": "onnxruntime-directml"}.get(choice, "onnxruntime")
    return f"{running} ({choice} was chosen, but this ONNX Runtime cannot run it; {package} could)"


def onnx_session(model: Path | bytes, providers: list[str], threads: int = 1) -> Any:
    """Open an ONNX model.

    Parameters
    ----------
    model : Path or bytes
        File or serialised model.
    providers : list of str
        As from `onnx_providers`.
    threads : int
        CPU threads inside one operator; these models are too small to gain from more than one.
    """
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    source = model if isinstance(model, bytes) else str(model)
    shown = "an unpacked model" if isinstance(model, bytes) else text.name(model.name)
    try:
        return runtime.InferenceSession(source, options, providers=providers)
    except Exception as error:  # whatever ONNX Runtime raises
        raise ValueError(f"{shown} cannot be opened as an ONNX model: {text.reason(error)}") from None


def unpacked_onnx(path: Path) -> bytes:
    """Read one of OpenCV Zoo's block-quantised models with its weights as plain float32.

    The files store weights as 8-bit blocks that ONNX Runtime would unpack again on every call (twice the time
    for SFace), they give a block size for biases that have a single scale (an error from ONNX Runtime 1.32
    on), and SFace's lists weights among the graph's inputs. The values stay what they are.

    Raises
    ------
    ValueError
        The file is damaged.
    MissingPackageError
        The package onnx is not installed.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise missing_package("onnx", "the open face analyzer") from None
    try:
        return _with_plain_weights(onnx.load(str(path)), numpy_helper)
    except Exception:  # whatever protobuf, onnx and numpy raise on contents that make no sense
        raise ValueError(
            f"{text.name(path.name)} in {text.printable(path.parent, 120)} is damaged; delete it "
            "and set missing_files to automatic in Load Face Analyzer"
        ) from None


def _with_plain_weights(model: Any, numpy_helper: Any) -> bytes:
    graph = model.graph
    stored = {item.name: item for item in graph.initializer}
    nodes = []
    for node in graph.node:
        if node.op_type != "DequantizeLinear" or any(name not in stored for name in node.input):
            nodes.append(node)
            continue
        attributes = {item.name: item.i for item in node.attribute}
        parts = [numpy_helper.to_array(stored[name]) for name in node.input]
        zero = parts[2] if len(parts) > 2 else np.zeros_like(parts[1])
        values = _unpack(parts[0], parts[1], zero, attributes.get("axis", 1), attributes.get("block_size", 0))
        graph.initializer.append(numpy_helper.from_array(values, node.output[0]))
    del graph.node[:]
    graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    weights = [item for item in graph.initializer if item.name in read]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    names = {item.name for item in weights}
    inputs = [item for item in graph.input if item.name in read and item.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)
    return bytes(model.SerializeToString())


def _unpack(packed: np.ndarray, scale: np.ndarray, zero: np.ndarray, axis: int, block: int) -> np.ndarray:
    """ONNX's DequantizeLinear: per tensor, per channel along `axis`, or in blocks of `block` along it."""
    if scale.size > 1 or scale.ndim == packed.ndim:
        if scale.ndim == packed.ndim and block:
            keep = [slice(None)] * packed.ndim
            keep[axis] = slice(packed.shape[axis])
            scale = np.repeat(scale, block, axis=axis)[tuple(keep)]
            zero = np.repeat(zero, block, axis=axis)[tuple(keep)]
        else:
            shape = [1] * packed.ndim
            shape[axis] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (packed.astype(np.float32) - zero.astype(np.float32)) * scale.astype(np.float32)


def running_provider(session: Any) -> str:
    """Return the artist's name for the provider that a session really uses."""
    first = session.get_providers()[0]
    return next((name for name, full in PROVIDERS.items() if full == first), first)


class LiteModel:
    """A TensorFlow Lite model with one image input, run by LiteRT on one CPU thread.

    Raises
    ------
    WrongModelFileError
        The file is none of the pinned ones.
    MissingPackageError
        ai-edge-litert is not installed.
    """

    def __init__(self, path: Path) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise missing_package("ai-edge-litert", "the open face analyzer") from None
        # Only what is known to be whole: LiteRT ends the process on some damaged files.
        self._data = read_pinned(path)
        try:
            self._interpreter = Interpreter(model_content=self._data, num_threads=1)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{path.name} cannot be opened as a LiteRT model: {text.reason(error)}"
            ) from None
        # An interpreter holds its inputs: one caller at a time.
        self._lock = threading.Lock()
        detail = self._interpreter.get_input_details()[0]
        self._input: int = detail["index"]
        self._outputs: list[int] = [item["index"] for item in self._interpreter.get_output_details()]
        self.size: int = int(detail["shape"][1])
        """Side of the square input, px."""

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """Run on a (size, size, 3) uint8 RGB picture, scaled to 0..1; returns copies of all outputs."""
        scaled = (image.astype(np.float32) * np.float32(1 / 255))[None]
        with self._lock:
            self._interpreter.set_tensor(self._input, scaled)
            self._interpreter.invoke()
            return [self._interpreter.get_tensor(index) for index in self._outputs]


def installed_variants() -> list[str]:
    """Return which packages of ONNX Runtime are installed, the plain one last; they share one folder."""
    found = []
    for name in VARIANTS:
        try:
            version(name)
        except PackageNotFoundError:
            continue
        found.append(name)
    return found


def variants_problem(installed: Sequence[str], usable: bool) -> str | None:
    """Return one line with the remedy where ONNX Runtime's packages are in each other's way.

    Parameters
    ----------
    installed : sequence of str
        As from `installed_variants`.
    usable : bool
        Whether the package could be imported and is whole.
    """
    pip = f'"{sys.executable}" -m pip'
    if len(installed) > 1:
        names = " ".join(installed)
        return (
            f"{' and '.join(installed)} are installed and overwrite each other:  "
            f"{pip} uninstall -y {names}  and then  {pip} install {installed[0]}"
        )
    if installed and not usable:
        line = f"{pip} install --force-reinstall --no-deps {installed[0]}"
        return f"{installed[0]} is installed, but files of it are missing:  {line}  and restart"
    return None


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    if hasattr(onnxruntime, "InferenceSession"):
        return onnxruntime
    problem = variants_problem(installed_variants(), usable=False)
    if problem:
        raise MissingPackageError(problem)
    raise missing_package("onnxruntime", "face analysis")
