"""What images took, by stage; and what those that are left will take, by those that were measured."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import pandas as pd

from dexar_widgets.evaluation.configuration import Configuration
from dexar_widgets.evaluation.engines import Bench, Task
from dexar_widgets.evaluation.samples import Dataset

__all__ = ["STAGES", "Estimate", "Spent", "estimated", "spent"]

_ONCE = ("answer", "shared")  # told by every unit of a sample, and done once
_EACH = ("own", "curves", "effects", "randomised", "metrics")
STAGES = (*_ONCE, *_EACH, "rest")
"""What methods share and their own work; interventions (objects taken away, weights drawn anew); the metrics' own."""


@dataclass(frozen=True)
class Spent:
    """Means over one model's images: seconds, the same by stage, and images through the model but to generate."""

    images: int
    seconds: float
    forwards: float
    stages: Mapping[str, float]


@dataclass(frozen=True)
class Estimate:
    """What is left, and of what that is judged: images ``measured`` in the folder, or ``probed``.

    ``seconds`` are of one worker, without loading the model; None where nothing is known of the models ``unknown``.
    ``unchecked``: no such image had the randomisation check, whose seconds come on top.
    """

    seconds: float | None
    forwards: int | None
    measured: int
    probed: int
    unknown: tuple[str, ...] = ()
    unchecked: bool = False


def spent(costs: pd.DataFrame) -> dict[str, Spent]:
    """By model, from a table of costs; nothing of results that are older than this."""
    return {
        str(model): Spent(
            len(some), float(some["sample"].mean()), float(some["forwards_sample"].mean()),
            {stage: float(some[stage].mean()) for stage in STAGES},
        )
        for model, some in _images(costs).groupby(level="model", sort=False)
    }  # fmt: skip


_MOST = [*(f"seconds_{stage}" for stage in _ONCE), "seconds_sample", "forwards_sample"]
_SUMS = [*(f"seconds_{stage}" for stage in _EACH), "forwards_randomised"]
_COLUMNS = ["model", "sample", *_MOST, *_SUMS]


def _images(costs: pd.DataFrame) -> pd.DataFrame:
    """A row per model and sample: seconds by stage and of all of it (``sample``), and forwards."""
    known = costs.reindex(columns=_COLUMNS).dropna(subset=["seconds_sample"])
    units = known.groupby(["model", "sample"], sort=False)
    found = pd.concat([units[_MOST].max(), units[_SUMS].sum()], axis=1).fillna(0.0).astype(float)
    found = found.rename(columns=lambda name: name.removeprefix("seconds_"))
    return found.assign(rest=(found["sample"] - found[[*_ONCE, *_EACH]].sum(axis=1)).clip(lower=0))


def estimated(
    configuration: Configuration, dataset: Dataset, tasks: Sequence[Task], measured: pd.DataFrame | None, *, probe: int
) -> Estimate:
    """Of these tasks, from the ``measured`` costs of their models, and of others from ``probe`` images each.

    Those are measured here, and kept nowhere. Of several the first does not count: it loads what the others find. An
    image counts whole, even where only some of its variants are left.
    """
    here = _images(pd.DataFrame() if measured is None else measured)
    without = [task for task in tasks if task.model not in here.index.get_level_values("model")]
    tried = _images(_probed(configuration, dataset, without, probe))
    models = list(dict.fromkeys(task.model for task in tasks))
    here, tried = (some[some.index.isin(models, level="model")] for some in (here, tried))
    known = pd.concat([here, tried])
    unknown = tuple(model for model in models if model not in known.index.get_level_values("model"))
    if unknown:
        return Estimate(None, None, len(here), len(tried), unknown)
    checked = set(dataset.ids[: configuration.randomised] if "randomised" in configuration.needs else ())
    ids = {model: {task.sample for task in tasks if task.model == model} for model in models}
    each = [_left(ids[model], known.loc[[model]], checked) for model in models]
    seconds, forwards, unchecked = (sum(values) for values in zip((0.0, 0.0, 0), *each, strict=True))
    return Estimate(seconds, round(forwards), len(here), len(tried), unchecked=bool(unchecked))


def _left(ids: Set[str], known: pd.DataFrame, checked: Set[str]) -> tuple[float, float, bool]:
    """Seconds and forwards of one model's samples, and whether some have a check that none of the known had."""
    check, due = known[known["randomised"] > 0], len(ids & checked)
    found = []
    for whole, part in (("sample", "randomised"), ("forwards_sample", "forwards_randomised")):
        plain = len(ids) * float((known[whole] - known[part]).mean())
        found.append(plain + (due * float(check[part].mean()) if len(check) else 0.0))
    return found[0], found[1], due > 0 and check.empty


def _probed(configuration: Configuration, dataset: Dataset, tasks: Sequence[Task], count: int) -> pd.DataFrame:
    bench, rows = Bench(configuration, dataset), []
    for model in dict.fromkeys(task.model for task in tasks):
        own = [task for task in tasks if task.model == model][:count]
        for number, task in enumerate(own):
            records = bench.records(task)
            if number or len(own) == 1:
                rows += [{"model": model, "sample": task.sample} | record["costs"] for record in records]
    return pd.DataFrame(rows, columns=_COLUMNS)
