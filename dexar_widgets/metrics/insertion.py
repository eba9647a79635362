"""Insertion: how long the harm lasts when the map's highest pixels come back first; lower is better.

The area under n(p) = (PPL(p) − PPL(1)) ÷ (PPL(0) − PPL(1)) over [0, 1]: 0 is the blurred image, 1 the image. Where the
blurred image does not raise the perplexity by 10⁻⁶ at least, there is nothing to divide by: ``bad_baseline``.

Source: Petsiuk et al., "RISE" (BMVC 2018), there of the class's probability, so that higher is better. Differs:
perplexity (the paper's way), and the harm's own ends. Parts: ``clipped``, with n clipped to [0, 1], which it may leave;
``nll``, the same of mean log-likelihoods, where the first levels weigh less.
"""

from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import differ, harm_areas, status_of_curve

TITLE = "Insertion"
HIGHER_IS_BETTER = False
NEEDS: frozenset[Need] = frozenset({"insertion"})
WORST = float("nan")


def measure(case: Case) -> Score:
    """∫ n(p) dp with the highest pixels restored first."""
    curve, status = case.insertion, status_of_curve(case, case.insertion)
    if curve is None or status != "ok":
        return unscored("insertion", status, higher_is_better=HIGHER_IS_BETTER)
    intact, ruined = float(curve.nll[-1]), float(curve.nll[0])
    if not differ(intact, ruined):
        return unscored("insertion", "bad_baseline", higher_is_better=HIGHER_IS_BETTER)
    value, parts = harm_areas(curve, intact, ruined)
    return scored("insertion", value, higher_is_better=HIGHER_IS_BETTER, parts=parts)
