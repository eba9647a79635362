"""Negative perturbation: how far the answer's perplexity rises as the map's lowest pixels go first; lower is better.

The area under R(p) = exp(nll(p) − nll(0)), by trapezoids over the fractions of pixels that really were replaced, from
0 to 1. Flat is 1; below 1, taking pixels away helps. R is not clipped and has no upper bound. Many maps are exactly 0
in most places: which of these pixels go first is drawn by whoever made the curve.

Source and parts as in `positive_perplexity`: ``auc09``, ``mean09``, ``log_auc01``, ``log_auc09``, ``tied``.
"""

from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import ratio_areas, status_of_curve

TITLE = "Negative perplexity"
HIGHER_IS_BETTER = False
NEEDS: frozenset[Need] = frozenset({"negative"})
WORST = float("nan")
RATIO = True


def measure(case: Case) -> Score:
    """∫ R(p) dp with the lowest pixels replaced first."""
    curve, status = case.negative, status_of_curve(case, case.negative)
    if curve is None or status != "ok":
        return unscored("negative_perplexity", status, higher_is_better=HIGHER_IS_BETTER)
    value, parts = ratio_areas(curve)
    return scored("negative_perplexity", value, higher_is_better=HIGHER_IS_BETTER, parts=parts)
