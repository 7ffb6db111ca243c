"""The head's UV layout for networks: targets and references agree with the render."""

import numpy as np
from hifi_portrait.head.model import HeadModel
from hifi_portrait.head.uv import head_uv_map
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.model import FaceModel
from hifi_portrait.landmarks.target_maps import target_arrays


def test_the_map_has_each_landmarks_own_uv_where_the_landmark_is():
    model = HeadModel.load()
    wanted = model.landmarks(
        np.stack([model.uv[np.argmax(model.source == g)] for g in range(len(model.mean))])
    )
    for yaw in (-20, 0, 20):
        shown = generate(FaceModel.load(), None, (yaw, 5, 0), None, 256, 256, scale=55)
        found = head_uv_map(shown)
        assert found.shape == (256, 256, 3)
        assert set(np.unique(found[..., 2])) == {0, 1}
        # Brows, nose and chin, which no cut of the texture and no hole is near.
        for index in (19, 24, 27, 30, 8):
            x, y = shown.points[0, index, :2]
            u, v, inside = found[int(y), int(x)]
            assert inside == 1
            assert np.hypot(*(wanted[index] - (u, v))) < 0.03


def test_a_network_of_either_layout_gets_its_own_map():
    shown = generate(FaceModel.load(), None, (0, 0, 0), None, 128, 128)
    first, other = (
        target_arrays(shown, 0, (16, 16), 8, "mesh72", with_uv=True, uv_map=made).uv_map
        for made in (None, head_uv_map)
    )
    assert first.shape == other.shape == (128, 128, 3)
    assert np.abs(first - other)[..., :2].max() > 0.05
    assert target_arrays(shown, 0, (16, 16), 8, "mesh72", with_uv=False, uv_map=head_uv_map).uv_map is None
