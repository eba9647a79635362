"""The Explorer in a real JupyterLab: what is done there reaches the kernel, and what Python sets reaches the view."""

import time

import pytest

from tests.browser.hosts.notebook import eventually
from tests.browser.view import view_in
from tests.golden.cases import build

SIZES = {"steps": 8, "layers": 6, "heads": 4, "grid": (6, 8), "size": (320, 240)}
MADE = f"""
import dexar_widgets as dx
from tests.golden.cases import build
w = dx.Explorer(build(**{SIZES}))
w
"""


@pytest.fixture
def made():
    return build(**SIZES)


@pytest.fixture
def notebook(lab):
    notebook = lab(MADE)
    notebook.run()
    return notebook


def layers_said(view) -> str:
    return view.text(".layers .figure")


def test_a_cell_shows_the_whole_answers_map_within_three_seconds(lab, made):
    notebook = lab(
        f"import dexar_widgets as dx\nfrom tests.golden.cases import build\ne = build(**{SIZES})", "dx.Explorer(e)"
    )
    notebook.run(0)
    start = time.perf_counter()
    notebook.run(1)
    view = view_in(notebook, 1)
    took = time.perf_counter() - start
    print(f"cell run to first frame: {took:.2f} s")
    assert took < 3
    assert view.peak() == made.sequence_map().peak
    assert float(view.map_data()["sum"]) == pytest.approx(float(made.sequence_map().values.sum()), rel=5e-3)


def test_a_drag_over_the_layers_arrives_in_the_kernel(notebook, made):
    view = view_in(notebook)
    view.set("Which layers", "One")
    area = view.root.get_by_label("Layer", exact=True).bounding_box()
    mouse, middle = notebook.page.mouse, area["y"] + area["height"] / 2
    mouse.move(area["x"] + 2, middle)
    mouse.down()
    mouse.move(area["x"] + area["width"] - 2, middle, steps=30)
    mouse.move(area["x"] + area["width"] * 0.6, middle, steps=10)
    mouse.up()
    assert layers_said(view) == "layer 3 of 0–5"
    assert view.peak() == made.sequence_map(layers=3).peak
    eventually(lambda: notebook.value("[w.layers, w.layer_mode]"), [[3, 3], "single"])


def test_keys_work_the_view_and_leave_the_notebooks_own_alone(notebook, made):
    view = view_in(notebook)
    view.word(0).click()
    press = notebook.page.keyboard.press
    press("ArrowRight")
    assert view.chosen() == [1]
    press("]")
    press("]")
    assert layers_said(view) == "layer 1 of 0–5"
    press("h")
    eventually(
        lambda: notebook.value("[w.steps, w.layers, w.head_filter]"),
        [list(made.generation.words[1].steps), [1, 1], "none"],
    )
    cells = notebook.js("return panel.content.widgets.length;")
    for key in ["d", "d", "b", "a", "x"]:
        press(key)
    assert notebook.js("return panel.content.widgets.length;") == cells
    eventually(lambda: notebook.value("w.layers"), [0, 5])  # "a" is the view's own key: all layers
    notebook.js("panel.content.model.setMetadata('changed', true);")
    press("Control+s")
    eventually(lambda: notebook.js("return panel.model.dirty;"), False)
    assert notebook.read().metadata["changed"]


def test_a_box_drawn_on_the_image_is_the_selection(notebook):
    view = view_in(notebook)
    view.set("Draw on the image", "Box")
    stage = view.root.locator(".stage").first
    stage.scroll_into_view_if_needed()
    area = stage.bounding_box()
    mouse = notebook.page.mouse

    def at(x: float, y: float) -> tuple[float, float]:
        return area["x"] + x / 320 * area["width"], area["y"] + y / 240 * area["height"]

    mouse.move(*at(40, 40))
    mouse.down()
    mouse.move(*at(200, 160), steps=8)
    mouse.up()
    eventually(lambda: notebook.value("w.selection"), pytest.approx([40, 40, 200, 160], abs=2))
    assert notebook.value("float(w.region.mean())") == pytest.approx(0.25, abs=0.01)
    assert view.text(".drawing").count("The region is 2") == 1
    notebook.execute("w.selection = None")
    eventually(lambda: "The region is" in view.text(".drawing"), False)
    assert view.root.locator(".outlines .region path[d]").count() == 0


def test_what_python_sets_the_view_shows(notebook, made):
    view = view_in(notebook)
    notebook.execute("w.steps = [1]")
    eventually(view.chosen, [1])
    want = made.heatmap(step=1)
    assert float(view.map_data()["sum"]) == pytest.approx(float(want.values.sum()), rel=5e-3, abs=1e-6)
    notebook.execute("w.steps = []; w.layer_mode = 'range'; w.layers = [2, 4]")
    eventually(lambda: layers_said(view), "layers 2–4")
    eventually(view.chosen, [])
    assert view.peak() == made.sequence_map(layers=slice(2, 5)).peak
    notebook.execute("w.layer_mode = 'single'; w.layers = [3, 3]")
    eventually(lambda: layers_said(view), "layer 3 of 0–5")
    notebook.page.wait_for_timeout(300)  # nothing comes back that would undo it
    assert notebook.value("[w.layer_mode, w.layers]") == ["single", [3, 3]]
    notebook.execute("w.head_filter = 'none'; w.opacity = 0.35")
    eventually(lambda: view.root.get_by_label("Opacity").input_value(), lambda found: float(found) in (0.35, 35))
    assert view.counts()["kept"] == view.counts()["heads"]


def test_it_stands_in_a_box_and_its_opacity_is_linked_in_the_browser(lab):
    notebook = lab(
        MADE.rsplit("w\n", 1)[0]
        + "import ipywidgets\nslider = ipywidgets.FloatSlider(value=0.8, min=0, max=1, step=0.05)\n"
        "ipywidgets.jslink((slider, 'value'), (w, 'opacity'))\nipywidgets.HBox([slider, w])"
    )
    notebook.run()
    view = view_in(notebook)
    handle = notebook.cell(0).locator(".widget-slider .noUi-handle")
    handle.focus()
    for _ in range(4):
        notebook.page.keyboard.press("ArrowLeft")
    eventually(lambda: notebook.value("[slider.value, w.opacity]"), [pytest.approx(0.6)] * 2)
    opacity = view.root.get_by_label("Opacity")
    eventually(lambda: float(opacity.input_value()), lambda found: found in (0.6, 60))
    opacity.focus()
    notebook.page.keyboard.press("Home")
    eventually(lambda: notebook.value("slider.value"), 0)


def test_two_views_of_one_explorer_stay_together(lab):
    notebook = lab(MADE, "w")
    notebook.run()
    first, second = view_in(notebook, 0), view_in(notebook, 1)
    second.word(2).click()
    eventually(first.chosen, [2])
    first.set("Which layers", "One")
    notebook.page.keyboard.press("]")
    eventually(lambda: layers_said(second), layers_said(first))
    assert layers_said(first).startswith("layer ")
    assert first.map_data() == second.map_data()


def test_the_theme_is_the_hosts(notebook):
    view = view_in(notebook)

    def luminance(property: str) -> float:
        colour = view.root.evaluate(
            """(node, property) => {
                const canvas = Object.assign(document.createElement('canvas'), {width: 1, height: 1});
                const pen = canvas.getContext('2d');
                pen.fillStyle = getComputedStyle(node)[property];
                pen.fillRect(0, 0, 1, 1);
                return [...pen.getImageData(0, 0, 1, 1).data];
            }""",
            property,
        )
        return sum(colour[:3]) / 3

    assert luminance("color") < 80
    theme = "await jupyterapp.commands.execute('apputils:change-theme', {theme: argument});"
    try:
        notebook.js(theme, "JupyterLab Dark")
        eventually(lambda: luminance("color"), lambda found: found > 170)
    finally:
        notebook.js(theme, "JupyterLab Light")
    eventually(lambda: luminance("color"), lambda found: found < 80)


def test_an_answers_markup_is_text(lab):
    notebook = lab(
        """
import dexar_widgets as dx
from tests.golden.cases import build
hostile = [" <script>window.pwned=1</script>", " <img src=x onerror=pwned=1>", " </script>", " &amp;", "<!--"]
w = dx.Explorer(build(pieces=hostile, prompt="</script><b>bold?</b>"))
w
"""
    )
    notebook.run()
    view = view_in(notebook)
    assert view.word(0).inner_text() == "<script>window.pwned=1</script>"
    assert "</script><b>bold?</b>" in view.root.inner_text()
    assert view.root.locator("b, script, .wordlist img").count() == 0
    assert notebook.page.evaluate("window.pwned") is None


def test_without_a_kernel_it_says_so_and_still_scrubs(notebook, made):
    view = view_in(notebook)
    notebook.js("await session.shutdown();")
    view.set("Which layers", "One")
    said = view.root.get_by_role("status").filter(has_text="The kernel does not answer: it is busy, or gone.")
    for key in "[]" * 10:  # it is missed once somebody works the view a while after
        notebook.page.keyboard.press(key)
        if said.count():
            break
        notebook.page.wait_for_timeout(500)
    assert said.is_visible()
    notebook.page.keyboard.press("]")
    assert layers_said(view).startswith("layer ")
    view.word(1).click()
    want = made.heatmap(step=list(made.generation.words[1].steps), layers=int(layers_said(view).split()[1]))
    assert float(view.map_data()["sum"]) == pytest.approx(float(want.values.sum()), rel=5e-3, abs=1e-6)


def test_the_exported_page_opens_without_a_notebook_on_the_same_view(notebook, show, tmp_path):
    view = view_in(notebook)
    view.word(1).click()
    view.set("Which layers", "One")
    notebook.page.keyboard.press("[")
    view.root.get_by_role("tab", name="Export").click()
    with notebook.page.expect_download() as download:
        view.root.get_by_role("button", name="HTML").click()
    download.value.save_as(tmp_path / "exported.html")
    alone = show((tmp_path / "exported.html").read_text("utf-8"))
    assert alone.chosen() == [1]
    assert layers_said(alone) == layers_said(view)
    assert alone.map_data() == view.map_data()
