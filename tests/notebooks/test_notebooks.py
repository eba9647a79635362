from base64 import b64decode

import nbformat
import pytest

from tests.notebooks.running import CPU_SECONDS, MOST_BYTES, PATHS, PICTURE, PNG, cleared, code_cells, is_picture, run

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


@pytest.mark.slow
@every_notebook
def test_the_notebook_runs_from_top_to_bottom(path, tmp_path):
    notebook, seconds = run(path, tmp_path)
    cells = code_cells(notebook)
    assert all(cell.execution_count for cell in cells)
    assert any(output.output_type in {"display_data", "execute_result"} for cell in cells for output in cell.outputs)
    assert any(output.get("data", {}).get(PNG) for cell in cells if is_picture(cell) for output in cell.outputs)
    assert seconds <= CPU_SECONDS


@every_notebook
def test_of_its_outputs_the_notebook_keeps_one_small_picture(path):
    notebook = nbformat.read(path, as_version=4)
    cells = code_cells(notebook)
    (picture,) = [cell for cell in cells if is_picture(cell)]
    assert not any(cell.execution_count for cell in cells)
    assert not any(cell.outputs for cell in cells if cell is not picture)
    (output,) = picture.outputs
    assert list(output.data) == [PNG]
    assert len(b64decode(output.data[PNG])) <= MOST_BYTES
    assert cleared(notebook).metadata == notebook.metadata  # no widget state, nothing of the machine


def notebook_of(tmp_path, *sources, tags=()):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    cells[-1].metadata["tags"] = list(tags)
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    metadata = kernel | {"language_info": {"name": "python"}, "widgets": {}}
    path = tmp_path / "some.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
    return path


@pytest.mark.slow
def test_a_notebook_has_no_network_and_its_seconds_are_those_of_its_kernel(tmp_path):
    asks = "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9))\nexcept OSError as e:\n    print(e)"
    busy = "import time\nwhile time.process_time() < 3: pass\ntime.sleep(1)"
    notebook, seconds = run(notebook_of(tmp_path, asks, busy), tmp_path)
    assert "asked for the network" in notebook.cells[0].outputs[0].text
    assert [cell.source for cell in notebook.cells] == [asks, busy]
    assert 3 <= seconds < 4  # what it slept does not count


def test_what_is_kept_is_the_picture_of_the_cell_with_the_tag(tmp_path):
    notebook = nbformat.read(notebook_of(tmp_path, "1", "2", tags=[PICTURE]), as_version=4)
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    for cell in notebook.cells:
        text = nbformat.v4.new_output("stream", text="said")
        shown = nbformat.v4.new_output("display_data", {PNG: pixel, "text/html": "<b>large</b>"})
        cell.outputs, cell.execution_count = [text, shown], 1
        cell.metadata["execution"] = {"iopub.execute_input": "a date"}
    kept = cleared(notebook)
    assert [cell.execution_count for cell in kept.cells] == [None, None]
    assert kept.cells[0].outputs == []
    assert [list(output.data) for output in kept.cells[1].outputs] == [[PNG]]
    assert kept.cells[1].metadata == {"tags": [PICTURE]}
    assert "widgets" not in kept.metadata
