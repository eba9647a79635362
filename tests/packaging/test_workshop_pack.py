"""The folder that a class gets: packed here, installed where there is no index, and its first notebook run there."""

import os
import platform
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from dexar_widgets.workshop import pack as packing

pytestmark = pytest.mark.slow
HERE = f"{platform.system().lower().replace('darwin', 'macosx').replace('windows', 'win')}_{platform.machine().lower()}"
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
OFFLINE = {"PIP_NO_INDEX": "1", "HF_HUB_OFFLINE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
RUN = """
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("notebooks/01_first_look.ipynb", as_version=4)
NotebookClient(notebook, timeout=300, resources={"metadata": {"path": "notebooks"}}).execute()
print(sum(bool(cell.execution_count) for cell in notebook.cells if cell.cell_type == "code"))
"""


def run(*command: str | Path, **more: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for this machine. PyTorch comes from wherever pip takes it here."""
    place = tmp_path_factory.mktemp("workshop")
    links = place / "links"
    torch = f"torch=={__import__('torch').__version__.partition('+')[0]}"
    got = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", torch, "--dest", str(links)],
        capture_output=True,
        text=True,
        check=False,
    )
    if got.returncode:
        said = f"no index of packages can be reached: {got.stderr.strip()[-300:]}"
        if os.environ.get("CI") == "true":
            pytest.fail(said)
        pytest.skip(f"not run: {said}")
    packing.pack(place / "handout", [HERE], [PYTHON], find_links=[links])
    return place / "handout"


def test_it_installs_without_an_index_and_the_first_notebook_runs(folder, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    environment = kept | OFFLINE | {"PIP_CONFIG_FILE": os.devnull, "VIRTUAL_ENV": str(tmp_path / "venv")}
    words = packing.INSTALL.replace('"', "").split()
    assert f"       {packing.INSTALL}\n" in (folder / "README.txt").read_text()
    run(python, *words[1:], cwd=folder, env=environment)
    where = run(python, "-c", "import dexar_widgets; print(dexar_widgets.__file__)", cwd=folder, env=environment)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert int(run(python, "-c", RUN, cwd=folder, env=environment)) > 5
    assert "jupyterlab" in run(python, "-m", "pip", "list", cwd=folder, env=environment)


def test_the_wheel_brings_the_notebooks(folder):
    (wheel,) = (folder / "wheels").glob("dexar_widgets-*.whl")
    inside = {
        Path(name).name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("dexar_widgets/notebooks/")
    }
    assert {path.name for path in packing.notebooks().glob("*.ipynb")} <= inside


def test_every_wheel_is_there_once_and_runs_here(folder):
    names = [re.match(r"[^-]+", path.name)[0].lower() for path in (folder / "wheels").glob("*.whl")]
    assert len(names) == len(set(names))
    assert {"torch", "jupyterlab", "transformers", "dexar_widgets"} <= set(names)
    assert not [name for name in names if name.startswith(("nvidia", "triton"))]  # gigabytes of CUDA
