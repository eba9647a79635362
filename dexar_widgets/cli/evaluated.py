"""What ``dexar evaluate`` says: of a plan, and of a run that has ended."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from dexar_widgets.cli.terminal import line

if TYPE_CHECKING:
    from dexar_widgets.evaluation.runs import Plan
    from dexar_widgets.evaluation.store import Joined

__all__ = ["plan_record", "record", "remarks", "tell", "tell_plan"]


def plan_record(plan: "Plan") -> dict[str, Any]:
    """A plan as JSON values."""
    return vars(plan)


def tell_plan(plan: "Plan") -> None:
    """A plan as people read it."""
    line("samples", str(plan.samples))
    line("units", f"{plan.units}, of which {plan.done} are done")
    line("passes", f"{plan.metric_forwards} for perturbation curves; methods' own come with them")


def record(joined: "Joined") -> dict[str, Any]:
    """What came of a run, as JSON values."""
    tables = {name: str(path) for name, path in joined.tables.items()}
    return {"units": joined.units, "without_result": joined.broken, "tables": tables}


def tell(joined: "Joined") -> None:
    """What came of a run, as people read it."""
    line("units", f"{joined.units}, {joined.broken} without a result")
    for name, path in joined.tables.items():
        line(name, str(path.resolve()))


def remarks(joined: "Joined") -> list[str]:
    """What the user should know of it: parts that were damaged, and why units have no result."""
    told = []
    if joined.damaged:
        told.append(f"{len(joined.damaged)} parts could not be read and were measured again: {joined.damaged[0]} …")
    return told + (_reasons(joined) if joined.broken else [])


def _reasons(joined: "Joined") -> list[str]:
    """Why units have no result, the most frequent reason first."""
    import pandas as pd

    table = pd.read_parquet(joined.tables["units"], columns=["status", "reason"])
    counts = Counter(table[table["status"] != "ok"]["reason"])
    return [f"{count} units: {reason}" for reason, count in counts.most_common(5)]
