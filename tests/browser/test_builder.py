"""The scene builder in a real JupyterLab: things are dragged and changed, and asked about."""

import pytest

from tests.browser.hosts.notebook import eventually
from tests.browser.view import View

CELL = """
import dexar_widgets as dx
vlm = dx.load("lab/llava")
b = dx.SceneBuilder(vlm, dx.lab.scene(7, objects=["red cat", "blue boat"], background="grass"))
display(b, b.explorer)
"""
ASK_AGAIN = "b.explorer.explanation.generation.text if b.explorer.sources else ''"


@pytest.fixture
def builder(lab):
    notebook = lab(CELL)
    notebook.run()
    panel = notebook.cell(0).locator(".dexar.builder")
    panel.locator(".thing img").first.wait_for()
    return notebook, panel


def middle(node) -> tuple[float, float]:
    box = node.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_thing_is_dragged_and_the_model_asked_about_where_it_is_then(builder):
    notebook, panel = builder
    assert notebook.value("[thing['name'] for thing in b.things]") == ["cat", "boat"]
    cat = panel.get_by_role("button", name="red cat,")
    before, (x, y) = notebook.value("b.things[0]['x']"), middle(cat)
    side = panel.locator(".stage").bounding_box()["width"]
    away = side / 4 if before < 0.5 else -side / 4
    mouse = notebook.page.mouse
    mouse.move(x, y)
    mouse.down()
    mouse.move(x + away / 2, y)
    mouse.move(x + away, y)
    mouse.up()
    eventually(lambda: notebook.value("b.things[0]['x']"), lambda now: abs(now - before - away / side) < 0.02)
    assert abs(middle(cat)[0] - x - away) < 4
    panel.get_by_role("combobox", name="Thing 1: colour").select_option("green")
    panel.get_by_role("button", name="Ask", exact=True).click()
    eventually(lambda: notebook.value(ASK_AGAIN), lambda text: "green cat" in text, seconds=30)
    explorer = notebook.cell(0).locator(".dexar:not(.builder)")
    explorer.locator(".wordlist").wait_for()
    assert explorer.locator("textarea").count() == 0, "the builder asks"
    assert notebook.value("list(b.explorer._regions)") == ["green cat", "blue boat"]
    assert notebook.value("b.explorer.image.tolist() == b.scene.image.tolist()")


def test_keys_move_add_and_remove_and_stay_out_of_the_notebook(builder):
    notebook, panel = builder
    cells = notebook.js("return panel.content.widgets.length;")
    before = notebook.value("b.things[1]['y']")
    boat = panel.get_by_role("button", name="blue boat,")
    boat.focus()
    for _ in range(4):
        notebook.page.keyboard.press("ArrowUp")
    eventually(lambda: notebook.value("b.things[1]['y']"), lambda now: abs(before - now - 4 / 48) < 0.01)
    panel.get_by_role("combobox", name="Add a thing").select_option("hat")
    eventually(lambda: notebook.value("len(b.scene.spec.objects)"), 3)
    boat.focus()
    notebook.page.keyboard.press("Delete")
    eventually(lambda: notebook.value("[thing['name'] for thing in b.things]"), ["cat", "hat"])
    assert notebook.js("return panel.content.widgets.length;") == cells
    panel.get_by_role("button", name="As it was").click()
    eventually(lambda: notebook.value("[thing['name'] for thing in b.things]"), ["cat", "boat"])
    eventually(lambda: panel.locator(".thing").count(), 2)


def test_the_builder_is_accessible_in_both_themes(builder):
    notebook, panel = builder
    view = View(notebook.page, [], panel)
    theme = "await jupyterapp.commands.execute('apputils:change-theme', {theme: argument});"
    try:
        for name in ("JupyterLab Light", "JupyterLab Dark"):
            notebook.js(theme, name)
            notebook.page.wait_for_timeout(500)
            assert view.violations() == []
    finally:
        notebook.js(theme, "JupyterLab Light")


def test_running_the_cell_again_leaves_one_builder_and_one_explorer(builder):
    notebook, panel = builder
    notebook.run()
    panel.locator(".thing img").first.wait_for()
    kinds = "[type(widget).__name__ for widget in __import__('ipywidgets').Widget.widgets.values()]"
    ours = {"SceneBuilder", "Explorer"}
    eventually(lambda: sorted(name for name in notebook.value(kinds) if name in ours), ["Explorer", "SceneBuilder"])
