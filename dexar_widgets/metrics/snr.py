"""Signal to noise: the map's mean on the mask ÷ its mean beside it.

SNR = (Σ_M E ÷ |M|) ÷ (Σ_{not M} E ÷ |not M|), with E the raw map's positive part, enlarged bilinearly. 1 says nothing,
whatever the mask's size. A map with nothing beside the mask has no finite ratio: ``overflow``, also beyond 10⁶.

Source: the paper's ‖E ⊙ M‖₁ ÷ ‖E ⊙ (1 − M)‖₁. Differs: means in place of sums, whose ratio is that of the areas for a
uniform map; it is the part ``raw``. A mean of ratios follows its outliers: see also ``decibel``, 10·log₁₀ of the value.
``on_minmaxed`` is the value of the min–maxed map, which loses what a map has everywhere.
"""

from dexar_widgets.judged import pixels_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._ratios import signal_to_noise

TITLE = "SNR"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"mask"})
WORST = 0.0
RATIO = True


def measure(case: Case) -> Score:
    """Mean of the positive map on the mask ÷ that beside it."""
    pixels = pixels_of(case)
    chance = 1.0
    if pixels.energy_status != "ok":
        return unscored("snr", pixels.energy_status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value, parts = signal_to_noise(pixels.energy, pixels.inside)
    parts["on_minmaxed"], _ = signal_to_noise(pixels.scaled, pixels.inside)
    return scored("snr", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
