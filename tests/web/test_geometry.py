"""The widget's geometry is the server's: same file, same sliders, same limits, same camera."""

import numpy as np
import pytest

from harness.frontend import modules_page, projected_by_widget

from .cases import projected_by_server, random_cases

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def page(browser):
    with modules_page() as page:
        yield page


def test_projection_equals_the_server_on_random_faces(page):
    cases = random_cases(300)
    seen = projected_by_widget(page, cases)
    for case, widget in zip(cases, seen, strict=True):
        points, expression = projected_by_server(case)
        np.testing.assert_allclose(widget["expression"], expression, atol=1e-5)
        difference = np.abs(np.reshape(widget["points"], (72, 3)) - points).max()
        assert difference <= 0.01, f"{difference:.4f} px for {case['values']}"


def test_yaw_turns_the_nose_to_the_right_and_pitch_up(page):
    straight, turned, up = (
        np.reshape(case["points"], (72, 3))
        for case in projected_by_widget(
            page,
            [
                {"shape": [], "values": values, "width": 512, "height": 512}
                for values in ({}, {"yaw": 30}, {"pitch": 20})
            ],
        )
    )
    assert turned[30, 0] > straight[30, 0] + 10
    assert up[30, 1] < straight[30, 1] - 5


def test_a_handle_follows_the_mouse_as_far_as_a_face_allows(page):
    values = page.evaluate(
        """async () => {
          const { FaceModel } = await import('/web/src/face_model.js')
          const { SliderTable } = await import('/web/src/sliders.js')
          const { project, rotate, rotation } = await import('/web/src/camera.js')
          const { HANDLES, solve } = await import('/web/src/handles.js')
          const model = await FaceModel.load()
          const table = await SliderTable.load(model.names)
          const place = (values, point) => {
            const points = rotate(model.points([], table.expression(values)), rotation(15, 0, 0))
            const p = project(points, table.placement(values, 512, 512))
            return [p[3 * point], p[3 * point + 1]]
          }
          const pull = (id, dx, dy) => {
            const handle = HANDLES.find((h) => h.id === id)
            const start = Object.fromEntries(handle.sliders.map((s) => [s, 0]))
            const [x, y] = place(start, handle.point)
            const found = solve(handle.sliders, start, (v) => place(v, handle.point), [x + dx, y + dy], 87,
              (s, v) => table.clamp(s, v))
            const [fx, fy] = place(found, handle.point)
            return { found, left: Math.hypot(fx - x - dx, fy - y - dy), pulled: Math.hypot(dx, dy) }
          }
          return {
            smile: pull('mouth_corner_left', 5, -8), open: pull('lower_lip', 0, 20),
            close: pull('lid_left', 0, 5), lower: pull('brow_inner_right', 0, 2),
            far: pull('lower_lip', 0, 900)
          }
        }"""
    )
    assert values["smile"]["found"]["smile"] > 0.1
    assert values["open"]["found"]["mouth_open"] > 0.1
    assert values["close"]["found"]["eye_closed_left"] > 0.1
    assert values["lower"]["found"]["brows_lower"] > 0.1
    assert values["far"]["found"]["mouth_open"] == 1.0
    for name in ("smile", "open", "close"):
        assert values[name]["left"] < 0.5 * values[name]["pulled"], name
    # Brows come together as they are lowered: the end cannot go straight down.
    assert values["lower"]["left"] < values["lower"]["pulled"]


def test_mirror_twice_is_nothing_and_mirrors_the_picture(page):
    result = page.evaluate(
        """async () => {
          const { mirrored } = await import('/web/src/presets.js')
          const values = {
            yaw: 20, pitch: 3, roll: -4, eye_closed_left: 1, eye_closed_right: 0, gaze_horizontal: 0.5 }
          return [values, mirrored(values), mirrored(mirrored(values))]
        }"""
    )
    assert result[2] == result[0]
    assert result[1]["yaw"] == -20
    assert result[1]["eye_closed_right"] == 1


def test_presets_and_strings_are_complete(page):
    missing = page.evaluate(
        """async () => {
          const { FaceModel } = await import('/web/src/face_model.js')
          const { SliderTable } = await import('/web/src/sliders.js')
          const { en, OTHERS } = await import('/web/src/strings.js')
          const LANGUAGES = { en }
          for (const language of OTHERS) {
            LANGUAGES[language] = await (await fetch(`/web/data/words/${language}.json`)).json()
          }
          const { HANDLES } = await import('/web/src/handles.js')
          const { POSES } = await import('/web/src/presets.js')
          const table = await SliderTable.load((await FaceModel.load()).names)
          const needed = [
            ...Object.keys(en), ...table.presets.map((p) => `preset.${p.id}`),
            ...table.groups.map((g) => `group.${g.id}`), ...POSES.map((p) => `pose.${p.id}`),
            ...HANDLES.map((h) => `handle.${h.id}`)
          ]
          const unknown = HANDLES.flatMap((h) => h.sliders).filter((id) => !table.byId.has(id))
          return Object.entries(LANGUAGES).flatMap(([lang, words]) =>
            needed.filter((key) => !words[key]).map((key) => `${lang}: ${key}`)).concat(unknown)
        }"""
    )
    assert missing == []


def test_a_damaged_face_file_is_refused_with_words(page):
    messages = page.evaluate(
        """async () => {
          const { parseSafetensors } = await import('/web/src/safetensors.js')
          const { FaceModel } = await import('/web/src/face_model.js')
          const good = await (await fetch('/web/data/face72.safetensors')).arrayBuffer()
          const said = []
          for (const make of [
            () => parseSafetensors(good.slice(0, 4)),
            () => parseSafetensors(good.slice(0, good.byteLength - 10)),
            () => new FaceModel({ metadata: {}, tensors: {} })
          ]) {
            try { make(); said.push('') } catch (error) { said.push(error.message) }
          }
          return said
        }"""
    )
    assert "cut short" in messages[0]
    assert "cut short" in messages[1]
    assert "mean" in messages[2]
