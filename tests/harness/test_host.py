"""The development host: started, asked, refused, ended."""

import json
import os
import subprocess
import venv

import pytest

from harness import packages, record
from harness.host import FRONT_END, Host, HostError, host_path, running_host

EMPTY_LATENT = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}}
SAVE = {"class_type": "SaveLatent", "inputs": {"samples": ["1", 0], "filename_prefix": "latent"}}


def test_a_wrong_comfyui_path_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    with pytest.raises(HostError, match=r"holds no main\.py"):
        host_path()


@pytest.mark.host
def test_outputs_come_back(host):
    done = host.run({"1": EMPTY_LATENT, "2": SAVE})
    assert done.images(2, "latents")[0].is_file()
    assert done.seconds > 0


@pytest.mark.host
def test_a_refusal_names_the_node_and_the_input(host):
    bad = {**EMPTY_LATENT, "inputs": {**EMPTY_LATENT["inputs"], "width": "wide"}}
    with pytest.raises(HostError, match=r"EmptyLatentImage \(node 1\).*width"):
        host.run({"1": bad, "2": SAVE})


@pytest.mark.host
def test_a_failing_node_is_named_and_the_next_queue_works(host):
    load = {"class_type": "LoadImage", "inputs": {"image": "broken.png"}}
    (host.base / "input" / "broken.png").write_bytes(b"not a picture")
    with pytest.raises(HostError, match=r"LoadImage \(node 1\)"):
        host.run({"1": load, "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}})
    assert host.run({"1": EMPTY_LATENT, "2": SAVE}).nodes


@pytest.mark.host
def test_the_host_ends_even_when_its_user_fails(tmp_path):
    class UserError(Exception):
        pass

    def use_and_fail() -> None:
        with running_host(tmp_path) as running:
            used.append(running)
            raise UserError

    used: list[Host] = []
    with pytest.raises(UserError):
        use_and_fail()
    with pytest.raises(OSError, match="refused"):
        used[0].get("/system_stats")


def test_a_front_end_is_named_by_its_version(monkeypatch, tmp_path):
    monkeypatch.setenv(FRONT_END, "0.0.0")
    monkeypatch.setattr(packages, "_download", lambda package, folder: pytest.fail(package))
    with pytest.raises(pytest.fail.Exception, match=r"comfyui-frontend-package==0\.0\.0"):
        packages.front_end("0.0.0", tmp_path)
    (tmp_path / "0.0.0").mkdir()
    assert packages.front_end("0.0.0", tmp_path).parts[-3:] == ("0.0.0", "comfyui_frontend_package", "static")
    assert record.front_end_version() == "0.0.0"


def test_runs_are_summed_by_host_and_front_end(tmp_path):
    for number, (host, failures) in enumerate([("0.3.75", []), ("0.3.75", ["a"]), ("0.33.0", [])]):
        run = {"host": host, "front_end": "1.0", "arguments": f"tests/{number}", "commit": "c"}
        run |= {"passed": 3, "failed": len(failures), "skipped": 1, "failures": failures}
        (tmp_path / f"{number}.json").write_text(json.dumps(run))
    found = record.runs(tmp_path)
    assert list(found) == ["0.3.75, front end 1.0", "0.33.0, front end 1.0"]
    both = found["0.3.75, front end 1.0"]
    assert (both["passed"], both["failed"], both["skipped"], both["failures"]) == (6, 1, 2, ["a"])
    assert [run["arguments"] for run in both["runs"]] == ["tests/0", "tests/1"]


def test_the_hosts_own_environment_comes_before_ours(monkeypatch, tmp_path):
    import dev

    host = tmp_path / "ComfyUI"
    host.mkdir()
    (host / "main.py").touch()
    (host / "requirements.txt").touch()
    venv.create(host / "venv", with_pip=False, symlinks=os.name != "nt")
    monkeypatch.setattr(dev, "DEV", tmp_path / "dev")
    monkeypatch.setenv("COMFYUI_PATH", str(host))
    dev._set_up_for(host, "installed")
    told = [str(dev.interpreter()), "-c", "import sys, pytest; print(*sys.path, sep='\\n')"]
    path = subprocess.run(told, check=True, capture_output=True, text=True).stdout.splitlines()
    own, ours = (next(i for i, p in enumerate(path) if str(f) in p) for f in (host, dev.VENV))
    assert own < ours
