"""Whether words keep their weights as images are corrupted: token metrics by corruption and severity.

A corrupted image holds less to see, so what tells content from filler should not grow with severity. And the paper's
filters should keep their order: max before every top-k, these before avg. Test T14 and the paper's appendix L; both are
told for all samples, and beside them for those whose answer the model still finds likely.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd

from dexar_widgets.evaluation.readings import Reading, cases_of
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.tables import DRAWS, rows_of
from dexar_widgets.pages import Cell, Chapter, Table, number
from dexar_widgets.statistics import FEW, Estimate, difference, mean

__all__ = ["METRICS", "Robustness", "robustness", "under_corruption"]

METRICS = ("token_snr", "token_auroc")
LIKELY = 0.5
"""The geometric mean of an answer's token probabilities from which on the model still finds it likely."""
_FILTERS = ("max", 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, "avg")
_ASKED = 5 / 6  # of the corruptions, in which the filters are asked to keep their order


@dataclass(frozen=True)
class Robustness:
    """One token metric of one model on one data set.

    ``levels``, by corruption and severity, and ``likely``, of samples whose answer is still likely, are DEX-AR's means;
    the image as it is has severity 0 under every corruption. ``average`` is over all corruptions, by severity;
    ``rises`` are its steps from one severity to the next. ``filters``: at the highest severity, means by corruption and
    filter, from max to avg.
    """

    model: str
    data: str
    metric: str
    scenes: int
    levels: Mapping[tuple[str, int], Estimate]
    likely: Mapping[tuple[str, int], Estimate]
    average: Mapping[int, Estimate]
    rises: Mapping[tuple[int, int], Estimate]
    filters: Mapping[str, Mapping[str, Estimate]]

    @property
    def title(self) -> str:
        """The metric's."""
        return Reading(self.metric).title

    @property
    def falls(self) -> bool | None:
        """Whether the average rises at no step, as far as its interval tells; None of too few samples or steps."""
        if self.scenes < FEW or not self.rises:
            return None
        return all(step.low <= 0 for step in self.rises.values())

    @property
    def ordered(self) -> list[str]:
        """The corruptions under which max is not below any filter, and avg not above any."""
        return [name for name, found in self.filters.items() if _in_order([one.value for one in found.values()])]


def _in_order(values: Sequence[float]) -> bool:
    return bool(values[0] >= max(values) and values[-1] <= min(values))


def under_corruption(results: Results, references: Mapping[str, str]) -> list[Robustness]:
    """Of every model and data set that was measured under corruption, each token metric; ``references`` name DEX-AR."""
    found = []
    for data, corrupted in _families(results):
        of = {label: place for label, place in corrupted.items() if label in references}
        if not of:
            continue
        scores = results.scores[results.scores["data"].isin(list(of))]
        units = results.units[results.units["data"].isin(list(of))]
        for model in dict.fromkeys(scores["model"]):
            own, its = scores[scores["model"] == model], units[units["model"] == model]
            cases = _cases(own, its, of)
            its_own = (cases["variant"] == cases["data"].map(dict(references))) & (cases["corruption"] != "")
            found += [_measured(str(model), data, metric, cases, results, references, of) for metric in METRICS
                      if metric in set(cases.loc[its_own, "metric"])]  # fmt: skip
    return found


def _families(results: Results) -> list[tuple[str, dict[str, tuple[str, int]]]]:
    """The name of data as they are, and the labels of all that come from them, with corruption and severity."""
    found: dict[str, dict[str, tuple[str, int]]] = {}
    plain: dict[str, str] = {}
    for label, (told, *_) in results.told.items():
        settings = told.get("data_settings", {})
        if "corruption" in settings:
            of = json.dumps(settings["of"], sort_keys=True)
            found.setdefault(of, {})[label] = (settings["corruption"], int(settings["severity"]))
        else:
            plain[json.dumps({"name": told["data"], **settings}, sort_keys=True)] = label
    for of, labels in found.items():
        if of in plain:
            labels[plain[of]] = ("", 0)
    return [(str(json.loads(of)["name"]), labels) for of, labels in found.items()]


def _cases(scores: pd.DataFrame, units: pd.DataFrame, of: Mapping[str, tuple[str, int]]) -> pd.DataFrame:
    """A row per metric, label, variant and sample: its value, and whether the answer is likely there."""
    tables = []
    for key, some in scores[scores["metric"].isin(METRICS)].groupby(["metric", "data"], sort=False):
        metric, label = map(str, key)
        one = cases_of(some, Reading(metric))[["variant", "sample", "cluster", "value"]]
        tables.append(one.assign(metric=metric, data=label, corruption=of[label][0], severity=of[label][1]))
    columns = ["variant", "sample", "cluster", "value", "metric", "data", "corruption", "severity"]
    cases = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    known = rows_of(units[units["status"] == "ok"].drop_duplicates(["data", "sample"]))
    likely = {(row["data"], row["sample"]): _probability(row["log_probs"]) >= LIKELY for row in known}
    keys = zip(cases["data"], cases["sample"], strict=True)
    ending = [f"/{name}-{severity}" for name, severity in zip(cases["corruption"], cases["severity"], strict=True)]
    plain = {
        name: [one.removesuffix(end) for one, end in zip(cases[column], ending, strict=True)]
        for name, column in (("scene", "sample"), ("cluster", "cluster"))
    }
    return cases.assign(likely=[likely.get(key, False) for key in keys], **plain)


def _probability(log_probs: Sequence[float]) -> float:
    return float(np.exp(np.mean(log_probs))) if len(log_probs) else 0.0


def _measured(
    model: str, data: str, metric: str, cases: pd.DataFrame, results: Results, references: Mapping[str, str],
    of: Mapping[str, tuple[str, int]],
) -> Robustness:  # fmt: skip
    cases = cases[cases["metric"] == metric]
    own = cases[cases["variant"] == cases["data"].map(dict(references))]
    names = [name for name in dict.fromkeys(own["corruption"]) if name]
    wide = own.pivot_table(index=["cluster", "scene"], columns=["corruption", "severity"], values="value")
    severities = sorted({severity for _, severity in of.values()})
    average = {severity: _over(wide, names, severity) for severity in severities}
    clusters = np.repeat(pd.factorize(wide.index.get_level_values("cluster"))[0], len(names))
    return Robustness(
        model, data, metric, len(set(clusters)),
        levels=_levels(own), likely=_levels(own[own["likely"]]),
        average={severity: mean(values.ravel(), clusters, draws=DRAWS) for severity, values in average.items()},
        rises={
            (first, then): difference(average[then].ravel(), average[first].ravel(), clusters, draws=DRAWS)
            for first, then in pairwise(severities)
        },
        filters=_by_filter(cases[cases["severity"] == severities[-1]], results, of),
    )  # fmt: skip


def _levels(own: pd.DataFrame) -> dict[tuple[str, int], Estimate]:
    found = {}
    for key, some in own.groupby(["corruption", "severity"], sort=False):
        name, severity = cast(tuple[str, int], key)
        found[name, int(severity)] = _mean(some)
    return found


def _mean(cases: pd.DataFrame) -> Estimate:
    return mean(cases["value"].to_numpy(float), pd.factorize(cases["cluster"])[0], draws=DRAWS)


def _over(wide: pd.DataFrame, names: Sequence[str], severity: int) -> np.ndarray:
    """A row per scene, a column per corruption; the image as it is stands for every corruption of severity 0."""
    columns = [("", 0) if severity == 0 else (name, severity) for name in names]
    return np.column_stack(
        [wide[column].to_numpy(float) if column in wide else np.full(len(wide), np.nan) for column in columns]
    )


def _by_filter(
    cases: pd.DataFrame, results: Results, of: Mapping[str, tuple[str, int]]
) -> dict[str, dict[str, Estimate]]:
    """By corruption, DEX-AR's variants that differ in the filler filter alone, from max to avg; none if it is one."""
    found: dict[str, dict[str, Estimate]] = {}
    for label, some in cases.groupby("data", sort=False):
        variants = results.variants(str(label))
        filters = {options.get("filler_filter", "max"): name for name, (method, options) in variants.items()
                   if method == "dexar" and set(options) <= {"filler_filter"}}  # fmt: skip
        chosen = {str(level): some[some["variant"] == filters[level]] for level in _FILTERS if level in filters}
        if len(chosen) > 2:
            found[of[str(label)][0]] = {level: _mean(one) for level, one in chosen.items()}
    return found


def robustness(found: Sequence[Robustness]) -> Chapter | None:
    """The chapter; None without results under corruption."""
    if not found:
        return None
    told = [sentence for one in found for sentence in _told(one)]
    tables = [table for one in found for table in (_table(one), _filter_table(one)) if table]
    return Chapter("Do words keep their weights under corruption?", (_ABOUT, *told), tables)


_ABOUT = (
    "Images as they are (severity 0) and corrupted, answers held fixed. Less can be seen in a corrupted image, so what "
    "tells content from filler should not grow with severity; a step counts as a rise where its 95 % interval is above "
    f"0. Below each mean stands that of samples whose answer is still likely (token probability {LIKELY:g} and more in "
    "the geometric mean). The filters are in the paper's order where max is below none and avg above none; it is asked "
    "for in five of six corruptions."
)


def _told(one: Robustness) -> Iterator[str]:
    place = f"{one.model}, {one.data}: {one.title}"
    means = ", ".join(f"{number(level.value)} ({severity})" for severity, level in one.average.items())
    if one.falls is None:
        yield f"{place} by severity: {means}; too few samples or severities to say more."
    else:
        up = [f"{first} to {then} (+{number(step.value)})" for (first, then), step in one.rises.items() if step.low > 0]
        told = f"rises from {', '.join(up)}" if up else "rises at no step that could be shown"
        yield f"{place} by severity: {means}; it {told}."
    if one.filters:
        held, judged = one.ordered, len(one.filters)
        enough = "as asked" if len(held) >= _ASKED * judged else "fewer than asked"
        yield f"{place}: the filters are in the paper's order under {len(held)} of {judged} corruptions, {enough}."


def _table(one: Robustness) -> Table:
    severities = list(one.average)
    names = [name for name in dict.fromkeys(name for name, _ in one.levels) if name]
    rows = [
        [
            Cell(name.replace("_", " ")),
            *(_level(one, ("" if severity == 0 else name, severity)) for severity in severities),
        ]
        for name in names
    ]
    rows.append([Cell("all of them"), *(Cell(_interval(one.average[severity])) for severity in severities)])
    return Table(f"{one.model}, {one.data}: {one.title} by severity", ("", *map(str, severities)), rows)


def _level(one: Robustness, key: tuple[str, int]) -> Cell:
    if key not in one.levels:
        return Cell("")
    lines = [_interval(one.levels[key])]
    if key in one.likely:
        likely = one.likely[key]
        lines.append(f"likely: {number(likely.value)}, n {likely.n}")
    return Cell("\n".join(lines))


def _interval(found: Estimate) -> str:
    return f"{number(found.value)}\n({number(found.low)} to {number(found.high)})\nn {found.n}"


def _filter_table(one: Robustness) -> Table | None:
    if not one.filters:
        return None
    heads = list(next(iter(one.filters.values())))
    rows: list[list[Cell]] = []
    for name, found in one.filters.items():
        mark, verdict = ("✓", "pass") if name in one.ordered else ("✗", "fail")
        rows.append([Cell(f"{mark} {name.replace('_', ' ') or 'as they are'}", verdict),
                     *(Cell(number(found[level].value)) for level in heads)])  # fmt: skip
    highest = list(one.average)[-1]
    return Table(f"{one.model}, {one.data}: {one.title} by filter, severity {highest}", ("", *heads), rows)
