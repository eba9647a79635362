"""IoU at its best threshold: how well some level of the map would outline the mask.

max over τ of |{E ≥ τ} ∩ M| ÷ |{E ≥ τ} ∪ M|, over all values of the map enlarged bilinearly: the upper bound of every
grid of thresholds. The threshold is chosen with the mask in hand, so this flatters, and {E ≥ min} is the whole image:
no map scores less than the mask's share of it. That floor is ``chance``; read the value beside it. The map may be
signed: nothing but its order counts.

Source: the paper's segmentation metric, whose thresholds are not given. Parts: ``grid``, the best of 100 thresholds
evenly spaced from the least to the greatest value; and two thresholds that know nothing of the mask, ``otsu`` (Otsu
1979; here exact, not on 256 grey levels) and ``mean``, the map's own mean.
"""

import numpy as np
from jaxtyping import Float64

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "IoU, best threshold"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0
CHANCE = "floor"

_THRESHOLDS = 100


def measure(case: Case) -> Score:
    """The best IoU of any level of the map with the mask."""
    pixels = pixels_of(case)
    name, chance = "iou", pixels.prevalence
    if pixels.status != "ok":
        return unscored(name, pixels.status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    values, inside = _sorted(pixels.values), _sorted(pixels.values[pixels.inside])
    parts = {
        "grid": float(_overlaps(values, inside, np.linspace(values[0], values[-1], _THRESHOLDS)).max()),
        "otsu": float(_overlaps(values, inside, values[[_otsu(values)]])[0]),
        "mean": float(_overlaps(values, inside, np.array([values.mean()]))[0]),
    }
    best = float(_overlaps(values, inside, inside).max())  # between values of the mask only what is outside is added
    return scored(name, best, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _sorted(values: Float64[np.ndarray, " place"]) -> Float64[np.ndarray, " place"]:
    """In single precision, which is all that maps have: half the time."""
    return np.sort(values.astype(np.float32)).astype(float)


def _overlaps(
    values: Float64[np.ndarray, " place"],
    inside: Float64[np.ndarray, " hit"],
    thresholds: Float64[np.ndarray, " threshold"],
) -> Float64[np.ndarray, " threshold"]:
    """IoU of the mask with the places of at least each threshold; both of all and of the mask the values rise."""
    taken = len(values) - np.searchsorted(values, thresholds)
    hits = len(inside) - np.searchsorted(inside, thresholds)
    return np.asarray(hits / (taken + len(inside) - hits))


def _otsu(values: Float64[np.ndarray, " place"]) -> int:
    """The first place of the upper class, for which the variance between both classes is greatest."""
    below = np.arange(1, len(values))
    above = len(values) - below
    sums = np.cumsum(values - values.mean())[:-1]  # of values about their mean, as those of both classes cancel
    between = np.where(values[1:] > values[:-1], sums**2 / (below * above), -1.0)
    return int(between.argmax()) + 1
