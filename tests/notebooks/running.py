"""Notebooks run without a network, and what of their outputs is kept: one small picture."""

import io
from base64 import b64decode, b64encode
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode
from PIL import Image

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PATHS = sorted(NOTEBOOKS.rglob("[!.]*.ipynb"))
CPU_SECONDS = 60
"""Of the kernel's process. With one thread it is the time on an idle machine, and on a busy one hardly more."""
PICTURE, PNG = "picture", "image/png"
MOST_BYTES, WIDTHS = 100_000, (900, 720, 600, 480, 360, 240)
"""Of a kept picture: it has the first of these widths with which it is small enough."""

_OFFLINE = """
import socket

def _refuse(*address, **_):
    raise OSError(f"a notebook asked for the network: {address}")

socket.getaddrinfo = socket.socket.connect = socket.socket.connect_ex = _refuse
"""
_SPENT = "import time; print(time.process_time())"


def run(path: Path, folder: Path) -> tuple[NotebookNode, float]:
    """The notebook with its outputs, and the CPU seconds of its kernel. It runs in ``folder``, without a network.

    A cell that raises, or takes longer than 10 minutes, is an error.
    """
    notebook = nbformat.read(path, as_version=4)
    ends = [nbformat.v4.new_code_cell(source) for source in (_OFFLINE, _SPENT)]
    notebook.cells = [ends[0], *notebook.cells, ends[1]]
    resources = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    spent = float(notebook.cells.pop()["outputs"][0]["text"])
    del notebook.cells[0]
    return notebook, spent


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Those that have outputs."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def is_picture(cell: NotebookNode) -> bool:
    """Whether a picture of the cell is kept."""
    return PICTURE in cell.metadata.get("tags", ())


def cleared(notebook: NotebookNode) -> NotebookNode:
    """The notebook as it is kept in git: of the cell with the tag its last picture, made small, and nothing else."""
    kept = nbformat.from_dict(notebook)
    kept.metadata = {name: kept.metadata[name] for name in ("kernelspec", "language_info")}
    kept.metadata.language_info = {"name": "python"}
    for cell in kept.cells:
        cell.metadata = {name: cell.metadata[name] for name in ("tags",) if name in cell.metadata}
    for cell in code_cells(kept):
        shown = [output.data[PNG] for output in cell.outputs if PNG in output.get("data", ())]
        cell.outputs, cell.execution_count = [], None
        if is_picture(cell):
            cell.outputs = [nbformat.v4.new_output("display_data", {PNG: _small(shown[-1])})]
    return kept


def _small(picture: str) -> str:
    for width in WIDTHS:
        image = Image.open(io.BytesIO(b64decode(picture))).convert("RGB")
        image.thumbnail((width, width))
        buffer = io.BytesIO()
        image.quantize(128).save(buffer, "PNG", optimize=True)
        if len(buffer.getvalue()) <= MOST_BYTES:
            break
    return b64encode(buffer.getvalue()).decode()
