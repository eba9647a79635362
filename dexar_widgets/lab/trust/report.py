"""The report as one page without requests, and as Markdown; the numbers beside it as a table."""

import json
from pathlib import Path

import pandas as pd

from dexar_widgets.files import write_whole
from dexar_widgets.lab.trust import chapters, gates, runner, sentences
from dexar_widgets.lab.trust.parts import PARTS, Plan
from dexar_widgets.pages import Cell, Chapter, Table, html, markdown

__all__ = ["contents", "summary", "write"]

TITLE = "What the maps are worth: the lab's report"


def write(plan: Plan, out: Path, results: pd.DataFrame) -> dict[str, Path]:
    """Write the judged results: ``report.html``, ``report.md``, ``results.csv`` and ``report.json``."""
    parts = contents(plan, out, results)
    found = {
        "html": html(TITLE, parts),
        "md": markdown(TITLE, parts),
        "csv": results.to_csv(index=False, lineterminator="\n"),
        "json": json.dumps(json.loads(results.to_json(orient="records")), indent=1, ensure_ascii=False),
    }
    names = {"html": "report.html", "md": "report.md", "csv": "results.csv", "json": "report.json"}
    return {kind: write_whole(out / names[kind], text.encode()) for kind, text in found.items()}


def contents(plan: Plan, out: Path, results: pd.DataFrame) -> list[Chapter]:
    """Everything in order: what did not hold, why, the tests, the failure cases, how it was made."""
    seen = runner.observed(plan, out)
    told = [chapters.negative(results), sentences.why(results), sentences.causally(results)]
    told += list(chapters.tests(results))
    told += [sentences.cases(seen.get("failure cases", {})), _made(plan, out)]
    return [chapter for chapter in told if chapter is not None]


def _made(plan: Plan, out: Path) -> Chapter:
    """Models, methods, seeds, gates, versions, machine and time: what it takes to make it again."""
    from dexar_widgets import doctor

    machine = doctor.machine()
    versions = ", ".join(f"{name} {found}" for name, found in machine.versions.items() if found)
    took = runner.seconds(plan, out)
    weights = json.loads((out / "plan.json").read_text("utf-8"))["weights"]
    every, ready = runner.units(plan), sum(runner.done(unit, out) for unit in runner.units(plan))
    by = "; ".join(f"{took / 60:.1f} minutes with {made}" for made, took in took.groupby("by")["seconds"].sum().items())
    tests = set(plan.tests)
    seeds = "; ".join(f"{part.name} from {part.first_seed(plan)}" for part in PARTS if tests & set(part.tests))
    told = (
        f"{ready} of {len(every)} units of work are done; by processes of one thread each they took {by}.",
        f"Fast methods saw {plan.scenes} scenes, slow ones {plan.slow_scenes}; n stands beside every number. Methods: "
        f"{', '.join(plan.methods)}.",
        f"First seeds: {seeds}.",
        f"Gates: SHA-256 {gates.fingerprint()}, frozen before the first full run.",
        f"Judged on: {machine.system}, {machine.cores} cores; Python {machine.python}; {versions}.",
    )
    times = [
        [Cell(row["part"]), Cell(row["model"]), Cell(row["by"]), Cell(str(row["count"])), Cell(f"{row['seconds']:.0f}")]
        for _, row in took.iterrows()
    ]
    shas = [[Cell(name), Cell(weights.get(name, "")[:16] or "no weight file")] for name in plan.models]
    bounds = [
        [
            Cell(name),
            Cell(json.dumps({key: gate[key] for key in gate if key not in ("why", "decides")})),
            Cell("decides" if gate["decides"] else "expected"),
            Cell(gate["why"]),
        ]
        for name, gate in gates.gates().items()
    ]
    tables = (
        Table("Models, SHA-256 of the weights", ("model", "weights"), shas),
        Table("Seconds", ("part", "model", "with", "scenes", "seconds"), times),
        Table("Gates", ("gate", "bound", "kind", "why"), bounds),
    )
    return Chapter("How it was made", told, tables)


def summary(results: pd.DataFrame) -> str:
    """One line: how many results have each verdict."""
    return ", ".join(f"{count} {verdict}" for verdict, count in results["verdict"].value_counts().items())
