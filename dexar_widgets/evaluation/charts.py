"""Charts of results as plotly figures: how answers fare as pixels go, beside its table, and means with intervals."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Shaped
from pandas.api.types import is_list_like

from dexar_widgets.evaluation.comparison import OTHERS
from dexar_widgets.evaluation.configuration import CURVES, CurveKind
from dexar_widgets.evaluation.medians import behind_median
from dexar_widgets.evaluation.readings import clusters_of
from dexar_widgets.evaluation.tables import rows_of
from dexar_widgets.metrics import Curve
from dexar_widgets.metrics.information_curve import regained
from dexar_widgets.pages import Cell, Chapter, Chart, Table, number
from dexar_widgets.statistics import DRAWS, Estimate

__all__ = ["curves", "means"]

# Okabe and Ito's colours but for black and yellow, which one of the two themes hides; then other dashes
_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star")
_GREY = "#8888"
_SHARES = np.linspace(0, 1, 101)
_INFORMATION = (
    "the median of the answer regained as a map's highest pixels come back, and the area behind it (the earlier a line "
    "rises, the better)"
)
_BEHIND = "Perplexity information curve, area behind the median curve ↑"
_RESAMPLED = (
    "The area behind a median curve is one number for all images; its 95 % interval is of the median curves of "
    f"{DRAWS:,} resamples of the images, the same for all variants that are of the same images."
)
_SAID: Mapping[CurveKind, str] = {
    "positive": "a map's highest pixels replaced first (the earlier a line rises, the better)",
    "negative": "a map's lowest pixels replaced first (the lower a line stays, the better)",
    "insertion": "a map's highest pixels restored first in the blurred image (the earlier it falls, the better)",
}


def curves(units: pd.DataFrame, thick: Collection[str] = ()) -> Chapter | None:
    """For each model, data set and kind of curve, a line a variant, over the samples that all variants have.

    First the mean loss of the answer's log-likelihood; then, over bytes, the median of what is regained, with the area
    behind it and its interval, which a table has, too. None where there is no curve.
    """
    found: list[Chart] = []
    areas: dict[str, dict[str, Cell]] = {}
    for (model, data), some in units[units["status"] == "ok"].groupby(["model", "data"], sort=False):
        for kind in CURVES:
            lines, count = _lines(some, thick, partial(_loss, kind))
            if lines:
                caption = f"{model}, {data}: {_SAID[kind]}; {count}"
                axes = ("share of the image", "nats a token, less those of the image")
                found.append(Chart(caption, _figure([_mean_of(line) for line in lines], *axes)))
        lines, count = _lines(some, thick, _regained)
        if lines:
            caption = f"{model}, {data}: {_INFORMATION}; {count}"
            axes = ("share of the image's bytes", "share of the answer regained")
            medians = [(line, _behind(line)) for line in lines]
            found.append(Chart(caption, _figure([_median_of(*one) for one in medians], *axes)))
            areas[f"{model}\n{data}"] = {line.variant: _cell(line, area) for line, area in medians}
    if not found:
        return None
    return Chapter("How answers fare as pixels go", [_RESAMPLED] if areas else [], _areas(areas), found)


@dataclass(frozen=True, eq=False)
class _Line:
    """One variant's curves at the same places of a chart."""

    variant: str
    name: str
    place: int
    width: int
    across: Float64[np.ndarray, " point"]
    curves: Float64[np.ndarray, "sample point"]
    clusters: Shaped[np.ndarray, " sample"]

    def trace(self, name: str, heights: Float64[np.ndarray, " point"]) -> dict[str, Any]:
        """Under a name."""
        drawn = {"mode": "lines+markers", "x": self.across.tolist(), "y": _plain(heights)}
        return _trace(name, self.place, width=self.width) | drawn


Read = Callable[[Mapping[str, Any]], tuple[Float64[np.ndarray, " point"], Float64[np.ndarray, " point"]] | None]


def _lines(units: pd.DataFrame, thick: Collection[str], read: Read) -> tuple[list[_Line], str]:
    """A line of each variant that has curves, and of what samples they are; of their own where they share none."""
    columns = ["sample", "levels", "sizes", *CURVES]
    cluster_of = dict(zip(units["sample"], clusters_of(units), strict=True))
    found = {
        str(variant): {row["sample"]: one for row in rows_of(some.reindex(columns=columns)) if (one := read(row))}
        for variant, some in units.groupby("variant", sort=False)
    }
    kept = {name: known for name, known in found.items() if known}
    shared = set.intersection(*map(set, kept.values())) if kept else set()
    lines = []
    for place, (name, known) in enumerate(found.items()):
        if name in kept:
            chosen = {sample: one for sample, one in known.items() if sample in shared or not shared}
            label = name if shared else f"{name}, n {len(chosen)}"
            across, curves = (np.stack(some) for some in zip(*chosen.values(), strict=True))
            clusters = np.array([cluster_of[sample] for sample in chosen], object)
            lines.append(_Line(name, label, place, 5 if name in thick else 2, across[0], curves, clusters))
    return lines, f"n {len(shared)}, the samples that all have" if shared else "of other samples each"


def _loss(kind: CurveKind, unit: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    nll, whole = unit[kind], -1 if kind == "insertion" else 0
    if not _full(unit["levels"], nll):
        return None
    return np.asarray(unit["levels"], float), np.asarray(nll, float) - nll[whole]


def _regained(unit: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray] | None:
    """P̂ and its running maximum at the same shares of the bytes."""
    levels, nll, sizes = (unit[name] for name in ("levels", "negative", "sizes"))
    if not _full(levels, nll) or not _full(levels, sizes):
        return None
    found = regained(Curve(np.asarray(levels, float), np.asarray(nll, float), np.asarray(sizes, int)))
    if found is None or not np.isfinite(found[1]).all():
        return None
    return _SHARES, np.interp(_SHARES, found[0], np.maximum.accumulate(found[1]))


def _mean_of(line: _Line) -> dict[str, Any]:
    return line.trace(line.name, line.curves.mean(0))


def _median_of(line: _Line, area: Estimate) -> dict[str, Any]:
    name = " ".join((line.name, f"{area.value:.3f}", *_interval(area)))
    return line.trace(name, np.median(line.curves, axis=0)) | {"mode": "lines"}


def _behind(line: _Line) -> Estimate:
    return behind_median(line.curves, line.across, line.clusters)


def _interval(area: Estimate) -> list[str]:
    """None of a single image."""
    return [f"({number(area.low)} to {number(area.high)})"] if np.isfinite(area.low) else []


def _cell(line: _Line, area: Estimate) -> Cell:
    images = len(set(line.clusters))
    of = f" of {images} images" if images < area.n else ""
    return Cell("\n".join((number(area.value), *_interval(area), f"n {area.n}{of}")))


def _areas(areas: Mapping[str, Mapping[str, Cell]]) -> list[Table]:
    """Variants down, models and data across."""
    variants = dict.fromkeys(variant for one in areas.values() for variant in one)
    rows = [[Cell(variant), *(one.get(variant, Cell("–")) for one in areas.values())] for variant in variants]
    return [Table(_BEHIND, ("", *areas), rows)] if rows else []


def _full(levels: Any, nll: Any) -> bool:
    return is_list_like(nll) and len(nll) > 0 and len(nll) == len(levels) and bool(np.isfinite(nll).all())


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
