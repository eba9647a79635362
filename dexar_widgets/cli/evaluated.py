"""What ``dexar evaluate`` says: of a plan, and of a run that has ended."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from dexar_widgets.cli.terminal import line

if TYPE_CHECKING:
    from dexar_widgets.evaluation.runs import Plan
    from dexar_widgets.evaluation.spending import Estimate, Spent
    from dexar_widgets.evaluation.store import Joined

__all__ = ["plan_record", "record", "remarks", "tell", "tell_plan"]


def plan_record(plan: "Plan", *, jobs: int) -> dict[str, Any]:
    """A plan as JSON values; ``hours`` and ``forwards`` of what is left, null where nobody knows."""
    told, left = vars(plan), plan.estimate
    basis = {"measured_images": left.measured, "probed_images": left.probed, "with_check": not left.unchecked}
    hours = None if left.seconds is None else left.seconds / jobs / 3600
    counts = {name: value for name, value in told.items() if name != "estimate"}
    return counts | {"forwards": left.forwards, "hours": hours, "jobs": jobs, "basis": basis}


def tell_plan(plan: "Plan", *, jobs: int) -> None:
    """A plan as people read it."""
    left = plan.estimate
    line("samples", str(plan.samples))
    failed = f" ({plan.failed} without a result)" if plan.failed else ""
    line("units", f"{plan.units}, of which {plan.done} are done{failed}")
    if not plan.images:
        line("time", "nothing is left to do")
    elif left.seconds is None or left.forwards is None:
        line("forwards", f"{plan.metric_forwards:,} for perturbation curves; methods' own come with them")
        why = f"no image of {', '.join(left.unknown)} is measured in this folder yet"
        line("time", f"not known: {why}; --probe 2 measures two of each model first, and keeps nothing")
    else:
        line("forwards", f"about {left.forwards:,} for what is left, {left.forwards / plan.images:,.0f} an image")
        each = f"{_seconds(left.seconds / plan.images)} an image, {_basis(left)}"
        line("time", f"about {_duration(left.seconds / jobs)} for what is left with --jobs {jobs}: {each}")


def _basis(left: "Estimate") -> str:
    """How an estimate came about."""
    told = [f"by {left.measured} that were measured in this folder"] if left.measured else []
    told += [f"by {left.probed} that were measured just now, without loading the model"] if left.probed else []
    told += ["without the randomisation check, which none of them had"] if left.unchecked else []
    return "; ".join(told)


def _duration(seconds: float) -> str:
    """As people say it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def record(joined: "Joined") -> dict[str, Any]:
    """What came of a run, as JSON values."""
    tables = {name: str(path) for name, path in joined.tables.items()}
    costs = {
        model: {
            "images": one.images, "forwards_per_image": one.forwards, "seconds_per_image": one.seconds,
            "seconds_by_stage": dict(one.stages),
        }
        for model, one in _spent(joined).items()
    }  # fmt: skip
    return {"units": joined.units, "without_result": joined.broken, "tables": tables, "costs": costs}


def tell(joined: "Joined") -> None:
    """What came of a run, as people read it."""
    line("units", f"{joined.units}, {joined.broken} without a result")
    found = _spent(joined)
    for model, one in found.items():
        stages = ", ".join(f"{stage} {_seconds(seconds)}" for stage, seconds in one.stages.items() if seconds > 0)
        named = f"{model}: " if len(found) > 1 else ""
        line("took", f"{named}{one.forwards:,.0f} forwards and {_seconds(one.seconds)} an image ({stages})")
    for name, path in joined.tables.items():
        line(name, str(path.resolve()))


def _spent(joined: "Joined") -> "dict[str, Spent]":
    import pandas as pd

    from dexar_widgets.evaluation.spending import spent

    return spent(pd.read_parquet(joined.tables["costs"]))


def remarks(joined: "Joined") -> list[str]:
    """What the user should know of it: parts that were damaged, and why units have no result."""
    told = []
    if joined.damaged:
        told.append(f"{len(joined.damaged)} parts could not be read and were measured again: {joined.damaged[0]} …")
    if joined.foreign:
        told.append(
            f"{len(joined.foreign)} parts are of another configuration and were left out: {joined.foreign[0]} …"
        )
    return told + (_reasons(joined) if joined.broken else [])


def _reasons(joined: "Joined") -> list[str]:
    """Why units have no result, the most frequent reason first, and which of them would be tried again."""
    import pandas as pd

    table = pd.read_parquet(joined.tables["units"], columns=["status", "reason"])
    without = table[table["status"] != "ok"]
    lost = int((without["status"] == "lost").sum())
    counts = Counter(without["reason"])
    told = [f"{count} units: {reason}" for reason, count in counts.most_common(5)]
    told += [f"The same command tries {lost} of these units again."] * bool(lost)
    return told + ["--retry-failed tries those again that are broken or failed."] * (lost < len(without))
