"""Register patches: high norm, little to show, much attention; and does the model use what lies there?

Source: Darcet et al., "Vision Transformers Need Registers" (ICLR 2024, arXiv 2309.16588), as in
`dexar_widgets.registers`. Differs: what its pixels are to the words is measured, by putting other plain patches of the
same image in its place; and what its token is to them, by letting no other row read it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from dexar_widgets import perturb
from dexar_widgets import registers as norms
from dexar_widgets.causal.chance import NOTHING, RANDOMS, plain, range_of
from dexar_widgets.causal.scoring import BATCH, Words, log_probs, summed, text_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.candidates import DRAWS, Candidates, candidates_of, with_norms
from dexar_widgets.failures.findings import Finding, density, values_of
from dexar_widgets.failures.tokens import TokenCut, token_cuts

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["SWAPS", "registers", "verdict"]

SWAPS = 8
"""Other patches that are put in a candidate's place, unless told."""


def registers(
    e: Explanation,
    *,
    swaps: int = SWAPS,
    randoms: int = RANDOMS,
    seed: int = 0,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Finding:
    """Which patches are registers: high norm, little detail, much attention, and no word needs what they show?

    Candidates are the cells that `dexar_widgets.registers.find` finds, and others of little detail (no more than the
    median cell) that draw at least `DRAWS` times their share of the attention. Each one's pixels are replaced by those
    of ``swaps`` other cells of little detail that are no candidates, and the answer is scored again. A patch is
    **unused** if for every word the median change of its log-probability, up or down, is at most 0.05 nat. Verdicts:
    "register"; "used"; "sink", attention without a high norm; "quiet", a high norm without attention. Where the model
    shows no attention, norm and use decide. A plain patch passes the swap easily; norm and attention tell it from a
    register.

    No word needs what a register *shows*; the model may still *keep* something there. So its token is cut, too: no
    other row reads it, in any layer (``cut=([cell], "all")`` of `dexar_widgets.check`), and ``randoms`` other plain
    tokens are cut the same way. ``token`` is "unused" if no word changes by more than 0.05 nat: with a "register" the
    patch is unused altogether. It is "read" if a word does, and seldom as much without the others (p ≤ .05, of the
    word that changes most); else "chance", or with fewer than 19 others "chance unknown"; "not cut", if the model takes
    no such mask. Read need not mean that it holds anything: attention that rests there must rest elsewhere then.

    ``table`` has a row per candidate and word: ``change`` (median, nats) with the range of 95 % of the swaps;
    ``token_change`` beside the others' ``token_chance`` (median, and 95 % range) and ``token_p``; ``norm`` in median
    norms; ``attention`` and ``map_…`` (DEX-AR's and each of ``e.attributions``, of the whole answer) as shares ÷ the
    cell's share of the area. Where several cells have a high norm, the cell −1 is all of them at once, also those that
    are not examined one by one: what each alone does not hold, they may hold together.

    Norms and attention that the explanation does not hold are read anew, in one pass of the engine.

    Raises
    ------
    ValueError
        If there are too few cells, no plain patch to put in a candidate's place, or the model is gone.
    """
    if swaps < 1:
        raise ValueError(f"swaps is {swaps}; expected at least 1.")
    if randoms < 0:
        raise ValueError(f"randoms is {randoms}; expected a number of other tokens, 0 for none.")
    model = vlm or e.model()
    e = with_norms(e, model)
    found = candidates_of(e)
    if not found.cells:
        return _nothing(e)
    every = (tuple(step for step in word.steps if step in e.steps) for word in e.generation.words)
    words = tuple(word for word in every if word)
    swapped = _swaps(e, model, found, words, swaps, seed, batch_size)
    options: Any = {"randoms": randoms, "seed": seed, "batch_size": batch_size}
    cut, why = token_cuts(e, model, found.groups, found.plain, words, **options)
    rows = _rows(e, found, [text_of(e, word) for word in words], swapped, cut)
    return _finding(e, found, rows, why)


def verdict(*, high: bool, attention: float, change: float) -> str:
    """The rule of `registers` for one patch; ``attention`` is NaN where it is not shown, ``change`` the largest."""
    if change > NOTHING:
        return "used"
    if not high:
        return "sink"
    return "quiet" if attention < DRAWS else "register"


def _swaps(
    e: Explanation, vlm: "VLM", found: Candidates, words: Words, swaps: int, seed: int, batch_size: int
) -> Float[np.ndarray, "group word swap"]:
    """By how many nats each word changes with another plain patch in a group's place."""
    image, groups = e.example.image, found.groups
    sources = np.random.default_rng(seed).permutation(found.plain)[:swaps]
    pictures = [partial(_swapped, e, group, source) for group in groups for source in sources]
    scores = log_probs(e, vlm, [lambda: image, *pictures], batch_size=batch_size)
    each = np.stack([summed(e, scores, word) for word in words])
    changes = np.abs(each[:, 1:] - each[:, :1]).reshape(len(words), len(groups), len(sources))
    return np.asarray(changes.swapaxes(0, 1))


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
    found: Candidates,
    words: Sequence[str],
    swapped: Float[np.ndarray, "group word swap"],
    cuts: Sequence[TokenCut],
) -> list[dict[str, Any]]:
    maps, rows = values_of(e), []
    for group, changes, cut in zip(found.groups, swapped, cuts, strict=True):
        about = _about(e, found, group, maps)
        change = np.median(changes, -1)
        told = verdict(high=about["high_norm"], attention=about["attention"], change=float(change.max()))
        about |= {"verdict": told, "token": cut.verdict, "swaps": changes.shape[-1]}
        about |= {"randoms": cut.chance.shape[-1], "token_p": cut.p}
        numbers = {"change": change} | dict(zip(("low", "high"), range_of(changes), strict=True))
        numbers |= {"token_change": cut.change, "token_chance": cut.usual}
        numbers |= dict(zip(("token_low", "token_high"), range_of(cut.chance), strict=True))
        for place, word in enumerate(words):
            rows.append(about | {"word": word} | {name: float(values[place]) for name, values in numbers.items()})
    return rows


def _about(
    e: Explanation, found: Candidates, group: tuple[int, ...], maps: Mapping[str, Float[np.ndarray, "row col"]]
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


def _finding(e: Explanation, found: Candidates, rows: list[dict[str, Any]], why: str) -> Finding:
    import pandas as pd

    of = {cell: [row for row in rows if row["cell"] == cell] for cell in dict.fromkeys(row["cell"] for row in rows)}
    together = of.pop(-1, None)
    bad = [some for some in of.values() if some[0]["verdict"] == "register"]
    count, total = len(bad), len(found.norm)
    if bad:
        text = f"{count} of {total} patches {'is a register' if count == 1 else 'are registers'}: "
        text += " ".join(map(_sentence, bad))
    else:
        text = f"No register among {total} patches: {_none(list(of.values()))}"
    text += "" if together is None else _together(together)
    if left_out := len(found.every) - len(found.cells):
        text += f" {left_out} more candidates were not examined one by one."
    if e.attention is None:
        text += " The model shows no attention, so norm and use alone decide."
    if why:
        text += f" Whether tokens are read is not known: {why}"
    marks = _marks([some[0]["cell"] for some in bad])
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


def _most(rows: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """The word that changes most."""
    return max(rows, key=lambda row: float(row[name]))


def _sentence(rows: Sequence[dict[str, Any]]) -> str:
    worst = _most(rows, "change")
    drawn = (
        "" if np.isnan(worst["attention"]) else f", {worst['attention']:.3g} times its area's share of the attention"
    )
    shown = "no map" if np.isnan(worst["map_dexar"]) else f"{worst['map_dexar']:.2g} times of DEX-AR's map"
    return (
        f"row {worst['row'] + 1}, column {worst['col'] + 1} "
        f"({worst['norm']:.2g} times the median norm{drawn}, {shown}): "
        f"no word needs what it shows; with {worst['swaps']} other plain patches in its place none changes by more "
        f"than {worst['change']:.3f} nat (“{worst['word']}”, median; "
        f"95 % of the swaps {worst['low']:.3f} to {worst['high']:.3f}).{_token(rows)}"
    )


_TOKENS = {
    "unused": "unused",
    "read": "read",
    "chance": "read no more than others",
    "chance unknown": "perhaps read, with too few others to tell",
}


def _token(rows: Sequence[dict[str, Any]]) -> str:
    most = _most(rows, "token_change")
    verdict, count, word, nats = (most[name] for name in ("token", "randoms", "word", "token_change"))
    if verdict == "not cut":
        return ""
    others = f"{count} other plain tokens: {most['token_low']:.3f} to {most['token_high']:.3f}"
    others = others if count else "no others were cut"
    if verdict == "unused":
        changed = f"no word changes by more than {nats:.3f} nat (“{word}”; {others})"
    else:
        changed = f"“{word}” changes by {nats:.3f} nats ({others}; p = {most['token_p']:.2g})"
    return f" Its token is {_TOKENS[verdict]}: where no other row reads it, {changed}."


def _together(rows: Sequence[dict[str, Any]]) -> str:
    text, worst, most = "", _most(rows, "change"), _most(rows, "token_change")
    if worst["change"] > NOTHING:
        text += " All patches of high norm together are used: "
        text += f"“{worst['word']}” changes by {plain(worst['change'])} nats."
    if most["token"] == "read":
        text += " Their tokens together are read: "
        text += f"without them “{most['word']}” changes by {plain(most['token_change'])} nats."
    return text


_NO = {"used": "used by a word", "sink": "without a high norm", "quiet": "without attention"}


def _none(candidates: Sequence[Sequence[dict[str, Any]]]) -> str:
    most = _most([row for rows in candidates for row in rows], "change")
    told, tokens = _counted(candidates, "verdict", _NO), _counted(candidates, "token", _TOKENS)
    return (
        f"of {len(candidates)} candidates {told} (largest change {plain(most['change'])} nats, “{most['word']}”, "
        f"median of {most['swaps']} swaps, 95 % of them {plain(most['low'])} to {plain(most['high'])})."
        + (f" Their tokens: {tokens}." if tokens else "")
    )


def _counted(candidates: Sequence[Sequence[dict[str, Any]]], column: str, known: Mapping[str, str]) -> str:
    names = [rows[0][column] for rows in candidates]
    return ", ".join(f"{names.count(name)} {what}" for name, what in known.items() if name in names)
