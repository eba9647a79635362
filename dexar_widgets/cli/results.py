"""``dexar report``: what came of evaluations, as one page, Markdown and a table; where DEX-AR loses comes first."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import ERR, line, notices

__all__ = ["DataFolders", "add", "roots_of"]

Folders = Annotated[list[Path], typer.Argument(metavar="DIR…", help="Folders of dexar evaluate.", show_default=False)]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder to write into. Default: the first DIR.", show_default=False)
]
DataFolders = Annotated[
    list[str] | None,
    typer.Option("--data", help="NAME:FOLDER of a data set, to show its images; may be given again."),
]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("report")(report)


def report(*, folders: Folders, out: Out = None, data: DataFolders = None, as_json: choices.AsJson = False) -> None:
    """Write report.html, report.md and report.csv of one or several evaluations.

    The page needs no network. It says first where DEX-AR loses, then has the paper's tables as far as they were
    measured, every number with its interval and what was skipped, pictures, and costs.

    Example: `dexar report results -o page`
    """
    with ERR.status("reading …"):
        from dexar_widgets.evaluation import report as page
        from dexar_widgets.evaluation import results

        found = results.read(folders)
        into = folders[0] if out is None else out
        if into.exists() and not into.is_dir():
            raise ValueError(f"--out {str(into)!r} is a file; give a folder.")
        files = page.write(found, into, roots=roots_of(data or ()))
    notices(found.notes)
    if as_json:
        typer.echo(json.dumps({kind: str(path) for kind, path in files.items()}))
        return
    lost = int((found.units["status"] != "ok").sum())
    line("units", f"{len(found.units)}, {lost} without a result")
    for kind, path in files.items():
        line(kind, str(path.resolve()))


def roots_of(given: Sequence[str]) -> dict[str, Path]:
    """``NAME:FOLDER`` each."""
    found = {}
    for text in given:
        name, colon, folder = text.partition(":")
        if not (colon and name and folder):
            raise ValueError(f"--data {text!r} is not understood; write NAME:FOLDER, as in voc:VOCdevkit.")
        found[name] = Path(folder)
    return found
