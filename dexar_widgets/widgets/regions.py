"""Regions of an image as a view has them: an outline that was drawn, or a name with a mask, a box or a polygon."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.maps import coverage
from dexar_widgets.types import Grid

__all__ = ["Outline", "Region", "named", "outline_of"]

Outline = list[float] | list[list[float]]
"""A box [left, top, right, bottom] or the corners [[x, y], …] of a polygon, in pixels of the original image."""


@dataclass(frozen=True, eq=False)
class Region:
    """A mask over the image; ``outline`` is None where the region was given as a mask."""

    mask: perturb.Mask
    outline: Outline | None

    def on_grid(self, name: str, grid: Grid) -> dict[str, Any]:
        """Plain values for the browser: the share of each cell that is covered."""
        shares = coverage(self.mask, grid).ravel()
        return {"name": name, "outline": self.outline, "coverage": [round(float(share), 4) for share in shares]}


def outline_of(value: Any) -> Outline:
    """Check an outline: four numbers of a box, or at least three corners."""
    try:
        array = np.asarray(value, float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    box = array.shape == (4,)
    polygon = array.ndim == 2 and array.shape[1] == 2 and len(array) > 2
    if not (box or polygon) or not np.isfinite(array).all():
        raise ValueError(
            f"{value!r} is no outline; expected a box [left, top, right, bottom] or at least three corners "
            "[[x, y], …], in pixels of the original image."
        )
    if box and not (array[0] < array[2] and array[1] < array[3]):
        raise ValueError(f"The box {array.tolist()} is empty; expected left < right and top < bottom.")
    plain: Outline = array.tolist()
    return plain


def named(regions: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Region]:
    """What a caller gave as ``regions``: names with masks, boxes or polygons over an image of ``size``."""
    found = {}
    for name, value in regions.items():
        if not str(name).strip():
            raise ValueError(f"regions has the name {name!r}; expected a word for each region.")
        try:
            mask = perturb.mask_of(value, size)
            found[str(name)] = Region(mask, None if np.shape(value) == mask.shape else outline_of(value))
        except ValueError as error:
            raise ValueError(f"regions[{name!r}]: {error}") from error
    return found
