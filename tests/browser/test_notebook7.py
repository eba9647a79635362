"""The Explorer in a real Notebook 7."""

import pytest

from tests.browser.hosts.notebook import eventually
from tests.browser.view import view_in
from tests.golden.cases import build


def test_run_drag_keys_and_reload(notebook7):
    made = build(layers=6)
    notebook = notebook7(
        "import dexar_widgets as dx\nfrom tests.golden.cases import build\nw = dx.Explorer(build(layers=6))\nw"
    )
    notebook.run()
    view = view_in(notebook)
    assert view.peak() == made.sequence_map().peak

    view.set("Which layers", "One")
    area = view.root.get_by_label("Layer", exact=True).bounding_box()
    mouse, middle = notebook.page.mouse, area["y"] + area["height"] / 2
    mouse.move(area["x"] + 2, middle)
    mouse.down()
    mouse.move(area["x"] + area["width"] * 0.6, middle, steps=20)
    mouse.up()
    assert view.text(".layers .figure") == "layer 3 of 0–5"
    eventually(lambda: notebook.value("w.layers"), [3, 3])

    view.word(0).click()
    for key in ["]", "ArrowRight", "d", "d"]:
        notebook.page.keyboard.press(key)
    steps = list(made.generation.words[1].steps)
    eventually(lambda: notebook.value("[w.layers, w.steps]"), [[4, 4], steps])
    want = float(made.heatmap(step=steps, layers=4).values.sum())
    assert float(view.map_data()["sum"]) == pytest.approx(want, rel=5e-3, abs=1e-6)

    notebook.save()
    notebook.reload()
    view = view_in(notebook)
    assert view.chosen() == [1]
    assert view.text(".layers .figure") == "layer 4 of 0–5"
