"""Perplexity information curve: how much of the answer comes back with how few bytes of the image.

The highest share q of the pixels stands on the mean colour, which is the curve of `negative_perplexity` at p = 1 − q.
P̂(q) = (PPL(∅) − PPL(q)) ÷ (PPL(∅) − PPL(image)) over Ĥ(q) = (bytes(q) − bytes(∅)) ÷ (bytes(image) − bytes(∅)), both
clipped to [0, 1]; the value is the area under P̂ over Ĥ. ``bad_baseline``: the image has no more bytes than the mean
colour, or no lower perplexity.

Source: Kapishnikov et al., "XRAI" (ICCV 2019), and the reference code PAIR-code/saliency 034c834. Differs: the start is
the mean colour, not 1 % of the pixels interpolated; points are sorted by Ĥ, of several with the same Ĥ the highest
counts, and the running maximum follows that order (there that of q), so that P̂ is the best that so many bytes gave; the
area is exact, not of 1000 points; no image is left out for a low score. WebP spends bytes on a mask's outline, so maps
of scattered pixels are marked down for their shape.

Part: ``without_envelope``, without the running maximum. The source's number for many images is the area behind the
median curve (`regained`), which a report draws and gives with its interval; a mean of areas is another.
"""

import numpy as np
from jaxtyping import Float64

from dexar_widgets.metrics import Case, Curve, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import area, differ, harm, status_of_curve

TITLE = "Perplexity information curve"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"negative", "sizes"})
WORST = 0.0


def measure(case: Case) -> Score:
    """∫ P̂ dĤ."""
    curve = case.negative
    if curve is None or curve.sizes is None:
        return unscored("information_curve", "missing", higher_is_better=HIGHER_IS_BETTER)
    status = status_of_curve(case, curve)
    if status != "ok":
        return unscored("information_curve", status, higher_is_better=HIGHER_IS_BETTER)
    found = regained(curve)
    if found is None:
        return unscored("information_curve", "bad_baseline", higher_is_better=HIGHER_IS_BETTER)
    levels, best = found
    return scored(
        "information_curve",
        area(levels, np.maximum.accumulate(best)),
        higher_is_better=HIGHER_IS_BETTER,
        parts={"without_envelope": area(levels, best)},
    )


def regained(curve: Curve) -> tuple[Float64[np.ndarray, " level"], Float64[np.ndarray, " level"]] | None:
    """Ĥ in rising order and the highest P̂ at each, of a curve with sizes; None of a ``bad_baseline``."""
    assert curve.sizes is not None
    intact, ruined = float(curve.nll[0]), float(curve.nll[-1])
    whole, empty = int(curve.sizes[0]), int(curve.sizes[-1])
    if whole <= empty or not differ(intact, ruined):
        return None
    information = np.clip((curve.sizes - empty) / (whole - empty), 0, 1)
    gained = np.clip(1 - harm(curve.nll, intact, ruined), 0, 1)
    levels, place = np.unique(information, return_inverse=True)
    best = np.zeros(len(levels))
    with np.errstate(invalid="ignore"):  # NaN, of perplexities beyond all numbers, makes the area NaN
        np.maximum.at(best, place, gained)
    return levels, best
