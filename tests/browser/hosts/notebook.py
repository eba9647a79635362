"""A notebook opened in JupyterLab or Notebook 7: run, asked, saved, reloaded and read back, as a person would."""

import json
import time
from ast import literal_eval
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat

from tests.browser.hosts.servers import Server

# the notebook's panel, by its path: the same in both apps
_PANEL = """
const panel = [...jupyterapp.shell.widgets('main')].find(widget => widget.context?.path === path);
const session = panel?.context.sessionContext, kernel = session?.session?.kernel;
"""


class Notebook:
    """A notebook's file, its page, and its kernel."""

    def __init__(self, page: object, server: Server, name: str, trouble: list[str]) -> None:
        self.page = page
        self.server = server
        self.name = name
        self.trouble = trouble

    @property
    def file(self) -> Path:
        """Where the server keeps it."""
        return self.server.folder / self.name

    def read(self) -> nbformat.NotebookNode:
        """What its file holds now."""
        return nbformat.read(self.file, as_version=4)

    def js(self, body: str, argument: object = None) -> object:
        """Run JavaScript that knows the ``panel``, its ``session`` and ``kernel``, and the ``argument``."""
        return self.page.evaluate(f"async ([path, argument]) => {{ {_PANEL} {body} }}", [self.name, argument])

    def ready(self) -> "Notebook":
        """Wait until the kernel is connected and idle: what is run before that is lost."""
        self.page.wait_for_function("() => window.jupyterapp")
        self.page.wait_for_function(
            f"path => {{ {_PANEL} return kernel?.connectionStatus === 'connected' && kernel.status === 'idle' "
            "&& panel.content.widgets.length; }",
            arg=self.name,
        )
        return self

    def run(self, cell: int | None = None) -> None:
        """Run one cell, or all of them, and wait for the end; an exception in a cell is one here."""
        raised = self.js(
            """
            jupyterapp.shell.activateById(panel.id);
            if (argument !== null) panel.content.activeCellIndex = argument;
            await jupyterapp.commands.execute(`notebook:run-${argument === null ? 'all-cells' : 'cell'}`);
            return panel.model.toJSON().cells.flatMap(({outputs}) => outputs ?? []).filter(({ename}) => ename);
            """,
            cell,
        )
        assert not raised, "\n".join(raised[0]["traceback"])

    def cell(self, index: int) -> object:
        """A cell of the page, in sight."""
        found = self.page.locator(f".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell[data-windowed-list-index='{index}']")
        found.scroll_into_view_if_needed()
        return found

    def execute(self, code: str) -> None:
        """Run statements in the kernel, beside the cells."""
        self._request(code, {})

    def value(self, expression: str) -> object:
        """The value of a Python expression in the kernel, through JSON."""
        content = self._request("", {"value": f"__import__('json').dumps({expression})"})
        found = content["user_expressions"]["value"]
        assert found["status"] == "ok", found
        return json.loads(literal_eval(found["data"]["text/plain"]))

    def _request(self, code: str, expressions: dict[str, str]) -> dict[str, object]:
        content = self.js(
            "return (await kernel.requestExecute({code: argument[0], user_expressions: argument[1], "
            "store_history: false}).done).content;",
            [code, expressions],
        )
        assert content["status"] == "ok", "\n".join(content.get("traceback", [str(content)]))
        return content

    def save(self) -> None:
        """Write the file."""
        self.js("await panel.context.save();")

    def reload(self) -> "Notebook":
        """Load the page anew; the kernel stays."""
        self.page.reload()
        return self.ready()

    def close(self) -> None:
        """Stop the kernel and close the notebook."""
        self.js("await session?.shutdown(); panel?.dispose();")


def write(file: Path, cells: Sequence[str]) -> None:
    """A notebook's file of code cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, file)


def eventually(look: Callable[[], object], wanted: object, *, seconds: float = 5) -> None:
    """Look until it is as wanted: a value, or what a function calls true."""
    right = wanted if callable(wanted) else lambda found: found == wanted
    end = time.monotonic() + seconds
    while not right(found := look()):
        assert time.monotonic() < end, f"after {seconds} s: {found!r}, wanted {wanted!r}"
        time.sleep(0.05)
