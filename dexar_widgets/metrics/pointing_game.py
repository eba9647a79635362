"""Pointing game: whether the map's highest pixel lies on the mask.

Source: Zhang et al., "Top-down Neural Attention by Excitation Backprop" (IJCV 2018).
Differs: no tolerance about the mask, and of several highest pixels the share that lies on it, which is what a fair
draw among them hits. Chance is the mask's share of the pixels that count.

Part: ``rank_accuracy``, the same of as many highest pixels as the mask has: the share of them that lies on it (Arras
et al., "CLEVR-XAI", Information Fusion 2022). Equal values at the last rank count in proportion.
"""

import numpy as np
from jaxtyping import Bool, Float64

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "Pointing game"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0


def measure(case: Case) -> Score:
    """1 for a hit, 0 for a miss; on the raw map enlarged bilinearly, whatever its sign."""
    pixels = pixels_of(case)
    name, chance = "pointing_game", pixels.prevalence
    if pixels.status != "ok":
        return unscored(name, pixels.status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value, of_all = (_hits(pixels.values, pixels.inside, count) for count in (1, int(pixels.inside.sum())))
    parts = {"rank_accuracy": of_all}
    return scored(name, value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _hits(values: Float64[np.ndarray, " place"], inside: Bool[np.ndarray, " place"], count: int) -> float:
    """The share of the so many highest values that is inside; those equal to the last of them are drawn fairly."""
    last = np.partition(values, len(values) - count)[len(values) - count]
    above, equal = values > last, values == last
    drawn = count - int(above.sum())
    return float((inside[above].sum() + inside[equal].mean() * drawn) / count)
