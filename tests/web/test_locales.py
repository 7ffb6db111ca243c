"""Every text of every node exists in every language of the host's, and the front end shows it."""

import json

import pytest

from authoring.locales import LANGUAGES, SYNTAX, english, faults, leaves, missing, read
from harness import ROOT
from harness.frontend import fetch_text, open_frontend, set_renderer, show_node, wait_until_ready

pytestmark = pytest.mark.host

GENERATE = "HiFiPortraitGenerateLandmarks"
FORGETFUL = "1.32.9"
"""A front end that, when it loads a language's own texts, throws away those of packs."""
REMEDY = (
    "run `python -m authoring.locales`, which writes English and lists what the others lack; "
    "add the translations to locales/<language>/nodeDefs.json and run it again"
)


@pytest.mark.parametrize("language", LANGUAGES)
def test_complete(language, host):
    """Names, descriptions and tooltips of all nodes, and nothing else."""
    source = english(host.object_info())
    gaps = missing(language, source)
    assert not gaps, f"{language} lacks {len(gaps)} texts, first {gaps[:3]}: {REMEDY}"
    left_over = set(leaves(read(language))) - set(leaves(source))
    assert not left_over, f"{language} has texts of no node, such as {sorted(left_over)[:3]}: {REMEDY}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_choices_and_placeholders_stay(language):
    """A translated text keeps the quoted choices, and none has the front end's own signs."""
    assert faults(language, read("en")) == []


def test_signs_and_lost_choices_are_found(monkeypatch):
    source = {"Node": {"description": "For 'custom', %width% wide."}}
    spoiled = {"Node": {"description": "Wide: {width} or 'Custom' | %width%"}}
    monkeypatch.setattr("authoring.locales.read", lambda language: spoiled)
    found = faults("xx", source)
    assert [line.split(": ")[2][0] for line in found] == ["{", "}", "|", "'"]
    assert all(sign in "{}@|" for sign in SYNTAX)


def test_the_host_serves_them(host):
    served = json.loads(fetch_text(f"{host.url}/i18n"))
    for language in LANGUAGES:
        assert served[language]["nodeDefs"]["HiFiPortraitApplyHiFiNet"]["display_name"]


def choose(page, host, language: str) -> dict[str, str]:
    """Load the page in a language; labels of the inputs of a node that is then added."""
    set_renderer(host, "canvas", language)
    page.reload()
    wait_until_ready(page)
    labels = page.evaluate(
        """(kind) => {
          app.graph.clear()
          const node = LiteGraph.createNode(kind)
          app.graph.add(node)
          return Object.fromEntries(node.widgets.map((w) => [w.name, w.label]))
        }""",
        GENERATE,
    )
    page.wait_for_selector(".hifi-face button")
    return labels


@pytest.mark.browser
def test_every_language_of_the_host_opens(host, browser, artifacts):
    """No language that can be chosen lacks a translation, or keeps the page from its node definitions."""
    with open_frontend(host) as page:
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        offered = page.evaluate(
            "() => app.ui.settings.settingsLookup['Comfy.Locale'].options.map((o) => o.value ?? o)"
        )
        forgets = page.evaluate("() => window.__COMFYUI_FRONTEND_VERSION__") == FORGETFUL
        lacking = set(offered) - set(LANGUAGES)
        assert not lacking, f"add {sorted(lacking)} to LANGUAGES in authoring/locales.py, then {REMEDY}"
        for language in offered[1:]:
            labels = choose(page, host, language)
            inputs = read(language)[GENERATE]["inputs"]
            for name in ("smile", "yaw", "keep_expression", "target_place"):
                assert forgets or labels[name] == inputs[name]["name"], f"{language}: {name}"
            words = ROOT / "web" / "data" / "words" / f"{language}.json"
            laugh = json.loads(words.read_text(encoding="utf-8"))["preset.laugh"]
            assert page.get_by_role("button", name=laugh, exact=True).count() == 1, language
            assert page.locator(".p-toast-message-error").count() == 0, language
            show_node(page, GENERATE)
            page.screenshot(path=artifacts / f"locale-{language}.png")
        assert errors == []


def test_every_node_has_a_help_page(host):
    folder = ROOT / "web" / "docs"
    for kind, definition in host.object_info().items():
        if not kind.startswith("HiFiPortrait"):
            continue
        page = folder / f"{kind}.md"
        assert page.is_file(), f"{kind} has no help page"
        text = page.read_text(encoding="utf-8")
        assert "![" in text, f"{kind}: no picture"
        assert "What to do when" in text, f"{kind}: no advice"
        for section in ("required", "optional"):
            for name in definition["input"].get(section, {}):
                assert f"`{name}`" in text, f"{kind}: {name} is not explained"
        served = fetch_text(f"{host.url}/extensions/hifi-portrait/docs/{kind}.md")
        assert served.splitlines() == text.splitlines()
