"""Tidy tables of an explanation, and its arrays with named axes.

Columns: ``sample`` (the image's source, or what the caller says), ``step``, ``word``, ``piece``,
``layer``, ``head``; ``s_vis``, ``s_txt``, ``delta`` and ``attention`` (the row's probability mass on
the image); ``omega`` of the step; ``logit`` and ``rank`` of the word in the logit lens. Where rows
stand for several heads or layers, they hold the largest s_vis, s_txt and delta among those
selected, and the mean of the attention. ``text_…`` columns name the text token that won.

Of a comparison, "methods" has a row per method and word, and one for the whole answer (word and step empty): where
its map peaks, its positive energy, how far it ranks the cells as DEX-AR's map of the same
word does, and the method's cost. "method_cells" has the values themselves.
"""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dexar_widgets.maps import on_grid, visual_tokens
from dexar_widgets.options import Options, accept
from dexar_widgets.types import HeatMap

if TYPE_CHECKING:
    import xarray as xr

    from dexar_widgets.attribution import Attribution
    from dexar_widgets.explanation import Explanation

__all__ = ["KINDS", "METHOD_KINDS", "dataset", "table"]


def table(e: "Explanation", kind: str, *, sample: str | None = None, options: Options | None = None) -> pd.DataFrame:
    """One of the tables of `KINDS` or `METHOD_KINDS`; the latter know no options."""
    accept("kind", kind, (*KINDS, *METHOD_KINDS))
    if kind in METHOD_KINDS:
        rows = METHOD_KINDS[kind](e)
        rows.insert(0, "sample", e.example.source or "" if sample is None else sample)
        return rows
    columns, places = KINDS[kind](e, options or e.options())
    generation, steps = e.generation, np.array(e.steps)[places]
    words = {step: word.text.strip() for word in generation.words for step in word.steps}
    named = {
        "sample": [e.example.source or "" if sample is None else sample] * len(steps),
        "step": steps,
        "word": [words[step] for step in steps.tolist()],
        "piece": [generation.pieces[step] for step in steps.tolist()],
    }
    return pd.DataFrame(named | columns)


Columns = tuple[dict[str, Any], np.ndarray]


def _steps(e: "Explanation", options: Options) -> Columns:
    read, text = e.sensitivity(options, options.filler_filter), e.sensitivity(options)
    selection = options.selection(e.evidence.layers, e.heads)
    won = [np.unravel_index(int(np.where(selection, row, -1).argmax()), row.shape) for row in text.text]
    tokens = [int(text.text_token[place, layer, head]) for place, (layer, head) in enumerate(won)]
    columns = {
        "log_prob": np.asarray(e.generation.log_probs)[list(e.steps)],
        "s_vis": read.visual[:, selection].max(-1),
        "s_txt": read.text[:, selection].max(-1),
        "delta": e.evidence.head_weights(options).max((1, 2)),
        "omega": e.evidence.step_weights(options),
        "text_layer": [e.layers[layer] for layer, _ in won],
        "text_head": [int(head) for _, head in won],
        "text_token": tokens,
        "text_piece": [_piece(e, token) for token in tokens],
    }
    mass = _mass(e)
    if mass is not None:
        columns["attention"] = mass[:, selection].mean(-1)
    if e.lens is not None:
        last = np.flatnonzero(selection.any(1))[-1]
        columns |= {"logit": e.lens.logit[:, last], "rank": e.lens.rank[:, last]}
    return columns, np.arange(len(e.steps))


def _flow(e: "Explanation", options: Options) -> Columns:
    flow, mass = e.flow(options), _mass(e)
    selection = options.selection(e.evidence.layers, e.heads)
    layers = np.flatnonzero(selection.any(1))
    places, rows = (axis.ravel() for axis in np.meshgrid(np.arange(len(e.steps)), layers, indexing="ij"))
    columns = {
        "layer": np.array(e.layers)[rows],
        "s_vis": flow.visual[places, rows],
        "s_txt": flow.text[places, rows],
        "delta": e.evidence.head_weights(options).max(-1)[places, rows],
        "omega": e.evidence.step_weights(options)[places],
    }
    if mass is not None:
        chosen = np.where(selection, mass, 0).sum(-1) / np.maximum(selection.sum(-1), 1)
        columns["attention"] = chosen[places, rows]
    if e.lens is not None:
        columns |= {"logit": e.lens.logit[places, rows], "rank": e.lens.rank[places, rows]}
    return columns, places


def _heads(e: "Explanation", options: Options) -> Columns:
    read, mass = e.sensitivity(options, options.head_filter), _mass(e)
    selection = options.selection(e.evidence.layers, e.heads)
    at = np.nonzero(np.broadcast_to(selection, read.visual.shape))
    places, layers, heads = at
    columns = {
        "layer": np.array(e.layers)[layers],
        "head": heads,
        "s_vis": read.visual[at],
        "s_txt": read.text[at],
        "delta": e.evidence.head_weights(options)[at],
        "omega": e.evidence.step_weights(options)[places],
        "text_token": read.text_token[at],
        "text_piece": [_piece(e, token) for token in read.text_token[at].tolist()],
    }
    if mass is not None:
        columns["attention"] = mass[at]
    if e.lens is not None:
        columns |= {"logit": e.lens.logit[places, layers], "rank": e.lens.rank[places, layers]}
    return columns, places


def _cells(e: "Explanation", options: Options) -> Columns:
    cells = e.layout.cells[np.concatenate([e.layout.tokens_of(image) for image in range(len(e.layout.grids))])]
    maps = [e.evidence.token_map(place, options) for place in range(len(e.steps))]
    values = [np.concatenate([on_grid(m, e.layout, i).ravel() for i in range(len(e.layout.grids))]) for m in maps]
    columns = {name: np.tile(cells[:, axis], len(e.steps)) for axis, name in enumerate(("image", "row", "col"))}
    return columns | {"value": np.concatenate(values)}, np.repeat(np.arange(len(e.steps)), len(cells))


KINDS: dict[str, Callable[["Explanation", Options], Columns]] = {
    "steps": _steps,
    "flow": _flow,
    "heads": _heads,
    "cells": _cells,
}


def _methods(e: "Explanation") -> pd.DataFrame:
    rows = []
    for method, steps, word, heat in _maps_of_methods(e):
        ours = e.heatmap(steps) if steps else e.sequence_map()
        row, col = heat.peak
        cost = method.cost
        rows.append(
            {
                "method": method.method,
                "control": method.control,
                "word": word,
                "steps": " ".join(map(str, steps)),
                "status": heat.status,
                "peak_row": row,
                "peak_col": col,
                "peak": float(heat.values[row, col]),
                "energy": float(np.maximum(heat.values, 0).sum(dtype=float)),
                "rank_correlation": _rank_correlation(heat.values, ours.values),
                "seconds": cost.seconds,
                "shared_seconds": cost.shared,
                "own_seconds": cost.own,
                "peak_bytes": cost.peak_bytes,
                "forwards": cost.forwards,
                "backwards": cost.backwards,
                "unit": method.unit,
                "options": json.dumps(dict(method.options)),
                "notes": json.dumps(dict(method.notes)),
            }
        )
    return pd.DataFrame(rows)


def _method_cells(e: "Explanation") -> pd.DataFrame:
    parts = []
    for method, steps, word, heat in _maps_of_methods(e):
        row, col = np.indices(heat.values.shape)
        part = {"row": row.ravel(), "col": col.ravel(), "value": heat.values.ravel()}
        named = {"method": method.method, "word": word, "steps": " ".join(map(str, steps))}
        parts.append(pd.DataFrame(named | part))
    return pd.concat(parts, ignore_index=True)


def _maps_of_methods(e: "Explanation") -> Iterator[tuple["Attribution", list[int], str, HeatMap]]:
    """Every method's map of every word that has one of its own, and of the whole answer (no steps)."""
    if not e.attributions:
        raise ValueError("The explanation holds no other method's maps; dx.compare(…) makes one that does.")
    for method in e.attributions.values():
        for word in () if method.whole else e.generation.words:
            steps = [step for step in word.steps if step in method.steps]
            if steps:
                yield method, steps, word.text.strip(), method.heatmap(steps)
        yield method, [], "", method.sequence_map()


def _rank_correlation(one: Float[np.ndarray, "row col"], other: Float[np.ndarray, "row col"]) -> float:
    """Spearman's; NaN where one of the two is constant."""
    ranks = [pd.Series(values.ravel()).rank() for values in (one, other)]
    return float(ranks[0].corr(ranks[1])) if all(rank.std() > 0 for rank in ranks) else float("nan")


METHOD_KINDS: dict[str, Callable[["Explanation"], pd.DataFrame]] = {"methods": _methods, "method_cells": _method_cells}
"""Tables of `Explanation.attributions`."""


def _piece(e: "Explanation", token: int) -> str | None:
    return e.layout.pieces[token] if token >= 0 else None


def _mass(e: "Explanation") -> Float[np.ndarray, "step layer head"] | None:
    """Attention probability on all visual tokens."""
    return None if e.attention is None else e.attention[..., visual_tokens(e.layout)].sum(-1, dtype=float)


def dataset(e: "Explanation", options: Options | None = None) -> "xr.Dataset":
    """All per-step arrays with named axes; ``image0``, … are the raw token maps of each image."""
    try:
        import xarray as xr
    except ImportError as error:
        raise ValueError("Named axes need xarray: pip install 'dexar-widgets[xarray]'.") from error
    options = options or e.options()
    heads, read, mass = ("step", "layer", "head"), e.sensitivity(options, options.head_filter), _mass(e)
    arrays: dict[str, Any] = {
        "s_vis": (heads, read.visual),
        "s_txt": (heads, read.text),
        "delta": (heads, e.evidence.head_weights(options)),
        "omega": (("step",), e.evidence.step_weights(options)),
        "log_prob": (("step",), np.asarray(e.generation.log_probs)[list(e.steps)]),
    }
    maps = [e.evidence.token_map(place, options) for place in range(len(e.steps))]
    for image in range(len(e.layout.grids)):
        axes = ("step", f"row{image}", f"col{image}")
        arrays[f"image{image}"] = (axes, np.stack([on_grid(values, e.layout, image) for values in maps]))
    if e.gradients is not None:
        arrays["gradients"] = ((*heads, "token"), e.gradients.values)
    if mass is not None:
        arrays["attention"] = (heads, mass)
    if e.lens is not None:
        arrays |= {"logit": (heads[:2], e.lens.logit), "rank": (heads[:2], e.lens.rank)}
    coordinates: dict[str, Any] = {
        "step": list(e.steps),
        "layer": list(e.layers),
        "head": np.arange(e.heads),
        "word": ("step", [e.generation.word_of(step).text.strip() for step in e.steps]),
    }
    if e.gradients is not None:
        coordinates["token"] = e.gradients.tokens
    return xr.Dataset(arrays, coordinates, attrs={"answer": e.generation.text, "prompt": e.example.prompt})
