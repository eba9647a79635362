"""The reference, made from the docstrings: ``python -m tests.reference DIR`` (`make docs`)."""

import importlib
import pkgutil
import sys
from pathlib import Path

import pdoc

import dexar_widgets.evaluation
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


def contents() -> str:
    """A list of the modules, each with the first line of its docstring; packages' own first."""
    lines = []
    for name in sorted(modules()[1:], key=lambda name: (name.count(".") > 1, name)):
        told = (importlib.import_module(name).__doc__ or "").strip().splitlines()[0]
        lines.append(f"- [`{name}`]({name.replace('.', '/')}.html): {told}")
    return "\n\n# Modules\n\n" + "\n".join(lines)


if __name__ == "__main__":
    dexar_widgets.__doc__ = f"{dexar_widgets.__doc__}{contents()}"
    for package in (dexar_widgets, dexar_widgets.lab, dexar_widgets.evaluation):  # whose names are loaded late
        vars(package).update({name: getattr(package, name) for name in package.__all__})
    pdoc.render.configure(docformat="numpy", show_source=False, footer_text="dexar_widgets")
    pdoc.pdoc(*modules(), output_directory=Path(sys.argv[1]))
