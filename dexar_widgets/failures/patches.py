"""Register patches: high norm, little to show, much attention; and does the model use what lies there?

Source: Darcet et al., "Vision Transformers Need Registers" (ICLR 2024, arXiv 2309.16588), as in
`dexar_widgets.registers`. Differs: what its pixels are to the words is measured, by putting other plain patches of the
same image in its place. The model may still keep things at that place: the test is of pixels, and not of the token.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from PIL import Image

from dexar_widgets import perturb
from dexar_widgets import registers as norms
from dexar_widgets.causal.chance import NOTHING, plain, range_of
from dexar_widgets.causal.scoring import BATCH, log_probs, summed, text_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import Finding, density, values_of

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["DRAWS", "MOST", "SWAPS", "registers", "verdict"]

SWAPS = 8
"""Other patches that are put in a candidate's place, unless told."""
DRAWS = 3.0
"""Times its area's share of the attention from which a patch draws attention. Our choice."""
MOST = 12
"""Candidates that are examined, those of the highest norm first."""


def registers(
    e: Explanation, *, swaps: int = SWAPS, seed: int = 0, batch_size: int = BATCH, vlm: "VLM | None" = None
) -> Finding:
    """Which patches are registers: high norm, little detail, much attention, and no word needs what they show?

    Candidates are the cells that `dexar_widgets.registers.find` finds, and others of little detail (no more than the
    median cell) that draw at least `DRAWS` times their share of the attention. Each one's pixels are replaced by those
    of other cells of little detail that are no candidates, and the answer is scored again. A patch is **unused** if for
    every word the median change of its log-probability, up or down, is at most 0.05 nat. Verdicts: "register"; "used";
    "sink", attention without a high norm; "quiet", a high norm without attention. Where the model shows no attention,
    norm and use decide.

    No word needs what a register *shows*. That no word needs what the model *keeps* there is more, and is not tested:
    another plain patch may serve as the same register. A plain patch passes this part easily; norm and attention tell
    it from a register.

    ``table`` has a row per candidate and word: ``change`` (median, nats) with the range of 95 % of the swaps;
    ``norm`` in median norms; ``attention`` and ``map_…`` (DEX-AR's and each of ``e.attributions``, of the whole
    answer) as shares ÷ the cell's share of the area. Where several cells have a high norm, the cell −1 is all of them
    at once, also those that are not examined one by one: what each alone does not hold, they may hold together.

    Norms and attention that the explanation does not hold are read anew, in one pass of the engine.

    Raises
    ------
    ValueError
        If there are too few cells, no plain patch to put in a candidate's place, or the model is gone.
    """
    if swaps < 1:
        raise ValueError(f"swaps is {swaps}; expected at least 1.")
    model = vlm or e.model()
    e = _with_norms(e, model)
    found = _candidates(e)
    if not found.cells:
        return _nothing(e)
    sources = _sources(found, swaps, seed)
    image = e.example.image
    groups: list[tuple[int, ...]] = [(cell,) for cell in found.cells]
    if found.high.sum() > 1:
        groups.append(tuple(np.flatnonzero(found.high).tolist()))
    pictures = [partial(_swapped, e, group, source) for group in groups for source in sources]
    scores = log_probs(e, model, [lambda: image, *pictures], batch_size=batch_size)
    words = [tuple(step for step in word.steps if step in e.steps) for word in e.generation.words]
    changes = np.stack([summed(e, scores, word) for word in words if word])
    each = np.abs(changes[:, 1:] - changes[:, :1]).reshape(len(changes), len(groups), len(sources))
    rows = _rows(e, found, groups, [text_of(e, word) for word in words if word], each)
    return _finding(e, found, rows)


def verdict(*, high: bool, attention: float, change: float) -> str:
    """The rule of `registers` for one patch; ``attention`` is NaN where it is not shown, ``change`` the largest."""
    if change > NOTHING:
        return "used"
    if not high:
        return "sink"
    return "quiet" if attention < DRAWS else "register"


@dataclass(frozen=True, eq=False)
class _Candidates:
    """All candidates, those of them that are examined, and what holds of each cell of the grid."""

    every: list[int]
    cells: list[int]
    high: Bool[np.ndarray, " cell"]
    norm: Float[np.ndarray, " cell"]
    attention: Float[np.ndarray, " cell"]
    detail: Float[np.ndarray, " cell"]


def _with_norms(e: Explanation, vlm: "VLM") -> Explanation:
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


def _candidates(e: Explanation) -> _Candidates:
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
    return _Candidates(first, first[:MOST], high, norm, attention, detail)


def _sources(found: _Candidates, swaps: int, seed: int) -> Int[np.ndarray, " swap"]:
    others = np.flatnonzero(found.detail <= np.median(found.detail))
    others = np.setdiff1d(others, found.every)
    if not len(others):
        raise ValueError("Every plain patch of the image is a candidate; there is none to put in another's place.")
    return np.random.default_rng(seed).permutation(others)[:swaps]


def _swapped(e: Explanation, cells: Sequence[int], source: int) -> perturb.Pixels:
    """The image with some cells' pixels replaced by another cell's, scaled where their sizes differ by a pixel."""
    image = e.example.image.copy()
    top, bottom, left, right = _extent(e, source)
    patch = Image.fromarray(e.example.image[top:bottom, left:right])
    for cell in cells:
        up, down, west, east = _extent(e, cell)
        image[up:down, west:east] = np.asarray(patch.resize((east - west, down - up), Image.Resampling.NEAREST))
    return image


def _extent(e: Explanation, cell: int) -> tuple[int, int, int, int]:
    grid = e.layout.grids[0]
    only = np.zeros((grid.rows, grid.cols), bool)
    only[divmod(int(cell), grid.cols)] = True
    mask = perturb.cells_mask(only, grid)
    if not mask.any():
        raise ValueError("The image has fewer pixels than the grid has cells; a patch cannot be replaced.")
    down, across = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return int(down[0]), int(down[-1]) + 1, int(across[0]), int(across[-1]) + 1


def _rows(
    e: Explanation,
    found: _Candidates,
    groups: Sequence[tuple[int, ...]],
    words: Sequence[str],
    changes: Float[np.ndarray, "word group swap"],
) -> list[dict[str, Any]]:
    maps = values_of(e)
    middle, (low, high) = np.median(changes, -1), range_of(changes)
    rows = []
    for place, group in enumerate(groups):
        about = _about(e, found, group, maps)
        told = verdict(high=about["high_norm"], attention=about["attention"], change=float(middle[:, place].max()))
        for word, text in enumerate(words):
            numbers = {"change": middle[word, place], "low": low[word, place], "high": high[word, place]}
            numbers = {name: float(value) for name, value in numbers.items()}
            rows.append(about | {"verdict": told, "swaps": changes.shape[-1], "word": text, **numbers})
    return rows


def _about(
    e: Explanation, found: _Candidates, group: tuple[int, ...], maps: Mapping[str, Float[np.ndarray, "row col"]]
) -> dict[str, Any]:
    one, cols = list(group), e.layout.grids[0].cols
    cover = np.isin(np.arange(len(found.norm)), one).astype(float)
    row, col = divmod(group[0], cols) if len(group) == 1 else (-1, -1)
    return {
        "cell": group[0] if len(group) == 1 else -1,
        "row": row,
        "col": col,
        "norm": float(found.norm[one].mean()),
        "high_norm": bool(found.high[one].all()),
        "attention": float(found.attention[one].mean()),
        **{f"map_{name}": density(values, cover.reshape(values.shape)) for name, values in maps.items()},
    }


def _finding(e: Explanation, found: _Candidates, rows: list[dict[str, Any]]) -> Finding:
    import pandas as pd

    worst: dict[int, dict[str, Any]] = {}
    for row in rows:
        if row["cell"] not in worst or row["change"] > worst[row["cell"]]["change"]:
            worst[row["cell"]] = row
    together = worst.pop(-1, None)
    bad = [row for row in worst.values() if row["verdict"] == "register"]
    count, total = len(bad), len(found.norm)
    if bad:
        text = f"{count} of {total} patches {'is a register' if count == 1 else 'are registers'}: "
        text += " ".join(map(_sentence, bad))
    else:
        text = f"No register among {total} patches: {_none(list(worst.values()))}"
    if together is not None and together["change"] > NOTHING:
        text += " All patches of high norm together are used: "
        text += f"“{together['word']}” changes by {plain(together['change'])} nats."
    if left_out := len(found.every) - len(found.cells):
        text += f" {left_out} more candidates were not examined one by one."
    if e.attention is None:
        text += " The model shows no attention, so norm and use alone decide."
    marks = _marks([row["cell"] for row in bad])
    return Finding(kind="register", found=bool(bad), text=text, table=pd.DataFrame(rows), marks=marks)


def _marks(cells: list[int]) -> dict[str, Any]:
    return {"cells": cells, "regions": {}, "notes": []}


def _nothing(e: Explanation) -> Finding:
    import pandas as pd

    drawn = (
        "" if e.attention is None else f" Nor does one with little detail draw {DRAWS:g} times its area's attention."
    )
    text, marks = norms.report(e)["text"] + drawn, _marks([])
    return Finding(kind="register", found=False, text=text, table=pd.DataFrame(), marks=marks)


def _sentence(worst: dict[str, Any]) -> str:
    drawn = (
        "" if np.isnan(worst["attention"]) else f", {worst['attention']:.3g} times its area's share of the attention"
    )
    shown = "no map" if np.isnan(worst["map_dexar"]) else f"{worst['map_dexar']:.2g} times of DEX-AR's map"
    return (
        f"row {worst['row'] + 1}, column {worst['col'] + 1} "
        f"({worst['norm']:.2g} times the median norm{drawn}, {shown}): "
        f"no word needs what it shows; with {worst['swaps']} other plain patches in its place none changes by more "
        f"than {worst['change']:.3f} nat (“{worst['word']}”, median; "
        f"95 % of the swaps {worst['low']:.3f} to {worst['high']:.3f})."
    )


_NO = {"used": "used by a word", "sink": "without a high norm", "quiet": "without attention"}


def _none(worst: list[dict[str, Any]]) -> str:
    verdicts = [row["verdict"] for row in worst]
    told = ", ".join(f"{verdicts.count(name)} {what}" for name, what in _NO.items() if name in verdicts)
    most = max(worst, key=lambda row: float(row["change"]))
    return (
        f"of {len(worst)} candidates {told} (largest change {plain(most['change'])} nats, “{most['word']}”, median of "
        f"{most['swaps']} swaps, 95 % of them {plain(most['low'])} to {plain(most['high'])})."
    )
