"""Photos become a head, and the head a picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hifi_portrait.faces.open_analyzer import OpenAnalyzer
from hifi_portrait.faces.pictures import NamedImage, read_image
from hifi_portrait.faces.references import ReferenceOptions, load_references
from hifi_portrait.head.fuse import fuse_head
from hifi_portrait.head.light import flat_light, light_from
from hifi_portrait.head.relight import light_of_picture
from hifi_portrait.head.render import render_head
from hifi_portrait.landmarks.fit import fit_face
from hifi_portrait.landmarks.generate import generate
from hifi_portrait.landmarks.landmarks import concatenate
from hifi_portrait.landmarks.model import FaceModel


@pytest.fixture(scope="module")
def analyzer(face_models):
    return OpenAnalyzer([face_models])


@pytest.fixture(scope="module")
def images(photos):
    return {
        name: NamedImage(name, read_image(photos[name])) for name in ("obama", "obama2", "obama3", "biden")
    }


@pytest.fixture(scope="module")
def head(images, analyzer):
    return fuse_head(load_references([images["obama"], images["obama3"]], analyzer), 512)


def landmarks(head, yaw=0.0, size=256, **expression):
    model = FaceModel.load()
    return generate(
        model, head.shape, (yaw, 0, 0), model.coefficients(expression), size, size, scale=size * 0.2
    )


def pixels(output):
    return (output.over(0.5)[0].numpy() * 255 + 0.5).astype(np.uint8)


def test_a_render_is_recognised_as_the_person_of_another_photo(head, images, analyzer):
    wanted = analyzer.analyze(images["obama2"].pixels, "")[0].embedding
    other = analyzer.analyze(images["biden"].pixels, "")[0].embedding
    for yaw in (-25, 0, 25):
        seen = analyzer.analyze(pixels(render_head(head, landmarks(head, yaw, 512))), "")[0].embedding
        assert seen @ wanted > 0.5
        assert seen @ other < 0.3


def test_a_render_turns_as_the_landmarks_say(head, analyzer):
    for yaw in (-25, 25):
        found = analyzer.analyze(pixels(render_head(head, landmarks(head, yaw, 512))), "")[0]
        pose = fit_face(found.landmarks, FaceModel.load(), shape=head.shape).pose
        assert abs(pose[0] - yaw) < 6


def test_weight_zero_is_not_there(images, analyzer):
    both = load_references(
        [images["obama"], images["obama2"]], analyzer, ReferenceOptions(weights=(1.0, 0.0))
    )
    alone = load_references([images["obama"]], analyzer, ReferenceOptions(weights=(1.0,)))
    a, b = fuse_head(both, 256), fuse_head(alone, 256)

    np.testing.assert_array_equal(a.texture, b.texture)
    np.testing.assert_array_equal(a.geometry, b.geometry)
    assert a.sources == ("obama",)


def test_order_changes_nothing(images, analyzer):
    chosen = [images["obama"], images["obama2"], images["obama3"]]
    forward, backward = (fuse_head(load_references(p, analyzer), 256) for p in (chosen, chosen[::-1]))
    for name in ("texture", "opacity", "confidence", "geometry", "light"):
        np.testing.assert_array_equal(getattr(forward, name), getattr(backward, name))
    assert sum(forward.shares) == pytest.approx(1)


def test_references_without_source_pixels_are_refused(images, analyzer):
    references = load_references([images["obama"]], analyzer)
    bare = replace(references, faces=tuple(replace(face, photo=None) for face in references.faces))
    with pytest.raises(ValueError, match="Load Reference Faces"):
        fuse_head(bare)
    with pytest.raises(ValueError, match="1024"):
        fuse_head(references, 1000)


def test_a_batch_equals_its_pictures_one_by_one(head):
    single = [landmarks(head, yaw) for yaw in (-20, 30)]
    batch = render_head(head, concatenate(single))
    for row, one in enumerate(single):
        alone = render_head(head, one)
        for name in ("picture", "alpha", "confidence", "depth", "normals"):
            assert torch.equal(getattr(batch, name)[row], getattr(alone, name)[0])


def test_render_holds_its_ranges_and_shapes(head):
    output = render_head(head, landmarks(head, 40, jawOpen=0.7), width=320, height=240)
    assert output.picture.shape == (1, 240, 320, 3)
    for name in ("picture", "alpha", "confidence", "depth", "normals"):
        values = getattr(output, name)
        assert values.dtype == torch.float32
        assert float(values.min()) >= 0
        assert float(values.max()) <= 1
    assert float(output.alpha.max()) > 0.999
    assert (output.confidence <= output.alpha + 1e-6).all()


def test_a_head_outside_of_the_canvas_is_an_empty_picture(head):
    model = FaceModel.load()
    far = generate(model, head.shape, (0, 0, 0), None, 128, 128, position=(-900, -900), scale=30)
    assert float(render_head(head, far).alpha.max()) == 0


def test_light_from_a_side_brightens_that_side(head):
    marks = landmarks(head)
    flat = render_head(head, marks, light=flat_light()).picture[0].mean(-1)
    right = render_head(head, marks, light=light_from(80, 10, 0.3)).picture[0].mean(-1)
    left = render_head(head, marks, light=light_from(-80, 10, 0.3)).picture[0].mean(-1)
    half = marks.width // 2
    assert right[:, half:].sum() > flat[:, half:].sum() > left[:, half:].sum()
    assert left[:, :half].sum() > flat[:, :half].sum() > right[:, :half].sum()


def test_light_of_a_picture_is_found_again(head):
    marks, wanted = landmarks(head, 15), light_from(50, 30, 0.4)
    lit = pixels(render_head(head, marks, light=wanted))
    found = light_of_picture(lit, marks, head)
    again = pixels(render_head(head, marks, light=found)).astype(int)
    plain = pixels(render_head(head, marks)).astype(int)
    assert np.abs(again - lit).mean() < 0.35 * np.abs(plain - lit).mean()


def test_fusing_tells_how_far_it_is_and_can_be_stopped(images, analyzer):
    references = load_references([images["obama"], images["obama3"]], analyzer)
    seen = []
    fuse_head(references, 256, lambda *step: seen.append(step))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        fuse_head(references, 256, stop)


def frontal(head):
    return render_head(head, landmarks(head, 0, 256)).picture[0].numpy()


def test_what_only_one_photo_shows_in_front_is_left_out(images, analyzer):
    covered = images["obama2"].pixels.copy()
    cheek = analyzer.analyze(covered, "")[0].landmarks[50, :2].astype(int)
    cv2.circle(covered, cheek.tolist(), 45, (40, 90, 200), -1)
    hidden = [images["obama"], NamedImage("covered", covered), images["obama3"]]
    plain = [images["obama"], images["obama2"], images["obama3"]]
    a, b = (frontal(fuse_head(load_references(p, analyzer), 512)) for p in (hidden, plain))
    blue = a[..., 2] - a[..., 0]
    assert (blue[100:180, 90:166] > 0.1).mean() < 0.005
    assert np.abs(a - b)[90:180, 90:166].mean() < 0.04


def test_a_black_and_white_photo_takes_the_colours_of_the_others(images, analyzer):
    grey = np.repeat(cv2.cvtColor(images["obama3"].pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    head = fuse_head(load_references([images["obama"], NamedImage("grey.jpg", grey)], analyzer), 256)
    alone = fuse_head(load_references([images["obama"]], analyzer), 256)
    redness = [np.median((p[..., 0] - p[..., 2])[100:170, 100:156]) for p in map(frontal, (head, alone))]
    assert redness[0] > 0.6 * redness[1]
    assert any("grey.jpg" in note for note in head.notes)


def test_a_closed_eye_is_skin_of_low_confidence(head):
    shown = render_head(head, landmarks(head, size=512))
    closed = render_head(head, landmarks(head, size=512, eyeBlinkLeft=1.0, eyeBlinkRight=1.0))
    points = landmarks(head, size=512).points[0]
    for rows in (range(36, 42), range(42, 48)):
        x, y = points[list(rows), :2].mean(0).round().astype(int)
        area = np.s_[0, y - 6 : y + 2, x - 8 : x + 9]
        # Iris and lashes are the darkest; skin is not, and shows no white of the eye.
        assert closed.picture[area].mean() > 1.3 * shown.picture[area].mean()
        assert closed.confidence[area].mean() < 0.3 * shown.confidence[area].mean()
