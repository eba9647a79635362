"""Do the weights tell content from filler: how often a content token weighs more than one of filler.

The area under the ROC curve of the steps' weights, signed and without any threshold or scale, where content is what
only the image can tell; ties count half, chance is 0.5. A method that weighs all steps alike has no number
(``constant_map``).

Source: the Mann–Whitney form (Hanley and McNeil 1982). Part: ``energies``, the same of weight times mean of the map.
"""

from dexar_widgets.judged import tokens_of
from dexar_widgets.metrics import Case, Need, Score, scored, unscored
from dexar_widgets.separation import auroc

TITLE = "Token AUROC"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"steps"})
WORST = 0.0


def measure(case: Case) -> Score:
    """AUROC of the weights against content."""
    tokens, energies, chance = tokens_of(case.steps, "weights"), tokens_of(case.steps, "energies"), 0.5
    if tokens.status != "ok":
        return unscored("token_auroc", tokens.status, higher_is_better=HIGHER_IS_BETTER, chance=chance)
    parts = {"energies": auroc(energies.values, energies.inside)} if energies.status == "ok" else {}
    value = auroc(tokens.values, tokens.inside)
    return scored("token_auroc", value, higher_is_better=HIGHER_IS_BETTER, chance=chance, parts=parts)
