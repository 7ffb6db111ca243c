"""Every template opens and fits the host's nodes; those that need nothing but the pack are run."""

import json
import os
import re
import shutil
import urllib.request

import numpy as np
import pytest
from PIL import Image, ImageFilter

from authoring.graph import DYNAMIC_COMBO, choices_of
from authoring.templates import TEMPLATES
from harness import ROOT
from harness.frontend import load_workflow, open_frontend
from harness.workflows import ids, prompt_of, shipped, with_inputs

pytestmark = pytest.mark.host

FOLDER = ROOT / "example_workflows"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))
FILES_OF_THE_ARTIST = {"ckpt_name", "checkpoint", "image", "file", "name"}
"""Choices whose files the artist brings: not in the lists of a bare host."""


def quick(prompt, steps: int = 2):
    """Fewer steps: these tests are about graphs, not about pictures."""
    return with_inputs(prompt, "KSampler", steps=steps)


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def ours(workflow):
    """What does not depend on the host's own nodes: the pack's nodes, and who is linked to whom."""
    nodes = {node["id"]: node for node in workflow["nodes"]}
    links = [
        (source, nodes[source]["outputs"][out]["name"], target, nodes[target]["inputs"][into]["name"])
        for _, source, out, target, into, _ in workflow["links"]
    ]
    frames = [
        (node["type"], node["pos"], node["size"], node["mode"], node.get("title"))
        for node in workflow["nodes"]
    ]
    pack = [node for node in workflow["nodes"] if node["type"].startswith("HiFiPortrait")]
    return pack, frames, links, workflow["groups"]


def test_all_templates_are_there_with_thumbnails():
    assert set(NAMES) == set(TEMPLATES)
    for name in NAMES:
        picture = FOLDER / f"{name}.jpg"
        assert picture.is_file(), f"{name} has no thumbnail"
        with Image.open(picture) as opened:
            assert min(opened.size) >= 384
        assert picture.stat().st_size < 80_000


def test_the_host_serves_them(host):
    """Under the name of the pack's folder, as the template browser asks for them."""
    (pack,) = [pack for pack, names in host.get("/workflow_templates").items() if set(NAMES) <= set(names)]
    for name in NAMES:
        assert host.get(f"/api/workflow_templates/{pack}/{name}.json") == shipped(name)
        with urllib.request.urlopen(f"{host.url}/api/workflow_templates/{pack}/{name}.jpg") as answer:
            assert answer.read() == (FOLDER / f"{name}.jpg").read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_shared_workflow_finds_its_packs_and_model_files(name):
    loaders = {"HiFiPortraitLoadFaceAnalyzer", "CheckpointLoaderSimple"}
    for node in shipped(name)["nodes"]:
        properties = node["properties"]
        if node["type"] == "MarkdownNote":
            continue
        ours = node["type"].startswith("HiFiPortrait")
        assert properties["cnr_id"] == ("hifi-portrait" if ours else "comfy-core")
        assert re.fullmatch(r"\d+\.\d+\.\d+", properties["ver"])
        assert ("models" in properties) >= (node["type"] in loaders)
        for model in properties.get("models", []):
            assert set(model) == {"name", "url", "hash", "hash_type", "directory"}
            assert re.search(r"[0-9a-f]{40}|generation=\d{16}", model["url"]), "not pinned"
            assert re.fullmatch("[0-9a-f]{64}", model["hash"])


@pytest.mark.parametrize("name", NAMES)
def test_nodes_inputs_and_values_fit_the_host(name, host):
    """What the front end would show as missing or red is not there."""
    info = host.object_info()
    workflow = shipped(name)
    notes = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    assert notes
    assert "**Files" in notes[0]["widgets_values"][0]
    for node in workflow["nodes"]:
        node["mode"] = 0
    for node_id, node in host.to_api(workflow).items():
        definition = info[node["class_type"]]["input"]
        known = {**definition.get("required", {}), **definition.get("optional", {})}
        missing = set(definition.get("required", {})) - set(node["inputs"])
        assert not missing, f"{name}: {node['class_type']} {node_id} lacks {missing}"
        for key, value in node["inputs"].items():
            combo, _, of_its_choice = key.partition(".")
            if of_its_choice and known[combo][0] == DYNAMIC_COMBO:
                continue
            assert key in known, f"{name}: {node['class_type']} has no {key}"
            options = choices_of(known[key])
            if options is not None and key not in FILES_OF_THE_ARTIST and not isinstance(value, list):
                assert value in options, f"{name}: {node['class_type']}.{key} = {value!r}"


@pytest.mark.parametrize("name", NAMES)
def test_template_is_what_the_builder_writes(name, host, tmp_path):
    """A change of a node's inputs is followed by ``python -m authoring.templates``."""
    path = tmp_path / f"{name}.json"
    TEMPLATES[name](host.object_info()).save(path)
    made = json.loads(path.read_text(encoding="utf-8"))
    assert ours(made) == ours(shipped(name))
    if not os.environ.get("COMFYUI_PATH"):
        assert made == shipped(name), "written from the definitions of another host"


def test_first_portrait(person_host):
    prompt = prompt_of(person_host, "first-portrait")
    # Nothing of it comes from an earlier test's run: previews are reported by nodes that run.
    prompt = with_inputs(prompt, "HiFiPortraitLoadReferenceFaces", weights="1, 1, 1, 0.9")
    done = person_host.run(prompt)
    image = pixels(done.images(ids(prompt, "SaveImage")[0])[0])
    assert image.shape == (128, 128, 3)
    assert image.std() > 5
    for kind in ("LoadReferenceFaces", "GenerateLandmarks", "CompareFaces"):
        assert done.images(ids(prompt, f"HiFiPortrait{kind}")[0]), f"no preview in {kind}"


def test_references_1_2_4(person_host):
    prompt = quick(prompt_of(person_host, "references-1-2-4"))
    done = person_host.run(prompt)
    assert len(done.images(ids(prompt, "SaveImage")[0])) == 3
    reports = ["\n".join(done.nodes[node]["text"]) for node in ids(prompt, "HiFiPortraitLoadReferenceFaces")]
    assert [report.count("weight 0.00") for report in reports] == [3, 2, 0]


def test_expression_sheet(person_host):
    prompt = quick(prompt_of(person_host, "expression-sheet"))
    prompt = with_inputs(prompt, "HiFiPortraitExpressionSheet", presets="neutral, laugh, anger")
    prompt = with_inputs(prompt, "EmptyLatentImage", batch_size=3)
    assert len(person_host.run(prompt).images(ids(prompt, "SaveImage")[0])) == 3


def test_pose_from_photo(person_host, photos):
    person_host.upload(photos["biden"], "pose.jpg")
    prompt = quick(prompt_of(person_host, "pose-from-photo"))
    done = person_host.run(prompt)
    widget = done.nodes[ids(prompt, "HiFiPortraitGenerateLandmarks")[0]]["hifi_landmarks"][0]
    assert len(widget["base"]["expression"]) == 52
    assert len(done.images(ids(prompt, "SaveImage")[0])) == 1


def opened_by_the_front_end(host, name):
    """The prompt that the front end makes of a template that is opened and run as it is."""
    with open_frontend(host) as page:
        load_workflow(page, shipped(name))
        return page.evaluate("async () => (await app.graphToPrompt()).output")


@pytest.fixture
def performance(person_host, photos, tmp_path):
    """A film of six frames in the host's input folder."""
    import av

    picture = Image.open(photos["obama2"]).convert("RGB")
    side = min(picture.size)
    with av.open(str(tmp_path / "performance.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=12)
        stream.width = stream.height = 256
        stream.pix_fmt = "yuv420p"
        for step in range(6):
            turned = picture.crop((0, 0, side, side)).rotate(step * 2 - 12).resize((256, 256))
            container.mux(stream.encode(av.VideoFrame.from_image(turned)))
        container.mux(stream.encode())
    return person_host.upload(tmp_path / "performance.mp4")


@pytest.mark.usefixtures("performance")
@pytest.mark.parametrize(
    "prompt_by", [prompt_of, pytest.param(opened_by_the_front_end, marks=pytest.mark.browser)]
)
def test_video_with_one_identity(person_host, prompt_by, request):
    """SaveVideo's format is a plain choice on 0.3.75 and brings inputs of its own on newer hosts."""
    import av

    if prompt_by is opened_by_the_front_end:
        request.getfixturevalue("browser")
    prompt = quick(prompt_by(person_host, "video-with-one-identity"), steps=1)
    prompt = with_inputs(prompt, "HiFiPortraitLandmarkSequence", max_frames=4)
    prompt = with_inputs(prompt, "EmptyLatentImage", batch_size=4)
    done = person_host.run(prompt, timeout=240)
    (video,) = done.images(ids(prompt, "SaveVideo")[0])
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4


def test_photos_to_any_pose(person_host):
    prompt = quick(prompt_of(person_host, "photos-to-any-pose"))
    done = person_host.run(prompt, timeout=240)
    pictures = sorted((pixels(done.images(saver)[0]) for saver in ids(prompt, "SaveImage")), key=len)
    assert [picture.shape for picture in pictures] == [(128, 128, 3), (768, 768, 3)]
    assert pictures[1][250:500, 250:500].std() > 20
    for kind in ("FuseHead", "RenderHead", "GenerateLandmarks"):
        assert done.images(ids(prompt, f"HiFiPortrait{kind}")[0]), f"no preview in {kind}"


def test_skin_detail(person_host, photos):
    picture = Image.open(photos["obama2"]).convert("RGB")
    picture.filter(ImageFilter.GaussianBlur(2)).save(person_host.base / "input" / "portrait.png")
    prompt = prompt_of(person_host, "skin-detail")
    (path,) = person_host.run(prompt, timeout=240).images(ids(prompt, "SaveImage")[0])
    soft, detailed = pixels(person_host.base / "input" / "portrait.png"), pixels(path)
    assert detailed.shape == soft.shape
    changed = (detailed != soft).any(-1)
    assert 0.02 < changed.mean() < 0.6, "the face, and nothing beside the head"


def test_save_and_reuse_identity(person_host, face_models):
    """Both halves, one after the other, as the note says."""
    folder = person_host.base / "models" / "hifi_portrait" / "identities"
    existed = folder.exists()
    try:
        person_host.run(prompt_of(person_host, "save-and-reuse-identity"))
        workflow = shipped("save-and-reuse-identity")
        for node in workflow["nodes"]:
            if node["type"] != "MarkdownNote":
                node["mode"] = 2 if node["mode"] == 0 else 0
        prompt = quick(person_host.to_api(workflow))
        assert not [node for node in prompt.values() if "Reference" in node["class_type"]]
        (picture,) = person_host.run(prompt).images(ids(prompt, "SaveImage")[0])
        assert pixels(picture).shape == (128, 128, 3)
    finally:
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
