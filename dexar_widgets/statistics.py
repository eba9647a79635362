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
    "Estimate",
    "auroc",
    "difference",
    "entropy",
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
FEW = 10
"""Of fewer scenes the bootstrap's interval of a difference of AUROCs is too narrow."""
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
    return _separated(scores[known], positive[known], scenes[known], seed, draws)[0]


def separation_less(
    first: Float[np.ndarray, " case"],
    second: Float[np.ndarray, " case"],
    positive: Bool[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"],
    *,
    seed: int = 0,
    draws: int = 500,
) -> Estimate:
    """`auroc` of the first scores less that of the second, on the cases that have both and on the same resamples.

    With fewer than `FEW` scenes of the rarer kind, or where the resamples of either or of the difference all agree, the
    bootstrap is too narrow. There the interval is made of those of both separations, added in quadrature (Newcombe
    1998, Statistics in Medicine 17:873, method 10). It takes the two for independent: too wide if they are not.
    """
    known = ~(np.isnan(first) | np.isnan(second))
    positive, scenes = positive[known], scenes[known]
    one, its = _separated(first[known], positive, scenes, seed, draws)
    other, others = _separated(second[known], positive, scenes, seed, draws)
    apart = _estimate(one.value - other.value, its - others, len(positive))
    drawn = (its, others, its - others)
    if np.isnan(apart.low) or (_rarer(positive, scenes) >= FEW and all(map(_differ, drawn))):
        return apart
    below = math.hypot(one.value - one.low, other.high - other.value)
    above = math.hypot(one.high - one.value, other.value - other.low)
    return replace(apart, low=apart.value - below, high=apart.value + above)


def _separated(
    scores: Float[np.ndarray, " case"],
    positive: Bool[np.ndarray, " case"],
    scenes: Int[np.ndarray, " case"],
    seed: int,
    draws: int,
) -> tuple[Estimate, Float[np.ndarray, " draw"]]:
    """`separation`, and what each resample gives."""
    place = np.unique(scenes, return_inverse=True)[1]
    drawn = _separations(scores, positive, _resampled(int(place.max(initial=-1)) + 1, seed, draws)[:, place])
    found = _estimate(auroc(scores, positive), drawn, len(scores))
    if np.isnan(found.low) or _differ(drawn):
        return found, drawn
    rarer = _rarer(positive, scenes)
    low, high = wilson(found.value * rarer, rarer)
    return replace(found, low=low, high=high), drawn


def _rarer(positive: Bool[np.ndarray, " case"], scenes: Int[np.ndarray, " case"]) -> int:
    """In how many scenes there are cases of the kind that fewer have."""
    return min(len(np.unique(scenes[kind])) for kind in (positive, ~positive))


def _differ(drawn: Float[np.ndarray, " draw"]) -> bool:
    """Whether an interval of these resamples has a width."""
    low, high = np.quantile(drawn[np.isfinite(drawn)], _TAILS)
    return bool(low < high)


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


def _known(values: Float[np.ndarray, " case"]) -> Bool[np.ndarray, " case"]:
    if np.isinf(values).any():
        raise ValueError(f"{int(np.isinf(values).sum())} of {len(values)} cases are infinite, and have no mean.")
    return np.asarray(~np.isnan(values))


def _estimate(value: float, drawn: Float[np.ndarray, " draw"], n: int) -> Estimate:
    known = drawn[np.isfinite(drawn)]
    low, high = np.quantile(known, _TAILS) if len(known) else (np.nan, np.nan)
    return Estimate(value, float(low), float(high), n)


@lru_cache(maxsize=2)  # a table asks for the same draws for every number
def _resampled(scenes: int, seed: int, draws: int) -> Float[np.ndarray, "draw scene"]:
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
