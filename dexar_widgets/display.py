"""How an explanation shows itself in a notebook cell without the widget: shaded words, and the map over the image."""

import io
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.types import HeatMap

__all__ = ["alone", "matrix", "overlaid", "picture", "shaded"]

_LONGEST_SIDE = 448
_ALONE = 288  # pixels: a map without its picture needs less


def picture(
    e: "Explanation", heat: "HeatMap | None" = None, *, colours: str | None = None, opacity: float = 0.6
) -> bytes:
    """A map over an explanation's image; by default the whole answer's."""
    return overlaid(e.example.image, e.sequence_map() if heat is None else heat, colours=colours, opacity=opacity)


def overlaid(
    image: UInt8[np.ndarray, "height width 3"],
    heat: "HeatMap",
    *,
    colours: str | None = None,
    opacity: float = 0.6,
) -> bytes:
    """A map over an image, as a PNG of at most 448 pixels a side."""
    from dexar_widgets.figures import overlay  # figures imports explanations

    shown = Image.fromarray(overlay(image, heat, colours=colours, opacity=opacity))
    scale = _LONGEST_SIDE / max(shown.size)
    size = (max(1, round(shown.width * scale)), max(1, round(shown.height * scale)))
    buffer = io.BytesIO()
    shown.resize(size, Image.Resampling.BILINEAR).save(buffer, "PNG")
    return buffer.getvalue()


def shaded(e: "Explanation") -> str:
    """The answer, each word shaded by its visual weight relative to the largest, above the map of the whole answer."""
    weights = e.word_weights()
    largest = np.nanmax(weights)
    spans, at = [], 0
    for word, weight in zip(e.generation.words, weights, strict=True):
        known = np.isfinite(weight)
        title = f"visual weight {weight:.3g}" if known else "not explained"
        shade = weight / largest if known and largest > 0 else 0
        text = word.text.strip()
        place = e.generation.text.find(text, at)
        spans.append(" " if place < 0 else escape(e.generation.text[at:place]))
        at = at if place < 0 else place + len(text)
        spans.append(f'<span title="{title}" style="background:rgba(253,174,42,{shade:.3f})">{escape(text)}</span>')
    whole = e.sequence_map()
    note = "" if whole.status == "ok" else f"<p>The map of the whole answer is {whole.status}.</p>"
    source = b64encode(picture(e)).decode()
    return (
        f'<div><p style="opacity:.7;margin:.2em 0">{escape(e.question)}</p>'
        f'<p style="font-size:1.15em;margin:.2em 0">{"".join(spans)}</p>'
        f'<img alt="Map of the whole answer over the image" src="data:image/png;base64,{source}">{note}</div>'
    )


_EMPTY = {"silenced": "silenced: every weight was zero", "constant": "constant: no cell stands out"}


def alone(heat: "HeatMap") -> str:
    """A map without its image: its cells in a frame, the scale of their colours, and what it is a map of."""
    rows, cols = heat.values.shape
    unit = "cells" if (rows, cols) == (heat.grid.rows, heat.grid.cols) else "pixels"
    about = escape(f"Map of {f'“{heat.word}”' if heat.word else _steps(heat)} by {heat.method}: {rows}×{cols} {unit}, ")
    if heat.status != "ok":
        return f"<p>{about}{_EMPTY[heat.status]}.</p>"
    low, high, (row, col) = heat.values.min(), heat.values.max(), heat.peak
    source = b64encode(_cells(heat)).decode()
    told = f"{low:.3g} to {high:.3g}, largest in row {row + 1}, column {col + 1}; status ok."
    return (
        f'<figure style="display:inline-block;max-width:{_ALONE + 2}px;margin:.3em 0">'
        f'<img alt="The map" src="data:image/png;base64,{source}" style="display:block;border:1px solid #888">'
        f"{_scale(float(low), float(high))}"
        f"<figcaption>{about}{told}</figcaption></figure>"
    )


def _steps(heat: "HeatMap") -> str:
    return f"step{'s' * (len(heat.steps) > 1)} {', '.join(map(str, heat.steps))}"


def _scale(low: float, high: float) -> str:
    """The colours from the lowest to the highest value, as `figures.colours_of` gives them: about zero if signed."""
    from dexar_widgets.figures import colours_of

    first, last = (-max(-low, high), max(-low, high)) if low < 0 else (low, high)
    ends = np.linspace(first, last, 11)[None]
    stops = ",".join("#" + bytes(colour).hex() for colour in colours_of(ends)[0].tolist())
    bar = f"flex:1;height:.7em;border:1px solid #888;background:linear-gradient(to right,{stops})"
    return (
        '<div style="display:flex;gap:.5em;align-items:center;font-size:.85em">'
        f'<span>{first:.3g}</span><span style="{bar}"></span><span>{last:.3g}</span></div>'
    )


def _cells(heat: "HeatMap") -> bytes:
    """A map's own cells (or pixels) in colour, as wide and high as the part of the image that they cover."""
    from dexar_widgets.figures import colours_of

    left, top, right, bottom = heat.grid.box
    on_grid = heat.values.shape == (heat.grid.rows, heat.grid.cols)
    wide, high = (right - left, bottom - top) if on_grid else heat.grid.image_size
    size = [max(1, round(side * _ALONE / max(wide, high))) for side in (wide, high)]
    buffer = io.BytesIO()
    shown = Image.fromarray(colours_of(heat.values))
    shown.resize(size, Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


def matrix(values: Float[np.ndarray, "row col"]) -> bytes:
    """A matrix as a PNG of flat, coloured squares."""
    from dexar_widgets.figures import colours_of  # figures imports explanations

    shown = Image.fromarray(colours_of(values))
    side = max(4, min(24, _LONGEST_SIDE // max(values.shape)))
    buffer = io.BytesIO()
    shown.resize((shown.width * side, shown.height * side), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()
