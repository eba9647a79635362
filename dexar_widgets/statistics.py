"""Numbers with their 95 % intervals. Scenes are resampled, not words: words of one scene are not independent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

__all__ = [
    "DRAWS",
    "Estimate",
    "auroc",
    "difference",
    "holm",
    "mean",
    "median",
    "rate",
    "separation",
    "separation_less",
    "spearman",
    "wilson",
]

DRAWS = 2000
"""Resamples of the scenes."""
_TAILS = [0.025, 0.975]


@dataclass(frozen=True)
class Estimate:
    """A value, its 95 % interval, and of how many cases; NaN where there is none. ``p``: of a difference to 0.

    Of a single scene there is a value and no interval: nothing tells how another scene would differ.
    """

    value: float
    low: float
    high: float
    n: int
    p: float = float("nan")


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
    known = _known(values)
    if not known.any():
        return _NONE
    values, scenes = values[known], scenes[known]
    _, place = np.unique(scenes, return_inverse=True)
    times = _resampled(place.max() + 1, seed, draws)
    total, count = times @ np.bincount(place, values), times @ np.bincount(place)
    return _estimate(float(values.mean()), total / count, len(values))


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
    known = _known(first) & _known(second)
    apart = first - second
    if not known.any():
        return _NONE
    _, place = np.unique(scenes[known], return_inverse=True)
    times = _resampled(place.max() + 1, seed, draws)
    means = (times @ np.bincount(place, apart[known])) / (times @ np.bincount(place))
    tail = min((1 + (means <= 0).sum()), (1 + (means >= 0).sum())) / (1 + draws)
    found = _estimate(float(apart[known].mean()), means, int(known.sum()))
    return replace(found, p=min(1.0, 2 * float(tail)) if len(means) else float("nan"))


def median(
    values: Float[np.ndarray, " case"], scenes: Int[np.ndarray, " case"], *, seed: int = 0, draws: int = DRAWS
) -> Estimate:
    """Median over cases, infinite ones too, its interval by the bootstrap over scenes. NaN cases are left out of n."""
    known = ~np.isnan(values)
    if not known.any():
        return _NONE
    values, place = values[known], np.unique(scenes[known], return_inverse=True)[1]
    order = np.argsort(values, kind="stable")
    times = _resampled(place.max() + 1, seed, draws)[:, place[order]].cumsum(1)
    middle = (times >= times[:, -1:] / 2).argmax(1)  # the lower median of an even number: at most one rank away
    ranks = _estimate(float(np.median(values)), middle.astype(float), len(values))
    if np.isnan(ranks.low):
        return ranks
    low, high = values[order][[math.floor(ranks.low), math.ceil(ranks.high)]]  # ranks, since a case may be infinite
    return replace(ranks, low=float(low), high=float(high))


def rate(right: Sequence[bool] | Bool[np.ndarray, " case"]) -> Estimate:
    """A proportion with its Wilson interval."""
    n, hits = len(right), int(np.sum(right))
    return Estimate(hits / n, *wilson(hits, n), n) if n else _NONE


def auroc(scores: Float[np.ndarray, " case"], positive: Bool[np.ndarray, " case"]) -> float:
    """How often a positive case scores above a negative one, ties counting half; NaN without both.

    Source: the Mann–Whitney form (Hanley and McNeil 1982).
    """
    return float(_separations(scores, positive, np.ones((1, len(scores))))[0])


def separation(
    scores: Float[np.ndarray, " case"],
    positive: Bool[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> Estimate:
    """`auroc` with its interval by the bootstrap over scenes; n counts both kinds of case. NaN cases are left out.

    Resamples of scenes that are told apart perfectly all agree, however few they are. There the interval is that of a
    proportion (`wilson`) of as many trials as there are scenes of the rarer kind, which is no narrower: an AUROC A of
    m and n cases has a variance of at most A (1 − A) ÷ min(m, n) (Birnbaum and Klose 1957).
    """
    known = ~np.isnan(scores)
    scores, positive, scenes = scores[known], positive[known], scenes[known]
    value = auroc(scores, positive)
    if np.isnan(value):
        return Estimate(value, value, value, len(scores))
    place = np.unique(scenes, return_inverse=True)[1]
    drawn = _separations(scores, positive, _resampled(place.max() + 1, seed, draws)[:, place])
    found = _estimate(value, drawn, len(scores))
    if found.low < found.high or np.isnan(found.low):
        return found
    rarer = min(len(np.unique(scenes[kind])) for kind in (positive, ~positive))
    low, high = wilson(value * rarer, rarer)
    return replace(found, low=low, high=high)


def separation_less(
    first: Float[np.ndarray, " case"],
    second: Float[np.ndarray, " case"],
    positive: Bool[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> Estimate:
    """`auroc` of the first scores less that of the second, on the same cases and the same resamples."""
    place = np.unique(scenes, return_inverse=True)[1]
    times = _resampled(int(place.max(initial=-1)) + 1, seed, draws)[:, place]
    drawn = [_separations(scores, positive, times) for scores in (first, second)]
    return _estimate(auroc(first, positive) - auroc(second, positive), drawn[0] - drawn[1], len(first))


def _separations(
    scores: Float[np.ndarray, " case"], positive: Bool[np.ndarray, " case"], times: Float[np.ndarray, "draw case"]
) -> Float[np.ndarray, " draw"]:
    """AUROC where each case counts so many times."""
    _, rank = np.unique(scores, return_inverse=True)
    ranks = rank.max(initial=-1) + 1
    found = np.full(len(times), np.nan)
    for draw, weight in enumerate(times):
        hits, misses = (np.bincount(rank, weight * chosen, ranks) for chosen in (positive, ~positive))
        pairs = hits.sum() * misses.sum()
        if pairs > 0:
            found[draw] = hits @ (misses.cumsum() - misses / 2) / pairs
    return found


def spearman(first: Float[np.ndarray, " case"], second: Float[np.ndarray, " case"]) -> float:
    """Correlation of ranks, ties sharing their mean rank; NaN where either is constant."""
    one, other = (pd.Series(values).rank().to_numpy(float) for values in (first, second))
    one, other = one - one.mean(), other - other.mean()
    scale = np.sqrt((one @ one) * (other @ other))
    return float(one @ other / scale) if scale > 0 else float("nan")


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


def _known(values: Float[np.ndarray, " case"]) -> Bool[np.ndarray, " case"]:
    if np.isinf(values).any():
        raise ValueError(f"{int(np.isinf(values).sum())} of {len(values)} cases are infinite, and have no mean.")
    return np.asarray(~np.isnan(values))


def _estimate(value: float, drawn: Float[np.ndarray, " draw"], n: int) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, _TAILS) if len(known) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), n)


def _resampled(scenes: int, seed: int, draws: int) -> Float[np.ndarray, "draw scene"]:
    """How often each scene is drawn. The same seed draws the same scenes, so comparisons are paired."""
    if scenes < 2:
        return np.zeros((0, scenes))
    random = np.random.default_rng(seed)
    return random.multinomial(scenes, np.full(scenes, 1 / scenes), draws).astype(float)


def wilson(right: float, n: int, *, z: float = 1.959964) -> tuple[float, float]:
    """Wilson score interval of a proportion (95 % by default). Source: Wilson 1927, JASA 22:209."""
    if not 0 <= right <= n or n == 0:
        raise ValueError(f"{right} of {n} is no proportion.")
    rate, scale = right / n, 1 + z * z / n
    centre = (rate + z * z / (2 * n)) / scale
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)
