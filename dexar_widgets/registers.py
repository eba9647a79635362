"""Register tokens: patches of little content that a vision tower uses as storage, and that draw attention.

Source: Darcet, Oquab, Mairal, Bojanowski, "Vision Transformers Need Registers" (ICLR 2024, arXiv 2309.16588): a few
patches, mostly in uniform background, leave the tower with norms far above all others' and hold global information.

Differs: they cut at one norm per model (150 for DINOv2), read off a histogram over many images, and call a patch
redundant by its likeness to its neighbours. Here one image has to do, for any model: the cut is relative to the
image's own norms, and redundancy is the deviation of brightness within the patch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets.equality import ByValue
from dexar_widgets.explanation import Explanation
from dexar_widgets.maps import coverage_weights

__all__ = ["MIN_CELLS", "NAMED", "RATIO", "SCORE", "Outliers", "detail_of", "find", "outliers_of", "report"]

SCORE = 3.5
"""Deviations above the median, the deviation being 1.4826 · MAD (Iglewicz and Hoaglin 1993 recommend this cut)."""
RATIO = 1.5
"""Least multiple of the median: where norms hardly vary, many deviations are still no outlier. Our choice."""
MIN_CELLS = 16
"""A median of fewer norms does not say what is usual. Our choice."""

NAMED = 6
"""Outliers named in a report; further ones are counted."""


@dataclass(frozen=True, eq=False)
class Outliers(ByValue):
    """Cells (row-major) whose norm exceeds ``threshold``, with no more detail than the image's median cell.

    ``usual`` is the median norm. Limits: an image that is blank for the most part has no median detail to be below; a
    tower whose registers are more than a few is not recognised, since the median moves; and a high norm shows that a
    patch *may* be a register, not what the decoder does with it: compare its share of attention with its share of the
    map.
    """

    cells: Int[np.ndarray, " outlier"]
    usual: float
    threshold: float


def find(norm: Float[np.ndarray, " cell"], detail: Float[np.ndarray, " cell"]) -> Outliers:
    """Outliers of one image's patch norms; ``detail`` is what each patch has to show.

    Raises
    ------
    ValueError
        If there are fewer than `MIN_CELLS` cells.
    """
    if len(norm) < MIN_CELLS:
        count = "1 patch is" if len(norm) == 1 else f"{len(norm)} patches are"
        raise ValueError(f"{count} too few to say which norms are unusual; {MIN_CELLS} are needed.")
    usual = float(np.median(norm))
    deviation = 1.4826 * float(np.median(np.abs(norm - usual)))
    threshold = max(usual + SCORE * deviation, RATIO * usual)
    found = (norm > threshold) & (detail <= np.median(detail))
    return Outliers(np.flatnonzero(found), usual, threshold)


def outliers_of(e: Explanation) -> Outliers:
    """Outliers among the cells of an explanation's first image.

    Raises
    ------
    ValueError
        If the norms were not kept, or there are too few cells.
    """
    if e.patch_norm is None:
        raise ValueError(
            "The norms of the patches were not kept; explain again with "
            "dx.explain(vlm, image, prompt, patch_norm=True, attention=True)."
        )
    return find(e.patch_norm[e.layout.tokens_of(0)], detail_of(e))


def detail_of(e: Explanation) -> Float[np.ndarray, " cell"]:
    """Deviation of the brightness (0–1) within each cell of the first image."""
    down, across = coverage_weights(e.layout.grids[0])
    grey = e.example.image.astype(float).mean(-1) / 255
    mean, square = (down @ values @ across.T for values in (grey, grey**2))
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)).ravel())


def report(e: Explanation) -> dict[str, Any]:
    """The outliers as plain values: their ``cells``, and a ``text`` that says what was found or why nothing can be."""
    try:
        found = outliers_of(e)
    except ValueError as error:
        return {"cells": [], "text": str(error)}
    count, cut = len(found.cells), f"a norm above {found.threshold:.3g} (the median is {found.usual:.3g})"
    if not count:
        text = f"None found: no patch with little detail has {cut}."
    else:
        cols = e.layout.grids[0].cols
        places = [f"row {cell // cols + 1}, column {cell % cols + 1}" for cell in found.cells[:NAMED].tolist()]
        places += [f"{count - NAMED} more"] * (count > NAMED)
        cells = len(e.layout.tokens_of(0))
        text = f"{count} of {cells} patches may be registers, with little detail and {cut}: {'; '.join(places)}."
        if e.attention is None:
            text += " Attention rows were not kept; explain again with attention=True to see how much they draw."
    return {"cells": found.cells.tolist(), "text": text}
