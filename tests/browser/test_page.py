"""The offline page in a real browser: what it opens with, refuses, and makes of odd data."""

from pathlib import Path

import pytest

from dexar_widgets import Explorer
from dexar_widgets.widgets import html, wire
from tests.golden.cases import CASES, build

ROOT = Path(__file__).parents[2]


def test_it_opens_from_a_file_on_the_whole_answers_map(show):
    e = build()
    view = show(e)
    assert view.chosen() == []
    assert view.peak() == e.sequence_map().peak
    found = view.map_data()
    assert float(found["sum"]) == pytest.approx(float(e.sequence_map().values.sum()), rel=1e-5)
    assert float(found["high"]) == pytest.approx(float(e.sequence_map().values.max()), rel=1e-5)
    assert view.text(".wordlist") == e.generation.text
    assert "whole" in view.text("button[aria-pressed=true]").lower()


def test_its_policy_admits_nothing_but_its_own_script(show):
    view = show(build())
    policy = view.page.get_attribute("meta[http-equiv]", "content")
    assert policy.startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy
    assert view.page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')") == "refused"
    assert view.trouble and all("Content Security Policy" in line for line in view.trouble)
    view.trouble.clear()


def test_a_browser_from_before_light_dark_gets_a_light_page(show, monkeypatch):
    script = html.script_of("standalone.js").replace("light-dark(", "unknown(")
    monkeypatch.setattr(html, "script_of", lambda _name: script)
    page = show(build(), scheme="dark").page

    def style(selector, name):
        return page.eval_on_selector(selector, f"node => getComputedStyle(node).{name}")

    assert style(".dexar", "colorScheme") == "light"
    assert style(".dexar", "color") == "rgb(26, 29, 34)"
    assert style(".panel", "backgroundColor") == "rgb(255, 255, 255)"


def test_text_from_the_model_is_text(show):
    hostile = [" <script>window.pwned=1</script>", " <img src=x onerror=pwned=1>", " </script>", " &amp;", "<!--"]
    e = build(pieces=hostile, prompt="</script><b>bold?</b> \u2028 ' \"")
    view = show(e)
    assert view.page.evaluate("window.pwned") is None
    assert view.page.locator(".dexar b, .wordlist img").count() == 0
    assert view.word(0).inner_text() == "<script>window.pwned=1</script>"
    assert view.word(2).inner_text() == "</script>"
    assert view.text(".wordlist") == e.generation.text
    assert "</script><b>bold?</b>" in view.text(".question")
    view.word(2).click()
    assert "“</script>”" in view.text(".reason")


@pytest.mark.parametrize("name", ["one_step", "one_cell", "three_to_one", "summary_only", "delta_near_zero"])
def test_odd_shapes_have_a_decent_face(show, name):
    e = CASES[name]()
    view = show(e)
    assert view.text(".summary").startswith(("Peak ", "The map "))
    view.word(0).click()
    want = e.heatmap(step=0)
    assert float(view.map_data()["sum"]) == pytest.approx(float(want.values.sum()), rel=5e-3, abs=1e-6)
    stage = view.page.locator(".stage").bounding_box()
    width, height = e.layout.grids[0].image_size
    assert stage["width"] / stage["height"] == pytest.approx(width / height, rel=0.01)


def test_the_map_covers_the_grids_box_only(show):
    view = show(CASES["three_to_one"]())  # 90×30 pixels, the grid sees columns 15 to 75
    stage, canvas = (view.page.locator(name).bounding_box() for name in (".stage", ".stage canvas"))
    assert canvas["x"] - stage["x"] == pytest.approx(stage["width"] * 15 / 90, abs=1)
    assert canvas["width"] == pytest.approx(stage["width"] * 60 / 90, abs=1)
    assert canvas["height"] == pytest.approx(stage["height"], abs=1)


def test_an_answer_that_is_silenced_throughout_says_so(show):
    e = CASES["all_silenced"]()
    view = show(e)
    assert view.counts()["silenced"] == len(e.generation.words)
    assert "no head reads more from the image" in view.text(".summary")
    assert max(view.pixels()) == 0
    view.page.keyboard.press("h")
    assert "every word of the answer is silenced" in view.text(".summary")
    view.page.keyboard.press("f")
    assert view.text(".summary").startswith("Peak ")


def test_what_a_summary_does_not_hold_is_not_offered(show):
    view = show(CASES["summary_only"]())
    heads = view.page.get_by_role("radiogroup", name="Head filter")
    assert heads.get_by_role("radio", name="Top share").is_disabled()
    assert view.page.get_by_label("Positive gradients only").is_disabled()
    view.page.get_by_label("Which text the image is compared with").select_option("released")
    assert view.text(".summary").startswith(("Peak ", "The map is"))


def test_data_of_another_version_are_refused_in_words(show, monkeypatch):
    monkeypatch.setattr(wire, "VERSION", 99)
    view = show(html.page(build()))
    assert "format version 99, this page reads 2" in view.text("[role=alert]")


@pytest.mark.parametrize(
    "traits",
    [
        {"head_filter": 0.25, "filler_filter": 0.35},
        {"text_set": "content", "relu": False},
        {"preset": "released"},
        {"heads": [[0, 1], [3, 2]], "steps": [2]},
    ],
    ids=str,
)
def test_the_page_of_a_view_holds_the_numbers_that_the_view_shows(show, traits):
    e = build(steps=8, layers=24, heads=24, grid=(14, 14), size=(56, 56))  # more than a page holds of itself
    explorer = Explorer(e, **traits)
    view = show(explorer.to_html())
    given = {name: value for name, value in traits.items() if name != "steps"}
    want = e.heatmap(traits["steps"], **given) if "steps" in traits else e.sequence_map(**given)
    assert view.total() == pytest.approx(float(want.values.sum()), rel=0.01, abs=0.01 * float(abs(want.values).sum()))
    assert "not in this copy" not in view.text(".summary")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_accessibility_violation(show, scheme, width):
    view = show(build(), scheme=scheme, width=width)
    view.word(1).click()
    assert view.violations() == []
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_bundle_and_page_keep_their_size():
    static = ROOT / "dexar_widgets" / "widgets" / "static"
    assert (static / "widget.js").stat().st_size <= 80_000  # a notebook stores it once per widget
    assert (static / "standalone.js").stat().st_size <= 150_000
    demo = build(steps=8, layers=4, heads=4, grid=(12, 12), size=(384, 384))  # noise: the worst image for PNG
    assert len(demo.to_html()) <= 3_000_000
    one_step = build(steps=1, layers=32, heads=32, grid=(24, 24), size=(96, 96))
    assert len(one_step.to_html()) <= 1_200_000
