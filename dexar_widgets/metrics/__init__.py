"""Metrics: one file each, found by scanning this folder (third parties: entry point group ``dexar_widgets.metrics``).

A metric is a plain module that has the names of `Metric`. It is a function of numbers: what a method said (a map, a
weight per token) and what is known (a mask, how the answer fared on changed images, what each object is worth to the
word). It never runs a model, so that what was measured once can be judged again by any metric.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, get_args

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

from dexar_widgets.types import HeatMap

__all__ = ["CHANCE", "Case", "Curve", "Effects", "Metric", "Need", "Score", "ScoreStatus", "Steps"]
__all__ += ["scored", "status_of", "unscored"]

ScoreStatus = Literal[
    "ok",
    "constant_map",
    "zero_mass",
    "nan_input",
    "empty_mask",
    "full_mask",
    "bad_baseline",
    "overflow",
    "too_few",
    "missing",
]
"""Why there is no number.

``constant_map``, ``zero_mass``, ``nan_input``: what the method gave is the same everywhere, is nothing, or holds NaN or
infinity. ``empty_mask``, ``full_mask``: none, or all, of what is judged is on the mask (of tokens: is content).
``bad_baseline``: the curve's ends do not differ as they must, or the effects of all objects are equal. ``overflow``:
the number is infinite. ``too_few``: words or objects. ``missing``: the case lacks what the metric needs."""
CHANCE = "chance"
"""What a map that knows nothing scores in the mean, whatever its form; maps are tested against nothing else."""
Need = Literal["mask", "steps", "positive", "negative", "insertion", "sizes", "effects", "randomised"]
"""What a metric reads beside the map; ``sizes`` are those of the negative curve."""


@dataclass(frozen=True)
class Score:
    """A number, or the reason why there is none (then ``value`` is NaN): a map that cannot be judged is never a 0.

    ``chance`` is what a map that knows nothing scores on the same case, or what else the metric's CHANCE says.
    ``parts`` are further readings of the same measurement, such as the other range of an area.
    """

    name: str
    value: float
    higher_is_better: bool
    status: ScoreStatus = "ok"
    chance: float = float("nan")
    parts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.status not in get_args(ScoreStatus):
            raise ValueError(f"{self.name} gave the status {self.status!r}; it is one of {get_args(ScoreStatus)}.")
        if np.isfinite(self.value) != (self.status == "ok"):
            raise ValueError(
                f"{self.name} gave {self.value} with status {self.status!r}: a number means ok, NaN does not."
            )


@dataclass(frozen=True, eq=False)
class Curve:
    """How the answer fares as ever more of the image is taken away, or given back.

    ``fractions`` of the places are changed, in rising order: of pixels, or of cells where those go whole. ``nll`` is
    the mean negative log-likelihood of the answer's tokens on each image, in nats. ``sizes`` are the images' bytes as
    lossless WebP, where they were counted. ``tied`` is the share of the places among which a level had to draw, being
    equal; NaN where nobody counted.
    """

    fractions: Float64[np.ndarray, " level"]
    nll: Float64[np.ndarray, " level"]
    sizes: Int[np.ndarray, " level"] | None = None
    tied: float = float("nan")

    def __post_init__(self) -> None:
        counts = [len(self.fractions), len(self.nll), *([] if self.sizes is None else [len(self.sizes)])]
        if len(set(counts)) != 1 or not (np.diff(self.fractions) >= 0).all():
            raise ValueError(
                f"A curve has {counts} fractions, likelihoods and sizes, and the fractions "
                f"{np.round(self.fractions, 3).tolist()}; expected as many of each, in rising order."
            )


@dataclass(frozen=True, eq=False)
class Steps:
    """The answer's tokens: what the method gives each, and whether only the image can tell it.

    ``weights`` are what a step counts for in the sequence map, ``energies`` that times the mean of its map.
    """

    weights: Float[np.ndarray, " step"]
    energies: Float[np.ndarray, " step"]
    content: Bool[np.ndarray, " step"]


@dataclass(frozen=True, eq=False)
class Effects:
    """What the word depends on, by intervention: the nats that it loses without each object, and where those are."""

    masks: Bool[np.ndarray, "object height width"]
    nats: Float[np.ndarray, " object"]


@dataclass(frozen=True, eq=False)
class Case:
    """One map that is judged, raw and signed, and what is known about it; a metric says which of that it needs.

    A map of cells is enlarged bilinearly to be judged pixel by pixel; one of pixels, as `maps.upsample` can make it in
    another way, is taken as it is.
    ``mask`` is over the original image, as are ``ignored`` pixels, which count neither as right nor as wrong. Curves
    are named by what is done: the highest pixels of the map replaced by the mean colour (``positive``), the lowest
    (``negative``), or the highest restored in a blurred image (``insertion``). ``randomised`` are the same method's
    maps of the same answer as ever more of the model is made random, the whole model last.
    """

    heat: HeatMap
    mask: Bool[np.ndarray, "height width"] | None = None
    ignored: Bool[np.ndarray, "height width"] | None = None
    steps: Steps | None = None
    positive: Curve | None = None
    negative: Curve | None = None
    insertion: Curve | None = None
    effects: Effects | None = None
    randomised: tuple[HeatMap, ...] | None = None


class Metric(Protocol):
    """What a metric module provides.

    It may say two things more. ``CHANCE`` is what `Score.chance` is, if it is not `CHANCE`: as "floor", it is told and
    not tested against. ``RATIO = True``: values are ratios, from 0 to infinity (``overflow``).
    """

    TITLE: str
    """Its name as people write it."""
    HIGHER_IS_BETTER: bool
    NEEDS: frozenset[Need]
    """What of a `Case` it reads beside the map."""
    WORST: float
    """The least that a map can score, for the mean that counts maps without a number as that; NaN if unbounded."""

    def measure(self, case: Case) -> Score:
        """Judge one map. A case that lacks what it needs gives the status ``missing``."""


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
