"""Numbers of an evaluation as tables: means with intervals, what was left out and why, chance, and who beats whom.

Of a variant, every case counts that any variant has of the same sample: with a number (``n``), or skipped with a
reason. Reasons are the score's status; ``failed`` and ``broken`` where the unit has no result; ``no map`` where the
method has none for the case, as of single words. Samples that a variant was not asked for, as slow methods often are
asked for fewer, do not count. Samples are resampled, since the targets of one sample are not independent.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dexar_widgets.evaluation.readings import Reading, cases_of, meaning_of
from dexar_widgets.statistics import FEW, Estimate, difference, holm, mean, spearman

__all__ = ["SUMMARY", "agreement", "costs_of", "kendall", "rows_of", "summary"]

SUMMARY = (
    *("model", "data", "metric", "part", "view", "variant"),
    *("mean", "low", "high", "median", "n", "samples", "skipped", "reasons", "chance", "pessimistic"),
    *("less_chance", "less_chance_low", "less_chance_high", "beside_chance"),
    *("less_reference", "less_reference_low", "less_reference_high", "pairs", "paired", "p", "beside_reference"),
)
"""Columns of `summary`. ``pessimistic`` is the mean with skipped maps at the metric's worst, ``paired`` that of the
``pairs`` alone, the cases that the reference has too. ``beside_…`` is better, worse, level (p ≥ .05 after Holm) or few
(fewer than 10 samples); empty without a comparison."""
_SIGNIFICANT = 0.05
_NOT_ASKED = "not asked"
_BEYOND = "overflow"  # above every number: of a metric whose high numbers are good no fault of the map
_OF_THE_CASE = frozenset({_NOT_ASKED, "empty_mask", "full_mask", "bad_baseline", "too_few", "missing", "broken"})
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
        for reading in readings
        for row in _variants(some, reading, reference, uncompared)
    ]
    return pd.DataFrame(rows, columns=list(SUMMARY))


def rows_of(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows by the names of its columns."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def _variants(
    scores: pd.DataFrame, reading: Reading, reference: str | None, uncompared: Collection[str]
) -> list[dict[str, Any]]:
    """The rows of one model, data set and reading."""
    table = cases_of(scores, reading)
    if table.empty:
        return []
    lost = scores.loc[scores["metric"].isna(), ["variant", "sample", "status"]]
    asked = set(zip(scores["variant"], scores["sample"], strict=True))
    cases = _whole(table, tuple(dict.fromkeys(scores["variant"])), lost, asked)
    rows = [
        {"variant": one.variant}
        | _described(one, reading)
        | _beside(one, None if one.variant in uncompared else cases.get(reference or ""))
        for one in cases.values()
    ]
    sign = meaning_of(reading.metric).sign
    for what, samples in (("chance", "samples"), ("reference", "shared")):
        for row, p in zip(rows, holm([row[f"less_{what}_p"] for row in rows]), strict=True):
            row["p"] = p  # the reference's comes last, and stays
            row[f"beside_{what}"] = _verdict(row[f"less_{what}"], sign, p, row[samples])
    return rows


@dataclass(frozen=True, eq=False)
class _Cases:
    """One variant at every place where some variant has a case, and at each sample that is lost to all."""

    variant: str
    samples: Int[np.ndarray, " case"]
    values: Float[np.ndarray, " case"]
    status: np.ndarray
    chance: Float[np.ndarray, " case"]


def _whole(
    table: pd.DataFrame, variants: Sequence[str], lost: pd.DataFrame, asked: Collection[tuple[str, str]]
) -> dict[str, _Cases]:
    places = table[["sample", "target"]].drop_duplicates()
    lost_to = Counter(lost["sample"])
    wanted = Counter(sample for _, sample in asked)
    known = set(places["sample"])
    elsewhere = [sample for sample in lost_to if sample not in known and lost_to[sample] == wanted[sample]]
    sample_of = [*places["sample"], *elsewhere]
    place_of = {place: number for number, place in enumerate(zip(places["sample"], places["target"], strict=True))}
    at = [place_of[place] for place in zip(table["sample"], table["target"], strict=True)]
    why = {(variant, sample): status for variant, sample, status in lost.itertuples(index=False)}
    samples, found = pd.factorize(np.array(sample_of, object))[0], {}
    for variant in variants:
        own = (table["variant"] == variant).to_numpy()
        where = np.array(at)[own]
        values, chance = np.full(len(samples), np.nan), np.full(len(samples), np.nan)
        here = [(variant, sample) for sample in sample_of]
        status = np.array([why.get(one, "no map") if one in asked else _NOT_ASKED for one in here], object)
        for filled, name in ((values, "value"), (chance, "chance"), (status, "status")):
            filled[where] = table[name].to_numpy()[own]
        found[variant] = _Cases(variant, samples, values, status, chance)
    return found


def _described(one: _Cases, reading: Reading) -> dict[str, Any]:
    used = np.isfinite(one.values)
    found, beyond = mean(one.values, one.samples), difference(one.values, one.chance, one.samples)
    skipped = ~used & (one.status != _NOT_ASKED)
    reasons = Counter(one.status[skipped])
    row: dict[str, Any] = {
        "mean": found.value, "low": found.low, "high": found.high,
        "median": float(np.median(one.values[used])) if used.any() else np.nan,
        "n": int(used.sum()), "samples": len(set(one.samples[used])), "skipped": int(skipped.sum()),
        "reasons": ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()),
        "chance": float(np.nanmean(one.chance)) if np.isfinite(one.chance).any() else np.nan,
        "pessimistic": _pessimistic(one, reading),
    }  # fmt: skip
    return row | _apart("less_chance", beyond)


def _beside(one: _Cases, other: _Cases | None) -> dict[str, Any]:
    """The comparison with the reference, on the cases that both have."""
    if other is None or other is one:
        none = _apart("less_reference", Estimate(np.nan, np.nan, np.nan, 0))
        return none | {"pairs": 0, "paired": np.nan, "shared": 0}
    less = difference(one.values, other.values, one.samples)
    both = np.isfinite(one.values) & np.isfinite(other.values)
    paired = float(one.values[both].mean()) if both.any() else np.nan
    return _apart("less_reference", less) | {"pairs": less.n, "paired": paired, "shared": len(set(one.samples[both]))}


def _apart(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high, f"{name}_p": found.p}


def _pessimistic(one: _Cases, reading: Reading) -> float:
    """The mean with every map that has no number at the metric's worst; NaN where that is unbounded."""
    known = np.isfinite(one.values)
    if not known.any():
        return float("nan")
    meaning = meaning_of(reading.metric)
    no_fault = _OF_THE_CASE | ({_BEYOND} if meaning.sign > 0 else set())
    judged = known | ~np.isin(one.status.astype(str), sorted(no_fault))
    worst = meaning.worst if not reading.part else float("nan")
    return float(np.where(known, one.values, worst)[judged].mean())


def _verdict(apart: float, sign: float, p: float, samples: int) -> str:
    if not np.isfinite(apart) or sign == 0:
        return ""
    if samples < FEW:
        return "few"
    return "level" if not p < _SIGNIFICANT else "better" if sign * apart > 0 else "worse"


def agreement(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """How far two lists put the same things in the same order, over those that both have: n, spearman, kendall.

    Below three there is no order to speak of, and both are NaN.
    """
    pairs = np.array([(a, b) for a, b in zip(ours, theirs, strict=True) if np.isfinite(a) and np.isfinite(b)], float)
    if len(pairs) < 3:
        return {"n": len(pairs), "spearman": float("nan"), "kendall": float("nan")}
    return {"n": len(pairs), "spearman": spearman(*pairs.T), "kendall": kendall(*pairs.T)}


def kendall(first: Float[np.ndarray, " case"], second: Float[np.ndarray, " case"]) -> float:
    """Kendall's τ-b: pairs in the same order less those in the other, ÷ those that are not tied; NaN if all are.

    Source: Kendall 1945, Biometrika 33:239.
    """
    one, other = (np.sign(values[:, None] - values[None]) for values in (first, second))
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else float("nan")


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
    whole = mean(seconds, np.arange(len(seconds)))
    peak = some["peak_bytes"].max() if some["peak_bytes"].notna().any() else np.nan
    return means | {
        "n": len(some), "seconds": whole.value, "low": whole.low, "high": whole.high, "peak_bytes": float(peak)
    }  # fmt: skip
