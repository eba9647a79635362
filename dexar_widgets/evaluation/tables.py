"""Numbers of an evaluation as tables: means with intervals, what was left out and why, chance, and who beats whom.

Of a variant, every case counts that any variant has of the same sample: with a number (``n``), or skipped with a
reason. Reasons are the score's status; ``failed`` and ``broken`` where the unit has no result; ``no map`` where the
method has none for the case, as of single words. Samples that a variant was not asked for, as slow methods often are
asked for fewer, do not count. Resampled are clusters, a sample or those of one image, which are not independent.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from dexar_widgets.evaluation.ranks import signed_rank
from dexar_widgets.evaluation.readings import Meaning, Reading, cases_of, clusters_of, form_of, meaning_of
from dexar_widgets.metrics import CHANCE
from dexar_widgets.statistics import FEW, Estimate, differences, holm, mean, means

__all__ = ["DRAWS", "KNOWN", "SUMMARY", "costs_of", "rows_of", "summary"]

SUMMARY = (
    *("model", "data", "metric", "part", "view", "variant"),
    *("mean", "low", "high", "median", "n", "samples", "clusters", "skipped", "reasons", "pessimistic"),
    *("floor", "chance", "chance_from", "form"),
    *("less_chance", "less_chance_low", "less_chance_high", "beside_chance"),
    *("less_reference", "less_reference_low", "less_reference_high", "pairs", "paired", "p", "wilcoxon"),
    "beside_reference",
)
"""Columns of `summary`. ``pessimistic`` is the mean with skipped maps at the metric's worst. ``chance`` is from what is
`KNOWN` or from the control, a variant, on the cases that both have; ``floor`` is what the metric's CHANCE says instead.
``form`` is that in which pairs are compared: ``less_…`` and ``paired``, the mean of the ``pairs`` alone, which the
reference has too. ``beside_…`` is better, worse, level (p ≥ .05) or few (fewer than 10 clusters); empty without a
comparison. ``p``, of the bootstrap, and ``wilcoxon`` are adjusted by Holm for the variants of one comparison."""
DRAWS = 10_000
"""Resamples, so that the least p is still small after Holm."""
KNOWN = "known"
_CONTROL = "random"
"""The method whose maps score by chance where nothing else tells what that is."""
_SIGNIFICANT = 0.05
_NOT_ASKED, _NO_MAP = "not asked", "no map"
_BEYOND = "overflow"  # above every number: of a metric whose high numbers are good no fault of the map
_OF_THE_CASE = frozenset(
    {_NOT_ASKED, "empty_mask", "full_mask", "bad_baseline", "too_few", "missing", "broken", "lost", "unmeasured"}
)
"""Reasons that no map could help; any other counts as the metric's worst in the pessimistic mean."""


def summary(
    scores: pd.DataFrame,
    readings: Sequence[Reading],
    reference: str | None = None,
    *,
    uncompared: Collection[str] = (),
) -> pd.DataFrame:
    """A row per model, data set, reading and variant; empty where no variant has a case.

    ``reference`` names the variant that each other one is compared with, on the cases that both have; those that are
    ``uncompared`` are not, such as maps made of the masks.
    """
    rows = [
        {"model": model, "data": data, "metric": reading.metric, "part": reading.part, "view": reading.view} | row
        for (model, data), some in scores.groupby(["model", "data"], sort=False)
        for asked in [_asked(some)]
        for reading in readings
        for row in _variants(some, asked, reading, reference, uncompared)
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY))


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows by the names of its columns."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


@dataclass(frozen=True, eq=False)
class _Asked:
    """What was asked of each variant of one model and data set: why there is nothing of a sample, where there is not.

    ``status`` is `_NOT_ASKED`, the unit's, or `_NO_MAP`: a unit with a result has none for the cases that it lacks.
    """

    variants: "pd.Index[str]"
    control: str | None
    samples: "pd.Index[str]"
    status: np.ndarray

    @property
    def lost(self) -> Bool[np.ndarray, " sample"]:
        """Samples of which no variant has anything."""
        return np.asarray((self.status != _NOT_ASKED).any(0) & ~self.measured, bool)

    @property
    def measured(self) -> Bool[np.ndarray, " sample"]:
        """Samples of which some variant has a result."""
        return np.asarray((self.status == _NO_MAP).any(0), bool)


def _asked(scores: pd.DataFrame) -> _Asked:
    each = scores.assign(lost=scores["status"].where(scores["metric"].isna(), _NO_MAP))
    each = each[["variant", "method", "sample", "lost"]].drop_duplicates()
    variants, samples = pd.Index(each["variant"].unique()), pd.Index(each["sample"].unique())
    status = np.full((len(variants), len(samples)), _NOT_ASKED, object)
    status[variants.get_indexer(pd.Index(each["variant"])), samples.get_indexer(pd.Index(each["sample"]))] = each[
        "lost"
    ]
    controls = each.loc[each["method"] == _CONTROL, "variant"]
    return _Asked(variants, controls.iloc[0] if len(controls) else None, samples, status)


@dataclass(frozen=True, eq=False)
class _Cases:
    """Every variant at every place where some variant has a case, and at each sample that is lost to all."""

    variants: tuple[str, ...]
    samples: Int[np.ndarray, " case"]
    clusters: Int[np.ndarray, " case"]
    values: Float[np.ndarray, "variant case"]
    compared: Float[np.ndarray, "variant case"]
    chance: Float[np.ndarray, "variant case"]
    compared_chance: Float[np.ndarray, "variant case"]
    status: np.ndarray

    @cached_property
    def known(self) -> Bool[np.ndarray, "variant case"]:
        """Where there is a number."""
        return np.asarray(np.isfinite(self.values))

    def place_of(self, variant: str | None) -> int | None:
        """Its row; None if there is none."""
        return self.variants.index(variant) if variant in self.variants else None


def _placed(table: pd.DataFrame, asked: _Asked) -> _Cases:
    at = table.groupby(["sample", "target"], sort=False).ngroup().to_numpy()
    first = table.loc[np.unique(at, return_index=True)[1]]
    elsewhere = asked.samples[asked.lost]
    samples = asked.samples.get_indexer(pd.Index([*first["sample"], *elsewhere]))
    variant = asked.variants.get_indexer(pd.Index(table["variant"]))
    filled = {}
    for name in ("values", "compared", "chance", "compared_chance"):
        filled[name] = np.full((len(asked.variants), len(samples)), np.nan)
        filled[name][variant, at] = table["value" if name == "values" else name]
    status = asked.status[:, samples]
    status[variant, at] = table["status"]
    clusters = pd.factorize(np.array([*first["cluster"], *elsewhere], object))[0]
    return _Cases(tuple(asked.variants), samples, clusters, status=status, **filled)


def _variants(
    scores: pd.DataFrame, asked: _Asked, reading: Reading, reference: str | None, uncompared: Collection[str]
) -> list[dict[str, Any]]:
    """The rows of one model, data set and reading."""
    table = cases_of(scores, reading)
    if table.empty:
        return []
    cases, meaning = _placed(table, asked), meaning_of(reading.metric)
    spared = np.isin(cases.variants, list(uncompared))
    parts = (
        _described(cases, reading, meaning),
        _beside_chance(cases, meaning, asked.control),
        _beside_reference(cases, meaning, cases.place_of(reference), spared),
    )
    return [
        {"variant": variant, "form": form_of(reading)} | own | chance | other
        for variant, own, chance, other in zip(cases.variants, *parts, strict=True)
    ]


def _described(cases: _Cases, reading: Reading, meaning: Meaning) -> Iterator[dict[str, Any]]:
    found = means(cases.values, cases.clusters, draws=DRAWS)
    skipped = ~cases.known & (cases.status != _NOT_ASKED)
    for one, values, known, lost, why in zip(found, cases.values, cases.known, skipped, cases.status, strict=True):
        reasons = Counter(why[lost])
        yield {
            "mean": one.value, "low": one.low, "high": one.high,
            "median": float(np.median(values[known])) if known.any() else np.nan,
            "n": one.n, "samples": len(set(cases.samples[known])), "clusters": len(set(cases.clusters[known])),
            "skipped": int(lost.sum()),
            "reasons": ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
            "pessimistic": _pessimistic(values, why, reading, meaning),
        }  # fmt: skip


def _beside_chance(cases: _Cases, meaning: Meaning, control: str | None) -> Iterator[dict[str, Any]]:
    """Of the known chance; where that is a floor or there is none, of the control's maps on the same cases."""
    noise, nothing = cases.place_of(control), np.full_like(cases.values, np.nan)
    known = bool(meaning.chance == CHANCE and np.isfinite(cases.chance).any())
    level, compared, source = nothing, nothing, ""
    if known:
        level, compared, source = cases.chance, cases.compared_chance, KNOWN
    elif noise is not None and control is not None:
        others = np.arange(len(cases.variants))[:, None] != noise
        level, compared = (np.where(others, some[noise], np.nan) for some in (cases.values, cases.compared))
        source = control
    apart = _compared(cases, compared, meaning, "chance")
    for row, values, own, floor in zip(apart, cases.values, level, cases.chance, strict=True):
        both = np.isfinite(own) if known else np.isfinite(values) & np.isfinite(own)
        yield row | {
            "chance": _mean(own[both]),
            "chance_from": source if both.any() else "",
            "floor": np.nan if meaning.chance == CHANCE else _mean(floor[np.isfinite(floor)]),
        }


def _beside_reference(
    cases: _Cases, meaning: Meaning, reference: int | None, spared: Bool[np.ndarray, " variant"]
) -> Iterator[dict[str, Any]]:
    """On the cases that both have."""
    other = np.full_like(cases.compared, np.nan)
    if reference is not None:
        rows = ~spared & (np.arange(len(spared)) != reference)
        other[rows] = cases.compared[reference]
    both = np.isfinite(cases.compared) & np.isfinite(other)
    ranks = [signed_rank(row, cases.clusters) for row in cases.compared - other]
    compared = _compared(cases, other, meaning, "reference")
    for row, own, pairs, rank in zip(compared, cases.compared, both, holm(ranks), strict=True):
        yield row | {"pairs": int(pairs.sum()), "paired": _mean(own[pairs]), "wilcoxon": rank}


def _compared(
    cases: _Cases, other: Float[np.ndarray, "variant case"], meaning: Meaning, name: str
) -> list[dict[str, Any]]:
    """Each variant less the other, p after Holm, and the verdict."""
    found = differences(cases.compared, other, cases.clusters, draws=DRAWS)
    both = np.isfinite(cases.compared) & np.isfinite(other)
    clusters = [len(set(cases.clusters[pairs])) for pairs in both]
    return [
        _apart(f"less_{name}", one) | {"p": p, f"beside_{name}": _verdict(one.value, meaning.sign, p, count)}
        for one, p, count in zip(found, holm([one.p for one in found]), clusters, strict=True)
    ]


def _apart(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def _mean(values: Float[np.ndarray, " case"]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _pessimistic(values: Float[np.ndarray, " case"], status: np.ndarray, reading: Reading, meaning: Meaning) -> float:
    """The mean with every map that has no number at the metric's worst; NaN where that is unbounded."""
    known = np.isfinite(values)
    if not known.any():
        return float("nan")
    no_fault = _OF_THE_CASE | ({_BEYOND} if meaning.sign > 0 else set())
    judged = known | ~np.isin(status.astype(str), sorted(no_fault))
    worst = meaning.worst if not reading.part else float("nan")
    return float(np.where(known, values, worst)[judged].mean())


def _verdict(apart: float, sign: float, p: float, clusters: int) -> str:
    if not np.isfinite(apart) or sign == 0:
        return ""
    if clusters < FEW:
        return "few"
    return "level" if not p < _SIGNIFICANT else "better" if sign * apart > 0 else "worse"


_SECONDS = ("seconds_answer", "seconds_shared", "seconds_own")


def costs_of(costs: pd.DataFrame) -> pd.DataFrame:
    """Per model, data set and variant: mean seconds of each stage, passes of an image, the most memory, and n.

    ``seconds`` is what an explanation takes: the answer, what methods share, and the method's own work.
    """
    known = costs[costs["seconds_own"].notna()]
    rows = [
        dict(zip(("model", "data", "variant"), key, strict=True)) | _cost(some)
        for key, some in known.groupby(["model", "data", "variant"], sort=False)
    ]
    columns = ["model", "data", "variant", "n", "seconds", "low", "high", *_SECONDS, "seconds_curves"]
    return pd.DataFrame(rows, columns=[*columns, "forwards", "backwards", "peak_bytes"])


def _cost(some: pd.DataFrame) -> dict[str, float]:
    means = {name: float(some[name].mean()) for name in (*_SECONDS, "seconds_curves", "forwards", "backwards")}
    seconds = some[list(_SECONDS)].sum(axis=1).to_numpy(float)
    whole = mean(seconds, pd.factorize(clusters_of(some))[0], draws=DRAWS)
    peak = some["peak_bytes"].max() if some["peak_bytes"].notna().any() else np.nan
    return means | {
        "n": len(some), "seconds": whole.value, "low": whole.low, "high": whole.high, "peak_bytes": float(peak)
    }  # fmt: skip
