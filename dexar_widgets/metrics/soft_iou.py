"""Soft IoU: intersection over union of the mask with the map itself, without a threshold.

Σ E·M ÷ (Σ E + Σ M − Σ E·M), with E the map's positive part, enlarged bilinearly and min–maxed to [0, 1] over the pixels
that count. For a mask of zeros and ones that is Σ min(E, M) ÷ Σ max(E, M). ``chance`` is what uniform noise in 0–1 has,
p ÷ (1 + p) for a mask of the share p; a map without contrast has no number.

Part: ``clipped``, with the values above their 99.9th percentile set to it. Where this is much higher than the value, a
few pixels own the map's range, and the value tells of them alone.
"""

import numpy as np
from jaxtyping import Bool, Float64

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.types import minmax

TITLE = "Soft IoU"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0
CHANCE = "uniform noise"

_PERCENTILE = 99.9


def measure(case: Case) -> Score:
    """Σ E·M ÷ (Σ E + Σ M − Σ E·M)."""
    pixels = pixels_of(case)
    chance, status = pixels.prevalence / (1 + pixels.prevalence), pixels.energy_status
    if status != "ok":
        return unscored("soft_iou", status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    top = float(np.percentile(pixels.energy, _PERCENTILE))
    clipped = np.minimum(pixels.energy, top)
    # where fewer pixels than that have any energy, nothing is left of the map, and the part is left out
    parts = {"clipped": _overlap(minmax(clipped), pixels.inside)} if clipped.max() > clipped.min() else {}
    value = _overlap(pixels.scaled, pixels.inside)
    return scored("soft_iou", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _overlap(scaled: Float64[np.ndarray, " place"], inside: Bool[np.ndarray, " place"]) -> float:
    shared = scaled[inside].sum()
    return float(shared / (scaled.sum() + inside.sum() - shared))
