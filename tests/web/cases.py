"""Random faces, and where the server sees their landmarks."""

from typing import Any

import numpy as np
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.sliders import SliderTable
from hifi_portrait.landmarks.target import Target, generate_for


def random_cases(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Shapes, slider values (also absurd sums), canvases, and sometimes a target below the sliders."""
    rng = np.random.default_rng(seed)
    model, table = FaceModel.load(), SliderTable.load()
    cases = []
    for number in range(count):
        values = {
            s.id: round(float(rng.uniform(s.minimum, s.maximum)), 3)
            for s in table.sliders
            if rng.random() < 0.5
        }
        base = None
        if number % 3 == 0:
            expression = rng.uniform(0, 1, len(model.expression_names)) * (rng.random(52) < 0.3)
            base = {
                "pose": rng.uniform(-30, 30, 3).tolist(),
                "expression": expression.tolist(),
                "position": rng.uniform(0.3, 0.7, 2).tolist(),
                "scale": float(rng.uniform(0.1, 0.3)),
            }
        cases.append(
            {
                "shape": rng.normal(size=rng.integers(0, model.components + 1)).tolist(),
                "values": values,
                "width": int(rng.integers(64, 2048)),
                "height": int(rng.integers(64, 2048)),
                "base": base,
            }
        )
    return cases


def projected_by_server(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (72, 3) in px and expression (52,) of one case."""
    base, target = case["base"], None
    if base is not None:
        target = Target(
            pose=np.array([base["pose"]]),
            expression=np.array([base["expression"]]),
            position=np.array([base["position"]]),
            scale=np.array([base["scale"]]),
        )
    shape = np.array(case["shape"]) if case["shape"] else None
    made = generate_for(
        FaceModel.load(), case["values"], case["width"], case["height"], shape=shape, target=target
    )
    return made.points[0], made.expression[0]
