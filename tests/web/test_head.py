"""The person in the widget: the server's mesh and pose, in WebGL and without it, from one small file."""

from __future__ import annotations

import base64
import io
from types import SimpleNamespace

import numpy as np
import pytest
from hifi_portrait.head.expression import expressed
from hifi_portrait.head.model import REGIONS, HeadModel
from hifi_portrait.head.mouth import lips_closed
from hifi_portrait.head.widget import widget_file
from hifi_portrait.landmarks.camera import project, rotation
from PIL import Image

from harness.frontend import modules_page

pytestmark = pytest.mark.browser

SIZE = 240

DRAW = """
async ({ file, pose, expression, place, size, draft, gl }) => {
  const { HeadMesh } = await import('/web/src/head_mesh.js')
  const { readPerson } = await import('/web/src/head_person.js')
  const { HeadView } = await import('/web/src/head_view.js')
  const { HeadGl } = await import('/web/src/head_gl.js')
  const { HeadRaster } = await import('/web/src/head_raster.js')
  const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0))
  const mesh = (globalThis.mesh ??= await HeadMesh.load())
  const renderer = gl ? HeadGl.create(mesh, true) : new HeadRaster(mesh)
  if (!renderer) return null
  const view = new HeadView(mesh, await readPerson(bytes.buffer), renderer)
  const canvas = document.createElement('canvas')
  canvas.width = canvas.height = size
  const ctx = canvas.getContext('2d')
  const frame = { x: 0, y: 0, width: size, height: size }
  view.draw(ctx, frame, place, pose, Float32Array.from(expression), draft)
  return { vertices: [...view.vertices], picture: canvas.toDataURL() }
}
"""


def person(size: int = 256):
    """A head whose colours tell its UV coordinates: red goes to the right, green down."""
    model = HeadModel.load()
    geometry = model.mean + 0.5 * model.identity[0]
    v, u = np.mgrid[:size, :size] / (size - 1)
    texture = np.stack([55 + 200 * u, 55 + 200 * v, np.full_like(u, 90)], -1).astype(np.uint8)
    return SimpleNamespace(
        geometry=geometry.astype(np.float32), texture=texture, opacity=np.full((size, size), 255, np.uint8)
    )


@pytest.fixture(scope="module")
def page(browser):
    with modules_page() as page:
        yield page


def draw(page, head, pose=(0, 0, 0), expression=None, gl=True, size=SIZE, draft=False):
    file = base64.b64encode(widget_file(head)).decode()
    place = {"cx": size / 2, "cy": size * 0.45, "scale": size / 5}
    found = page.evaluate(
        DRAW,
        {
            "file": file,
            "pose": list(pose),
            "expression": [0.0] * 52 if expression is None else list(expression),
            "place": place,
            "size": size,
            "draft": draft,
            "gl": gl,
        },
    )
    if found is None:
        pytest.skip("this browser has no WebGL 2")
    picture = Image.open(io.BytesIO(base64.b64decode(found["picture"].split(",")[1])))
    return np.reshape(found["vertices"], (-1, 3)), np.asarray(picture, np.float32), place


@pytest.mark.parametrize("pose", [(0, 0, 0), (35, 0, 0), (-20, 15, 10), (5, -25, -15)])
def test_vertices_are_the_servers(page, pose):
    model, head = HeadModel.load(), person()
    expression = np.zeros(52)
    expression[[model.expression_names.index(n) for n in ("jawOpen", "mouthSmileLeft")]] = 0.7, 0.9
    found, _, _ = draw(page, head, pose, expression, gl=False)
    geometry = head.geometry + model.expressed(expression) + lips_closed(model, head.geometry, expression)
    expected = model.posed(geometry, rotation(*pose))[model.source]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def blink(*sides):
    model = HeadModel.load()
    expression = np.zeros(52)
    expression[[model.expression_names.index(f"eyeBlink{side}") for side in sides]] = 1.0
    return expression


def test_lids_close_as_the_servers_do_on_this_persons_eyes(page):
    model, head = HeadModel.load(), person()
    head.geometry[model.geometry_region == REGIONS.index("lids"), 1] *= 1.5
    for expression in (blink("Left"), 0.6 * blink("Left", "Right")):
        found, _, _ = draw(page, head, expression=expression, gl=False)
        geometry = head.geometry + expressed(model, head.geometry, expression)
        expected = (geometry + lips_closed(model, head.geometry, expression))[model.source]
        np.testing.assert_allclose(found, expected, atol=2e-3)
    assert np.abs(expected - (head.geometry + model.expressed(expression))[model.source]).max() > 0.02


@pytest.mark.parametrize("gl", [True, False], ids=["webgl", "canvas"])
def test_a_closed_lid_shows_skin_and_not_the_open_eye(page, gl):
    model, head = HeadModel.load(), person()
    head.texture[:] = 160
    for x, y in np.round(model.uv[model.in_region("lids")] * 255).astype(int):
        head.texture[y - 1 : y + 2, x - 1 : x + 2] = (200, 0, 0)
    lids = {}
    for name, expression in (("open", None), ("right", blink("Right")), ("both", blink("Left", "Right"))):
        picture = draw(page, head, expression=expression, gl=gl)[1]
        red = (picture[..., 0] > 150) & (picture[..., 1] < 60)
        lids[name] = red[:, : SIZE // 2].sum(), red[:, SIZE // 2 :].sum()
    assert min(lids["open"]) > 20
    assert lids["right"][0] < 0.3 * lids["right"][1]
    assert max(lids["both"]) < 0.3 * min(lids["open"])


@pytest.mark.parametrize("gl", [True, False], ids=["webgl", "canvas"])
def test_a_place_is_drawn_where_the_landmarks_camera_sees_it(page, gl):
    """The nose tip has the colour of its UV coordinates, at the place where landmarks are projected."""
    model, head, pose = HeadModel.load(), person(), (25, -10, 5)
    _, picture, place = draw(page, head, pose, gl=gl)
    posed = model.posed(head.geometry, rotation(*pose))
    nose = int(np.argmax(head.geometry[:, 2]))
    x, y, _ = project(posed[nose], np.eye(3), place["scale"], (place["cx"], place["cy"]))
    u, v = model.uv[np.argmax(model.source == nose)]
    seen = picture[round(y - 0.5), round(x - 0.5)]
    assert seen[3] == 255
    np.testing.assert_allclose(seen[:3], [55 + 200 * u, 55 + 200 * v, 90], atol=14)


def test_both_renderers_draw_the_same(page, artifacts):
    pictures = []
    for pose in ((0, 0, 0), (-40, 10, 0), (70, 0, 0)):
        pair = [draw(page, person(), pose, gl=gl)[1] for gl in (True, False)]
        covered = [p[..., 3] > 128 for p in pair]
        overlap = (covered[0] & covered[1]).sum() / (covered[0] | covered[1]).sum()
        assert overlap > 0.97
        both = covered[0] & covered[1]
        assert np.median(np.abs(pair[0] - pair[1])[both]) < 6
        pictures.append(np.concatenate(pair))
    sheet = np.concatenate(pictures, 1)
    Image.fromarray(sheet.astype(np.uint8)).save(artifacts / "widget_head_renderers.png")


def test_while_it_moves_the_canvas_draws_coarser_but_the_same(page):
    fine, coarse = (draw(page, person(), gl=False, size=300, draft=d)[1] for d in (False, True))
    assert np.median(np.abs(fine - coarse)) < 4


def test_transparent_places_show_the_backdrop_only_at_the_outline(page):
    head = person()
    head.opacity[:] = 0
    for gl in (True, False):
        _, picture, _ = draw(page, head, gl=gl)
        covered = picture[..., 3]
        assert covered[int(SIZE * 0.5), SIZE // 2] == 255, "what faces the camera is solid"
        full = draw(page, person(), gl=gl)[1][..., 3]
        assert (covered > 128).sum() < 0.99 * (full > 128).sum()


def test_the_file_is_small(page):
    rng = np.random.default_rng(0)
    head = person(1024)
    smooth = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
    head.texture = np.asarray(Image.fromarray(smooth).resize((1024, 1024), Image.Resampling.BICUBIC))
    assert len(widget_file(head)) < 400_000


def test_damaged_files_and_other_meshes_are_refused_with_words(page):
    head = person()
    head.geometry = head.geometry[:100]
    said = page.evaluate(
        """async (files) => {
          const { HeadMesh } = await import('/web/src/head_mesh.js')
          const { readPerson } = await import('/web/src/head_person.js')
          const { HeadView } = await import('/web/src/head_view.js')
          const mesh = await HeadMesh.load()
          const said = []
          for (const file of files) {
            try {
              const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0))
              new HeadView(mesh, await readPerson(bytes.buffer))
              said.push('')
            } catch (error) { said.push(error.message) }
          }
          return said
        }""",
        [
            base64.b64encode(raw).decode()
            for raw in (b"x" * 40, widget_file(person())[:-9000], widget_file(head))
        ],
    )
    assert "cut short" in said[0]
    assert "cut short" in said[1]
    assert "another mesh" in said[2]


def test_a_head_that_was_missing_is_fetched_when_it_is_there(page):
    """After the host's restart its temporary files are gone until the next run writes the same ones."""
    shown = page.evaluate(
        """async (file) => {
          const { HeadLoader } = await import('/web/src/head_loader.js')
          const bytes = Uint8Array.from(atob(file), (c) => c.charCodeAt(0))
          const there = URL.createObjectURL(new Blob([bytes]))
          const shown = []
          let place = '/web/nothing.safetensors'
          const loader = new HeadLoader(() => place, (head) => shown.push(!!head))
          const wanted = { filename: 'head.safetensors', subfolder: '', type: 'temp' }
          await loader.show(wanted)
          place = there
          await loader.show(wanted)
          await loader.show(wanted)
          return shown
        }""",
        base64.b64encode(widget_file(person())).decode(),
    )
    assert shown == [False, True]
