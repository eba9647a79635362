"""The reference, made from the docstrings: ``python -m tests.reference DIR`` (`make docs`)."""

import pkgutil
import sys
from pathlib import Path

import pdoc

import dexar_widgets.lab

HIDDEN = ("dexar_widgets.cli", "dexar_widgets.conformance")
"""What is used from the shell."""


def modules() -> list[str]:
    """Every public module of the package."""
    found = [module.name for module in pkgutil.walk_packages(dexar_widgets.__path__, "dexar_widgets.")]
    return [
        "dexar_widgets",
        *(
            name
            for name in found
            if not name.startswith(HIDDEN) and not any(part[0] == "_" for part in name.split("."))
        ),
    ]


if __name__ == "__main__":
    for package in (dexar_widgets, dexar_widgets.lab):  # whose names are loaded when they are asked for
        vars(package).update({name: getattr(package, name) for name in package.__all__})
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text="dexar_widgets")
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1]))
