"""Colour and layout on paper: overlays and strips as pixels. The colour tables are the front end's too.

Nothing here feeds a metric: values are scaled and coloured for the eye only.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from dexar_widgets import maps
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Filter, Layers, Preset
from dexar_widgets.types import HeatMap

__all__ = [
    "COLOUR_TABLES",
    "DEFAULT_COLOURS",
    "DIVERGING_COLOURS",
    "Panel",
    "colour_stops_json",
    "colours_of",
    "compose",
    "fitted",
    "overlay",
    "png_metadata",
    "strip",
    "within_limit",
]

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Pixels = UInt8[np.ndarray, "height width 3"]

# Equidistant stops. viridis, inferno: S. van der Walt and N. Smith, CC0. cividis: Nuñez, Anderson and
# Renslow, PLoS ONE 13(7), 2018: looks the same with and without red-green blindness. blue_red:
# ColorBrewer's RdBu (C. Brewer, Apache-2.0), reversed.
_STOPS = {
    "cividis": "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 e1cc55 fee838",
    "viridis": "440154 482878 3e4989 31688e 26828e 1f9e89 35b779 6ece58 b5de2b fde725",
    "inferno": "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4",
    "grey": "000000 ffffff",
    "blue_red": "053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f",
}
DEFAULT_COLOURS = "cividis"
DIVERGING_COLOURS = "blue_red"
"""For signed maps: its middle is zero."""


def _table(stops: str) -> UInt8[np.ndarray, "256 3"]:
    colours = np.array([list(bytes.fromhex(stop)) for stop in stops.split()], float)
    places = np.linspace(0, 255, len(colours))
    table = np.stack([np.interp(np.arange(256), places, channel) for channel in colours.T], axis=1)
    return np.asarray(np.rint(table), np.uint8)


COLOUR_TABLES: Mapping[str, UInt8[np.ndarray, "256 3"]] = MappingProxyType(
    {name: _table(stops) for name, stops in _STOPS.items()}
)
"""256 RGB colours per name, from the lowest value to the highest."""


def colour_stops_json() -> str:
    """The tables for the front end: name to equidistant stops, which it interpolates alike."""
    return json.dumps(_STOPS, indent=2)


def colours_of(
    values: Float[np.ndarray, "height width"],
    *,
    colours: str | None = None,
    within: tuple[float, float] | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Colour a map: min–max on a sequential table; a map with negative values on a diverging one about zero.

    ``within`` are the values at the table's two ends, where several maps share a scale.
    """
    low, high = (float(values.min()), float(values.max())) if within is None else within
    signed = low < 0
    name = colours or (DIVERGING_COLOURS if signed else DEFAULT_COLOURS)
    if name not in COLOUR_TABLES:
        raise ValueError(f"colours={name!r} is unknown; choose one of {', '.join(COLOUR_TABLES)}.")
    if signed and name == DIVERGING_COLOURS:
        unit = values / max(-low, high) / 2 + 0.5
    else:
        unit = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return np.asarray(COLOUR_TABLES[name][np.rint(unit.clip(0, 1) * 255).astype(np.uint8)])


_COLOUR_LEFT = 0.25  # under a map: the picture stays recognisable, and colour means the map


def overlay(
    image: Pixels,
    heat: HeatMap,
    *,
    colours: str | None = None,
    opacity: float = 0.6,
    within: tuple[float, float] | None = None,
) -> Pixels:
    """The map over the paled image, at the image's size; what the model did not see stays as it is.

    A map that is constant or silenced shows nothing: the image fades towards white instead.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}; expected 0 … 1.")
    height, width = image.shape[:2]
    if heat.grid.image_size != (width, height):
        raise ValueError(f"The map belongs to an image of {heat.grid.image_size}, this one is {(width, height)}.")
    pixels = heat if heat.values.shape == (height, width) else maps.upsample(heat)
    shows = heat.status == "ok"
    top = colours_of(pixels.values, colours=colours, within=within) if shows else np.full_like(image, 255)
    grey = image @ np.array([0.299, 0.587, 0.114], np.float32)  # luma, ITU-R BT.601
    pale = image * np.float32(_COLOUR_LEFT) + grey[..., None] * np.float32(1 - _COLOUR_LEFT)
    blended = np.rint(pale * (1 - opacity) + top * np.float32(opacity)).astype(np.uint8)
    left, upper, right, lower = (round(side) for side in heat.grid.box)
    shown = image.copy()
    shown[upper:lower, left:right] = blended[upper:lower, left:right]
    return shown


@dataclass(frozen=True)
class Panel:
    """One picture of a strip: its pixels, the word above it and a note beside the word."""

    pixels: Pixels
    title: str
    note: str = ""


# A strip is never larger than this; a larger one is scaled down, which its metadata say.
_MOST_PIXELS = 40_000_000
_SMALLEST_SIDE = 96  # pictures below are enlarged by a whole factor, so that words fit above them
_SHAPE = 2.0  # width to height: across the columns of a page


def strip(
    e: Explanation,
    *,
    layers: Layers = None,
    head_filter: Filter | None = None,
    filler_filter: Filter | None = None,
    preset: Preset | None = None,
    colours: str | None = None,
    opacity: float = 0.6,
    most_words: int = 15,
) -> Image.Image:
    """The image, an overlay for each word and one for the whole answer, side by side, for a paper.

    Each panel has the original image's size and aspect and a scale of its own: compare places between
    panels, not brightness; the number beside a word is its visual weight. Of a longer answer the
    ``most_words`` heaviest words are shown. Options left out are the explanation's own.
    """
    given = {"layers": layers, "head_filter": head_filter, "filler_filter": filler_filter, "preset": preset}
    choice: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    image = e.example.image
    weights = e.word_weights(e.options(**choice))
    explained = np.flatnonzero(np.isfinite(weights))
    heaviest = sorted(explained, key=lambda index: -weights[index])[:most_words]
    panels = [Panel(image, "image")]
    for index in sorted(heaviest):
        word = e.generation.words[index]
        heat = e.heatmap([step for step in word.steps if step in e.steps], **choice)
        shown = overlay(image, heat, colours=colours, opacity=opacity)
        panels.append(Panel(shown, word.text, heat.status if heat.status != "ok" else f"{weights[index]:.2f}"))
    whole = e.sequence_map(**choice)
    shown = overlay(image, whole, colours=colours, opacity=opacity)
    panels.append(Panel(shown, "whole answer", "" if whole.status == "ok" else whole.status))
    return compose(panels, table=COLOUR_TABLES[colours or DEFAULT_COLOURS])


def compose(panels: Sequence[Panel], *, table: UInt8[np.ndarray, "256 3"] | None = None) -> Image.Image:
    """Put panels of one size in rows, each under its title, on white; ``table`` adds a legend of its colours."""
    height, width = panels[0].pixels.shape[:2]
    factor = max(1, math.ceil(_SMALLEST_SIDE / max(width, height)))
    width, height = width * factor, height * factor
    font_size = int(np.clip(min(width, 2 * height) / 10, 13, 96))
    font = ImageFont.load_default(font_size)
    gap, head = max(4, font_size // 3), round(font_size * 1.5)
    cell_width, cell_height = max(width, 7 * font_size), height + head
    columns = _columns(len(panels), cell_width + gap, cell_height + gap)
    rows = math.ceil(len(panels) / columns)
    size = columns * (cell_width + gap) + gap, rows * (cell_height + gap) + gap + head
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for index, panel in enumerate(panels):
        left = gap + index % columns * (cell_width + gap)
        top = gap + index // columns * (cell_height + gap)
        margin = left + (cell_width - width) // 2
        _write(draw, panel, (margin if width >= 7 * font_size else left, top), cell_width, font)
        picture = Image.fromarray(panel.pixels).resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(picture, (margin, top + head))
    if table is not None:
        _legend(sheet, table, (gap, sheet.height - head), font)
    return within_limit(sheet)


def _legend(sheet: Image.Image, table: UInt8[np.ndarray, "256 3"], corner: tuple[int, int], font: Font) -> None:
    """The colours from low to high, and what they may be compared with."""
    draw = ImageDraw.Draw(sheet)
    left, top = corner
    height = round(font.getlength("n"))
    bar = Image.fromarray(np.repeat(table[None], height, axis=0)).resize((8 * height, height))
    draw.text((left, top), "low", fill="black", font=font)
    left += round(font.getlength("low ")) + height // 2
    sheet.paste(bar, (left, top + height // 2))
    left += bar.width + height // 2
    text = fitted("high; each map has a scale of its own", sheet.width - left - corner[0], font)
    draw.text((left, top), text, fill="black", font=font)


def _columns(count: int, width: int, height: int) -> int:
    """The number of columns whose sheet comes nearest to `_SHAPE`, with few empty places."""

    def distance(columns: int) -> float:
        rows = math.ceil(count / columns)
        return abs(math.log(columns * width / (rows * height) / _SHAPE)) + (rows * columns - count) / count

    return min(range(1, count + 1), key=distance)


def _write(draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int], width: int, font: Font) -> None:
    room = width - (font.getlength(panel.note) + font.getlength("n") if panel.note else 0)
    left, top = corner
    draw.text((left, top), fitted(" ".join(panel.title.split()), room, font), fill="black", font=font)
    draw.text((left + width, top), panel.note, fill=(110, 110, 110), font=font, anchor="ra")


def fitted(text: str, room: float, font: Font) -> str:
    """As much of a text as there is room for, in pixels."""
    while font.getlength(text) > room and len(text) > 1:
        text = text[:-2].rstrip() + "…"
    return text


def within_limit(sheet: Image.Image) -> Image.Image:
    """A sheet scaled down to at most 40 million pixels."""
    share = math.sqrt(_MOST_PIXELS / (sheet.width * sheet.height))
    if share >= 1:
        return sheet
    return sheet.resize((max(1, int(sheet.width * share)), max(1, int(sheet.height * share))), Image.Resampling.LANCZOS)


def png_metadata(e: Explanation, choice: Mapping[str, object]) -> PngImagePlugin.PngInfo:
    """What a PNG should carry: question, answer and, as JSON under ``dexar_widgets``, where it comes from."""
    record = {
        "prompt": e.example.prompt,
        "answer": e.generation.text,
        "source": e.example.source,
        "choice": dict(choice),
        "provenance": dict(e.provenance),
    }
    information = PngImagePlugin.PngInfo()
    information.add_itxt("Software", "dexar_widgets")
    information.add_itxt("Description", f"{e.example.prompt} → {e.generation.text}")
    information.add_itxt("dexar_widgets", json.dumps(record, ensure_ascii=False, default=str))
    return information
