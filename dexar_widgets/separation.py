"""How well scores tell two kinds of cases apart (AUROC), with intervals over scenes."""

import math
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from dexar_widgets.statistics import FEW, TAILS, Estimate, estimated, resampled, wilson

__all__ = ["auroc", "separation", "separation_less"]


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
    apart = estimated(one.value - other.value, its - others, len(positive))
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
    drawn = _separations(scores, positive, resampled(int(place.max(initial=-1)) + 1, seed, draws)[:, place])
    found = estimated(auroc(scores, positive), drawn, len(scores))
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
    low, high = np.quantile(drawn[np.isfinite(drawn)], TAILS)
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
