"""Many frames: video, face capture, smoothing, sheets."""

import numpy as np
import pytest
from hifi_portrait.landmarks.capture import coefficients_from_json, read_capture, target_from_capture
from hifi_portrait.landmarks.draw import draw
from hifi_portrait.landmarks.fit import fit_face, fit_faces
from hifi_portrait.landmarks.generate import generate, placement
from hifi_portrait.landmarks.sequence import (
    fit_sequence,
    interpolate,
    smooth,
    target_from_fits,
    target_from_landmarks,
)
from hifi_portrait.landmarks.sheet import captioned, expression_batch, grid, slider_sheet
from hifi_portrait.landmarks.target import Target
from PIL import Image


def test_interpolation_has_both_ends_and_even_steps(model):
    a = generate(model, pose=(-40, 0, 0), width=512, height=512)
    b = generate(
        model, pose=(40, 10, 0), expression=model.coefficients({"jawOpen": 1.0}), width=512, height=512
    )
    between = interpolate(a, b, 9, model)
    assert between.points[0] == pytest.approx(a.points[0], abs=0.05)
    assert between.points[-1] == pytest.approx(b.points[0], abs=0.05)
    assert between.expression[:, model.expression_index["jawOpen"]] == pytest.approx(
        np.linspace(0, 1, 9), abs=1e-6
    )
    steps = np.diff(between.pose[:, 0])
    assert steps.min() > 8
    assert steps.max() < 12


def test_interpolation_takes_the_short_way_round(model):
    a, b = generate(model, pose=(0, 0, 170)), generate(model, pose=(0, 0, -170))
    roll = interpolate(a, b, 3, model).pose[1, 2]
    assert abs(roll) == pytest.approx(180, abs=0.1)


def test_interpolation_keeps_place_and_size(model):
    a = generate(model, width=512, height=512, position=(100, 150), scale=40.0)
    b = generate(model, width=512, height=512, position=(300, 250), scale=90.0)
    position, scale = placement(interpolate(a, b, 3, model)[1], model)
    assert position[0] == pytest.approx([200, 200], abs=0.1)
    assert scale[0] == pytest.approx(60, abs=0.1)


@pytest.mark.parametrize("easing", ["linear", "ease in and out", "ease in", "ease out"])
def test_easings_are_monotonous(model, easing):
    a, b = generate(model), generate(model, pose=(30, 0, 0))
    assert (np.diff(interpolate(a, b, 7, model, easing).pose[:, 0]) > 0).all()


def test_interpolation_refuses_what_it_cannot_do(model):
    a = generate(model, width=512)
    with pytest.raises(ValueError, match="canvases differ"):
        interpolate(a, generate(model, width=640), 3, model)
    with pytest.raises(ValueError, match="at least 2"):
        interpolate(a, a, 1, model)
    with pytest.raises(ValueError, match="bouncy"):
        interpolate(a, a, 3, model, "bouncy")


def test_smoothing_calms_noise_and_keeps_movement(model):
    rng = np.random.default_rng(0)
    clean = np.c_[np.linspace(-30, 30, 48), np.zeros((48, 2))]
    noisy = Target(pose=clean + rng.normal(size=clean.shape), expression=np.zeros((48, 52)))
    calm = smooth(noisy, 0.5)
    inner = slice(6, -6)  # the ends have neighbours on one side only
    assert np.abs(calm.pose - clean)[inner].mean() < 0.6 * np.abs(noisy.pose - clean)[inner].mean()
    assert smooth(noisy, 0.0) is noisy
    assert len(smooth(noisy, 1.0).pose) == 48


def test_smoothing_goes_round_the_half_turn():
    pose = np.c_[np.zeros((9, 2)), [176, 178, 180, -178, -176, -174, -172, -170, -168]]
    calm = smooth(Target(pose=pose, expression=np.zeros((9, 52))), 0.3)
    assert (np.abs(calm.pose[:, 2]) > 160).all()


def test_a_sequence_of_one_person_with_gaps(model, person):
    frames = [person(3, (yaw, 0, 0))[1] for yaw in (-20, -10, 0, 10, 20)]
    fits = fit_sequence([frames[0], None, frames[2], np.full((68, 2), np.nan), frames[4]], model)
    assert [fit is None for fit in fits] == [False, True, False, True, False]
    target, notes = target_from_fits(fits, [(1024, 1024)] * 5, in_place=True)
    assert target.pose[:, 0] == pytest.approx([-20, -10, 0, 10, 20], abs=3.5)
    assert "frame 2, 4" in notes[0]
    assert target.position[2] == pytest.approx([0.5, 480 / 1024], abs=0.02)
    with pytest.raises(ValueError, match="none of the 2 target frames"):
        fit_sequence([None, None], model)


def test_landmarks_as_target_of_another_person(model):
    source = generate(
        model, np.ones(5), (25, 5, 0), model.coefficients({"jawOpen": 0.5}), 800, 600, (300, 280), 90.0
    )
    target = target_from_landmarks(source, model)
    assert target.pose[0] == pytest.approx([25, 5, 0])
    assert target.position[0] * [800, 600] == pytest.approx([300, 280], abs=0.05)
    assert target.scale[0] * 600 == pytest.approx(90, abs=0.05)


HEADER = "Timecode,BlendShapeCount,EyeBlinkLeft,JawOpen,HeadYaw,HeadPitch,HeadRoll"


def test_live_link_face_csv(model):
    text = f"{HEADER}\n00:00:01:00.000,61,0.5,0.25,0.1,-0.2,0.05\n00:00:01:01.000,61,0,1.5,0,0,0\n"
    target, notes = target_from_capture(text, model, "take1.csv")
    assert target.pose[0] == pytest.approx(np.rad2deg([0.1, -0.2, 0.05]))
    assert target.expression[0, model.expression_index["eyeBlinkLeft"]] == 0.5
    assert target.expression[1, model.expression_index["jawOpen"]] == 1.0
    assert "take1.csv lacks" in notes[0]
    assert "46 more" in notes[0]


def test_csv_without_head_keeps_still(model):
    target, notes = target_from_capture("JawOpen\n0.5\n\n0.6\n", model)
    assert not target.pose.any()
    assert len(target.pose) == 2
    assert any("keeps still" in note for note in notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a,b,c\n1,2,3\n", "no ARKit column"),
        (HEADER + "\n", "no frames"),
        (HEADER + "\nx,61,0.5,oops,0,0,0\n", "line 2: jawOpen is 'oops'"),
        (HEADER + "\nx,61,0.5\n", "line 2: jawOpen is 'nothing'"),
        (HEADER + "\nx,61,nan,0,0,0,0\n", "eyeBlinkLeft is nan"),
        ('{"smirk": 1}', "smirk"),
        ("[1, 2]", "one object"),
        ("[]", "one object"),
        ('{"jawOpen": "wide"}', "must be a number"),
        ("{broken", "not JSON"),
    ],
)
def test_broken_capture_is_named(model, text, message):
    with pytest.raises(ValueError, match=message):
        target_from_capture(text, model)


HOSTILE = {
    "a cell of 140 kB": "JawOpen\n" + "x" * 140_000,
    "a header of 140 kB": "x" * 140_000 + "\n1",
    "a quote without end": 'JawOpen\n"1\n2',
    "NUL": "JawOpen\n\0\n",
    "a cell of two lines": 'JawOpen\n"a\nb"\n',
    "a cell that cannot be shown": "JawOpen\n\x1b[31m\n",
    "an endless angle": "JawOpen,HeadYaw\n0,1e308\n0,1\n",
    "an angle that is none": "JawOpen,HeadYaw\n0,101\n0,1\n",
    "an infinite coefficient": "JawOpen\n1e999\n",
    "10 to the power of 400": '[{"jawOpen":' + "9" * 400 + "}]",
    "5000 digits": '[{"jawOpen":' + "9" * 5000 + "}]",
    "NaN": '[{"jawOpen":NaN}]',
    "nested": "[" * 100_000,
    "nested objects": '{"a":' * 100_000,
    "a name of 100 kB": '[{"' + "x" * 100_000 + '":1}]',
    "a name of two lines": '[{"x\\ny":1}]',
    "a surrogate": '[{"\\ud800":1}]',
    "a value of 100 kB": '[{"jawOpen":"' + "x" * 100_000 + '"}]',
    "a value that is an object": '[{"jawOpen":{"a":[1,2]}}]',
    "frames of numbers": '{"frames":[1]}',
    "blank lines": "\n\n\n",
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("source", ["take.csv", "x" * 300 + "\n.csv"], ids=["short", "long"])
def test_hostile_captures_are_one_line(model, kind, source):
    with pytest.raises(ValueError, match=r"^take|^x") as caught:
        target_from_capture(HOSTILE[kind], model, source)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("kind", [kind for kind, text in HOSTILE.items() if text[0] in "[{"])
def test_hostile_coefficients_are_one_line(model, kind):
    with pytest.raises(ValueError, match=r"^arkit_json") as caught:
        coefficients_from_json(HOSTILE[kind].strip("[]") if kind.startswith("a ") else HOSTILE[kind], model)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_capture_after_blank_lines_is_read(model):
    target, _ = target_from_capture("\n\nJawOpen\n0.5\n", model)
    assert len(target.pose) == 1


def test_capture_files_that_cannot_be_read(model, tmp_path):
    (tmp_path / "folder").mkdir()
    large = tmp_path / "large.csv"
    with large.open("wb") as file:
        file.truncate(33 << 20)
    for path, message in (
        (tmp_path / "gone.csv", "there is no file"),
        (tmp_path / "folder", "is not a file"),
        (large, "has 33 MB"),
    ):
        with pytest.raises(ValueError, match=message):
            read_capture(path, model)
    (tmp_path / "take.csv").write_bytes(b"\xef\xbb\xbfJawOpen\n0.5\n")
    assert read_capture(tmp_path / "take.csv", model)[0].expression.max() == 0.5


def test_a_turning_head_is_smoothed(model):
    text = "JawOpen,HeadYaw\n" + "".join(f"0,{k}\n" for k in range(100))
    assert np.isfinite(smooth(target_from_capture(text, model)[0], 1.0).pose).all()


@pytest.mark.parametrize("place", [{"scale": 1e9}, {"position": (1e9, 0.0)}])
def test_places_beyond_any_picture_are_refused(model, place):
    with pytest.raises(ValueError, match="at most 1e"):
        generate(model, **place)


def test_arkit_json(model):
    assert coefficients_from_json("", model) == {}
    assert coefficients_from_json('{"jawOpen": 0.4}', model) == {"jawOpen": 0.4}
    target, _ = target_from_capture('{"frames": [{"jawOpen": 0.4}, {}]}', model)
    assert target.expression[:, model.expression_index["jawOpen"]] == pytest.approx([0.4, 0])
    with pytest.raises(ValueError, match="object of names"):
        coefficients_from_json("[0.4]", model)


def test_expression_sheet(model):
    batch, labels = expression_batch(model, ["neutral", "Surprise", "wink"], 256, 256, head={"yaw": 10.0})
    assert labels == ("Neutral", "Surprise", "Wink")
    assert batch.pose[:, 0] == pytest.approx([10, 10, 10])
    assert batch.expression[1, model.expression_index["jawOpen"]] > 0.4
    sheet = grid(draw(batch), labels, columns=2, cell=128)
    assert sheet.shape == (256, 256, 3)
    assert not sheet[128:, 128:].any()
    everything, _ = expression_batch(model, [], 128, 128)
    assert len(everything) >= 10


def test_captions_stand_below_the_picture(model):
    pictures = draw(generate(model, width=256, height=256))
    assert captioned(pictures, ()) is pictures
    told = captioned(
        pictures, ("Lips cannot press while the jaw is open, and this line is long enough to wrap", "ä")
    )
    assert np.array_equal(told[:, :256], pictures)
    assert told.shape[2] == 256
    assert told[:, 256:].max() > 200


def test_contact_sheets_of_every_slider_for_two_people(model, artifacts, photo_faces):
    shapes = {
        "obama": fit_faces([photo_faces[name][0] for name in ("obama", "obama2", "obama3")], None, model)[
            0
        ].shape,
        "biden": fit_face(photo_faces["biden"][0], model).shape,
    }
    sheets = {}
    for name, shape in shapes.items():
        sheets[name] = slider_sheet(model, shape, 120)
        Image.fromarray(sheets[name]).save(artifacts / f"sliders_{name}.png")
    assert sheets["obama"].shape == sheets["biden"].shape == (14 * 120, 1200, 3)
    assert not np.array_equal(sheets["obama"], sheets["biden"])
