"""ONNX Runtime's packages: missing, doubled or half removed, each gives one line with the remedy."""

import importlib.metadata
import sys
import types

import pytest
from hifi_portrait.faces import runtime


@pytest.fixture
def packages(monkeypatch):
    """Set which of the packages are installed, by their metadata."""

    def install(*names):
        def version(name):
            if name not in names:
                raise importlib.metadata.PackageNotFoundError(name)
            return "1.20"

        monkeypatch.setattr(runtime, "version", version)

    return install


def one_line(text):
    return "\n" not in text and len(text) < 300 + 2 * len(sys.executable)


def test_what_is_installed_here_is_found():
    assert runtime.installed_variants() == ["onnxruntime"]
    assert runtime.provider_note("auto", "CPU") == "CPU"


def test_doubled_packages_are_told_in_the_node(packages):
    packages("onnxruntime", "onnxruntime-gpu")
    said = runtime.provider_note("auto", "CPU")
    assert said.startswith("CPU; onnxruntime-gpu and onnxruntime are installed")
    assert "uninstall -y onnxruntime-gpu onnxruntime " in said
    assert said.endswith("install onnxruntime-gpu")
    assert one_line(said)


@pytest.mark.parametrize("left", [None, types.ModuleType("onnxruntime")])
def test_half_removed_packages_say_how_to_mend_them(packages, monkeypatch, left):
    """Removing one of two takes the other's files too: nothing, or an empty folder, is left."""
    monkeypatch.setitem(sys.modules, "onnxruntime", left)
    packages("onnxruntime-gpu")
    with pytest.raises(
        runtime.MissingPackageError, match="force-reinstall --no-deps onnxruntime-gpu"
    ) as told:
        runtime.onnx_providers("auto")
    assert one_line(str(told.value))


def test_no_package_says_what_to_install(packages, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    packages()
    with pytest.raises(runtime.MissingPackageError, match="pip install onnxruntime ") as told:
        runtime.onnx_providers("auto")
    assert one_line(str(told.value))


@pytest.mark.parametrize(
    ("built", "choice", "first"),
    [
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "auto", "CUDAExecutionProvider"),
        (["DmlExecutionProvider", "CPUExecutionProvider"], "auto", "DmlExecutionProvider"),
        (["CoreMLExecutionProvider", "CPUExecutionProvider"], "auto", "CoreMLExecutionProvider"),
        (["CoreMLExecutionProvider", "CPUExecutionProvider"], "CUDA", "CPUExecutionProvider"),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "CPU", "CPUExecutionProvider"),
    ],
)
def test_the_best_provider_that_is_there_is_taken(monkeypatch, built, choice, first):
    stand_in = types.SimpleNamespace(InferenceSession=object, get_available_providers=lambda: built)
    monkeypatch.setitem(sys.modules, "onnxruntime", stand_in)
    assert runtime.onnx_providers(choice)[0] == first
    assert runtime.onnx_providers(choice)[-1] == "CPUExecutionProvider"
