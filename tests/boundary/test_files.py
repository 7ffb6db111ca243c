"""A file is the old one or the new one, whatever happens while it is written; nothing stays behind."""

import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hifi_portrait.boundary import files
from hifi_portrait.boundary.files import (
    PRIVATE,
    SaveError,
    inside,
    remove_debris,
    scratch_folder,
    stamp,
    written,
)

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")

WRITE_SLOWLY = """
import sys, time
from pathlib import Path
from hifi_portrait.boundary.files import scratch_folder, written
folder = Path(sys.argv[1])
with scratch_folder(folder), written(folder / "model.bin") as part:
    part.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def killed(tmp_path) -> Path:
    """A folder with an old file, in which a process was killed while it wrote the new one."""
    (tmp_path / "model.bin").write_bytes(b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE_SLOWLY, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "writing\n"
    assert remove_debris(tmp_path) == []  # the process runs: nothing of it is touched
    process.kill()
    process.wait()
    process.stdout.close()
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def interrupted(manager, write) -> None:
    with manager as place:
        write(place)
        raise KeyboardInterrupt


def test_a_file_is_replaced_whole(tmp_path):
    target = tmp_path / "new folder" / "a.bin"
    for content in (b"first", b"second"):
        with written(target) as part:
            part.write_bytes(content)
        assert target.read_bytes() == content
    assert names(target.parent) == ["a.bin"]


def test_an_error_keeps_the_old_file_and_leaves_nothing(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        interrupted(written(target), lambda part: part.write_bytes(b"half"))
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.bin"]


def test_what_a_killed_process_left_goes_at_the_next_start(killed):
    assert (killed / "model.bin").read_bytes() == b"old"
    assert len(names(killed)) == 3
    assert len(remove_debris(killed)) == 2
    assert names(killed) == ["model.bin"]


def test_a_number_that_another_process_got_since_does_not_keep_debris(killed, monkeypatch):
    for path in killed.glob(".hifi-portrait-*"):
        pid = path.name.split("-")[3]
        other = path.with_name(path.name.replace(f"-{pid}-", f"-{os.getppid()}-"))
        path.rename(other)
        os.utime(other, (1e9, 1e9))
    assert len(remove_debris(killed)) == 2


def test_files_of_other_machines_and_of_others_stay(tmp_path):
    theirs = tmp_path / ".hifi-portrait-00000000-1-00000000.part"
    former = tmp_path / "tmpabcdefgh.part"
    for path in (theirs, former, tmp_path / "notes.part", tmp_path / "model.safetensors"):
        path.write_bytes(b"1")
    assert remove_debris(tmp_path) == []
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 2 * 24 * 3600,) * 2)
    assert sorted(remove_debris(tmp_path)) == [theirs.name, former.name]
    assert remove_debris(tmp_path / "nowhere") == []


def test_a_scratch_folder_goes(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(scratch_folder(tmp_path / "models"), lambda place: (place / "wheel").write_bytes(b"1"))
    assert names(tmp_path / "models") == []


@posix
def test_private_files_are_private_from_the_first_byte(tmp_path):
    with written(tmp_path / "person", PRIVATE) as part:
        assert part.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "person").stat().st_mode & 0o777 == 0o600
    with written(tmp_path / "model"):
        pass
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o644


@posix
def test_errors_of_the_system_are_one_line_with_a_remedy(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").mkdir()
    dead = tmp_path / "dead"
    dead.symlink_to(tmp_path / "nowhere")
    expected = {
        tmp_path / "file" / "a": "a file",
        tmp_path / "file" / "b" / "a": "a file, not a folder",
        tmp_path / "taken": "a folder of that name",
        dead / "a": "link to nowhere",
    }
    for path, message in expected.items():
        with pytest.raises(SaveError, match=message) as caught, written(path):
            pass
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300
    with pytest.raises(SaveError, match="disk is full"), written(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(SaveError, match="disk is full"), written(tmp_path / "a"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    with pytest.raises(SaveError, match="too long"), written(tmp_path / ("x" * 300)):
        pass


def test_a_file_of_the_same_size_and_time_is_another(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"1" * 100)
    os.utime(path, (1e9, 1e9))
    first = stamp(path)
    assert stamp(path) == first
    path.write_bytes(b"2" * 100)
    os.utime(path, (1e9, 1e9))
    assert stamp(path) != first
    assert stamp(path)[-1] != first[-1]  # told by the content alone, too


def test_the_end_of_a_large_file_counts(tmp_path):
    path = tmp_path / "a.bin"
    digests = set()
    for end in (b"1", b"2"):
        path.write_bytes(bytes(files._ENDS + 10) + end)
        digests.add(stamp(path)[-1])
    assert len(digests) == 2


@pytest.mark.parametrize("text", ["a/b.jpg", "a\\b.jpg", ' "a/b.jpg" ', "a/../a/./b.jpg", "", "."])
def test_paths_inside_a_folder(tmp_path, text):
    found = inside(tmp_path, text)
    assert found in (tmp_path, tmp_path / "a" / "b.jpg")


@pytest.mark.parametrize("text", ["..", "../x", "a/../../x", "/etc/passwd", "..\\x", "//server/share"])
def test_paths_that_leave_the_folder(tmp_path, text):
    assert inside(tmp_path, text) is None


def test_a_folder_whose_name_only_begins_alike_is_another(tmp_path):
    assert inside(tmp_path / "input", "../input2/x") is None


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "x" * 300, "写" * 90, "a/" * 3000])
def test_names_that_no_file_can_have(tmp_path, text):
    with pytest.raises(ValueError, match=r"than a file name can be|no file name has"):
        inside(tmp_path, text)
