"""Numbers with their 95 % intervals. Scenes are resampled, not words: words of one scene are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

__all__ = [
    "DRAWS",
    "FEW",
    "TAILS",
    "Estimate",
    "difference",
    "differences",
    "entropy",
    "estimated",
    "holm",
    "mean",
    "means",
    "median",
    "order",
    "rate",
    "resampled",
    "spearman",
    "wilson",
]

DRAWS = 2000
"""Resamples of the scenes."""
FEW = 10
"""Of fewer scenes the bootstrap's interval of a difference of AUROCs is too narrow."""
TAILS = [0.025, 0.975]
"""Between which an interval lies."""


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and of how many cases; NaN where there is none. ``p``: of a difference to 0.

    Of a single scene there is a value and no interval: nothing tells how another scene would differ.

    >>> f"{Estimate(0.5, 0.375, 0.625, 16):.0%}"
    '50% (38% to 62%; n = 16)'
    """

    value: float
    low: float
    high: float
    n: int
    p: float = float("nan")

    def __format__(self, spec: str) -> str:
        value, low, high = (format(number, spec or ".3g") for number in (self.value, self.low, self.high))
        interval = f"{low} to {high}; " if np.isfinite([self.low, self.high]).all() else ""
        return f"{value} ({interval}n = {self.n})"

    def __str__(self) -> str:
        return format(self, "")


_NONE = Estimate(float("nan"), float("nan"), float("nan"), 0)


def mean(
    values: Float[np.ndarray, " case"], scenes: Int[np.ndarray, " case"], *, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Mean over cases, its interval by the bootstrap over scenes (percentiles). NaN cases are left out of n.

    Source: Efron 1979; resampling of clusters: Davison and Hinkley 1997, section 3.8.

    Raises
    ------
    ValueError
        If a case is infinite: such cases have a `median`, and no mean.
    """
    return means(values[None], scenes, seed=seed, draws=draws)[0]


def means(
    values: Float[np.ndarray, "row case"], scenes: Int[np.ndarray, " case"], *, seed: int = 0, draws: int = DRAWS
) -> list[Estimate]:
    """`mean` of each row, all on the same resamples, which are of the scenes that some row has a case of."""
    return [found for found, _ in _averaged(values, scenes, seed, draws)]


def difference(
    first: Float[np.ndarray, " case"],
    second: Float[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """Mean of first − second over the cases that have both, and how often a resample lies on the other side of 0.

    ``p`` has two sides, and cannot fall below 2 ÷ (draws + 1).

    Raises
    ------
    ValueError
        If a case is infinite.
    """
    return differences(first[None], second[None], scenes, seed=seed, draws=draws)[0]


def differences(
    first: Float[np.ndarray, "row case"],
    second: Float[np.ndarray, "row case"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> list[Estimate]:
    """`difference` of each row, all on the same resamples."""
    for values in (first, second):
        _known(values)  # infinity less infinity would pass for a case that is not there
    drawn = _averaged(first - second, scenes, seed, draws)
    return [replace(found, p=_both_sides(means)) for found, means in drawn]


def _averaged(
    values: Float[np.ndarray, "row case"], scenes: Int[np.ndarray, " case"], seed: int, draws: int
) -> list[tuple[Estimate, Float[np.ndarray, " draw"]]]:
    """Each row's mean, and what its resamples give; none of a row that is of one scene."""
    known = _known(values)
    there = known.any(0)
    values, known = np.where(known, values, 0)[:, there], known[:, there]
    _, place = np.unique(scenes[there], return_inverse=True)
    count = int(place.max(initial=-1)) + 1
    totals, cases = (np.stack([np.bincount(place, row, count) for row in rows]) for rows in (values, known))
    times = resampled(count, seed, draws)
    kinds, kind = np.unique(cases, axis=0, return_inverse=True)  # most rows have the same cases
    with np.errstate(invalid="ignore"):  # a resample without a case of this row has no mean
        drawn = (times @ totals.T) / (times @ kinds.T)[:, kind.ravel()]
    found = []
    for row, weight, ours, means in zip(values, known, cases, drawn.T, strict=True):
        n = int(weight.sum())
        kept = means[np.isfinite(means)] if np.count_nonzero(ours) > 1 else means[:0]
        found.append((estimated(float(row[weight].mean()), kept, n) if n else _NONE, kept))
    return found


def _both_sides(means: Float[np.ndarray, " draw"]) -> float:
    tail = min((1 + (means <= 0).sum()), (1 + (means >= 0).sum())) / (1 + len(means))
    return min(1.0, 2 * float(tail)) if len(means) else float("nan")


def order(
    first: Float[np.ndarray, "case column"],
    second: Float[np.ndarray, "case column"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """`spearman` between both tables' means of columns, its interval by the bootstrap over scenes; no case is NaN."""
    if not len(scenes):
        return _NONE
    _, place = np.unique(scenes, return_inverse=True)
    times = resampled(int(place.max()) + 1, seed, draws)[:, place]
    value = spearman(first.mean(0), second.mean(0))
    return estimated(value, _correlations(*(_ranks(times @ one) for one in (first, second))), len(scenes))


def _ranks(rows: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Within each row, about their mean; ties share theirs."""
    ranks = pd.DataFrame(rows).rank(axis=1).to_numpy(float)
    return np.asarray(ranks - ranks.mean(1, keepdims=True))


def _correlations(
    one: Float[np.ndarray, "row column"], other: Float[np.ndarray, "row column"]
) -> Float[np.ndarray, " row"]:
    with np.errstate(invalid="ignore"):  # where either is constant
        return np.asarray((one * other).sum(1) / np.sqrt((one**2).sum(1) * (other**2).sum(1)))


def median(
    values: Float[np.ndarray, " case"], scenes: Int[np.ndarray, " case"], *, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Median over cases, infinite ones too, its interval by the bootstrap over scenes. NaN cases are left out of n."""
    known = ~np.isnan(values)
    if not known.any():
        return _NONE
    values, place = values[known], np.unique(scenes[known], return_inverse=True)[1]
    order = np.argsort(values, kind="stable")
    times = resampled(place.max() + 1, seed, draws)[:, place[order]].cumsum(1)
    middle = (times >= times[:, -1:] / 2).argmax(1)  # the lower median of an even number: at most one rank away
    ranks = estimated(float(np.median(values)), middle.astype(float), len(values))
    if np.isnan(ranks.low):
        return ranks
    low, high = values[order][[math.floor(ranks.low), math.ceil(ranks.high)]]  # ranks, since a case may be infinite
    return replace(ranks, low=float(low), high=float(high))


def rate(
    right: Sequence[bool] | Bool[np.ndarray, " case"] | Float[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"] | None = None,
) -> Estimate:
    """A proportion with its Wilson interval; of several cases a scene, with the bootstrap's over ``scenes``.

    Cases that are all right, or all wrong, are so in every resample, however few scenes they are of. Their interval is
    Wilson's of as many trials as there are scenes. A case may be right in part, as a tie is by a half.
    """
    n, hits = len(right), float(np.sum(right))
    if not n:
        return _NONE
    trials = n if scenes is None else len(np.unique(scenes))
    if scenes is not None and trials < n and 0 < hits < n:
        return mean(np.asarray(right, float), scenes)
    return Estimate(hits / n, *wilson(trials * hits / n, trials), n)


def spearman(first: Float[np.ndarray, " case"], second: Float[np.ndarray, " case"]) -> float:
    """Correlation of ranks, ties sharing their mean rank; NaN where either is constant."""
    return float(_correlations(_ranks(first[None]), _ranks(second[None]))[0])


def entropy(values: Float[np.ndarray, "row col"]) -> float:
    """Of the histogram of a map's values (100 bins from the least to the greatest), in nats: 0 of a constant map."""
    counts = np.histogram(values.astype(float), 100)[0]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def holm(p: Sequence[float]) -> list[float]:
    """p-values of several comparisons, adjusted so that any false one of them is as rare as told.

    Source: Holm 1979. NaN stays NaN and does not count as a comparison.
    """
    known = sorted((value, place) for place, value in enumerate(p) if np.isfinite(value))
    adjusted, least = list(p), 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        adjusted[place] = least
    return adjusted


def _known(values: Float[np.ndarray, "row case"]) -> Bool[np.ndarray, "row case"]:
    if np.isinf(values).any():
        raise ValueError(f"{int(np.isinf(values).sum())} of {values.size} cases are infinite, and have no mean.")
    return np.asarray(~np.isnan(values))


def estimated(value: float, drawn: Float[np.ndarray, " draw"], n: int) -> Estimate:
    """A value with the percentiles of its resamples; those that are not finite are left out."""
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, TAILS) if len(known) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), n)


@lru_cache(maxsize=4)  # a table asks for the same draws for every number
def resampled(scenes: int, seed: int, draws: int) -> Float[np.ndarray, "draw scene"]:
    """How often each scene is drawn. The same seed draws the same scenes, so comparisons are paired."""
    if scenes < 2:
        return np.zeros((0, scenes))
    random = np.random.default_rng(seed)
    times = random.multinomial(scenes, np.full(scenes, 1 / scenes), draws).astype(float)
    times.flags.writeable = False  # shared by all who ask
    return times


def wilson(right: float, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a proportion (95 % by default). Source: Wilson 1927, JASA 22:209."""
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} of {n} is no proportion.")
    rate, scale = right / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)
