"""Energy pointing game: the share of a map's positive energy that lies on the mask.

EPG = Σ_M E ÷ Σ E. Source: Wang et al., "Score-CAM" (CVPR Workshops 2020), there with a bounding box; here with the
mask itself. The raw map is enlarged bilinearly to the image, and negative values count as 0. A uniform map scores the
mask's share of the pixels that count.

Parts: ``on_minmaxed``, of the min–maxed map, which loses what a map has everywhere (the paper's way); ``over_area``,
the value ÷ the mask's share (1 is chance).
"""

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "Energy pointing game"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0


def measure(case: Case) -> Score:
    """Σ of the positive map on the mask ÷ Σ of it."""
    pixels = pixels_of(case)
    name, chance, status = "energy_pointing_game", pixels.prevalence, pixels.energy_status
    if status != "ok":
        return unscored(name, status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value, on_minmaxed = (
        float(energy[pixels.inside].sum() / energy.sum()) for energy in (pixels.energy, pixels.scaled)
    )
    parts = {"on_minmaxed": on_minmaxed, "over_area": value / chance}
    return scored(name, value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
