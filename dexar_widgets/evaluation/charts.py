"""Charts of results as plotly figures: how answers fare as pixels go, and means with their intervals."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from dexar_widgets.evaluation.comparison import OTHERS
from dexar_widgets.evaluation.configuration import CURVES, CurveKind
from dexar_widgets.pages import Chart

__all__ = ["curves", "means"]

# Okabe and Ito's colours but for black and yellow, which one of the two themes hides; then other dashes
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
_GREY = "#8888"
_SAID: Mapping[CurveKind, str] = {
    "positive": "a map's highest pixels replaced first (the earlier a line rises, the better)",
    "negative": "a map's lowest pixels replaced first (the lower a line stays, the better)",
    "insertion": "a map's highest pixels restored first in the blurred image (the earlier it falls, the better)",
}


def curves(units: pd.DataFrame, thick: Collection[str] = ()) -> list[Chart]:
    """For each model, data set and kind of curve: the mean loss of the answer's log-likelihood, a line a variant."""
    found = []
    for (model, data), some in units[units["status"] == "ok"].groupby(["model", "data"], sort=False):
        for kind in CURVES:
            lines = list(_lines(some, kind, thick))
            if lines:
                caption = f"{model}, {data}: {_SAID[kind]}"
                axes = ("share of the image's pixels", "nats a token, less those of the image")
                found.append(Chart(caption, _figure(lines, *axes)))
    return found


def _lines(units: pd.DataFrame, kind: CurveKind, thick: Collection[str]) -> Iterator[dict[str, Any]]:
    whole = -1 if kind == "insertion" else 0
    for place, (variant, some) in enumerate(units.groupby("variant", sort=False)):
        known = [(levels, nll) for levels, nll in zip(some["levels"], some[kind], strict=True) if _full(levels, nll)]
        if known:
            losses = np.stack([np.asarray(nll, float) - nll[whole] for _, nll in known])
            trace = _trace(str(variant), place, width=5 if variant in thick else 2)
            yield trace | {"mode": "lines+markers", "x": list(known[0][0]), "y": _plain(losses.mean(0))}


def _full(levels: Any, nll: Any) -> bool:
    return nll is not None and len(nll) > 0 and len(nll) == len(levels) and bool(np.isfinite(nll).all())


def means(table: pd.DataFrame) -> list[Chart]:
    """Of a `comparison.comparison`: for each column our means with intervals, a row a place, a model a series."""
    found = []
    for column, some in table[table["mean"].notna() & table["metric"].notna()].groupby("column", sort=False):
        series = []
        for place, (model, own) in enumerate(some.groupby("model", sort=False)):
            mean, low, high = (own[name].to_numpy(float) for name in ("mean", "low", "high"))
            above, below = (np.where(np.isfinite(end), abs(end - mean), 0.0) for end in (high, low))
            bars = {"type": "data", "array": _plain(above), "arrayminus": _plain(below), "thickness": 1}
            trace = _trace(str(model), place) | {"mode": "markers", "error_y": bars}
            series.append(trace | {"x": [_text(row.removesuffix(OTHERS)) for row in own["row"]], "y": _plain(mean)})
        found.append(Chart(f"{column}, mean and 95 % interval", _figure(series, "", str(column))))
    return found


def _trace(name: str, place: int, *, width: int = 2) -> dict[str, Any]:
    colour, turn = _COLOURS[place % len(_COLOURS)], place // len(_COLOURS)
    return {
        "type": "scatter",
        "name": _text(name),
        "line": {"color": colour, "dash": _DASHES[turn % len(_DASHES)], "width": width},
        "marker": {"color": colour, "symbol": _SYMBOLS[turn % len(_SYMBOLS)], "size": 7},
    }


def _figure(series: Sequence[Mapping[str, Any]], across: str, up: str) -> dict[str, Any]:
    axis = {"gridcolor": _GREY, "zerolinecolor": _GREY, "automargin": True, "fixedrange": True}
    layout = {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 45, "r": 10, "t": 15, "b": 40},
        "xaxis": axis | {"title": {"text": _text(across)}},
        "yaxis": axis | {"title": {"text": _text(up)}},
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "showlegend": True,
        "hovermode": "closest",
    }
    return {"data": list(series), "layout": layout}


def _plain(values: Any) -> list[float | None]:
    """JSON knows no NaN."""
    return [float(value) if np.isfinite(value) else None for value in values]


def _text(text: str) -> str:
    """Plotly reads some tags in text; these are none."""
    return escape(text, quote=False)
