"""Causal agreement: does the map's energy lie on the objects in the order in which the word depends on them?

Spearman's ρ, over the objects, between the share of the map's positive energy on each (the raw map enlarged
bilinearly) and the nats that the word loses without it. A mask says where an object is; this says whether the model
uses it. At least three objects must be seen (``too_few``); ``constant_map`` also where all have the same share, and
``bad_baseline`` where all cost the same.

Source: the single-deletion protocol of Hesse et al., "FunnyBirds" (ICCV 2023). Part: ``per_area``, with each share ÷
the object's area, as a large object has more of any map.
"""

import numpy as np
from jaxtyping import Float

from dexar_widgets.judged import counted, enlarged, fitting
from dexar_widgets.metrics import Case, Need, Score, ScoreStatus, scored, status_of, unscored
from dexar_widgets.statistics import spearman

TITLE = "Causal agreement"
HIGHER_IS_BETTER = True
NEEDS: frozenset[Need] = frozenset({"effects"})
WORST = -1.0

_CHANCE = 0.0
_FEWEST = 3


def measure(case: Case) -> Score:
    """ρ between the share of the positive map on each object and the nats lost without it."""
    if case.effects is None:
        return _none("missing")
    count = counted(case)
    masks = fitting(case.effects.masks, case.heat)[:, count]
    seen = masks.any(1)
    masks, nats = masks[seen], case.effects.nats[seen].astype(float)
    if len(masks) < _FEWEST:
        return _none("too_few")
    status = _status_of(nats) or status_of(case.heat.values)
    if status != "ok":
        return _none(status)
    energy = np.maximum(enlarged(case.heat)[count], 0)
    on_each = np.array([energy[mask].sum() for mask in masks])
    if not energy.any():
        return _none("zero_mass")
    if (on_each == on_each[0]).all():
        return _none("constant_map")
    parts = {"per_area": spearman(on_each / masks.sum(1), nats)}
    value = spearman(on_each, nats)
    return scored("causal_agreement", value, higher_is_better=HIGHER_IS_BETTER, chance=_CHANCE, parts=parts)


def _none(status: ScoreStatus) -> Score:
    return unscored("causal_agreement", status, higher_is_better=HIGHER_IS_BETTER, chance=_CHANCE)


def _status_of(nats: Float[np.ndarray, " object"]) -> ScoreStatus | None:
    """Why nothing can agree with these effects; None if something can."""
    if np.isnan(nats).any():
        return "nan_input"
    if np.isinf(nats).any():
        return "overflow"
    return "bad_baseline" if (nats == nats[0]).all() else None
