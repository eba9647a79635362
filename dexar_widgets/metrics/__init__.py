"""Metrics: one file each, found by scanning this folder (third parties: entry point group ``dexar_widgets.metrics``).

A metric is a plain module that has the names of `Metric`. It judges one map against a mask of what the word names.
"""

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from jaxtyping import Bool

from dexar_widgets.types import HeatMap

__all__ = ["Metric", "Score", "ScoreStatus", "unusable"]

ScoreStatus = Literal["ok", "constant_map", "zero_mass", "empty_mask", "full_mask", "nan_input"]


@dataclass(frozen=True)
class Score:
    """A number, or the reason why there is none (then ``value`` is NaN): a map that cannot be judged is never a 0.

    ``chance`` is what a uniform map scores on the same mask.
    """

    name: str
    value: float
    higher_is_better: bool
    status: ScoreStatus = "ok"
    chance: float = float("nan")

    def __post_init__(self) -> None:
        if self.status not in get_args(ScoreStatus):
            raise ValueError(f"{self.name} gave the status {self.status!r}; it is one of {get_args(ScoreStatus)}.")
        if np.isfinite(self.value) != (self.status == "ok"):
            raise ValueError(
                f"{self.name} gave {self.value} with status {self.status!r}: a number means ok, NaN does not."
            )


class Metric(Protocol):
    """What a metric module provides."""

    TITLE: str
    """Its name as people write it."""
    HIGHER_IS_BETTER: bool

    def measure(self, heat: HeatMap, mask: Bool[np.ndarray, "height width"]) -> Score:
        """Judge a raw map against a mask over the original image."""


def unusable(heat: HeatMap, mask: Bool[np.ndarray, "height width"]) -> ScoreStatus | None:
    """Why a map cannot be judged against a mask, as every metric of maps and masks has it; None if it can."""
    if not np.isfinite(heat.values).all():
        return "nan_input"
    if not mask.any():
        return "empty_mask"
    if mask.all():
        return "full_mask"
    if not heat.values.any():
        return "zero_mass"
    return "constant_map" if heat.values.min() == heat.values.max() else None
