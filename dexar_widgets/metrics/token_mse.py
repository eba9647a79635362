"""Mean squared error of the tokens' energies as a guess of which are content; lower is better.

mean (e ÷ max e − m)² over the answer's tokens, with m = 1 for words that only the image can tell and 0 for filler. A
token's energy is what its step weighs times the mean of its map; negative energies count as 0. ``chance`` is what equal
energies have: the share of filler.

Source: the paper's test on PascalVOC-QA, whose scale is not given. Part: ``weights``, the value of the weights alone.
"""

from dexar_widgets.judged import Judged, tokens_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored

TITLE = "Token MSE"
HIGHER_IS_BETTER = False
NEEDS: frozenset[Need] = frozenset({"steps"})
WORST = 1.0
CHANCE = "equal energies"


def measure(case: Case) -> Score:
    """Mean over the tokens of (e ÷ max e − m)²."""
    tokens, weights = tokens_of(case.steps, "energies"), tokens_of(case.steps, "weights")
    chance = 1 - tokens.prevalence
    if tokens.energy_status != "ok":
        return unscored("token_mse", tokens.energy_status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    parts = {"weights": _error(weights)} if weights.energy_status == "ok" else {}
    return scored("token_mse", _error(tokens), higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)


def _error(tokens: Judged) -> float:
    return float(((tokens.energy / tokens.energy.max() - tokens.inside) ** 2).mean())
