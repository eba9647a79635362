"""Run notebooks, and store the one picture that each keeps: ``python -m tests.notebooks.refresh [NAME …]``."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat

from tests.notebooks.running import PATHS, cleared, run


def main(names: Sequence[str]) -> None:
    """Of the notebooks whose file names begin so; without names, of all."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    chosen = [path for path in PATHS if not names or path.name.startswith(tuple(names))]
    if not chosen:
        raise SystemExit(f"No notebook begins with {' or '.join(names)}; there are {', '.join(p.stem for p in PATHS)}.")
    for path in chosen:
        with tempfile.TemporaryDirectory() as folder:
            notebook, seconds = run(path, Path(folder))
        nbformat.write(cleared(notebook), path)
        print(f"{path.name}: {seconds:.0f} s of CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
