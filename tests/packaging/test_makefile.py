import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def clone(tmp_path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "js").mkdir()
    return tmp_path


def make(clone, *words):
    return subprocess.run(["make", *words], cwd=clone, capture_output=True, text=True, check=False)


def test_a_machine_without_a_recent_python_is_told_what_is_missing(clone):
    said = make(clone, "PYTHON=", "demo")
    assert said.returncode != 0
    assert "Python 3.11 or newer is needed" in said.stderr
    assert not (clone / ".venv" / ".python").exists()


def test_a_python_that_cannot_make_environments_leaves_nothing_behind(clone):
    said = make(clone, "PYTHON=false", "demo")
    assert said.returncode != 0
    assert "apt-get install python3-venv" in said.stderr
    assert not (clone / ".venv").exists()


def test_help_names_every_command_the_readme_needs(clone):
    said = make(clone).stdout
    assert {f"make {name}" for name in ("demo", "test", "test-fast", "jupyter", "lint", "clean")} <= {
        " ".join(line.split()[:2]) for line in said.splitlines()
    }
