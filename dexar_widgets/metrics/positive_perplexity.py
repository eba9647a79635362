"""Positive perturbation: how fast the answer's perplexity rises as the map's highest pixels go first.

The area under R(p) = exp(nll(p) − nll(0)), by trapezoids over the fractions of pixels that really were replaced, from
0 to 1. Flat is 1; below 1, taking pixels away helps. R is not clipped, and has a heavy tail: medians, or the areas
under log R, bear a mean over images better. What a random map would have is not known from this curve.

Source: the paper, equations 23 and 24, which gives neither levels nor range. Parts: ``auc09``, the area to 0.9 alone
(flat is 0.9); ``mean09``, that ÷ 0.9 (the whole range is 1, so the value is its own mean); ``log_auc01`` and
``log_auc09``, the areas under log R (flat is 0); ``tied``, the share of equal pixels among which levels drew.
"""

from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import ratio_areas, status_of_curve

TITLE = "Positive perplexity"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"positive"})
WORST = 0.0
RATIO = True


def measure(case: Case) -> Score:
    """∫ R(p) dp with the highest pixels replaced first."""
    curve, status = case.positive, status_of_curve(case, case.positive)
    if curve is None or status != "ok":
        return unscored("positive_perplexity", status, higher_is_better=HIGHER_IS_BETTER)
    value, parts = ratio_areas(curve)
    return scored("positive_perplexity", value, higher_is_better=HIGHER_IS_BETTER, parts=parts)
