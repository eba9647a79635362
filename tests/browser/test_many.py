"""Many Explorers in one JupyterLab: each its own, and none left behind when a cell runs again."""

from tests.browser.hosts.notebook import eventually
from tests.browser.view import view_in

MADE = "import dexar_widgets as dx\nfrom tests.golden.cases import build\nw = dx.Explorer(build())"
EXPLORERS = "sum(isinstance(x, dx.Explorer) for x in __import__('ipywidgets').Widget.widgets.values())"


def test_ten_explorers_in_one_notebook_are_ten_of_their_own(lab):
    notebook = lab(*(f"{MADE}\nw{i} = w\nw" for i in range(10)))
    notebook.run()
    for i in range(10):
        view_in(notebook, i)
    view_in(notebook, 7).word(1).click()
    eventually(
        lambda: notebook.value("[len(x.steps) for x in (w0, w1, w2, w3, w4, w5, w6, w7, w8, w9)]"),
        lambda found: found[7] > 0 and sum(found) == found[7],
    )


def alive(notebook) -> dict[str, int]:
    """What lives in the kernel, and in the page after its garbage was collected."""
    devtools = notebook.page.context.new_cdp_session(notebook.page)
    canvas = devtools.send("Runtime.evaluate", {"expression": "HTMLCanvasElement.prototype"})["result"]
    canvases = devtools.send("Runtime.queryObjects", {"prototypeObjectId": canvas["objectId"]})["objects"]
    count = {"functionDeclaration": "function () { return this.length }", "returnByValue": True}
    counted = devtools.send("Runtime.callFunctionOn", {"objectId": canvases["objectId"]} | count)["result"]["value"]
    devtools.send("Performance.enable")
    metrics = {metric["name"]: metric["value"] for metric in devtools.send("Performance.getMetrics")["metrics"]}
    devtools.detach()
    return {
        "explorers": notebook.value(EXPLORERS),
        "widgets": notebook.value("len(__import__('ipywidgets').Widget.widgets)"),
        "canvases": counted,
        "listeners": int(metrics["JSEventListeners"]),
    }


def test_a_hundred_runs_of_a_cell_leave_one_explorer(lab):
    notebook = lab(f"{MADE}\nw")
    notebook.run()
    view_in(notebook)
    runs = "for (let i = 0; i < argument; i++) await jupyterapp.commands.execute('notebook:run-cell');"
    notebook.js(runs, 5)
    view_in(notebook)
    before = alive(notebook)
    notebook.js(runs, 100)
    view_in(notebook)

    def no_more(after: dict[str, int]) -> bool:
        return after["canvases"] <= before["canvases"] and after["listeners"] <= before["listeners"] * 1.05

    # the last view but one may still be on its way out
    eventually(lambda: alive(notebook), no_more, seconds=30)
    after = alive(notebook)
    print(before, after)
    assert after["explorers"] == before["explorers"] == 1
    assert after["widgets"] == before["widgets"]


def test_several_explorers_of_one_cell_live_together_until_it_runs_again(lab):
    notebook = lab(f"{MADE}\nv = dx.Explorer(w.explanation)\ndisplay(w, v)", "1")
    notebook.run()
    view_in(notebook, nth=0)
    view_in(notebook, nth=1)
    assert notebook.value(EXPLORERS) == 2
    notebook.run(1)
    assert notebook.value(EXPLORERS) == 2
    notebook.run(0)
    assert notebook.value(EXPLORERS) == 2
