"""The command line's models and faces, and the calibration."""

import json
import shutil
from pathlib import Path

from hifi_portrait.cli import main
from hifi_portrait.faces.files import MODEL_FILES
from hifi_portrait.faces.thresholds import THRESHOLDS
from hifi_portrait.tools.calibrate_recognizer import main as calibrate
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]


def test_models_leaves_right_files_alone_and_checks(face_models, tmp_path, capsys):
    for file in MODEL_FILES:
        shutil.copy(face_models / file.name, tmp_path)
    assert main(["models", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("there already") == 4
    assert main(["models", "--to", str(tmp_path), "--check"]) == 0
    (tmp_path / MODEL_FILES[3].name).write_bytes(b"torn")
    (tmp_path / MODEL_FILES[0].name).unlink()
    capsys.readouterr()
    assert main(["models", "--to", str(tmp_path), "--check"]) == 1
    said = capsys.readouterr().out
    assert said.count("DAMAGED") == 1
    assert said.count("missing") == 1


def test_faces_writes_a_sheet_and_says_why(photos, face_models, tmp_path, capsys):
    sheet = tmp_path / "out" / "sheet.png"
    arguments = [str(photos[name]) for name in ("obama", "obama2", "biden")]
    assert main(["faces", *arguments, "--models", str(face_models), "--out", str(sheet)]) == 0
    said = capsys.readouterr().out
    assert said.count("used ") == 2
    assert "biden.jpg  shows somebody else" in said
    assert Image.open(sheet).size[0] > 500
    assert main(["faces", *arguments, "--models", str(face_models), "--out", str(sheet), "--json"]) == 0
    assert [item["source"] for item in json.loads(capsys.readouterr().out)["dropped"]] == ["biden.jpg"]
    assert list(sheet.parent.iterdir()) == [sheet]


def test_faces_reports_errors_in_one_line(tmp_path, capsys):
    assert main(["faces", str(tmp_path / "none.jpg"), "--models", str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_thresholds_are_the_committed_measurement(photos, face_models, tmp_path):
    committed = json.loads((ROOT / "tools" / "calibration" / "sface.json").read_text(encoding="utf-8"))
    stated = THRESHOLDS["sface"]
    assert round(committed["same"]["median"], 2) == stated.typical
    assert round(committed["different"]["median"], 2) == stated.different
    assert committed["missed_at_threshold"] == committed["accepted_at_threshold"] == 0
    assert committed["different"]["highest"] < stated.same < committed["same"]["lowest"]
    out = tmp_path / "again.json"
    people = ["--person", str(photos["obama"]), str(photos["obama2"]), "--person", str(photos["biden"])]
    assert calibrate([*people, "--models", str(face_models), "--out", str(out)]) == 0
    again = json.loads(out.read_text(encoding="utf-8"))
    assert again["people"] == 2
    assert again["same"]["median"] > again["different"]["highest"]
