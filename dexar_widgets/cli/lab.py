"""``dexar lab report``: what the maps are worth, measured on scenes whose truth is known."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from dexar_widgets.cli.terminal import ERR, line, progress

if TYPE_CHECKING:
    from dexar_widgets.lab.trust.parts import Plan

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of results; a run that was cut short goes on there.")]
Models = Annotated[str | None, typer.Option(help="lab/NAME,… Default: every embedded model that a test is about.")]
Methods = Annotated[str | None, typer.Option(help="Names, separated by commas. Default: all.")]
Tests = Annotated[str | None, typer.Option(help="T1,T5,filters,… Default: all.")]
Scenes = Annotated[int, typer.Option(min=1, max=20_000, help="For methods that take less than a second.")]
SlowScenes = Annotated[int, typer.Option(min=1, max=20_000, help="For rise, integrated_gradients and iia.")]
Seed = Annotated[int, typer.Option(min=0, max=6, help="Other scenes.")]
_QUICK = ("lab/llava", "lab/water-boat")
"""A model, and one that is wrong on purpose, which is told apart from it."""
Quick = Annotated[
    bool, typer.Option("--quick", help="4 scenes, 1 for slow methods, and without --models two models: minutes.")
]
Jobs = Annotated[int, typer.Option(min=1, help="Processes that work at once, one thread each.")]
Device = Annotated[str, typer.Option(help="Where the models compute: cpu, cuda, …")]
Only = Annotated[
    Literal["fast", "slow"] | None,
    typer.Option(help="Leave the parts of slow methods, or all others, for another run or another machine."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the results as JSON.")]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    help_ = "Experiments in the lab's world, where the truth is known.\n\nExample: `dexar lab report --quick`"
    lab = typer.Typer(help=help_, no_args_is_help=True)
    lab.command("report")(report)
    app.add_typer(lab, name="lab")


def report(
    *,
    out: Out = Path("lab-report"),
    models: Models = None,
    methods: Methods = None,
    tests: Tests = None,
    scenes: Scenes = 500,
    slow_scenes: SlowScenes = 100,
    seed: Seed = 0,
    quick: Quick = False,
    jobs: Jobs = 1,
    device: Device = "cpu",
    only: Only = None,
    as_json: AsJson = False,
) -> None:
    """Put every method to the test on scenes whose truth is known, and write what came of it.

    Writes report.html, report.md, results.csv and report.json into the folder. Exit status 1: a check with a known
    right answer failed, or a part could not be measured.

    Example: `dexar lab report --out lab-report --tests T1,T2 --scenes 100 --jobs 2`
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {str(out)!r} is a file; give a folder.")
    plan = _plan(models, methods, tests, scenes, slow_scenes, seed, quick=quick)
    from dexar_widgets.lab.trust import report as page
    from dexar_widgets.lab.trust import runner

    with progress(quiet=as_json) as bar:
        task = bar.add_task("begins", total=None)
        runner.run(
            plan,
            out,
            jobs=jobs,
            device=device,
            only=only,
            tell=lambda n, all_, text: bar.update(task, completed=n, total=all_, description=text),
        )
    with ERR.status("judging …"):
        files = page.write(plan, out, results := runner.judge(plan, out))
    if as_json:
        typer.echo(files["json"].read_text("utf-8"))
    else:
        line("verdicts", page.summary(results) or "nothing was measured")
        line("report", str(files["html"].resolve()))
    if results["verdict"].isin(["fail", "error"]).any():
        raise typer.Exit(1)


def _plan(
    models: str | None, methods: str | None, tests: str | None, scenes: int, slow_scenes: int, seed: int, *, quick: bool
) -> "Plan":
    """What was asked for, or an error that names what there is."""
    from dexar_widgets.attributions import every_method
    from dexar_widgets.checkpoints import embedded
    from dexar_widgets.lab.trust.parts import TESTS, Plan, offered

    there = offered(tuple(embedded()))
    if quick:
        scenes, slow_scenes = min(scenes, 4), min(slow_scenes, 1)
        models = models or ",".join(_QUICK)
    return Plan(
        _some("--models", models, there),
        _some("--methods", methods, every_method()),
        _some("--tests", tests, TESTS),
        scenes,
        slow_scenes,
        seed,
    )


def _some(option: str, given: str | None, there: tuple[str, ...]) -> tuple[str, ...]:
    """Names out of those there are, in the order of those."""
    if given is None:
        return there
    names = [name.strip() for name in given.split(",") if name.strip()]
    unknown = [name for name in names if name not in there]
    if unknown or not names:
        raise ValueError(f"{option} {given!r}: {unknown[0] if unknown else 'nothing'!r} is none of {', '.join(there)}.")
    return tuple(name for name in there if name in names)
