"""Mean squared error of the min–maxed map as a picture of the mask; lower is better.

mean (E − M)², with E the map's positive part, enlarged bilinearly and min–maxed to [0, 1] over the pixels that count.
Source: the paper's ablation of the head filter. It rewards a map that is dark all over, as most of the image is beside
the mask. ``chance`` is what uniform noise in 0–1 has, 1 ÷ 3; the part ``blank`` what a map of zeros would, the mask's
share.
"""

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "MSE"
HIGHER_IS_BETTER = False
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 1.0
CHANCE = "uniform noise"


def measure(case: Case) -> Score:
    """Mean over the pixels of (E − M)²."""
    pixels = pixels_of(case)
    chance = 1 / 3
    if pixels.energy_status != "ok":
        return unscored("mse", pixels.energy_status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value = float(((pixels.scaled - pixels.inside) ** 2).mean())
    parts = {"blank": pixels.prevalence}
    return scored("mse", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
