"""The embedded model asked from the Explorer in a real JupyterLab: words come one by one, and can be stopped."""

import pytest
from PIL import Image

import dexar_widgets as dx
from tests.browser.hosts.notebook import eventually
from tests.browser.view import View, view_in

LIVE = """
import time
import dexar_widgets as dx
passes = []
def slowly(*_):
    passes.append(time.time())
    time.sleep(0.15)
vlm = dx.load("lab/llava")
slow = vlm.model.register_forward_pre_hook(slowly)
w = dx.Explorer(vlm, dx.lab.scene(7).image)
w
"""
QUESTION = "what do you see?"


@pytest.fixture
def live(lab):
    notebook = lab(LIVE)
    notebook.run()
    panel = notebook.cell(0).locator(".dexar").get_by_role("region", name="Ask")
    panel.get_by_role("img", name="The image that will be asked about").wait_for()
    return notebook, panel


def ask(notebook, panel) -> None:
    """Type the question and press Enter; what is typed stays out of the notebook."""
    cells = notebook.js("return panel.content.widgets.length;")
    panel.get_by_role("textbox", name="Ask").click()
    notebook.page.keyboard.type(QUESTION)
    notebook.page.keyboard.press("Enter")
    assert notebook.js("return panel.content.widgets.length;") == cells


def test_words_appear_while_the_model_speaks_and_then_the_map(live):
    notebook, panel = live
    ask(notebook, panel)
    eventually(lambda: len(panel.locator(".coming").inner_text().split()), lambda words: words >= 2, seconds=20)
    assert not notebook.value("bool(w.sources)")  # the answer is not whole yet
    view = view_in(notebook)
    e = dx.explain(dx.load("lab/llava"), dx.lab.scene(7).image, QUESTION)
    assert view.text(".wordlist") == e.generation.text == notebook.value("w.explanation.generation.text")
    assert view.peak() == e.sequence_map().peak
    view.word(1).click()
    eventually(lambda: notebook.value("w.steps"), list(e.generation.words[1].steps))


def test_asking_is_accessible_before_and_after_an_answer_in_both_themes(live):
    notebook, panel = live
    theme = "await jupyterapp.commands.execute('apputils:change-theme', {theme: argument});"
    before = View(notebook.page, [], notebook.cell(0).locator(".dexar"))
    try:
        assert before.violations() == []
        ask(notebook, panel)
        view = view_in(notebook)
        assert view.violations() == []
        notebook.js(theme, "JupyterLab Dark")
        eventually(lambda: view.root.evaluate("root => root.style.colorScheme"), "dark")
        assert view.violations() == []
    finally:
        notebook.js(theme, "JupyterLab Light")


def test_stop_ends_the_models_work_and_it_can_be_asked_again(live):
    notebook, panel = live
    ask(notebook, panel)
    eventually(lambda: panel.locator(".coming").inner_text().strip(), bool, seconds=20)
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_text("Stopped.").wait_for()
    done = notebook.value("len(passes)")
    notebook.page.wait_for_timeout(800)  # time for five more passes
    assert notebook.value("len(passes)") == done
    assert not notebook.value("bool(w.sources)")
    panel.get_by_role("button", name="Ask").click()
    view = view_in(notebook)
    assert view.text(".wordlist") == notebook.value("w.explanation.generation.text")


def compute(view: View, name: str) -> None:
    """Have a further method give its maps."""
    view.root.get_by_label("Another method").select_option(label=name)
    view.root.get_by_role("button", name="Compute").click()


def test_another_methods_maps_join_the_view_which_stays_as_it_is(live):
    notebook, panel = live
    ask(notebook, panel)
    view = view_in(notebook)
    view.word(3).click()
    view.set("Which layers", "One")
    view.tab("Compare")
    view.root.get_by_label("B", exact=True).select_option(label="Without filters")
    shown = view.map_data()
    compute(view, "rollout")
    cells = view.root.locator(".methods").get_by_role("gridcell")
    eventually(lambda: cells.evaluate_all("all => all.some(c => /^gray, Rollout: peak/.test(c.ariaLabel))"), True)
    assert (view.chosen(), view.map_data()) == ([3], shown)
    assert view.root.get_by_label("B", exact=True).locator("option:checked").inner_text() == "Without filters"
    assert notebook.value("(w.layer_mode, w.explanation.attributions['rollout'].steps == w.explanation.steps)") == [
        "single",
        True,
    ]
    view.root.get_by_role("gridcell", name="gray, Rollout").click()
    assert view.root.get_by_label("B", exact=True).locator("option:checked").inner_text() == "Rollout"
    notebook.execute("w.method = 'rollout'")
    total = "float(w.explanation.attributions['rollout'].heatmap(w.steps).values.sum())"
    eventually(lambda: view.total() == pytest.approx(notebook.value(total), rel=1e-4), True)  # the word is on its way
    assert "rollout" not in view.root.get_by_label("Another method").locator("option").all_inner_texts()
    assert view.violations() == []


def test_a_method_can_be_stopped_and_asked_for_in_python(live):
    notebook, panel = live
    ask(notebook, panel)
    view = view_in(notebook)
    view.tab("Compare")
    compute(view, "chefer cam")
    bar = view.root.get_by_role("progressbar", name="The method’s progress")
    bar.wait_for()
    view.root.locator(".computing").get_by_role("button", name="Stop").click()
    bar.wait_for(state="hidden")
    assert notebook.value("list(w.explanation.attributions)") == []
    notebook.execute("slow.remove(); w.attribute('centre').result()")
    view.root.locator(".methods thead").get_by_text("Centre").wait_for()
    assert notebook.value("w.wait().control")


def test_an_image_from_a_file_is_what_is_asked_about_next(live, tmp_path):
    notebook, panel = live
    file = tmp_path / "other.png"
    Image.fromarray(dx.lab.scene(8).image[:, :300]).save(file)
    panel.locator("input[type=file]").set_input_files(file)
    eventually(lambda: notebook.value("list(w.image.shape)"), [384, 300, 3])
    preview = panel.get_by_role("img", name="The image that will be asked about")
    eventually(
        lambda: preview.evaluate("image => image.naturalWidth / image.naturalHeight"),
        pytest.approx(300 / 384, abs=0.01),
    )
