"""The Explorer in an app that marimo runs: live, and cells that depend on it run again."""

from tests.browser.view import View
from tests.golden.cases import build

APP = """
import marimo

app = marimo.App()


@app.cell
def _():
    import marimo as mo

    import dexar_widgets as dx
    from tests.golden.cases import build

    w = mo.ui.anywidget(dx.Explorer(build(layers=6)))
    w
    return mo, w


@app.cell
def _(mo, w):
    mo.md(f"STEPS {w.value['steps']} LAYERS {w.value['layers']}")
    return
"""


def test_keys_run_the_cells_that_depend_on_it(app):
    page = app(APP)
    page.locator(".dexar .stage canvas[data-sum]").first.wait_for()
    view = View(page, [], page.locator(".dexar").first)
    made = build(layers=6)
    assert view.peak() == made.sequence_map().peak
    view.word(0).click()
    view.set("Which layers", "One")
    page.get_by_text("STEPS [0]").wait_for()
    for _ in range(3):
        page.keyboard.press("[")
    layer = int(view.text(".layers .figure").split()[1])
    page.get_by_text(f"STEPS [0] LAYERS [{layer}, {layer}]").wait_for()
    assert view.peak() == made.heatmap(step=0, layers=layer).peak
