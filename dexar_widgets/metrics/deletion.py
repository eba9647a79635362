"""Deletion: how early the harm is done when the map's highest pixels go first.

The area under n(p) = (PPL(p) − PPL(0)) ÷ (PPL(1) − PPL(0)) over [0, 1]: 0 is the image, 1 the mean colour alone. It is
the curve of `positive_perplexity`, each image by its own ends. Where the mean colour does not raise the perplexity by
10⁻⁶ at least, there is nothing to divide by: ``bad_baseline``.

Source: Petsiuk et al., "RISE" (BMVC 2018), there of the class's probability, so that lower is better. Differs:
perplexity (the paper's way), mean colour instead of black, and the harm's own ends. Parts: ``clipped``, with n clipped
to [0, 1], which it may leave; ``nll``, the same of mean log-likelihoods, where the last levels weigh less.

Pixels that leave cells of the grid in part make images unlike any that a model knows, and these can harm it more than
to lose what counts. With ``--upsampling nearest`` whole cells go.
"""

from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import differ, harm_areas, status_of_curve

TITLE = "Deletion"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"positive"})
WORST = float("nan")


def measure(case: Case) -> Score:
    """∫ n(p) dp with the highest pixels replaced first."""
    curve, status = case.positive, status_of_curve(case, case.positive)
    if curve is None or status != "ok":
        return unscored("deletion", status, higher_is_better=HIGHER_IS_BETTER)
    intact, ruined = float(curve.nll[0]), float(curve.nll[-1])
    if not differ(intact, ruined):
        return unscored("deletion", "bad_baseline", higher_is_better=HIGHER_IS_BETTER)
    value, parts = harm_areas(curve, intact, ruined)
    return scored("deletion", value, higher_is_better=HIGHER_IS_BETTER, parts=parts)
