"""``dexar evaluate``: any methods on any models and data, measured by any metrics; it can stop anywhere and go on."""

import json
from collections import Counter
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import line, notices, progress

if TYPE_CHECKING:
    from dexar_widgets.evaluation.engines import Kind
    from dexar_widgets.evaluation.runs import Plan
    from dexar_widgets.evaluation.store import Joined

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of results; a run that was cut short goes on there.")]
Models = Annotated[str, typer.Option("--model", "-m", help="lab/NAME, hub names or folders, with commas between.")]
Data = Annotated[str, typer.Option(help="lab, or NAME:FOLDER of a local copy: imagenet, vqav2, voc, voc_qa, coco.")]
DataOptions = Annotated[
    list[str] | None,
    typer.Option("--data-option", help="NAME=VALUE, as in count=100; may be given again.", show_default=False),
]
Methods = Annotated[str | None, typer.Option(help="Names with commas between. Default: every method there is.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--option", help="METHOD.NAME=VALUE, as in rise.n_masks=50; may be given again.", show_default=False),
]
Metrics = Annotated[str | None, typer.Option(help="Names with commas between. Default: every metric there is.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the data set's first samples.", show_default=False)]
Part = Annotated[str, typer.Option(help="i/N: only the samples of one of N shards, for an array of jobs (--slurm).")]
Engine = Annotated[
    str, typer.Option(help="local: this machine. ray: a Ray cluster (pip install 'dexar-widgets[ray]').")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="HOST:PORT of the Ray cluster, or auto. Default: RAY_ADDRESS; else one is started for the run.",
        show_default=False,
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1, help="Workers, each with the model in memory. Default: 1; on a cluster one per GPU, or as CPUs allow.",
        show_default=False,
    ),
]  # fmt: skip
Threads = Annotated[int, typer.Option(min=1, help="Threads of arithmetic in each process.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Changed images in one pass.")]
Levels = Annotated[int, typer.Option(min=2, help="Steps of the perturbation curves.")]
Randomised = Annotated[int, typer.Option(min=0, help="Samples that the randomisation check looks at.")]
Seed = Annotated[int, typer.Option(help="Orders pixels of equal value, and draws random weights.")]
Slurm = Annotated[
    bool,
    typer.Option(
        "--slurm", callback=lambda value: _slurm(wanted=value), is_eager=True,
        help="Print a script that runs shards as SLURM's jobs, and do nothing.",
    ),
]  # fmt: skip
DryRun = Annotated[bool, typer.Option("--dry-run", help="Tell what there is to do, and do nothing.")]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    *,
    out: Out,
    model: Models = "lab/llava",
    data: Data = "lab",
    data_option: DataOptions = None,
    methods: Methods = None,
    option: Settings = None,
    metrics: Metrics = None,
    limit: Limit = None,
    shard: Part = "0/1",
    engine: Engine = "local",
    address: Address = None,
    jobs: Jobs = None,
    threads: Threads = 1,
    batch_size: BatchSize = 16,
    levels: Levels = 10,
    randomised: Randomised = 20,
    seed: Seed = 0,
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    dry_run: DryRun = False,
    slurm: Slurm = False,  # noqa: ARG001 (answered before anything is asked for)
    as_json: choices.AsJson = False,
) -> None:
    """Measure methods on samples, and write results.parquet, units.parquet (raw curves) and costs.parquet.

    What is there is not done again: after a crash, type the same once more. Exit status 1: some units have no result.

    Example: `dexar evaluate --data lab --limit 20 --methods dexar,attention,random --out results`
    """
    from dexar_widgets.attributions import every_method
    from dexar_widgets.evaluation import cluster, runs
    from dexar_widgets.evaluation import data as datasets
    from dexar_widgets.evaluation.configuration import configuration_of, variants_of
    from dexar_widgets.plugins import names

    name, _, root = data.partition(":")
    dataset = datasets.open(name, Path(root) if root else None, **choices.settings_of(data_option or ()))
    chosen = every_method() if methods is None else tuple(choices.names_of("--methods", methods))
    configuration = configuration_of(
        dataset,
        choices.names_of("--model", model),
        variants_of(chosen, choices.settings_by_method(option or ())),
        names("metrics") if metrics is None else choices.names_of("--metrics", metrics),
        levels=levels,
        randomised=randomised,
        seed=seed,
        batch_size=batch_size,
        threads=threads,
        device=device,
        dtype=dtype,
    )
    part = runs.Shard.of(shard)
    if dry_run:
        _plan(runs.plan(configuration, dataset, limit=limit, shard=part, out=out), as_json=as_json)
        return
    if engine == "ray":
        cluster.quiet()
    try:
        with progress(quiet=as_json) as bar:
            task = bar.add_task("begins", total=None)
            joined = runs.evaluate(
                configuration,
                dataset,
                out,
                limit=limit,
                shard=part,
                engine=cast("Kind", engine),
                workers=jobs,
                address=address,
                tell=lambda n, all_, text: bar.update(task, completed=n, total=all_, description=text),
            )
    except runs.LostWorkersError as error:
        notices([str(error)])
        raise typer.Exit(1) from None
    _tell(joined, as_json=as_json)


def _slurm(*, wanted: bool) -> None:
    if wanted:
        typer.echo(resources.files("dexar_widgets.evaluation").joinpath("slurm.sh").read_text("utf-8"), nl=False)
        raise typer.Exit


def _plan(plan: "Plan", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(vars(plan)))
        return
    line("samples", str(plan.samples))
    line("units", f"{plan.units}, of which {plan.done} are done")
    line("passes", f"{plan.metric_forwards} for perturbation curves; methods' own come with them")


def _tell(joined: "Joined", *, as_json: bool) -> None:
    if as_json:
        tables = {name: str(path) for name, path in joined.tables.items()}
        told = {"units": joined.units, "without_result": joined.broken, "tables": tables}
        typer.echo(json.dumps(told))
    else:
        line("units", f"{joined.units}, {joined.broken} without a result")
        for name, path in joined.tables.items():
            line(name, str(path.resolve()))
    if joined.damaged:
        notices([f"{len(joined.damaged)} parts could not be read and were measured again: {joined.damaged[0]} …"])
    if joined.broken:
        notices(_reasons(joined))
        raise typer.Exit(1)


def _reasons(joined: "Joined") -> list[str]:
    """Why units have no result, the most frequent reason first."""
    import pandas as pd

    table = pd.read_parquet(joined.tables["units"], columns=["status", "reason"])
    counts = Counter(table[table["status"] != "ok"]["reason"])
    return [f"{count} units: {reason}" for reason, count in counts.most_common(5)]
