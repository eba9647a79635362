"""A notebook saved in JupyterLab and opened again: kernel alive or fresh, trusted or not, with widget state or not."""

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from tests.browser.hosts.notebook import Notebook, eventually
from tests.browser.view import View, view_in
from tests.golden.cases import build

CELLS = (
    "import dexar_widgets as dx\nfrom tests.golden.cases import build\nw = dx.Explorer(build())\nw",
    "w.snapshot()",
)
SAVE_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"


@pytest.fixture(scope="module")
def saved() -> dict[bool, nbformat.NotebookNode]:
    """The notebook as Lab saved it, without and with widget state."""
    return {}


def save_run_notebook(lab, *cells: str, state: bool) -> Notebook:
    notebook = lab(*cells)
    saves = "return jupyterapp.commands.isToggled(argument);"
    if notebook.js(saves, SAVE_STATE) != state:
        notebook.js("await jupyterapp.commands.execute(argument);", SAVE_STATE)
    eventually(lambda: notebook.js(saves, SAVE_STATE), state)
    notebook.run()
    view_in(notebook)
    notebook.save()
    notebook.close()
    return notebook


def scrubs(view: View) -> None:
    """Words and layers work, with the numbers that Python gives."""
    e = build()
    view.word(0).click()
    want = e.heatmap(step=0).values
    assert float(view.map_data()["sum"]) == pytest.approx(float(want.sum()), rel=5e-3, abs=1e-6)
    view.set("Which layers", "One")
    view.page.keyboard.press("]")
    layer = int(view.text(".layers .figure").split()[1])
    want = e.heatmap(step=0, layers=layer).values
    assert float(view.map_data()["sum"]) == pytest.approx(float(want.sum()), rel=5e-3, abs=1e-6)


def frame_view(notebook: Notebook) -> View:
    """The snapshot's own page, in its frame."""
    frame = notebook.cell(1).locator("iframe").content_frame
    frame.locator(".stage canvas[data-sum]").first.wait_for()
    return View(notebook.page, notebook.trouble, frame.locator("body"))


def picture_width(notebook: Notebook, cell: int) -> int:
    """Natural width of the picture in a cell's output, 0 if there is none."""
    images = notebook.cell(cell).locator(".jp-OutputArea-output img")
    return images.first.evaluate("image => image.naturalWidth") if images.count() else 0


@pytest.mark.parametrize("state", [True, False], ids=["state saved", "state not saved"])
@pytest.mark.parametrize("trusted", [True, False], ids=["trusted", "untrusted"])
def test_reopened_with_a_fresh_kernel(lab, lab_server, saved, trusted, state):
    if state not in saved:
        saved[state] = save_run_notebook(lab, *CELLS, state=state).read()
    assert ("widgets" in saved[state].metadata) == state
    name = f"reopened-{trusted}-{state}.ipynb"
    copy = nbformat.from_dict(saved[state])
    copy.metadata["name"] = name  # another text than the one that was signed when it was saved
    nbformat.write(copy, lab_server.folder / name)
    if trusted:
        NotebookNotary(data_dir=str(lab_server.home / "jupyter_data_dir")).sign(copy)
    notebook = lab(name=name)
    if not trusted:
        notebook.cell(0).get_by_role("img").wait_for()
        assert notebook.cell(0).locator(".dexar").count() == 0
        for cell in (0, 1):
            eventually(lambda cell=cell: picture_width(notebook, cell), lambda width: width > 0)
        return
    scrubs(frame_view(notebook))
    if state:
        scrubs(view_in(notebook))
    else:
        notebook.cell(0).get_by_text("Error displaying widget: model not found").wait_for()
        notebook.trouble[:] = [said for said in notebook.trouble if "widget model not found" not in said]


def test_reloaded_while_its_kernel_lives(lab):
    notebook = lab(CELLS[0])
    notebook.run()
    view_in(notebook).word(2).click()
    steps = list(build().generation.words[2].steps)
    eventually(lambda: notebook.value("w.steps"), steps)
    notebook.save()
    notebook.reload()
    view = view_in(notebook)
    assert view.chosen() == [2]
    view.word(0).click()
    eventually(lambda: notebook.value("w.steps"), [0])


def test_a_saved_notebook_grows_by_less_than_one_and_a_half_megabytes(lab):
    explained = "dx.explain(dx.load(), dx.lab.scene(7).image, attention=True, lens=True, patch_norm=True)"
    notebook = save_run_notebook(lab, f"import dexar_widgets as dx\nw = dx.Explorer({explained})\nw", state=True)
    assert "widgets" in notebook.read().metadata
    grown = notebook.file.stat().st_size
    print(f"notebook with one Explorer and its state: {grown / 1e6:.2f} MB")
    assert grown <= 1_500_000
