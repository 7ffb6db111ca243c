"""Every text of every node exists in every language, and the front end shows it."""

import json

import pytest

from authoring.locales import LANGUAGES, english, leaves, missing, read
from harness import ROOT
from harness.frontend import fetch_text, open_frontend, show_node

pytestmark = pytest.mark.host

VALUES = ("'custom'", "'nothing'", "'zero identity'", "'tiny (shipped)'", "antelopev2", "mesh72", "kps5")


@pytest.mark.parametrize("language", LANGUAGES)
def test_complete(language, host):
    """Names, descriptions and tooltips of all nodes; ``python -m authoring.locales`` lists gaps."""
    assert missing(language, english(host.object_info())) == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_left_over(language, host):
    assert set(leaves(read(language))) <= set(leaves(english(host.object_info())))


def test_values_that_an_artist_types_stay_as_they_are():
    """A translated text keeps the quoted choices of the English one."""
    source = leaves(read("en"))
    for language in LANGUAGES[1:]:
        for path, text in leaves(read(language)).items():
            for word in (
                "'custom'",
                "'nothing'",
                "'zero identity'",
                "'tiny (shipped)'",
                "antelopev2",
                "mesh72",
                "kps5",
            ):
                assert (word in text) == (word in source[path]), f"{language}: {'/'.join(path)}: {word}"


def test_the_host_serves_them(host):
    served = json.loads(fetch_text(f"{host.url}/i18n"))
    for language in LANGUAGES:
        assert served[language]["nodeDefs"]["HiFiPortraitApplyHiFiNet"]["display_name"]


@pytest.mark.browser
def test_german_front_end(host, browser, artifacts):
    kind = "HiFiPortraitGenerateLandmarks"
    with open_frontend(host, locale="de") as page:
        shown = page.evaluate(
            """(kind) => {
              app.graph.clear()
              const node = LiteGraph.createNode(kind)
              app.graph.add(node)
              const label = node.widgets.find((w) => w.name === 'smile').label
              return [node.title, label, node.widgets.map((w) => w.name)]
            }""",
            kind,
        )
        page.wait_for_selector(".hifi-face")
        show_node(page, kind)
        page.screenshot(path=artifacts / "german.png")
        assert shown[0] == read("de")[kind]["display_name"]
        assert shown[1] == "Lächeln"
        assert "smile" in shown[2]
        assert page.get_by_role("button", name="Lachen").count() == 1


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
