"""``dexar reproduce``: a table or a figure of the paper again, on the lab or on a checkpoint and one's own data."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dexar_widgets.cli import choices, evaluated
from dexar_widgets.cli.evaluate import Address, BatchSize, DryRun, Engine, Jobs, Part, Probe, RetryFailed, Threads
from dexar_widgets.cli.results import roots_of
from dexar_widgets.cli.terminal import line, notices, progress

if TYPE_CHECKING:
    from dexar_widgets.evaluation.engines import Kind
    from dexar_widgets.evaluation.reproductions import Made, Reproducible, Request

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
        help="Samples of each data set. Default: 20 or 50 of the lab's (of 500), of others as many as the paper drew "
        "or all; a few for a figure.",
        show_default=False,
    ),
]


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
    shard: Part = "0/1",
    retry_failed: RetryFailed = False,
    engine: Engine = "local",
    address: Address = None,
    jobs: Jobs = None,
    threads: Threads = 1,
    batch_size: BatchSize = 16,
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    dry_run: DryRun = False,
    probe: Probe = None,
    as_json: choices.AsJson = False,
) -> None:
    """Measure a table of the paper again, or make a figure of it again.

    A table is NAME.html, NAME.md and NAME.csv, with our numbers beside the paper's. A figure is NAME.png, NAME.svg, a
    page that says what is to be seen, and NAME.csv with every number behind it. Without --data and --model it runs on
    the lab: a table takes minutes to an hour on two cores, a figure about one; after a crash, type the same once more.
    With another --model and the same --out, a table has both. A figure is made in one process, without --shard,
    --engine, --jobs and --dry-run. Exit status 1: some units have no result, or a run ended before it was through.

    Example: `dexar reproduce table2 --model llava-hf/llava-1.5-7b-hf --data voc:VOCdevkit --limit 200`
    """
    from dexar_widgets.evaluation.reproductions import REPRODUCIBLE, Request
    from dexar_widgets.evaluation.runs import Shard

    if name not in REPRODUCIBLE:
        raise ValueError(f"{name!r} is not among what can be reproduced: {', '.join(REPRODUCIBLE)}.")
    folder = Path("reproduced") / name if out is None else out
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {str(folder)!r} is a file; give a folder.")
    if probe is not None and not dry_run:
        raise ValueError("--probe is for --dry-run: a run tells what it took in the end.")
    request = Request(
        out=folder, models=None if model is None else choices.names_of("--model", model),
        roots=roots_of([one for one in data or () if one != "lab"]), limit=limit, shard=Shard.of(shard),
        retry_failed=retry_failed, engine=cast("Kind", engine), address=address, jobs=jobs, threads=threads,
        batch_size=batch_size, device=device, dtype=dtype,
    )  # fmt: skip
    if dry_run:
        _plan(REPRODUCIBLE[name], request, probe=probe or 0, as_json=as_json)
    else:
        _make(REPRODUCIBLE[name], request, as_json=as_json)


def _plan(entry: "Reproducible", request: "Request", *, probe: int, as_json: bool) -> None:
    from dexar_widgets.evaluation.reproductions import together

    plans, jobs = entry.plan(request, probe=probe), request.jobs or 1
    if as_json:
        typer.echo(json.dumps({name: evaluated.plan_record(plan, jobs=jobs) for name, plan in plans.items()}))
    else:
        evaluated.tell_plan(together(plans.values()), jobs=jobs)


def _make(entry: "Reproducible", request: "Request", *, as_json: bool) -> None:
    if request.engine == "ray":
        from dexar_widgets.evaluation import cluster

        cluster.quiet()
    with progress(quiet=as_json) as bar:
        task = bar.add_task("begins", total=None)

        def tell(done: int, every: int, text: str) -> None:
            bar.update(task, completed=done, total=every, description=text)

        made = entry.carry_out(replace(request, tell=tell))
    _tell(made, as_json=as_json)


def _tell(made: "Made", *, as_json: bool) -> None:
    if as_json:
        files = {kind: str(path) for kind, path in made.files.items()}
        typer.echo(json.dumps(files | {"units": made.units, "without_result": made.without_result}))
    else:
        line("units", f"{made.units}, {made.without_result} without a result")
        for kind, path in made.files.items():
            line(kind, str(path.resolve()))
    notices([*made.lost, *made.notes])
    if made.without_result:
        notices([f"{made.without_result} units have no result; the page says why."])
    if made.without_result or made.lost:
        raise typer.Exit(1)
