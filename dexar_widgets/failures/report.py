"""What is told of suspected causes: a sentence per word, and marks for the Explorer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.causal.chance import plain
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import Finding, note
from dexar_widgets.failures.suspects import Named, Suspect
from dexar_widgets.maps import coverage

__all__ = ["finding_of"]


def finding_of(e: Explanation, suspect: Suspect, rows: list[dict[str, Any]], things: Sequence[Named | None]) -> Finding:
    """The finding of `dexar_widgets.failures.spurious`, from its table's rows and what each word names."""
    import pandas as pd

    bad = [row for row in rows if row["verdict"] == "spurious"]
    told = bad or [max(rows, key=lambda row: float(row["suspect"]))]
    text = " ".join(_sentence(suspect, row) for row in told)
    if not bad and len(rows) > 1:
        text = f"None of {len(rows)} words comes from {suspect.what}. The one that loses most: {text}"
    cells = np.flatnonzero(coverage(suspect.mask, e.layout.grids[0]).ravel() >= 0.5)
    regions = {suspect.what: suspect.mask} | {thing.what: thing.mask for thing in things if thing is not None}
    marks = {
        "cells": cells.tolist(),
        "regions": {what: box for what, mask in regions.items() if (box := _box(mask))},
        "notes": [note(row["word"], row["steps"], "spurious", _sentence(suspect, row)) for row in bad],
    }
    return Finding("spurious", bool(bad), text, pd.DataFrame(rows), marks)


def _box(mask: perturb.Mask) -> list[int] | None:
    """The box around a mask; None where that is the whole image, which is no region of it."""
    down, across = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(down) or (len(down), len(across)) == mask.shape:
        return None
    return [int(across[0]), int(down[0]), int(across[-1]) + 1, int(down[-1]) + 1]


_VERDICTS = {
    "spurious": "it comes from {suspect}",
    "clear": "it does not need {suspect}",
    "chance": "no more than chance",
    "named": "it comes from {named} rather",
    "not said": "the model does not say it here",
    "chance unknown": "ask for randoms= to know what chance costs",
}


def _sentence(suspect: Suspect, row: dict[str, Any]) -> str:
    where = f" (median of {row['pictures']}: {plain(row['suspect_low'])} to {plain(row['suspect_high'])})"
    text = f"“{row['word']}” loses {plain(row['suspect'])} nats without {suspect.what}"
    text += where if row["pictures"] > 1 else ""
    if row["named_object"]:
        text += f", {plain(row['named'])} without {row['named_object']}"
    if row["randoms"]:
        what = "other cuts of the same background" if suspect.kept else "random regions of this shape"
        between = f"{plain(row['chance_low'])} to {plain(row['chance_high'])}"
        text += f", by chance {plain(row['chance'])} ({between}; {row['randoms']} {what}, p = {row['p']:.2g})"
    text += ": " + _VERDICTS[row["verdict"]].format(suspect=suspect.what, named=row["named_object"]) + "."
    own = row["map_dexar"]
    if np.isnan(own):
        return text + " DEX-AR shows nothing here."
    points = "the named object" if own > 0 else suspect.what
    other = "" if row["named_object"] else " against the whole image"
    return text + f" DEX-AR points to {points} (log ratio {plain(own)}{other})."
