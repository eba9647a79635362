"""Every exported file, made in a real browser and read back as a user would read it."""

import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.figures import COLOUR_TABLES
from dexar_widgets.types import minmax
from dexar_widgets.widgets import snapshot
from tests.browser.hosts.notebook import eventually
from tests.browser.view import View, view_in
from tests.golden.cases import CASES, build

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [" <script>x=1</script>", ' "two"', " line\nbreak,#", " '''=1+1"]


def export(view: View, kind: str) -> Path:
    """Save one kind of file; the path says what the browser would have called it."""
    view.root.get_by_role("tab", name="Export").click()
    with view.page.expect_download() as download:
        view.root.get_by_role("button", name=kind, exact=True).click()
    path = Path(download.value.path())
    return path.rename(path.with_name(download.value.suggested_filename))


def arrays(view: View) -> dict[str, np.ndarray]:
    with np.load(export(view, "NPZ")) as file:
        return dict(file)


def code(view: View) -> str:
    view.root.get_by_role("tab", name="Export").click()
    return view.root.get_by_label("computes this map").input_value()


def drawn(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"), float)


@pytest.fixture
def e():
    return build(steps=5, layers=4, heads=3, grid=(6, 8), size=(160, 120))


def test_arrays_are_the_numbers_that_python_has(show, e):
    view = show(e)
    view.word(2).click()
    view.page.get_by_label("First layer").fill("1")
    found = arrays(view)
    options = e.options(layers=[1, 2, 3])
    assert np.allclose(found["map"], e.heatmap([2, 3], layers=[1, 2, 3]).values, rtol=1e-6)
    assert np.allclose(found["head_weights"], e.head_weights(layers=[1, 2, 3])[[2, 3], 1:], rtol=1e-6)
    assert np.allclose(found["step_weights"], e.step_weights(layers=[1, 2, 3])[[2, 3]], rtol=1e-6)
    sensitivity = e.sensitivity(options)
    assert np.allclose(found["visual_sensitivity"], sensitivity.visual[[2, 3], 1:], rtol=1e-6)
    assert np.allclose(found["text_sensitivity"], sensitivity.text[[2, 3], 1:], rtol=1e-6)
    assert found["steps"].tolist() == [2, 3]
    assert found["layers"].tolist() == [1, 2, 3]
    assert found["words"].tolist() == ["suitcase", "suitcase"]
    about = json.loads(str(found["provenance.json"]))
    assert (about["answer"], about["layers"], about["precision"]) == ("a red suitcase.", [1, 3], "32 bits")
    assert about["provenance"]["model"] == e.provenance["model"]
    assert about["view"]["steps"] == [2, 3]


def test_a_table_is_the_map_with_its_settings_on_top(show, e):
    view = show(e)
    path = export(view, "CSV")
    assert path.name == "a-made-up-model_The-whole-answer_layers0-3_max-paper.csv"
    table = pd.read_csv(path, comment="#")
    cells = table[table.quantity == "map"].pivot(index="row", columns="col", values="value")
    assert np.allclose(cells, e.sequence_map().values, rtol=1e-6)
    weights = table[table.quantity == "step_weights"]
    assert np.allclose(weights.value, e.step_weights(), rtol=1e-6)
    assert weights.word.tolist() == ["a", "red", "suitcase", "suitcase", "."]
    lines = [line[2:].split(": ", 1) for line in path.read_text("utf-8").splitlines() if line.startswith("# ")]
    assert {name: json.loads(value) for name, value in lines}["head_filter"] == "max"


@pytest.mark.parametrize("draw", ["Smooth", "Cells"])
def test_the_pictures_pixels_are_the_images_own(show, draw):
    e = build(steps=2, grid=(6, 8), size=(480, 360))
    view = show(e)
    view.set("Drawn as", draw)
    opacity = view.page.get_by_label("Opacity")
    opacity.focus()
    view.page.keyboard.press("Home")
    picture = drawn(export(view, "PNG"))
    assert np.array_equal(picture[:360, :480], e.example.image)
    assert picture.shape[1] == 480
    assert picture.shape[0] > 360
    assert (picture[400:] < 128).any(), "a caption"


def test_the_pictures_cells_have_the_maps_colours(show):
    e = CASES["three_to_one"]()
    view = show(e)
    view.word(0).click()
    view.set("Drawn as", "Cells")
    view.page.get_by_label("Opacity").focus()
    view.page.keyboard.press("End")
    view.page.get_by_text("Scale and blending").click()
    view.page.get_by_label("Low values let the image through").uncheck()
    picture = drawn(export(view, "PNG"))
    values = minmax(e.heatmap(0).values)
    zoom = 360 // 90
    for row, col in np.ndindex(2, 6):
        wanted = COLOUR_TABLES["cividis"][round(values[row, col] * 255)]
        at = picture[round((row * 15 + 7) * zoom), round((15 + col * 10 + 5) * zoom)]
        assert np.abs(at - wanted).max() <= 2


def test_a_vector_figure_has_one_shape_per_cell_and_text_as_text(show, e):
    view = show(e)
    view.word(1).click()
    view.set("Drawn as", "Cells")
    root = ET.parse(export(view, "SVG")).getroot()
    cells = [
        float(rect.findtext(f"{SVG}title")) for rect in root.iter(f"{SVG}rect") if rect.find(f"{SVG}title") is not None
    ]
    assert np.allclose(np.reshape(cells, (6, 8)), e.heatmap(1).values, rtol=1e-6)
    lines = [line.text for line in root.iter(f"{SVG}text")]
    assert "“red”" in lines
    assert "what is it → a red suitcase." in lines
    assert [image.get("href")[:22] for image in root.iter(f"{SVG}image")] == ["data:image/png;base64,"]
    assert json.loads(root.findtext(f"{SVG}metadata"))["steps"] == [1]


def test_a_smooth_vector_figure_holds_map_and_image_as_pictures(show, e):
    root = ET.parse(export(show(e), "SVG")).getroot()
    assert len(list(root.iter(f"{SVG}image"))) == 2
    assert not any(rect.find(f"{SVG}title") is not None for rect in root.iter(f"{SVG}rect"))


def test_a_page_saves_itself_as_it_stands(show, e):
    view = show(e)
    view.word(1).click()
    view.page.keyboard.press("h")
    copy = show(export(view, "HTML").read_text("utf-8"))
    assert copy.chosen() == [1]
    want = e.heatmap(1, head_filter="none")
    assert float(copy.map_data()["sum"]) == pytest.approx(float(want.values.sum()), rel=1e-6)
    again = show(export(copy, "HTML").read_text("utf-8"))
    assert again.map_data() == copy.map_data()


def nothing(view: View) -> None:
    """The whole answer, as it opens."""


def filters_off(view: View) -> None:
    for key in "hf":
        view.page.keyboard.press(key)


def one_word_signed(view: View) -> None:
    view.word(2).click()
    view.page.get_by_label("Positive gradients only").uncheck()
    view.page.get_by_label("Which text the image is compared with").select_option("content")


def late_layers(view: View) -> None:
    view.word(0).click()
    view.page.get_by_label("First layer").fill("2")


def released(view: View) -> None:
    view.root.get_by_role("radiogroup", name="Preset").get_by_role("radio", name="Released").check()


@pytest.mark.parametrize("change", [nothing, filters_off, one_word_signed, late_layers, released])
def test_the_copied_code_gives_the_exported_map_and_the_same_view(show, e, change):
    view = show(e)
    change(view)
    found, scope = arrays(view), {"e": e}
    exec(code(view), scope)
    assert np.allclose(scope["values"], found["map"], rtol=1e-6, atol=1e-6 * np.abs(found["map"]).max())
    assert np.allclose(scope["w"].heatmap().values, scope["values"], rtol=1e-6, atol=1e-9)
    state = json.loads(str(found["provenance.json"]))["view"]
    named = {name: getattr(scope["w"], name) for name in state if name != "display"}
    assert named == {name: value for name, value in state.items() if name != "display"}
    scope["w"].close()


def test_the_copied_code_gives_the_attention_that_is_shown(show):
    e = CASES["with_attention"]()
    view = show(dx.widgets.html.page(e, view={"method": "attention", "steps": [1]}))
    found, scope = arrays(view), {"e": e}
    assert set(found) == {"map", "steps", "layers", "words", "provenance.json"}
    exec(code(view), scope)
    assert np.allclose(scope["values"], found["map"], atol=0.005 * found["map"].max())
    scope["w"].close()


@pytest.mark.parametrize(("method", "steps"), [("rise", [1]), ("integrated_gradients", []), ("tam", [1])])
def test_another_methods_map_is_exported_as_it_is_shown(show, method, steps):
    e = CASES["with_methods"]()
    view = show(dx.widgets.html.page(e, view={"method": method, "steps": steps}))
    given = e.attributions[method]
    want = given.heatmap(steps).values if steps and not given.whole else given.sequence_map().values
    found, scope = arrays(view), {"e": e}
    assert np.array_equal(found["map"], want)
    assert json.loads(str(found["provenance.json"]))["precision"] == "32 bits"
    exec(code(view), scope)
    assert np.array_equal(scope["values"], want) and np.array_equal(scope["w"].heatmap().values, want)
    scope["w"].close()
    words = "red" if steps else "The-whole-answer"
    assert export(view, "CSV").name == f"a-made-up-model_{words}_{method.replace('_', '-')}.csv"
    assert drawn(export(view, "PNG")).shape[1] >= 360
    about = json.loads(ET.parse(export(view, "SVG")).getroot().findtext(f"{SVG}metadata"))
    assert about["method"] == method and "head_filter" not in about


def test_hostile_words_survive_in_every_file(show):
    e = build(pieces=HOSTILE, prompt="</script><b>\"why?\"\n'''")
    view = show(e)
    words = [word.text for word in e.generation.words]
    found = arrays(view)
    assert [found["words"][word.steps[0]] for word in e.generation.words] == words
    table = pd.read_csv(export(view, "CSV"), comment="#")
    assert set(table.word.dropna()) == set(words)
    root = ET.parse(export(view, "SVG")).getroot()
    about = json.loads(root.findtext(f"{SVG}metadata"))
    assert (about["prompt"], about["answer"]) == (e.example.prompt, e.generation.text)
    assert root.find(f".//{SVG}script") is None
    scope = {"e": e}
    exec(code(view), scope)
    assert np.allclose(scope["values"], e.sequence_map().values)
    scope["w"].close()
    copy = show(export(view, "HTML").read_text("utf-8"))
    assert copy.text(".wordlist") == view.text(".wordlist")


def test_code_goes_to_the_clipboard(show, e):
    view = show(e)
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    wanted = code(view)
    view.root.get_by_role("button", name="Copy as Python").click()
    view.page.get_by_text("The code is in the clipboard.").wait_for()
    assert view.page.evaluate("navigator.clipboard.readText()") == wanted


def test_what_a_summary_holds_is_exported(show):
    e = CASES["summary_only"]()
    view = show(e)
    view.word(1).click()
    found, scope = arrays(view), {"e": e}
    assert np.abs(found["map"] - e.heatmap(1).values).max() <= 0.005 * found["map"].max()
    assert json.loads(str(found["provenance.json"]))["precision"].startswith("8 bits")
    exec(code(view), scope)
    assert np.array_equal(scope["values"], e.heatmap(1).values)
    scope["w"].close()


def test_code_is_selected_where_the_clipboard_is_out_of_reach(show, e):
    view = show(e)
    code(view)
    view.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    view.root.get_by_role("button", name="Copy as Python").click()
    view.page.get_by_text("the code is selected").wait_for()
    assert view.page.evaluate("getSelection().toString()").startswith("import dexar_widgets as dx")


def test_files_leave_a_sandboxed_frame(show, e):
    frame = snapshot.frame(e.to_html(), {"text/plain": ""})
    outer = show(f"<!doctype html><body>{frame}<div class=stage><canvas></canvas></div></body>")
    inner = View(outer.page, outer.trouble, outer.page.frame_locator("iframe").locator("body"))
    inner.root.locator(".stage canvas[data-sum]").first.wait_for()
    assert np.allclose(arrays(inner)["map"], e.sequence_map().values, rtol=1e-6)
    assert drawn(export(inner, "PNG")).shape[1] == 480
    inner.root.get_by_role("button", name="Copy as Python").click()
    inner.root.get_by_text("the code is selected").wait_for()
    assert all("Clipboard API has been blocked" in line for line in inner.trouble)
    inner.trouble.clear()


LAB = """
import dexar_widgets as dx
from tests.golden.cases import build
w = dx.Explorer(build(steps=5, layers=4, heads=3, grid=(6, 8), size=(160, 120)))
w
"""


def test_files_leave_a_notebook_and_the_page_comes_from_its_kernel(lab, show, e):
    notebook = lab(LAB)
    notebook.run()
    view = view_in(notebook)
    view.word(1).click()
    eventually(lambda: notebook.value("w.steps"), [1])
    assert np.allclose(arrays(view)["map"], e.heatmap(1).values, rtol=1e-6)
    assert drawn(export(view, "PNG")).shape[1] == 480
    copy = show(export(view, "HTML").read_text("utf-8"))
    assert copy.chosen() == [1]
    assert float(copy.map_data()["sum"]) == pytest.approx(float(e.heatmap(1).values.sum()), rel=1e-6)


def test_an_answer_without_a_map_is_exported_as_zeros(show):
    view = show(CASES["all_silenced"]())
    assert not arrays(view)["map"].any()
    assert Image.open(io.BytesIO(export(view, "PNG").read_bytes())).size[0] == 360
