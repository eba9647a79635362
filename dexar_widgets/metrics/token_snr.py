"""Signal to noise over the answer's tokens: the mean energy of content words ÷ that of filler.

A token's energy is what its step weighs times the mean of its map; negative energies count as 0. 1 says nothing. An
answer whose filler has no energy has no finite ratio: ``overflow``, also beyond 10⁶.

Source: the paper's test on PascalVOC-QA, whose text gives the formula for pixels alone; that percentages such as its
table's cannot be of pixels, we infer. Parts: ``raw``, sums in place of means; ``decibel``, 10·log₁₀ of the value;
``weights``, the value of the weights alone.
"""

from dexar_widgets.judged import tokens_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.metrics._ratios import signal_to_noise

TITLE = "Token SNR"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"steps"})
WORST = 0.0
RATIO = True


def measure(case: Case) -> Score:
    """Mean energy of the content tokens ÷ that of the others."""
    tokens, weights, chance = tokens_of(case.steps, "energies"), tokens_of(case.steps, "weights"), 1.0
    if tokens.energy_status != "ok":
        return unscored("token_snr", tokens.energy_status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value, parts = signal_to_noise(tokens.energy, tokens.inside)
    if weights.energy_status == "ok":
        parts["weights"], _ = signal_to_noise(weights.energy, weights.inside)
    return scored("token_snr", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
