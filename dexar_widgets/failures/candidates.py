"""Which patches may be registers, by norm, detail and attention; and which plain ones stand beside them."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float, Int

from dexar_widgets import registers as norms
from dexar_widgets.explanation import Explanation

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["DRAWS", "MOST", "Candidates", "candidates_of", "with_norms"]

DRAWS = 3.0
"""Times its area's share of the attention from which a patch draws attention. Our choice."""
MOST = 12
"""Candidates that are examined, those of the highest norm first."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """All candidates, those of them that are examined, and what holds of each cell of the grid.

    ``norm`` is in median norms, ``attention`` a share ÷ the cell's share of the area (NaN: the model shows none),
    ``detail`` a deviation of brightness (0–1).
    """

    every: list[int]
    cells: list[int]
    high: Bool[np.ndarray, " cell"]
    norm: Float[np.ndarray, " cell"]
    attention: Float[np.ndarray, " cell"]
    detail: Float[np.ndarray, " cell"]

    @property
    def groups(self) -> list[tuple[int, ...]]:
        """Each examined cell alone, and all of high norm at once, where there are several."""
        alone: list[tuple[int, ...]] = [(cell,) for cell in self.cells]
        together = tuple(np.flatnonzero(self.high).tolist())
        return [*alone, together] if len(together) > 1 else alone

    @property
    def plain(self) -> Int[np.ndarray, " cell"]:
        """Cells of little detail that are no candidates.

        Raises
        ------
        ValueError
            If there are none.
        """
        others = np.setdiff1d(np.flatnonzero(self.detail <= np.median(self.detail)), self.every)
        if not len(others):
            raise ValueError("Every plain patch of the image is a candidate; there is none to put in another's place.")
        return others


def with_norms(e: Explanation, vlm: "VLM") -> Explanation:
    """The explanation with norms and, where the model shows it, attention; read in one pass where it holds none."""
    if e.patch_norm is not None and e.attention is not None:
        return e
    from dexar_widgets import engine

    shown = engine.shows_attention(vlm)
    if e.patch_norm is not None and not shown:
        return e
    with engine.enough_memory(vlm, "The reading of norms and attention", "explain fewer steps="):
        request = engine.encode(vlm, e.example)
        said = engine.resume(vlm, request, e.generation)
        read = engine.differentiate(vlm, request, said, steps=e.steps, attention=shown, patch_norm=True)
    attention = read.attention if e.attention is None else e.attention
    return replace(e, attention=attention, patch_norm=read.patch_norm)


def candidates_of(e: Explanation) -> Candidates:
    """Cells of high norm and little detail, and others of little detail that draw `DRAWS` times their attention.

    Raises
    ------
    ValueError
        If there are too few cells to say which norms are unusual.
    """
    outliers, detail = norms.outliers_of(e), norms.detail_of(e)
    tokens = e.layout.tokens_of(0)
    attention = np.full(len(tokens), np.nan)
    if e.attention is not None:
        drawn = e.attention[..., tokens].mean((0, 1, 2), dtype=float)
        attention = drawn / drawn.mean() if drawn.any() else np.zeros(len(tokens))
    assert e.patch_norm is not None, "outliers_of refuses an explanation without"
    norm = e.patch_norm[tokens].astype(float) / outliers.usual
    high = np.isin(np.arange(len(tokens)), outliers.cells)
    wanted = np.flatnonzero(high | ((detail <= np.median(detail)) & (attention >= DRAWS)))
    first = sorted(wanted.tolist(), key=lambda cell: (not high[cell], -norm[cell]))
    return Candidates(first, first[:MOST], high, norm, attention, detail)
