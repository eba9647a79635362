"""Energy pointing game over the answer's tokens: the share of the energy that content words have.

Σ_content e ÷ Σ e. A token's energy is what its step weighs times the mean of its map; negative energies count as 0.
``chance`` is what equal energies have: the share of content words.

Source: the paper's test on PascalVOC-QA, after the game on pixels of Wang et al. ("Score-CAM"). Parts: ``over_chance``,
the value ÷ chance; ``weights``, the value of the weights alone.
"""

from dexar_widgets.judged import Judged, tokens_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "Token energy"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"steps"})
WORST = 0.0


def measure(case: Case) -> Score:
    """Σ of the content tokens' energies ÷ Σ of all."""
    tokens, weights = tokens_of(case.steps, "energies"), tokens_of(case.steps, "weights")
    chance = tokens.prevalence
    if tokens.energy_status != "ok":
        return unscored("token_energy", tokens.energy_status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    value = _share(tokens)
    parts = {"over_chance": value / chance}
    if weights.energy_status == "ok":
        parts["weights"] = _share(weights)
    return scored("token_energy", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _share(tokens: Judged) -> float:
    return float(tokens.energy[tokens.inside].sum() / tokens.energy.sum())
