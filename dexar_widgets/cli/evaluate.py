"""``dexar evaluate``: any methods on any models and data, measured by any metrics; it can stop anywhere and go on."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dexar_widgets.cli import choices, evaluated
from dexar_widgets.cli.terminal import line, notices, progress

if TYPE_CHECKING:
    from dexar_widgets.evaluation.configuration import Configuration
    from dexar_widgets.evaluation.samples import Dataset
    from dexar_widgets.evaluation.store import Joined

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of results; a run that was cut short goes on there.")]
Models = Annotated[str, typer.Option("--model", "-m", help="lab/NAME, hub names or folders, with commas between.")]
Data = Annotated[str, typer.Option(help="lab, or NAME:FOLDER of a local copy: imagenet, vqav2, voc, voc_qa, coco.")]
DataOptions = Annotated[
    list[str] | None,
    typer.Option("--data-option", help="NAME=VALUE, as in count=100; may be given again.", show_default=False),
]
Corruption = Annotated[
    str | None,
    typer.Option(
        help="NAME:SEVERITY of ImageNet-C, as in fog:5, with commas between; the results of each are a folder of their "
        "own in --out (fog-5). Default: images as they are.",
        show_default=False,
    ),
]
Methods = Annotated[str | None, typer.Option(help="Names with commas between. Default: every method there is.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--option", help="METHOD.NAME=VALUE, as in rise.n_masks=50; may be given again.", show_default=False),
]
Metrics = Annotated[str | None, typer.Option(help="Names with commas between. Default: every metric there is.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Only the data set's first samples.", show_default=False)]
Part = Annotated[
    str,
    typer.Option(help="i/N: only one of N shards, for an array of jobs (`dexar evaluate --slurm` prints a script)."),
]
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
Filling = Annotated[
    str, typer.Option(help="Colour of pixels taken away: imagenet or image (its mean), or the processor's own.")
]
Blur = Annotated[float, typer.Option(min=0, help="What insertion begins with: deviation, in pixels of 224.")]
Upsample = Annotated[
    str,
    typer.Option(
        help="How maps come to pixels: bilinear, or nearest, with which curves change whole cells of the grid."
    ),
]
Randomised = Annotated[int, typer.Option(min=0, help="Samples that the randomisation check looks at.")]
Seed = Annotated[int, typer.Option(help="Orders pixels of equal value, and draws random weights.")]
Device = Annotated[
    str | None,
    typer.Option(
        help="cpu, cuda, cuda:1, mps; of every worker. Default: CUDA where this machine has it; for lab/… alone, the "
        "CPU."
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Try again, too, what is broken or failed; what was lost with memory, files, the device or its worker is "
        "tried again anyway.",
    ),
]
Slurm = Annotated[
    bool,
    typer.Option(
        "--slurm", callback=lambda value: _slurm(wanted=value), is_eager=True,
        help="Print a script that runs shards as SLURM's jobs, and do nothing.",
    ),
]  # fmt: skip
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Tell what there is to do and, of a folder with results, for how long.")
]
Probe = Annotated[
    int | None,
    typer.Option(
        min=1, help="With --dry-run: measure so many images of each model that has no results, to tell hours, and keep "
        "nothing.", show_default=False,
    ),
]  # fmt: skip


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    *,
    out: Out,
    model: Models = "lab/llava",
    data: Data = "lab",
    data_option: DataOptions = None,
    corruption: Corruption = None,
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
    fill: Filling = "imagenet",
    blur: Blur = 10.0,
    upsampling: Upsample = "bilinear",
    randomised: Randomised = 20,
    seed: Seed = 0,
    device: Device = None,
    dtype: choices.Dtype = None,
    retry_failed: RetryFailed = False,
    dry_run: DryRun = False,
    probe: Probe = None,
    slurm: Slurm = False,  # noqa: ARG001 (answered before anything is asked for)
    as_json: choices.AsJson = False,
) -> None:
    """Measure methods on samples, and write results.parquet, units.parquet (raw curves) and costs.parquet.

    What is there is not done again: after a crash, type the same once more. A sample or method that fails is a row with
    its reason, and done, too (--retry-failed). Exit status 1: some units have no result, or the run ended because five
    samples in a row gave nothing. A folder belongs to the weights, device kind, versions and settings that began it.

    Example: `dexar evaluate --data lab --limit 20 --methods dexar,attention,random --out results`
    """
    from dexar_widgets.attributions import every_method
    from dexar_widgets.evaluation import data as datasets
    from dexar_widgets.evaluation import runs
    from dexar_widgets.evaluation.configuration import configuration_of, variants_of
    from dexar_widgets.plugins import names

    name, _, root = data.partition(":")
    dataset = datasets.open(name, Path(root) if root else None, **choices.settings_of(data_option or ()))
    chosen = every_method() if methods is None else tuple(choices.names_of("--methods", methods))
    wanted: dict[str, Any] = {
        "models": choices.names_of("--model", model),
        "variants": variants_of(chosen, choices.settings_by_method(option or ())),
        "metrics": names("metrics") if metrics is None else choices.names_of("--metrics", metrics),
        "levels": levels, "fill": fill, "blur": blur, "upsampling": upsampling, "randomised": randomised, "seed": seed,
        "batch_size": batch_size, "threads": threads, "device": device, "dtype": dtype,
    }  # fmt: skip
    places = [
        _Place(title, folder, one, configuration_of(one, **wanted))
        for title, folder, one in _places(dataset, out, corruption)
    ]
    if probe is not None and not dry_run:
        raise ValueError("--probe is for --dry-run: a run tells what it took in the end.")
    some: dict[str, Any] = {"limit": limit, "shard": runs.Shard.of(shard), "retry_failed": retry_failed}
    if dry_run:
        _plan(places, as_json=as_json, jobs=jobs or 1, probe=probe or 0, **some)
    else:
        _measure(places, as_json=as_json, engine=engine, workers=jobs, address=address, **some)


@dataclass(frozen=True)
class _Place:
    """A folder of results and what is measured in it; ``title`` is empty where it is ``--out`` itself."""

    title: str
    folder: Path
    dataset: "Dataset"
    configuration: "Configuration"


def _places(dataset: "Dataset", out: Path, corruption: str | None) -> "Iterator[tuple[str, Path, Dataset]]":
    """The data set as it is in ``out``, or each of its corruptions in a folder there: a folder holds one data set."""
    from dexar_widgets.evaluation.corruptions import Corrupted, corruptions_of

    if corruption is None:
        yield "", out, dataset
        return
    for name, severity in corruptions_of(corruption):
        yield f"{name}-{severity}", out / f"{name}-{severity}", Corrupted(dataset, name, severity)


def _plan(places: Sequence[_Place], *, as_json: bool, jobs: int, **some: Any) -> None:
    from dexar_widgets.evaluation import runs

    told = {}
    for place in places:
        plan = runs.plan(place.configuration, place.dataset, out=place.folder, **some)
        told[place.title] = evaluated.plan_record(plan, jobs=jobs)
        if not as_json:
            _head(place)
            evaluated.tell_plan(plan, jobs=jobs)
    _json(told, as_json=as_json)


def _measure(places: Sequence[_Place], *, as_json: bool, **how: Any) -> None:
    """One place after the other; what ends the run of one keeps nobody from the next."""
    from dexar_widgets.evaluation import cluster, runs

    if how["engine"] == "ray":
        cluster.quiet()
    told, complete = {}, True
    for place in places:
        try:
            joined = _evaluated(place, quiet=as_json, **how)
        except runs.FailingRunError as error:
            notices([str(error)])
            complete = False
            continue
        told[place.title] = evaluated.record(joined)
        if not as_json:
            _head(place)
            evaluated.tell(joined)
        notices(evaluated.remarks(joined))
        complete = complete and not joined.broken
    _json(told, as_json=as_json)
    if not complete:
        raise typer.Exit(1)


def _evaluated(place: _Place, *, quiet: bool, **how: Any) -> "Joined":
    from dexar_widgets.evaluation import runs

    with progress(quiet=quiet) as bar:
        task = bar.add_task("begins", total=None)

        def tell(done: int, every: int, text: str) -> None:
            bar.update(task, completed=done, total=every, description=" ".join(filter(None, (place.title, text))))

        return runs.evaluate(place.configuration, place.dataset, place.folder, tell=tell, **how)


def _head(place: _Place) -> None:
    if place.title:
        line("images", place.title)


def _json(told: dict[str, Any], *, as_json: bool) -> None:
    """One document: what there is to tell, or that of each corruption by its folder."""
    if as_json and told:
        typer.echo(json.dumps(told.get("", told)))


def _slurm(*, wanted: bool) -> None:
    if wanted:
        typer.echo(resources.files("dexar_widgets.evaluation").joinpath("slurm.sh").read_text("utf-8"), nl=False)
        raise typer.Exit
