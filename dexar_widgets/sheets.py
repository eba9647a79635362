"""Words × methods on one sheet: what several methods say about each word of an answer, with what each of them cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from dexar_widgets.attribution import Attribution
from dexar_widgets.explanation import Explanation
from dexar_widgets.figures import fitted, overlay, within_limit
from dexar_widgets.options import accept
from dexar_widgets.types import HeatMap

__all__ = ["SCALES", "Scale", "megabytes", "sheet", "shown_methods"]

Scale = Literal["map", "method", "share"]
SCALES: tuple[Scale, ...] = get_args(Scale)
"""Each map has its own scale; or all words of a method share one; or all maps do, as shares of their energy."""

_SIDE = 144  # of a picture, the longer one, in pixels
_FONT, _GAP = 14, 6
_SAID: Mapping[str, str] = {
    "map": "Each map has a scale of its own: compare places, not brightness.",
    "method": "The words of a method share a scale; methods have other units.",
    "share": "Shares of each map's positive energy, on one scale for all.",
}


@dataclass(frozen=True)
class _Row:
    """A word, or the whole answer (no steps), with its map by each method."""

    title: str
    heats: Sequence[HeatMap | None]


def shown_methods(e: Explanation, *, controls: bool = True) -> list[Attribution]:
    """The methods of a comparison in its order, controls last."""
    found = [one for one in e.attributions.values() if controls or not one.control]
    if not found:
        raise ValueError("The explanation holds no other method's maps; dx.compare(…) makes one that does.")
    return sorted(found, key=lambda one: one.control)


def megabytes(size: int | None) -> str:
    """A size in memory, in words."""
    if size is None:
        return "memory not told"
    return "< 1 MB" if size < 1e6 else f"{size / 1e6:,.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def sheet(
    e: Explanation,
    *,
    scale: Scale = "map",
    controls: bool = True,
    colours: str | None = None,
    opacity: float = 0.6,
    most_words: int = 12,
) -> Image.Image:
    """A picture of the maps, one row per word and one for the whole answer, one column per method.

    ``scale`` is the same choice for every method. Of a longer answer the ``most_words`` heaviest words are shown. A
    method that has one map for the whole answer shows it in that row alone.
    """
    accept("scale", scale, SCALES)
    methods = shown_methods(e, controls=controls)
    rows = _rows(e, methods, most_words)
    within = _scales(rows, scale)
    image = _thumbnail(e.example.image)
    paint = _Sheet(methods, rows, image.shape[:2])
    for index, row in enumerate(rows):
        for column, heat in enumerate(row.heats):
            if heat is None:
                paint.nothing(index, column, "one map, see below" if methods[column].whole else "not asked for")
            else:
                shown = _share(heat) if scale == "share" else heat
                size = (image.shape[1], image.shape[0])
                small = _fit(shown, size)
                pixels = overlay(image, small, colours=colours, opacity=opacity, within=within[index][column])
                paint.picture(index, column, pixels, heat.status)
    paint.foot(_SAID[scale])
    return within_limit(paint.sheet)


def _rows(e: Explanation, methods: Sequence[Attribution], most_words: int) -> list[_Row]:
    weights = e.word_weights()
    explained = np.flatnonzero(np.isfinite(weights))
    heaviest = sorted(sorted(explained, key=lambda index: -weights[index])[:most_words])
    rows = []
    for index in heaviest:
        word = e.generation.words[index]
        rows.append(_Row(word.text.strip(), [_of_word(one, word.steps) for one in methods]))
    return [*rows, _Row("whole answer", [one.sequence_map() for one in methods])]


def _of_word(method: Attribution, steps: Sequence[int]) -> HeatMap | None:
    """A method's map of a word, of as many of its steps as it was asked for."""
    known = [step for step in steps if step in method.steps]
    return None if method.whole or not known else method.heatmap(known)


def _scales(rows: Sequence[_Row], scale: Scale) -> list[list[tuple[float, float] | None]]:
    """The ends of each map's scale; None: its own. The whole answer has another unit than its words."""
    ends: list[list[tuple[float, float] | None]] = [[None] * len(row.heats) for row in rows]
    if scale == "method":
        for column in range(len(rows[0].heats)):
            maps = [heat.values for row in rows[:-1] if (heat := row.heats[column]) is not None]
            for row in ends[:-1] if maps else ():
                row[column] = (min(float(one.min()) for one in maps), max(float(one.max()) for one in maps))
    if scale == "share":
        shares = [_share(heat).values for row in rows for heat in row.heats if heat is not None]
        high = max(float(one.max()) for one in shares)
        low = -high if min(float(one.min()) for one in shares) < 0 else 0.0
        ends = [[(low, high)] * len(row.heats) for row in rows]
    return ends


def _share(heat: HeatMap) -> HeatMap:
    """The map as a share of its positive energy; of one that has none, nothing is left."""
    energy = float(np.maximum(heat.values, 0).sum())
    values = heat.values / energy if energy > 0 else np.zeros_like(heat.values)
    return replace(heat, values=values.astype(np.float32))


def _thumbnail(image: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "small_height small_width 3"]:
    height, width = image.shape[:2]
    share = _SIDE / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _fit(heat: HeatMap, size: tuple[int, int]) -> HeatMap:
    """The map of the same image in another size."""
    across, down = (new / old for new, old in zip(size, heat.grid.image_size, strict=True))
    left, top, right, bottom = heat.grid.box
    box = (left * across, top * down, right * across, bottom * down)
    return replace(heat, grid=replace(heat.grid, box=box, image_size=size))


class _Sheet:
    """The paper, with heads and words written on it."""

    def __init__(self, methods: Sequence[Attribution], rows: Sequence[_Row], size: tuple[int, int]) -> None:
        self.font = ImageFont.load_default(_FONT)
        self.small = ImageFont.load_default(_FONT - 3)
        self.height, self.width = size
        self.cell = max(self.width, round(self.font.getlength("m" * 9)))
        self.left = min(200, max(60, round(max(self.font.getlength(row.title) for row in rows)) + 2 * _GAP))
        self.top = 4 * _FONT + 2 * _GAP
        wide = self.left + len(methods) * (self.cell + _GAP)
        self.sheet = Image.new("RGB", (wide, self.top + len(rows) * (self.height + _GAP) + 2 * _FONT), "white")
        self.draw = ImageDraw.Draw(self.sheet)
        for column, method in enumerate(methods):
            self._head(column, method)
        for index, row in enumerate(rows):
            y = self.top + index * (self.height + _GAP) + self.height // 2
            self.draw.text((_GAP, y), fitted(row.title, self.left - _GAP, self.font), "black", self.font, anchor="lm")

    def _head(self, column: int, method: Attribution) -> None:
        cost, x = method.cost, self.left + column * (self.cell + _GAP)
        passes = f"{cost.forwards} + {cost.backwards} passes" if cost.forwards else "no pass"
        lines = [f"{cost.seconds:.2f} s, {megabytes(cost.peak_bytes)}", "control" if method.control else passes]
        self.draw.text((x, _GAP), fitted(method.title, self.cell, self.font), "black", self.font)
        for number, line in enumerate(lines, 1):
            y = _GAP + number * (_FONT + 2)
            self.draw.text((x, y), fitted(line, self.cell, self.small), (110, 110, 110), self.small)

    def picture(self, row: int, column: int, pixels: UInt8[np.ndarray, "height width 3"], status: str) -> None:
        """One map; one that shows nothing says why."""
        x, y = self._corner(row, column)
        self.sheet.paste(Image.fromarray(pixels), (x, y))
        if status != "ok":
            self.draw.text((x + 3, y + 2), status, (70, 70, 70), self.small)

    def nothing(self, row: int, column: int, why: str) -> None:
        """The place of a map that there is not."""
        x, y = self._corner(row, column)
        text = fitted(why, self.cell, self.small)
        self.draw.text((x + self.width // 2, y + self.height // 2), text, (150, 150, 150), self.small, anchor="mm")

    def _corner(self, row: int, column: int) -> tuple[int, int]:
        return self.left + column * (self.cell + _GAP), self.top + row * (self.height + _GAP)

    def foot(self, text: str) -> None:
        """A line below everything."""
        self.draw.text((_GAP, self.sheet.height - _FONT - _GAP), text, (70, 70, 70), self.small)
