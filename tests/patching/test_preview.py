"""Preview People: who is where."""

import cv2
import torch
from hifi_portrait.patching.apply import applied_patches, apply_hifi_net
from hifi_portrait.patching.preview import draw_people, people_image, person_name
from hifi_portrait.patching.settings import PatchSettings

from tests.patching.small import make_landmarks


def test_preview_shows_who_is_where(model, hifi_net, identity, other_identity, artifacts):
    left = torch.zeros(96, 128)
    left[:, :64] = 1.0
    faces = [
        make_landmarks((yaw, 0.0, 5.0), width=1024, height=768, position=(x, 380.0), scale=130.0)
        for yaw, x in ((25.0, 280.0), (-20.0, 740.0))
    ]
    one = apply_hifi_net(
        model, hifi_net, identity, faces[0], PatchSettings(name="Ada", mask_feather=12), mask=left
    )
    two = apply_hifi_net(
        one, hifi_net, other_identity, faces[1], PatchSettings(mask_feather=12), mask=1 - left
    )
    patches = applied_patches(two)
    assert [person_name(patch, i) for i, patch in enumerate(patches)] == ["Ada", "Person 2"]
    picture = draw_people(patches, 1024, 768)
    assert picture.shape == (512, 683, 3)
    cv2.imwrite(str(artifacts / "people.png"), picture[..., ::-1])
    # Blue on the left, orange on the right, a soft seam between.
    corner, other = picture[480, 20].astype(int), picture[480, -20].astype(int)
    assert corner[2] > corner[0]
    assert other[0] > other[2]
    assert people_image(applied_patches(model), 64, 64).shape == (1, 512, 512, 3)
