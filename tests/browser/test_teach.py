"""Lessons, undo, full screen and help, in the offline page and, with a model to ask, in a real JupyterLab."""

import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.widgets import html
from tests.browser.hosts.notebook import eventually
from tests.browser.view import View, view_in
from tests.golden.cases import build

LESSON = [
    {"text": "First <b>look</b>.", "state": {"steps": [1], "head_filter": "none"}, "lock": True},
    {"text": "Then guess.", "state": {"layers": [1, 1]}, "quiz": {"question": "Where is it?"}, "lock": True},
    {"text": "Which?", "quiz": {"question": "What is it?", "choices": ["a cat", "a suitcase"], "answer": 1}},
]


def press(view: View, name: str) -> None:
    view.root.get_by_role("button", name=name, exact=True).click()


def test_a_lesson_leads_through_views_and_ranks_a_guess_as_python_does(show):
    e = build()
    view = show(html.page(e, lesson=LESSON))
    assert view.text(".lesson .figure") == "3 steps"
    press(view, "Start")
    assert view.text(".caption") == "First <b>look</b>."
    assert view.chosen() == [1]
    bare = float(e.heatmap(step=1, head_filter="none").values.sum())
    assert float(view.map_data()["sum"]) == pytest.approx(bare, rel=1e-5)
    press(view, "Next")
    assert max(view.pixels()) == 0
    assert "hidden until" in view.text(".summary")
    area = view.page.locator(".stage").bounding_box()
    view.page.locator(".stage").click(position={"x": area["width"] * 2.5 / 4, "y": area["height"] * 1.5 / 3})
    heat = e.heatmap(step=1, layers=1, head_filter="none").values
    rank = int((heat > heat[1, 2]).sum()) + 1
    place = "is the map’s peak" if rank == 1 else f"has rank {rank} of 12 cells"
    assert view.text(".verdict") == f"Your guess, row 2, column 3, {place}."
    assert float(view.map_data()["sum"]) == pytest.approx(float(heat.sum()), rel=1e-5)
    assert view.text(".summary").startswith("Peak ")
    press(view, "Next")
    assert "hidden until" in view.text(".summary")
    press(view, "a cat")
    assert view.text(".verdict") == "Not quite: it is “a suitcase”."
    press(view, "Back")
    assert "hidden until" in view.text(".summary")


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (400, 800)])
def test_a_lesson_that_runs_is_in_the_first_screen(show, width, height):
    view = show(html.page(build(), lesson=LESSON[1:]), width=width, height=height)
    lesson, image = (view.page.locator(name).bounding_box() for name in (".lesson", ".stage"))
    assert lesson["y"] + lesson["height"] <= height
    beside = lesson["x"] >= image["x"] + image["width"] and image["y"] < height / 2
    assert beside or lesson["y"] + lesson["height"] <= image["y"]
    assert beside == (width > 1000)


def test_a_lesson_begun_by_hand_is_brought_into_sight(show):
    view = show(build(), width=1366, height=500)
    view.page.get_by_role("tab", name="Teach").click()
    layers = view.page.locator(".layers").bounding_box()["y"]
    assert view.page.locator(".lesson").bounding_box()["y"] > layers
    press(view, "Start")
    box = view.page.locator(".lesson").bounding_box()
    assert -1 < box["y"] < view.page.locator(".layers").bounding_box()["y"]
    assert box["y"] + box["height"] <= 500


def test_a_locked_key_says_so(show):
    view = show(html.page(build(), lesson=LESSON[1:]))
    view.page.keyboard.press("h")
    assert "Locked by the lesson: H. Esc unlocks." in view.text(".lesson")
    view.page.keyboard.press("Escape")
    assert "Esc" not in view.text(".lesson")


def test_a_guess_can_be_made_with_keys(show):
    e = build()
    view = show(html.page(e, lesson=LESSON))
    for _ in range(2):
        view.page.keyboard.press("PageDown")
    view.page.focus(".stage canvas")
    for key in ["ArrowUp", "ArrowDown", "ArrowRight", "Enter"]:
        view.page.keyboard.press(key)
    assert view.text(".verdict").startswith("Your guess, row ")
    view.page.keyboard.press("PageDown")
    assert view.text(".lesson .figure") == "3 of 3"


def test_locked_controls_rest_until_escape(show):
    view = show(html.page(build(), lesson=LESSON))
    press(view, "Start")
    before = view.map_data()
    view.page.keyboard.press("h")
    assert view.map_data() == before
    with pytest.raises(Exception, match="Timeout"):
        view.word(0).click(timeout=300)
    assert view.chosen() == [1]
    view.page.locator(".stage").click()
    assert view.page.locator(".picked path[d]").count() == 0
    reached = []
    for _ in range(25):
        view.page.keyboard.press("Tab")
        reached.append(view.page.evaluate("document.activeElement.closest('.words, .layers, .controls')?.className"))
    assert set(reached) == {None}
    view.page.keyboard.press("Escape")
    view.word(0).click()
    assert view.chosen() == [0]
    view.page.locator(".stage").click()
    assert view.page.locator(".picked path[d]").count() > 0


def test_the_built_in_lesson_tells_of_the_explanation_at_hand(show):
    e = build()
    view = show(e)
    view.page.get_by_role("tab", name="Teach").click()
    press(view, "Start")
    words = [word for word in e.generation.words if word.text.isalpha()]
    weights = e.word_weights(e.options())
    best = max(words, key=lambda word: max(weights[list(word.steps)]))
    assert f"“{best.text}”" in view.text(".quiz")
    press(view, "Show the map")
    assert float(view.map_data()["sum"]) == pytest.approx(float(e.heatmap(step=best.steps).values.sum()), rel=1e-5)
    for number in range(2, 6):
        press(view, "Next")
        assert view.text(".lesson .figure") == f"{number} of 5"
    press(view, "End")
    assert view.text(".lesson .figure") == "5 steps"


def test_undo_and_redo_take_the_map_back_and_on(show):
    e = build()
    view = show(e)
    whole = float(view.map_data()["sum"])
    view.word(1).click()
    view.page.wait_for_timeout(500)
    view.page.keyboard.press("]")
    one = float(view.map_data()["sum"])
    assert one == pytest.approx(float(e.heatmap(step=1, layers=0).values.sum()), rel=1e-5)
    view.page.keyboard.press("Control+z")
    assert view.text(".layers .figure") == "all layers 0–2"
    press(view, "Undo")
    assert view.chosen() == []
    assert float(view.map_data()["sum"]) == whole
    assert view.page.get_by_role("button", name="Undo").get_attribute("aria-disabled") == "true"
    view.page.keyboard.press("Control+Shift+z")
    view.page.keyboard.press("Control+y")
    assert float(view.map_data()["sum"]) == one


def test_full_screen_shows_the_view_alone_and_scrolls(show):
    view = show(build(), height=500)
    button = view.page.get_by_role("button", name="Full screen")
    button.click()
    eventually(lambda: button.get_attribute("aria-pressed"), "true")
    seen = view.page.evaluate(
        "() => { const root = document.fullscreenElement; root.scrollTop = 200;"
        "return [root.className, root.scrollTop, getComputedStyle(root).backgroundColor]; }"
    )
    assert seen[0].startswith("dexar")
    assert seen[1] == 200
    assert seen[2] != "rgba(0, 0, 0, 0)"
    button.click()
    eventually(lambda: button.get_attribute("aria-pressed"), "false")


def test_the_help_keeps_the_focus_and_gives_it_back(show):
    view = show(build())
    opener = view.page.get_by_role("button", name="Keys and help")
    opener.click()
    for _ in range(6):
        view.page.keyboard.press("Tab")
        at = view.page.evaluate("[document.activeElement.localName, !!document.activeElement.closest('dialog')]")
        assert at[1] or at[0] == "body"  # the browser's own controls come between
    view.page.keyboard.press("h")
    assert view.counts()["kept"] < view.counts()["heads"]
    view.page.keyboard.press("Escape")
    assert not view.page.locator("dialog").is_visible()
    assert opener.evaluate("button => button === document.activeElement")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_lesson_has_no_accessibility_violation(show, scheme, width):
    view = show(html.page(build(), lesson=LESSON), scheme=scheme, width=width)
    for name in ["Start", "Next", "Show the map", "Next"]:
        press(view, name)
        assert view.violations() == [], name
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


LIVE = """
import dexar_widgets as dx
vlm = dx.load("lab/llava")
w = dx.Explorer(vlm)
w
"""


def test_an_image_chosen_in_lab_is_asked_about_and_the_keys_stay_with_the_view(lab, tmp_path):
    file = tmp_path / "scene.png"
    Image.fromarray(dx.lab.scene(7).image).save(file)
    notebook = lab(LIVE)
    notebook.run()
    panel = notebook.cell(0).get_by_role("region", name="Ask")
    panel.get_by_text("Drop an image here").wait_for()
    with notebook.page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Choose an image").click()
    chooser.value.set_files(file)
    panel.get_by_role("img", name="The image that will be asked about").wait_for()
    box = panel.get_by_role("textbox", name="Ask")
    box.click()
    notebook.page.keyboard.type("what do")
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.keyboard.type("you see?")
    assert box.input_value() == "what do\nyou see?"
    box.fill("what do you see?")
    notebook.page.keyboard.press("Enter")
    view = view_in(notebook)
    assert view.text(".wordlist") == notebook.value("w.explanation.generation.text")
    before = float(view.map_data()["sum"])
    view.word(1).click()
    assert float(view.map_data()["sum"]) != before
    notebook.page.keyboard.press("Control+z")
    eventually(lambda: notebook.value("w.steps"), [])
    assert view.chosen() == []
    assert notebook.js("return panel.content.widgets.length;") == 1
