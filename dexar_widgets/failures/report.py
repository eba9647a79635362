"""What is told of suspected causes: a sentence per word, and marks for the Explorer."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.causal.chance import ENOUGH, plain, told
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import Finding, note
from dexar_widgets.failures.suspects import CONNECTIVES, Named, Suspect
from dexar_widgets.maps import coverage

__all__ = ["TIMES", "finding_of"]

TIMES = 2
"""A map points to a side on which it is so many times as dense as on the other: as in ``js/src/region.ts``."""


def finding_of(e: Explanation, suspect: Suspect, rows: list[dict[str, Any]], things: Sequence[Named | None]) -> Finding:
    """The finding of `dexar_widgets.failures.spurious`, from its table's rows and what each word names."""
    import pandas as pd

    bad, open_ = ([row for row in rows if row["verdict"] == name] for name in ("spurious", "depends"))
    told = bad or open_ or [max(rows, key=lambda row: float(row["suspect"]))]
    text = " ".join(_sentence(suspect, row) for row in told)
    if not bad and not open_ and len(rows) > 1:
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
    "depends": "it depends on {suspect}; give named=, what the word names, to know whether it should",
    "not said": "the model does not say it here",
    "chance unknown": "fewer than {enough} random ones do not tell what chance costs",
}


def _sentence(suspect: Suspect, row: dict[str, Any]) -> str:
    where = f" (median of {row['pictures']}: {plain(row['suspect_low'])} to {plain(row['suspect_high'])})"
    more = " (one more thing is named)" if row["word"] in CONNECTIVES else ""
    text = f"“{row['word']}”{more} loses {plain(row['suspect'])} nats without {suspect.what}"
    text += where if row["pictures"] > 1 else ""
    if row["named_object"]:
        text += f", {plain(row['named'])} without {row['named_object']}"
    text += _chance(suspect, row)
    known = {"suspect": suspect.what, "named": row["named_object"], "enough": ENOUGH}
    return f"{text}: {_VERDICTS[row['verdict']].format(**known)}. {_pointed(suspect, row)}"


def _chance(suspect: Suspect, row: dict[str, Any]) -> str:
    few = row["randoms"] < row["wanted"]
    missed = f", no more than {row['randoms']} of {row['wanted']} were found" if few else ""
    missed += f" that miss {row['named_object']}" if few and row["named_object"] else ""
    if not row["randoms"]:
        return f" (random regions: none{missed})" if few else ""
    what = "other cuts of the same background" if suspect.kept else "random regions of this shape"
    what += " hidden" if suspect.removed and not suspect.kept else ""
    between = f"{plain(row['chance_low'])} to {plain(row['chance_high'])}"
    p = told(row["p"], row["suspect"])
    return f", by chance {plain(row['chance'])} ({between}; {row['randoms']} {what}{', ' * bool(p)}{p}{missed})"


def _pointed(suspect: Suspect, row: dict[str, Any]) -> str:
    """Where the map alone points; without a named object the rest of the image stands for it."""
    own, named = row["map_dexar"], row["named_object"]
    if np.isnan(own):
        return "DEX-AR shows nothing here."
    what, other = suspect.what, named or "the rest"
    towards = -own if named else _against_rest(own, row["area"])
    even = abs(towards) < np.log(TIMES)
    if even:
        points = f"no more to {what} than to {other}"
    elif towards > 0:
        points = f"to {what}"
    else:
        points = f"to {named}" if named else f"away from {what}"
    if np.isinf(towards):
        return f"DEX-AR points {points} (nothing of its map lies on {other if towards > 0 else what})."
    dense = f"{np.exp(towards):.3g} times as dense on {what} as on {other}"
    return f"DEX-AR points {points} (its map is {dense}{f'; it takes a factor of {TIMES}' if even else ''})."


def _against_rest(own: float, area: float) -> float:
    """The log of how many times as dense the map is on a region as off it; ``own`` is against the whole image."""
    share = np.exp(-own) * area
    rest = max(0.0, round(1 - share, 9))  # what floats leave of nothing would count as something
    with np.errstate(divide="ignore"):
        return 0.0 if area == 1 else float(np.log(share / area) - np.log(rest / (1 - area)))
