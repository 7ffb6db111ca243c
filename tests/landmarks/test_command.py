"""The command ``hifi-portrait landmarks``."""

import json

import numpy as np
from hifi_portrait.cli import main
from PIL import Image


def test_sliders_and_preset(tmp_path, capsys):
    out = tmp_path / "face.png"
    arguments = [
        "landmarks",
        "--preset",
        "wink",
        "--set",
        "yaw=20",
        "--size",
        "320x256",
        "--out",
        str(out),
        "--json",
    ]
    assert main(arguments) == 0
    face = json.loads(capsys.readouterr().out)["faces"][0]
    assert face["pose"]["yaw"] == 20
    assert face["expression"]["eyeBlinkLeft"] > 0.5
    assert np.shape(face["points"]) == (72, 3)
    assert Image.open(out).size == (320, 256)
    assert list(tmp_path.iterdir()) == [out]


def test_references_target_and_sheet(photos, face_models, tmp_path, capsys):
    models = ["--models", str(face_models)]
    out = tmp_path / "face.png"
    references = [str(photos["obama"]), str(photos["obama3"])]
    assert (
        main(
            ["landmarks", *references, "--target", str(photos["biden"]), "--out", str(out), *models, "--json"]
        )
        == 0
    )
    assert json.loads(capsys.readouterr().out)["faces"][0]["pose"]["yaw"] > 5
    assert main(["landmarks", references[0], "--sheet", "--size", "256x256", "--out", str(out), *models]) == 0
    assert Image.open(out).size[0] >= 768


def test_mistakes(tmp_path, face_models, capsys):
    blank = tmp_path / "blank.png"
    Image.new("RGB", (200, 200)).save(blank)
    for arguments, message in (
        (["--set", "smirk=1"], "smirk"),
        (["--set", "yaw"], "SLIDER=VALUE"),
        (["--size", "big"], "WIDTHxHEIGHT"),
        (["--preset", "grimace"], "grimace"),
        ([str(blank), "--models", str(face_models)], "blank.png: no face found"),
    ):
        assert main(["landmarks", *arguments]) == 2
        assert message in capsys.readouterr().err
