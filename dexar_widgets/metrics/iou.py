"""IoU at its best threshold: how well some level of the map would outline the mask.

max over τ of |{E ≥ τ} ∩ M| ÷ |{E ≥ τ} ∪ M|, over all values of the map enlarged bilinearly: the upper bound of every
grid of thresholds, by one sort. The threshold is chosen with the mask in hand, so this flatters, and {E ≥ min} is the
whole image: no map scores less than the mask's share of it. That floor is ``chance``; read the value beside it.
The map may be signed: nothing but its order counts.

Source: the paper's segmentation metric, whose thresholds are not given. Parts: ``grid``, the best of 100 thresholds
evenly spaced from the least to the greatest value; and two thresholds that know nothing of the mask, ``otsu`` (Otsu
1979; here exact, not on 256 grey levels) and ``mean``, the map's own mean.
"""

import numpy as np
from jaxtyping import Bool, Float64

from dexar_widgets.metrics import Case, Need, Score
from dexar_widgets.metrics._judged import pixels_of
from dexar_widgets.metrics._scores import scored, unscored

TITLE = "IoU, best threshold"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0

_THRESHOLDS = 100


def measure(case: Case) -> Score:
    """The best IoU of any level of the map with the mask."""
    pixels = pixels_of(case)
    name, chance = "iou", pixels.prevalence
    if pixels.status != "ok":
        return unscored(name, pixels.status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    order = np.argsort(pixels.values)
    values = pixels.values[order]
    overlaps = _overlaps(pixels.inside[order])
    first = np.append(True, values[1:] > values[:-1])  # a threshold takes all values that are equal
    grid = np.linspace(values[0], values[-1], _THRESHOLDS)
    parts = {
        "grid": float(overlaps[np.searchsorted(values, grid)].max()),
        "otsu": float(overlaps[_otsu(values)]),
        "mean": float(overlaps[np.searchsorted(values, values.mean())]),
    }
    return scored(name, float(overlaps[first].max()), higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _overlaps(inside: Bool[np.ndarray, " place"]) -> Float64[np.ndarray, " place"]:
    """IoU of the mask with the places from each on."""
    hits = np.cumsum(inside[::-1])[::-1]
    taken = np.arange(len(inside), 0, -1)
    return np.asarray(hits / (taken + inside.sum() - hits))


def _otsu(values: Float64[np.ndarray, " place"]) -> int:
    """The first place of the upper class, for which the variance between both classes is greatest."""
    below = np.arange(1, len(values))
    above = len(values) - below
    sums = np.cumsum(values - values.mean())[:-1]  # of values about their mean, as those of both classes cancel
    between = np.where(values[1:] > values[:-1], sums**2 / (below * above), -1.0)
    return int(between.argmax()) + 1
