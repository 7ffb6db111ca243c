"""The main job as artists run it: the shipped workflow, a real ComfyUI, real photos; and what goes wrong."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file
from safetensors.torch import load_file, safe_open
from safetensors.torch import save_file as save_torch_file

from harness.host import Host, HostError, running_host
from harness.packages import PHOTOS
from harness.workflows import FIRST_PORTRAIT, Prompt, ids, prompt_of, with_inputs

LOAD = "HiFiPortraitLoadReferenceFaces"
ANALYZER = "HiFiPortraitLoadFaceAnalyzer"
GENERATE = "HiFiPortraitGenerateLandmarks"
NETWORK = "HiFiPortraitLoadHiFiNet"
PERSON = [name for name in PHOTOS if name.startswith("obama")]

pytestmark = pytest.mark.host


def from_folder(prompt: Prompt, folder: str) -> Prompt:
    changed = with_inputs(prompt, LOAD, folder=folder)
    for node_id in ids(changed, LOAD):
        changed[node_id]["inputs"].pop("images", None)
    return changed


@pytest.fixture(scope="module")
def main_job(host, photos) -> Prompt:
    for name in PERSON:
        host.upload(photos[name], f"main_job/{name}.jpg")
    return from_folder(prompt_of(host, FIRST_PORTRAIT), "main_job")


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as opened:
        return np.asarray(opened.convert("RGB"))


def test_every_node_is_there_with_help_for_every_input(host):
    ours = {name: node for name, node in host.object_info().items() if name.startswith("HiFiPortrait")}
    assert {LOAD, ANALYZER, GENERATE, NETWORK} <= set(ours)
    assert {"HiFiPortraitRefineFaces", "HiFiPortraitApplyHiFiNet", "HiFiPortraitCompareFaces"} <= set(ours)
    for name, node in ours.items():
        assert node["description"], name
        assert node["category"].startswith("HiFi Portrait"), name
        for group in ("required", "optional"):
            for key, (_, *rest) in node["input"].get(group, {}).items():
                assert rest, f"{name}.{key} has no tooltip"
                assert rest[0].get("tooltip"), f"{name}.{key} has no tooltip"


def test_the_shipped_workflow_makes_portraits_of_real_photos(host, main_job, artifacts):
    done = host.run(main_job)
    portrait = picture(done.images(ids(main_job, "SaveImage")[0])[0])
    assert portrait.shape == (128, 128, 3)
    assert portrait.std() > 5
    sheet = done.images(ids(main_job, LOAD)[0])[0]
    assert picture(sheet).shape[1] > 1000
    shutil.copyfile(sheet, artifacts / "main_job_references.png")
    report = done.nodes[ids(main_job, LOAD)[0]]["text"][0]
    assert all(f"{name}.jpg: quality" in report for name in PERSON), report


def test_a_turned_head_moves_the_nose_the_way_it_must(host, main_job, artifacts):
    generate = ids(main_job, GENERATE)[0]
    graph = {key: main_job[key] for key in main_job if key == generate}
    graph[generate] = {
        "class_type": GENERATE,
        "inputs": {k: v for k, v in main_job[generate]["inputs"].items() if not isinstance(v, list)},
    }
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": [generate, 1]}}
    graph = with_inputs(graph, GENERATE, width=512, height=512, style="kps5")
    nose = {}
    for yaw in (-30.0, 0.0, 30.0):
        done = host.run(with_inputs(graph, GENERATE, yaw=yaw))
        path = done.images("show")[0]
        shutil.copyfile(path, artifacts / f"main_job_yaw_{yaw:.0f}.png")
        drawing = picture(path).astype(int)
        # InstantID's style draws the five points red, green, blue (the nose), yellow, magenta.
        blue = (drawing[..., 2] > 200) & (drawing[..., 0] < 60) & (drawing[..., 1] < 60)
        nose[yaw] = np.argwhere(blue).mean(0)[1]
    assert nose[-30.0] < nose[0.0] - 15
    assert nose[30.0] > nose[0.0] + 15
    assert nose[30.0] - nose[0.0] == pytest.approx(nose[0.0] - nose[-30.0], rel=0.1)


def test_a_picture_without_a_face_is_named(host, main_job):
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    folder = host.base / "input" / "no_face"
    folder.mkdir(exist_ok=True)
    Image.fromarray(noise).save(folder / "wallpaper.png")
    with pytest.raises(HostError, match=rf"{LOAD}.*wallpaper\.png") as error:
        host.run(from_folder(main_job, "no_face"))
    assert "\n" not in str(error.value).strip()
    assert host.run(main_job).nodes, "the next queue works"


def test_an_unreadable_picture_is_named(host, main_job):
    folder = host.base / "input" / "unreadable"
    folder.mkdir(exist_ok=True)
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.raises(HostError, match=rf"{LOAD}.*torn\.jpg"):
        host.run(from_folder(main_job, "unreadable"))
    assert host.run(main_job).nodes


@pytest.mark.parametrize("folder", ["/etc", "../output"])
def test_a_workflow_cannot_read_outside_the_input_folder(host, main_job, folder):
    with pytest.raises(HostError, match=rf"{LOAD}.*input folder"):
        host.run(from_folder(main_job, folder))


def test_values_may_come_from_other_nodes(host, main_job):
    linked = {
        **main_job,
        "start": {"class_type": "PrimitiveFloat", "inputs": {"value": 0.1}},
        "name": {"class_type": "PrimitiveString", "inputs": {"value": "linked"}},
        "save": {
            "class_type": "HiFiPortraitSaveIdentity",
            "inputs": {
                "identity": [ids(main_job, "HiFiPortraitRefineFaces")[0], 0],
                "name": ["name", 0],
                "overwrite": True,
            },
        },
    }
    done = host.run(with_inputs(linked, "HiFiPortraitApplyHiFiNet", start_percent=["start", 0]))
    assert done.nodes["save"]["text"] == ["saved as linked"]


@pytest.fixture(scope="module")
def bare_host(tmp_path_factory) -> Iterator[Host]:
    """A ComfyUI without any model file of ours."""
    base = tmp_path_factory.mktemp("bare")
    (base / "models" / "hifi_portrait").mkdir(parents=True)
    with running_host(base) as running:
        yield running


def test_missing_and_foreign_files_are_named_and_then_work(bare_host, photos, face_models):
    bare_host.upload(photos["obama"], "one/obama.jpg")
    prompt = from_folder(prompt_of(bare_host, FIRST_PORTRAIT), "one")
    models = bare_host.base / "models" / "hifi_portrait"

    with pytest.raises(
        HostError, match=r"LoadFaceAnalyzer.*face_detection_yunet.*Looked in.*missing_files to automatic"
    ):
        bare_host.run(with_inputs(prompt, ANALYZER, missing_files="ask"))

    for file in face_models.iterdir():
        if file.is_file():
            shutil.copyfile(file, models / file.name)
    save_file({"weight": np.zeros(3, np.float32)}, models / "foreign.safetensors")
    with contextlib.suppress(OSError):  # Windows may forbid links
        (models / "gone.safetensors").symlink_to(models / "nowhere.safetensors")
    with pytest.raises(HostError, match=r"LoadHiFiNet.*foreign\.safetensors.*not a HiFi-Portrait checkpoint"):
        bare_host.run(with_inputs(prompt, NETWORK, checkpoint="foreign.safetensors"))

    assert bare_host.run(prompt).nodes

    refine = ids(prompt, "HiFiPortraitRefineFaces")[0]
    saved = {
        **prompt,
        "save": {
            "class_type": "HiFiPortraitSaveIdentity",
            "inputs": {"identity": [refine, 0], "name": "somebody", "overwrite": True},
        },
    }
    bare_host.run(saved)
    path = models / "identities" / "somebody.safetensors"
    with safe_open(str(path), "pt") as file:
        metadata = dict(file.metadata(), recognizer="antelopev2")
    save_torch_file(load_file(path), models / "identities" / "other.safetensors", metadata=metadata)
    loaded = {"class_type": "HiFiPortraitLoadIdentity", "inputs": {"name": "other"}}
    other = {**prompt, "identity": loaded}
    for node in other.values():
        if node["class_type"] == "HiFiPortraitApplyHiFiNet":
            node["inputs"]["identity"] = ["identity", 0]
    with pytest.raises(HostError, match=r"ApplyHiFiNet.*antelopev2.*sface"):
        bare_host.run(other)
