"""Where a map peaks, in words; and, in a scene of the lab, what lies there."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dexar_widgets.types import Grid, HeatMap

if TYPE_CHECKING:
    from dexar_widgets.lab.scenes import Scene

__all__ = ["Place", "place_of", "thing_at"]

_LEAST_COVER = 0.1  # an object that covers less of a cell is not what lies there


@dataclass(frozen=True)
class Place:
    """The peak of a map: its cell (0-based), and the pixels that cell covers (left, top, right, bottom)."""

    words: str
    row: int
    col: int
    box: tuple[int, int, int, int]

    def as_dict(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def place_of(heat: HeatMap) -> Place | None:
    """The peak of a map of cells; None where nothing stands out."""
    if heat.status != "ok":
        return None
    row, col = heat.peak
    box = _cell_box(heat.grid, row, col)
    width, height = heat.grid.image_size
    vertical = ("upper", "middle", "lower")[min(2, int(3 * (box[1] + box[3]) / 2 / height))]
    horizontal = ("left", "centre", "right")[min(2, int(3 * (box[0] + box[2]) / 2 / width))]
    words = "centre" if (vertical, horizontal) == ("middle", "centre") else f"{vertical} {horizontal}"
    return Place(words, row, col, box)


def _cell_box(grid: Grid, row: int, col: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = grid.box
    across, down = (right - left) / grid.cols, (bottom - top) / grid.rows
    return (
        round(left + col * across),
        round(top + row * down),
        max(round(left + (col + 1) * across), round(left + col * across) + 1),
        max(round(top + (row + 1) * down), round(top + row * down) + 1),
    )


def thing_at(scene: "Scene", place: Place) -> str:
    """The object that covers most of the cell, or the scene's background."""
    left, top, right, bottom = place.box
    masks: Any = scene.visible[:, top:bottom, left:right]
    cover = masks.mean(axis=(1, 2)) if masks.size else np.zeros(len(masks))
    if len(cover) and cover.max() >= _LEAST_COVER:
        thing = scene.spec.objects[int(cover.argmax())]
        return f"{thing.colour} {thing.name}"
    return f"background ({scene.spec.background.name})"
