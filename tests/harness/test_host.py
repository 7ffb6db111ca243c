"""The development host: started, asked, refused, ended."""

import pytest

from harness.host import Host, HostError, host_path, running_host

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
