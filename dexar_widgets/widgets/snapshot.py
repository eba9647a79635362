"""A view without its widget: what it says in words, and its map as a picture; for whatever shows no widgets."""

import io
from base64 import b64encode
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from dexar_widgets.attribution import Attribution
from dexar_widgets.display import picture
from dexar_widgets.maps import on_grid, status_of, visual_tokens
from dexar_widgets.options import Options
from dexar_widgets.types import HeatMap

if TYPE_CHECKING:
    from dexar_widgets.widgets.explorer import Explorer
    from dexar_widgets.widgets.view import View

__all__ = ["bundle", "frame", "heatmap"]

_COLOURS = 256  # a palette: a third of the bytes, so that a notebook stays small
_HEIGHT = 900  # pixels of the frame; a page without a kernel is about as high on a laptop's screen


def heatmap(view: "View") -> HeatMap:
    """The map that the view shows, as `Explanation.heatmap` and `Explanation.sequence_map` have it."""
    e, found = view.shown(), _ready_made(view)
    if found is not None:
        return found.heatmap(view.steps) if view.steps and not found.whole else found.sequence_map()
    if view.method == "attention":
        return _attention(view)
    given = {name: value for name, value in view.options().as_dict().items() if name != "magnitude"}
    return e.heatmap(view.steps, **given) if view.steps else e.sequence_map(**given)  # type: ignore[arg-type]


def _ready_made(view: "View") -> Attribution | None:
    """What the method in view gave; None where its map is made here, of layers and filters."""
    e = view.shown()
    made = view.method == "dexar" or (view.method == "attention" and e.attention is not None)
    return None if made else e.attributions[view.method]


def _attention(view: "View") -> HeatMap:
    """Attention to each cell: mean over heads and the chosen layers, summed over the chosen steps."""
    e, options = view.shown(), view.options()
    assert e.attention is not None  # else its map is ready-made
    steps = tuple(view.steps) or e.steps
    rows = e.attention[[e.steps.index(step) for step in steps]][:, np.isin(e.layers, options.layers)]
    cells = on_grid(rows.mean((1, 2)).sum(0)[visual_tokens(e.layout)], e.layout, 0)
    return HeatMap(
        cells, e.layout.grids[0], "attention", steps, {"layers": options.layers}, status_of(cells, weighted=True)
    )


def _map_or_reason(explorer: "Explorer") -> HeatMap | str:
    if not explorer.sources:
        return "nothing was asked yet"
    if explorer._lesson and "quiz" in explorer._lesson[0]:  # it would be in sight below the view, too
        return "hidden until the lesson’s first guess is made"
    try:
        return heatmap(explorer)
    except ValueError as error:
        return str(error)


def _in_words(explorer: "Explorer", heat: HeatMap | str) -> str:
    """A few lines: the question and the answer, which map, where it peaks, which words are silenced."""
    if not explorer.sources:
        vlm = explorer.vlm
        return f"Explorer of {vlm.name if vlm else 'no model'}: {heat}."
    e = explorer.sources[0]
    lines = [f"Asked: {e.question}", f"Answered: {e.generation.text}"]
    if isinstance(heat, str):
        return "\n".join([*lines, f"No map: {heat}"])
    words = dict.fromkeys(e.generation.word_of(step).text.strip() for step in explorer.steps)
    whose = ", ".join(f"“{word}”" for word in words) or "the whole answer"
    found = _ready_made(explorer)
    how = _settings(explorer.options()) if found is None else "one map for the whole answer, " if found.whole else ""
    lines.append(f"Map of {whose}: {how}method {explorer.method}.")
    if heat.status == "ok":
        row, col = heat.peak
        lines.append(f"Peak: row {row + 1}, column {col + 1} of {heat.grid.rows}×{heat.grid.cols} cells.")
    else:
        lines.append(f"The map is {heat.status}.")
    if found is None:
        weights = zip(e.generation.words, e.word_weights(explorer.options()), strict=True)
        silenced = dict.fromkeys(f"“{word.text.strip()}”" for word, weight in weights if weight == 0)
        lines.append(f"Silenced words: {', '.join(silenced) or 'none'}.")
    return "\n".join(lines)


def _settings(options: Options) -> str:
    first, last = options.layers[0], options.layers[-1]
    layers = f"layer {first}" if first == last else f"layers {first}–{last}"
    return f"{layers}, head filter {options.head_filter}, "


def bundle(explorer: "Explorer") -> dict[str, str]:
    """What every host can show: text, and a PNG where there is an image."""
    heat = _map_or_reason(explorer)
    data = {"text/plain": _in_words(explorer, heat)}
    png = _png(explorer, heat)
    return data if png is None else data | {"image/png": b64encode(png).decode()}


def _png(explorer: "Explorer", heat: HeatMap | str) -> bytes | None:
    """The map over the image; the image alone where there is no map to show."""
    if not explorer.sources:
        pixels = explorer.image
        return None if pixels is None else _small(Image.fromarray(pixels))
    e = explorer.sources[0]
    if isinstance(heat, str):
        return _small(Image.fromarray(e.example.image))
    colours = explorer.colormap if heat.values.min() >= 0 else None
    found = picture(e, heat, colours=colours, opacity=explorer.opacity)
    return _small(Image.open(io.BytesIO(found)))


def _small(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.thumbnail((448, 448))
    image.convert("RGB").quantize(_COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def frame(page: str, fallback: Mapping[str, str]) -> str:
    """A page inside a frame that may run its script and save files, and nothing else.

    A notebook that is not trusted drops the frame and keeps what stands inside: the picture, described.
    """
    source = page.replace("&", "&amp;").replace("'", "&#39;")
    words, picture = escape(fallback["text/plain"]), fallback.get("image/png")
    inside = words if picture is None else f'<img alt="{words}" src="data:image/png;base64,{picture}">'
    return (
        f'<iframe title="Explanation, interactive" sandbox="allow-scripts allow-downloads" width="100%" '
        f'height="{_HEIGHT}" style="border:0" srcdoc=\'{source}\'>{inside}</iframe>'
    )
