"""IoU at fixed thresholds of the min–maxed map: an outline that is not chosen with the mask in hand.

|{E ≥ τ} ∩ M| ÷ |{E ≥ τ} ∪ M| at τ = 0.5, where E is the map's positive part, enlarged bilinearly and min–maxed to
[0, 1] over the pixels that count. One outlier moves all thresholds: compare `iou`. ``chance`` is what uniform noise in
0–1 has, p ÷ (1 + p) for a mask of the share p.

Parts: ``at_0.1`` to ``at_0.9``.
"""

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "IoU at 0.5"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0
CHANCE = "uniform noise"


def measure(case: Case) -> Score:
    """IoU of the mask with the upper half of the map's range."""
    pixels = pixels_of(case)
    chance, status = pixels.prevalence / (1 + pixels.prevalence), pixels.energy_status
    if status != "ok":
        return unscored("iou_fixed", status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    scaled, inside, found = pixels.scaled, pixels.inside, {}
    for tenth in range(1, 10):
        taken = scaled >= tenth / 10
        found[f"at_0.{tenth}"] = float((taken & inside).sum() / (taken | inside).sum())
    return scored("iou_fixed", found["at_0.5"], higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=found)
