"""Explanations made by hand or at random, for tests that need no model."""

from typing import Any

import numpy as np

from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.explanation import Explanation, collect
from dexar_widgets.types import Example, Generation, GradientTensor, Grid, Lens, TokenLayout, Word

LETTERS = "abcdefghij"


def layout_of(kinds: list[str], rows: int, cols: int, *, pooled: int = 0) -> TokenLayout:
    """The image tokens among ``kinds``, in order: ``pooled`` ones first, then row-major grids of rows × cols."""
    cells = np.full((len(kinds), 3), -1)
    places = [place for place, kind in enumerate(kinds) if kind == "image"][pooled:]
    for index, place in enumerate(places):
        image, cell = divmod(index, rows * cols)
        cells[place] = (image, *divmod(cell, cols))
    grid = Grid(rows, cols, (0.0, 0.0, 8.0, 6.0), (8, 6))
    pieces = tuple(f"{kind}{place}" for place, kind in enumerate(kinds))
    return TokenLayout(np.arange(len(kinds)), pieces, tuple(kinds), cells, (grid,) * (len(places) // (rows * cols)))


def generation_of(steps: int, words: tuple[Word, ...] | None = None) -> Generation:
    """One word per step, a, b, c, … unless told."""
    words = words or tuple(Word(LETTERS[step], (step,)) for step in range(steps))
    pieces = tuple(LETTERS[step] for step in range(steps))
    logs = -np.arange(1, steps + 1, dtype=np.float32) / 10
    return Generation(np.arange(steps) + 100, np.arange(steps), pieces, logs, words, " ".join(w.text for w in words))


def tensor_of(values: Any, allowed: Any = None, twice: Any = None) -> GradientTensor:
    """A tensor over all steps, layers and tokens from nested lists (step layer head token)."""
    array = np.asarray(values, np.float32)
    steps, layers, _, tokens = array.shape
    mask = np.ones((steps, layers, tokens), bool) if allowed is None else np.asarray(allowed, bool)
    last = None if twice is None else np.asarray(twice, np.float32)
    return GradientTensor(array, mask, np.arange(steps), np.arange(layers), np.arange(tokens), last)


def explanation_of(tensor: GradientTensor, layout: TokenLayout, *, keep: str = "full", **changes: Any) -> Explanation:
    """An explanation of a tensor, gathered step by step."""

    def chunks():
        for step in range(len(tensor.steps)):
            part = slice(step, step + 1)
            twice = None if tensor.twice is None else tensor.twice[part]
            yield GradientTensor(
                tensor.values[part], tensor.allowed[part], tensor.steps[part], tensor.layers, tensor.tokens, twice
            )

    collected = collect(chunks(), keep=keep, layout=layout, steps=tensor.steps.tolist())
    given = {
        "example": Example(np.full((6, 8, 3), 90, np.uint8), "what is it?", source="it.png"),
        "layout": layout,
        "generation": generation_of(len(tensor.steps)),
        "gradients": collected.gradients,
        "summary": collected.summary,
        "preset": "paper",
        "keep": keep,
        "provenance": {"family": "llava", "model": "made", "versions": {"numpy": "2"}, "sizes": [1, 2.5]},
    }
    return Explanation(**(given | changes))


def attribution_of(
    e: Explanation, method: str, *, seed: int = 0, signed: bool = False, whole: bool = False, **changes: Any
) -> Attribution:
    """Random maps of an explanation's answer, as a method could have given them."""
    rng = np.random.default_rng([seed, *method.encode()])
    grid, count = e.layout.grids[0], 1 if whole else len(e.steps)
    maps = rng.normal(size=(count, grid.rows, grid.cols)).astype(np.float32)
    given = {
        "title": method.replace("_", " ").capitalize(),
        "example": e.example,
        "generation": e.generation,
        "grid": grid,
        "steps": e.steps,
        "maps": maps if signed else np.abs(maps),
        "weights": rng.uniform(0.1, 1, count),
        "unit": "made-up units",
        "cost": Cost(0.25, 0.5, 1.25, 3_000_000, 24, 8),
    }
    return Attribution(method=method, **(given | changes))


def random_parts(seed: int, *, rows: int = 2, cols: int = 3, pooled: int = 1) -> tuple[GradientTensor, TokenLayout]:
    """Text before and after the image, a pooled token, causal masks, and a window that hides the start of one layer."""
    rng = np.random.default_rng(seed)
    steps, layers, heads = int(rng.integers(2, 5)), int(rng.integers(1, 13)), int(rng.integers(1, 4))
    kinds = [
        "special",
        "system",
        "system",
        *["image"] * (pooled + rows * cols),
        "system",
        "prompt",
        "special",
        "system",
    ]
    prompt = len(kinds)
    kinds += ["answer"] * (steps - 1)
    allowed = np.zeros((steps, layers, len(kinds)), bool)
    for step in range(steps):
        allowed[step, :, : prompt + step] = True
    allowed[:, layers // 2, :2] = False
    shape = (steps, layers, heads, len(kinds))
    # some words and heads are the image's, some the text's
    scale = rng.choice([0.3, 1.0, 2.0], (steps, layers, heads, 1)) * rng.choice([0.3, 1.5], (steps, 1, 1, 1))
    favour = np.where([kind == "image" for kind in kinds], scale, 1)
    values = (rng.normal(size=shape) * favour).astype(np.float32) * allowed[:, :, None]
    twice = (rng.normal(size=(steps, heads, len(kinds))) * favour[:, -1]).astype(np.float32) * allowed[:, -1:]
    return tensor_of(values, allowed, twice), layout_of(kinds, rows, cols, pooled=pooled)


def full_parts(seed: int) -> dict[str, Any]:
    """Attention, patch norms and lens that go with `random_parts` of the same seed."""
    tensor, layout = random_parts(seed)
    rng = np.random.default_rng(seed)
    steps, layers = tensor.values.shape[:2]
    words = tuple(tuple((f"w{s}{layer}", "<b>") for layer in range(layers)) for s in range(steps))
    return {
        "attention": rng.random(tensor.values.shape).astype(np.float16),
        "patch_norm": rng.random(len(layout)).astype(np.float32),
        "lens": Lens(
            rng.normal(size=(steps, layers)).astype(np.float32),
            rng.integers(0, 9, (steps, layers)),
            rng.integers(0, 9, (steps, layers, 2)),
            words,
        ),
    }


def row_of(table, what, **which):
    """The one row of a table of results whose ``what`` holds this, and whose other columns have these values."""
    rows = table[table["what"].str.contains(what, regex=False)]
    for column, value in which.items():
        rows = rows[rows[column] == value]
    (row,) = rows.to_dict("records")
    return row
