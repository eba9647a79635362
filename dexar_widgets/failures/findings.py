"""What a failure-case tool hands back, and what all of them measure with."""

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float

from dexar_widgets.explanation import Explanation

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "density", "note", "values_of"]

Kind = Literal["register", "spurious", "silenced"]


@dataclass(frozen=True, eq=False, repr=False)
class Finding:
    """What one tool found: ``found`` says whether anything is wrong, ``text`` what, and how sure that is.

    ``table`` holds every number behind it, with its range and its verdict. ``marks`` are plain values for the
    Explorer: ``cells`` of the grid (row-major), and ``regions`` and ``notes`` in the form that its options of these
    names take: ``dx.Explorer(e, regions=found.marks["regions"], notes=found.marks["notes"])``. A region there is the
    box around the one that was examined, whatever that one's shape.
    """

    kind: Kind
    found: bool
    text: str
    table: "pd.DataFrame"
    marks: Mapping[str, Any]

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Finding({self.kind!r}, found={self.found}: {self.text})"

    def _repr_html_(self) -> str:
        return f"<p>{escape(self.text)}</p>{self.table.to_html(index=False, float_format='{:.3g}'.format)}"


def note(word: str, steps: tuple[int, ...], tag: Kind | Literal["other"], text: str) -> dict[str, Any]:
    """A note on a word as the Explorer's Failures tab keeps them."""
    return {"steps": list(steps), "word": word, "tag": tag, "text": text}


def density(values: Float[np.ndarray, "row col"], cover: Float[np.ndarray, "row col"]) -> float:
    """The share of a map's positive part that lies on a region ÷ the region's share of the cells: 1 is an even map.

    ``cover`` is the share of each cell that the region covers. NaN for an empty map or an empty region.
    """
    energy, area = np.maximum(values, 0).astype(float), float(cover.mean())
    if not energy.any() or area == 0:
        return float("nan")
    return float((energy * cover).sum() / energy.sum() / area)


def values_of(e: Explanation, steps: tuple[int, ...] | None = None) -> dict[str, Float[np.ndarray, "row col"]]:
    """The raw maps of some steps (None: of the whole answer) by DEX-AR and by each method of ``e.attributions``.

    A method that gave one map of the whole answer has none of a word, and is left out there.
    """
    found = {"dexar": (e.sequence_map() if steps is None else e.heatmap(step=steps)).values}
    for name, one in e.attributions.items():
        if name != "dexar" and (steps is None or not one.whole):
            found[name] = (one.sequence_map() if steps is None else one.heatmap(step=steps)).values
    return found
