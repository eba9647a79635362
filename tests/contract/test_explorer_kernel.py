"""Explorers in a real kernel: cells that run again, messages while a cell runs, and what the notebook's file holds."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

pytestmark = pytest.mark.slow  # kernels take seconds to start

ROOT = Path(__file__).parents[2]
SETUP = """
import gc, time, weakref
from ipywidgets.widgets import widget as registry
import dexar_widgets as dx
from tests.golden.cases import build

made = []

def show(**view):
    e = build(steps=2)
    made.append(weakref.ref(e))
    return dx.Explorer(e, **view)

def living():
    return [w.step for w in list(registry._instances.values()) if isinstance(w, dx.Explorer)]
"""


LISTENERS = (
    "[f.__name__ for f in get_ipython().events.callbacks['pre_run_cell'] if f.__module__.startswith('dexar_widgets')]"
)


class Notebook:
    """A kernel as a front end with cell ids and subshells uses it."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=str(ROOT))
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        self.heard: list[dict] = []

    def send(self, cell: str, code: str, deleted: tuple[str, ...] = ()) -> str:
        message = self.client.session.msg(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False},
            metadata={"cellId": cell, "deletedCells": list(deleted)},
        )
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def listen(self, request: str, kind: str = "status") -> list[dict]:
        """What the kernel publishes until a request's message of this kind (or its end)."""
        heard = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            heard.append(message)
            own = message["parent_header"].get("msg_id") == request
            if own and message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))
            if own and message["msg_type"] == kind and message["content"].get("execution_state", "idle") == "idle":
                return heard

    def run(self, cell: str, code: str, deleted: tuple[str, ...] = ()) -> list[dict]:
        return self.listen(self.send(cell, code, deleted))

    def value(self, code: str) -> object:
        """What an expression is, printed by a cell of its own."""
        heard = self.run("value", f"print(repr({code}))")
        return ast.literal_eval("".join(m["content"]["text"] for m in heard if m["msg_type"] == "stream"))

    def subshell(self) -> str:
        self.client.control_channel.send(self.client.session.msg("create_subshell_request"))
        return self.client.get_control_msg(timeout=30)["content"]["subshell_id"]

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def notebook():
    notebook = Notebook()
    try:
        notebook.run("setup", SETUP)
        yield notebook
    finally:
        notebook.close()


def test_a_cell_that_runs_again_leaves_only_what_it_made_last(notebook):
    notebook.run("a", "show(step=0)")
    notebook.run("b", "display(show(step=1)); show(step=None)")
    assert notebook.value("living()") == [0, 1, None]
    for _ in range(20):
        notebook.run("a", "show(step=0)")
    assert sorted(map(str, notebook.value("living()"))) == ["0", "1", "None"]
    assert notebook.value("(gc.collect(), sum(ref() is not None for ref in made))[1]") == 3, "not even Out holds more"
    assert notebook.value(LISTENERS) == ["_close_earlier"]
    notebook.run("c", "pass", deleted=("a", "b"))
    assert (notebook.value("living()"), notebook.value(LISTENERS)) == ([], [])
    assert notebook.value("(gc.collect(), sum(ref() is not None for ref in made))[1]") == 0


def test_closing_tells_the_browser(notebook):
    notebook.run("d", "w = show()")
    model = notebook.value("w.model_id")
    heard = notebook.run("d", "w = show()")
    closed = [message["content"]["comm_id"] for message in heard if message["msg_type"] == "comm_close"]
    assert model in closed and len(closed) == 2, "the Explorer and its layout"


def test_a_message_is_answered_while_a_cell_runs(notebook):
    notebook.run("e", "w = show()")
    model = notebook.value("w.model_id")
    subshell = notebook.subshell()
    busy = notebook.send("f", "w.opacity = 0.5; time.sleep(4); print(w.step)")
    time.sleep(1)  # the cell has used the widget and is asleep
    began = time.monotonic()
    for data in (
        {"method": "update", "state": {"step": 1, "steps": [1]}, "buffer_paths": []},
        {"method": "custom", "content": {"dexar": 2, "id": "p", "kind": "part", "source": 0, "name": "tensor/1"}},
    ):
        message = notebook.client.session.msg("comm_msg", {"comm_id": model, "data": data})
        message["header"]["subshell_id"] = subshell
        notebook.client.shell_channel.send(message)
    while True:
        found = notebook.client.get_iopub_msg(timeout=30)
        answer = found["content"].get("data", {}).get("content", {})
        if found["msg_type"] == "comm_msg" and answer.get("kind") == "part":
            break
    assert time.monotonic() - began < 2
    assert (answer["id"], answer["name"], len(found["buffers"])) == ("p", "tensor/1", 1)
    heard = notebook.listen(busy)
    assert [m["content"]["text"] for m in heard if m["msg_type"] == "stream"] == ["1\n"], "the running cell sees it"


def test_an_output_holds_the_view_a_picture_and_words(notebook):
    heard = notebook.run("g", "show(step=1)")
    (data,) = [message["content"]["data"] for message in heard if message["msg_type"] == "execute_result"]
    assert {"application/vnd.jupyter.widget-view+json", "image/png", "text/plain"} <= set(data)
    heard = notebook.run("h", "show().snapshot()")
    (data,) = [message["content"]["data"] for message in heard if message["msg_type"] == "display_data"]
    assert set(data) == {"text/html", "image/png", "text/plain"}
    assert data["text/html"].startswith("<iframe ") and 'sandbox="allow-scripts allow-downloads"' in data["text/html"]


def test_a_job_reports_to_the_browser_and_can_be_cancelled_while_its_cell_waits(notebook):
    notebook.run("i", "vlm = dx.load(); w = dx.Explorer(vlm, dx.lab.scene(7).image)")
    model = notebook.value("w.model_id")
    subshell = notebook.subshell()
    code = """
with vlm.lock:  # another cell's work
    job = w.ask("what do you see?", id="asked")
    try:
        w.wait(30)
    except dx.jobs.Cancelled:
        print("cancelled")
"""
    waiting = notebook.send("j", code.replace("dx.jobs", "__import__('dexar_widgets.jobs').jobs"))
    time.sleep(1)
    content = {"dexar": 2, "id": "c", "kind": "cancel", "job": "asked"}
    data = {"method": "custom", "content": content}
    message = notebook.client.session.msg("comm_msg", {"comm_id": model, "data": data})
    message["header"]["subshell_id"] = subshell
    notebook.client.shell_channel.send(message)
    heard = notebook.listen(waiting)
    assert [m["content"]["text"] for m in heard if m["msg_type"] == "stream"] == ["cancelled\n"]
    sent = [m["content"]["data"] for m in heard if m["msg_type"] == "comm_msg"]
    kinds = {data["content"]["kind"] for data in sent if data["method"] == "custom"}
    assert {"progress", "cancelled", "done"} <= kinds


def test_a_notebook_that_is_executed_as_a_file_keeps_the_view():
    """As nbconvert does: no front end, no ids of cells, and nothing but the output refers to the widget."""
    code = "import gc\nimport dexar_widgets as dx\nfrom tests.golden.cases import build"
    cells = [f"{code}\ndisplay(dx.Explorer(build(), step=1))", "gc.collect()"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, resources={"metadata": {"path": str(ROOT)}}).execute()
    (output,) = notebook.cells[0].outputs
    model = output["data"]["application/vnd.jupyter.widget-view+json"]["model_id"]
    state = notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"][model]["state"]
    assert state["step"] == 1 and '"a red suitcase."' in state["_document"]
    assert len(nbformat.writes(notebook)) <= 1_500_000


MARIMO = """
import marimo

app = marimo.App()


@app.cell
def _():
    import threading

    import marimo as mo

    import dexar_widgets as dx

    seen = []
    w = dx.Explorer(dx.load(), dx.lab.scene(7).image)
    w.observe(lambda change: seen.append(type(threading.current_thread())), "_document")
    e = w.ask("what do you see?").result(60)
    view = mo.ui.anywidget(w)
    mo.md(f"THREADS {[kind is mo.Thread for kind in seen]} ANSWER {e.generation.text}")
    return
"""


def test_in_marimo_a_job_runs_in_a_thread_that_reaches_the_page(tmp_path):
    notebook, page = tmp_path / "notebook.py", tmp_path / "page.html"
    notebook.write_text(MARIMO)
    command = [sys.executable, "-m", "marimo", "-q", "export", "html", str(notebook), "-o", str(page)]
    subprocess.run(command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=True, timeout=120)
    assert "THREADS [True] ANSWER I see" in page.read_text("utf-8")
