"""What a metric tells: a number only where it is one, and otherwise why there is none."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from dexar_widgets.metrics import Score, ScoreStatus

__all__ = ["scored", "status_of", "unscored"]


def status_of(values: Float[np.ndarray, "..."]) -> ScoreStatus:
    """Whether what a method gave says anything: not where it holds NaN or infinity, is 0, or the same everywhere."""
    if not np.isfinite(values).all():
        return "nan_input"
    if not values.any():
        return "zero_mass"
    return "ok" if values.max() > values.min() else "constant_map"


def scored(
    name: str,
    value: float,
    *,
    higher_is_better: bool,
    chance: float = float("nan"),
    parts: Mapping[str, float] | None = None,
) -> Score:
    """The score of a reading: ``overflow`` if it is not finite. Parts that are not finite are left out."""
    if not np.isfinite(value):
        return unscored(name, "overflow", higher_is_better=higher_is_better, chance=chance)
    known = {part: float(number) for part, number in (parts or {}).items() if np.isfinite(number)}
    return Score(name, float(value), higher_is_better, "ok", chance, known)


def unscored(name: str, status: ScoreStatus, *, higher_is_better: bool, chance: float = float("nan")) -> Score:
    """The reason why there is no number."""
    return Score(name, float("nan"), higher_is_better, status, chance)
