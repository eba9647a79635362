"""Sanity check: how like is the map to the one that the method gives of a model with random weights? Lower is better.

|Spearman's ρ| between the raw map and that of the same answer by the wholly randomised model, over the grid's cells. A
method that shows the picture, and nothing of the model, has 1. Where either map is constant or empty, there is no ρ.

Source: Adebayo et al., "Sanity Checks for Saliency Maps" (NeurIPS 2018). Parts: ``after_1``, ``after_2``, …, the same
after each stage of randomisation (the last is the value); ``entropy_rise``, how many nats the entropy of the map's
histogram (100 bins from its least to its greatest value) rises from the trained model to the random one, and
``entropy_rise_relative``, that ÷ the trained model's (eMPRT; Hedström et al., "Sanity Checks Revisited", 2023).
"""

import numpy as np
from jaxtyping import Float32

from dexar_widgets.metrics import Case, Need, Score, scored, status_of, unscored
from dexar_widgets.statistics import entropy, spearman

TITLE = "Randomisation"
HIGHER_IS_BETTER = False
NEEDS: frozenset[Need] = frozenset({"randomised"})
WORST = 1.0


def measure(case: Case) -> Score:
    """|ρ| between the map and that of the wholly randomised model."""
    if not case.randomised:
        return unscored("randomisation", "missing", higher_is_better=HIGHER_IS_BETTER)
    own, stages = case.heat.values, [stage.values for stage in case.randomised]
    for status in (status_of(own), status_of(stages[-1])):
        if status != "ok":
            return unscored("randomisation", status, higher_is_better=HIGHER_IS_BETTER)
    parts = {
        f"after_{number}": _likeness(own, stage)
        for number, stage in enumerate(stages, start=1)
        if status_of(stage) == "ok"
    }
    before, after = entropy(own), entropy(stages[-1])
    parts["entropy_rise"] = after - before
    if before > 0:
        parts["entropy_rise_relative"] = (after - before) / before
    return scored("randomisation", parts[f"after_{len(stages)}"], higher_is_better=HIGHER_IS_BETTER, parts=parts)


def _likeness(own: Float32[np.ndarray, "row col"], other: Float32[np.ndarray, "row col"]) -> float:
    if own.shape != other.shape:
        raise ValueError(
            f"The map is {own.shape[0]}×{own.shape[1]} but that of the randomised model {other.shape[0]}×"
            f"{other.shape[1]}; take both on the same grid."
        )
    return abs(spearman(own.ravel(), other.ravel()))
