"""What ranks alone tell: whether two lists are in the same order, and whether differences lie above 0 or below."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from dexar_widgets.statistics import spearman

__all__ = ["agreement", "kendall", "signed_rank"]


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


def signed_rank(apart: Float[np.ndarray, " case"], scenes: Int[np.ndarray, " case"]) -> float:
    """Wilcoxon's p (two sides) that differences lie as far above 0 as below; of scenes, each with its mean difference.

    By the normal approximation, corrected for ties and continuity; differences of 0 are left out. NaN cases do not
    count; NaN where no difference is left. Source: Wilcoxon 1945; the correction for ties: Hollander and Wolfe 1999.
    """
    known = ~np.isnan(apart)
    _, place = np.unique(scenes[known], return_inverse=True)
    each = np.bincount(place, apart[known]) / np.bincount(place)
    each = each[each != 0]
    if not len(each):
        return float("nan")
    n, ranks = len(each), pd.Series(abs(each)).rank()
    ties = ranks.value_counts().to_numpy(float)
    spread = n * (n + 1) * (2 * n + 1) / 24 - (ties**3 - ties).sum() / 48
    away = max(0.0, abs(float(ranks[each > 0].sum()) - n * (n + 1) / 4) - 0.5)
    return math.erfc(away / math.sqrt(2 * spread))
