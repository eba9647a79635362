"""What is judged, pixel by pixel or token by token: what a method gave each, and whether that is right."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64

from dexar_widgets.maps import upsample
from dexar_widgets.metrics import Case, ScoreStatus, Steps, status_of
from dexar_widgets.types import HeatMap, minmax

__all__ = ["Judged", "counted", "enlarged", "fitting", "pixels_of", "tokens_of"]


@dataclass(frozen=True, eq=False)
class Judged:
    """Values, raw and signed, and which of them are on the mask, or of words that only the image can tell.

    ``status`` says why they cannot be judged; then ``values`` mean nothing.
    """

    values: Float64[np.ndarray, " place"]
    inside: Bool[np.ndarray, " place"]
    status: ScoreStatus

    @property
    def prevalence(self) -> float:
        """The share that is inside; NaN if nothing is judged."""
        return float(self.inside.mean()) if len(self.inside) else float("nan")

    @property
    def energy(self) -> Float64[np.ndarray, " place"]:
        """The positive part: what speaks against the word counts as 0."""
        return np.asarray(np.maximum(self.values, 0))

    @property
    def energy_status(self) -> ScoreStatus:
        """``status``, for what reads the positive part alone."""
        return "zero_mass" if self.status == "ok" and not (self.values > 0).any() else self.status

    @property
    def scaled(self) -> Float64[np.ndarray, " place"]:
        """The positive part min–maxed to [0, 1]."""
        return np.asarray(minmax(self.energy))


def pixels_of(case: Case) -> Judged:
    """The pixels that count; a map of cells is enlarged bilinearly, one of pixels taken as it is."""
    if case.mask is None:
        return Judged(np.zeros(0), np.zeros(0, bool), "missing")
    count = counted(case)
    inside = fitting(case.mask, case.heat)[count]
    if status_of(case.heat.values) == "nan_input":
        return Judged(np.zeros(len(inside)), inside, "nan_input")
    values = enlarged(case.heat)[count]
    return Judged(values, inside, _of_inside(inside) or status_of(values))


def tokens_of(steps: Steps | None, what: Literal["energies", "weights"]) -> Judged:
    """The answer's tokens, by their energies or by their weights."""
    if steps is None:
        return Judged(np.zeros(0), np.zeros(0, bool), "missing")
    values = np.asarray(getattr(steps, what), float)
    if not len(values):
        return Judged(values, steps.content, "too_few")
    status = status_of(values)
    return Judged(values, steps.content, status if status == "nan_input" else _of_inside(steps.content) or status)


def _of_inside(inside: Bool[np.ndarray, " place"]) -> ScoreStatus | None:
    if not inside.any():
        return "empty_mask"
    return "full_mask" if inside.all() else None


def counted(case: Case) -> Bool[np.ndarray, "height width"]:
    """Pixels that are neither ignored nor cropped away by the processor, of which no method can say anything."""
    # by their centres, as maps are enlarged: a pixel that the model sees a rim of has no value
    (width, height), (left, top, right, bottom) = case.heat.grid.image_size, case.heat.grid.box
    down, across = np.arange(height) + 0.5, np.arange(width) + 0.5
    seen = np.outer((down >= top) & (down < bottom), (across >= left) & (across < right))
    return seen if case.ignored is None else seen & ~fitting(case.ignored, case.heat)


def fitting(mask: Bool[np.ndarray, "*mask height width"], heat: HeatMap) -> Bool[np.ndarray, "*mask height width"]:
    """The mask, or masks, themselves; `ValueError` unless they are over the map's image."""
    width, height = heat.grid.image_size
    if mask.shape[-2:] != (height, width):
        raise ValueError(
            f"A mask is {mask.shape[-2]}×{mask.shape[-1]} but the image is {height}×{width} (height × width); "
            "masks are over the original image."
        )
    return mask


def enlarged(heat: HeatMap) -> Float64[np.ndarray, "height width"]:
    """A map per pixel, as `pixels_of` has it, in double precision: sums run over many pixels."""
    return upsample(heat).values.astype(float)
