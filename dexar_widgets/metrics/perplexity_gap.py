"""Perplexity gap: what the map's order of the pixels is worth to the answer, in nats.

The area under log R(p) = nll(p) − nll(0) with the highest pixels replaced first, less that with the lowest first. A
random order has 0 in the mean, an inverted map the negative of its original, and no image outweighs the others as it
does where perplexities themselves are averaged. Both areas are of the whole range, by trapezoids over the fractions
that were replaced.

Source: ours, of the paper's two curves. Parts: ``auc09``, the gap over [0, 0.9]; ``positive`` and ``negative``, both
areas.
"""

from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._curves import log_areas, status_of_curve

TITLE = "Perplexity gap"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"positive", "negative"})
WORST = float("nan")


def measure(case: Case) -> Score:
    """∫ log R⁺(p) dp − ∫ log R⁻(p) dp."""
    positive, negative, chance = case.positive, case.negative, 0.0
    reasons = [status for curve in (positive, negative) if (status := status_of_curve(case, curve)) != "ok"]
    if positive is None or negative is None or reasons:
        reason = "missing" if "missing" in reasons else reasons[0]  # whatever else there is to say
        return unscored("perplexity_gap", reason, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    (high, high_to_end), (low, low_to_end) = log_areas(positive), log_areas(negative)
    parts = {"auc09": high_to_end - low_to_end, "positive": high, "negative": low}
    return scored("perplexity_gap", high - low, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
