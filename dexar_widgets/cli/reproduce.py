"""``dexar reproduce``: a table or a figure of the paper again, on the lab or on a checkpoint and one's own data."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.results import roots_of
from dexar_widgets.cli.terminal import line, notices, progress

if TYPE_CHECKING:
    from dexar_widgets.evaluation.reproductions import Made

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="table1 … table8, figure3, figure5 … figure10.", show_default=False)
]
Models = Annotated[
    str | None,
    typer.Option("--model", "-m", help="Names with commas between. Default: the lab's four.", show_default=False),
]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        help="NAME:FOLDER of a local copy; may be given again. Figures also: pictures:FOLDER, or a CSV file. "
        "Default: the lab's stand-ins.",
    ),
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", help="Folder; what is there is not done again. Default: reproduced/NAME.")
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Samples of each data set. Default: 20 or 50 of the lab's (of 500), all of others; a few for a figure.",
        show_default=False,
    ),
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes on this machine, each with the model in memory; for tables.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Changed images in one pass.")]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("reproduce")(reproduce)


def reproduce(
    *,
    name: Name,
    model: Models = None,
    data: Data = None,
    out: Out = None,
    limit: Limit = None,
    jobs: Jobs = 1,
    batch_size: BatchSize = 16,
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    as_json: choices.AsJson = False,
) -> None:
    """Measure a table of the paper again, or make a figure of it again.

    A table is NAME.html, NAME.md and NAME.csv, with our numbers beside the paper's. A figure is NAME.png, NAME.svg, a
    page that says what is to be seen, and NAME.csv with every number behind it. Without --data and --model it runs on
    the lab: a table takes minutes to an hour on two cores, a figure about one; after a crash, type the same once more.
    Exit status 1: some units have no result.

    Example: `dexar reproduce table2 --model llava-hf/llava-1.5-7b-hf --data voc:VOCdevkit --limit 200`
    """
    from dexar_widgets.evaluation.reproductions import REPRODUCIBLE, Request

    if name not in REPRODUCIBLE:
        raise ValueError(f"{name!r} is not among what can be reproduced: {', '.join(REPRODUCIBLE)}.")
    folder = Path("reproduced") / name if out is None else out
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {str(folder)!r} is a file; give a folder.")
    models = None if model is None else choices.names_of("--model", model)
    roots = roots_of([one for one in data or () if one != "lab"])
    with progress(quiet=as_json) as bar:
        task = bar.add_task("begins", total=None)
        request = Request(
            out=folder, models=models, roots=roots, limit=limit, jobs=jobs, batch_size=batch_size, device=device,
            dtype=dtype, tell=lambda n, all_, text: bar.update(task, completed=n, total=all_, description=text),
        )  # fmt: skip
        made = REPRODUCIBLE[name].carry_out(request)
    _tell(made, as_json=as_json)


def _tell(made: "Made", *, as_json: bool) -> None:
    if as_json:
        files = {kind: str(path) for kind, path in made.files.items()}
        typer.echo(json.dumps(files | {"units": made.units, "without_result": made.without_result}))
    else:
        line("units", f"{made.units}, {made.without_result} without a result")
        for kind, path in made.files.items():
            line(kind, str(path.resolve()))
    if made.without_result:
        notices([f"{made.without_result} units have no result; the page says why."])
        raise typer.Exit(1)
