"""Sprites of the 16 classes, drawn from relative outlines at any pixel size."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageChops, ImageDraw, ImageFilter

from dexar_widgets.lab.world import COLOURS

__all__ = ["Sprite", "paint", "sprite"]

_SUPERSAMPLING = 4
BODY, DARK, LIGHT = 0, 1, 2


class Sprite(NamedTuple):
    """Soft masks (mode L) of one class: where it is, and which parts are dark, light or outline."""

    alpha: Image.Image
    dark: Image.Image
    light: Image.Image
    edge: Image.Image


class _Pen:
    """Draws in a 100 × 100 unit square onto three layers."""

    def __init__(self, side: int) -> None:
        self.scale = side / 100
        self.layers = [Image.new("L", (side, side), 0) for _ in range(3)]
        self._draw = [ImageDraw.Draw(layer) for layer in self.layers]

    def _to_pixels(self, box: tuple[float, ...]) -> list[float]:
        return [value * self.scale for value in box]

    def ellipse(self, layer: int, *box: float) -> None:
        self._draw[layer].ellipse(self._to_pixels(box), fill=255)

    def rectangle(self, layer: int, *box: float, radius: float = 0, fill: int = 255) -> None:
        self._draw[layer].rounded_rectangle(self._to_pixels(box), radius=radius * self.scale, fill=fill)

    def polygon(self, layer: int, *points: tuple[float, float]) -> None:
        self._draw[layer].polygon([(x * self.scale, y * self.scale) for x, y in points], fill=255)

    def line(self, layer: int, *box: float, width: float = 5) -> None:
        self._draw[layer].line(self._to_pixels(box), fill=255, width=max(1, int(width * self.scale)))


def _circle(pen: _Pen) -> None:
    pen.ellipse(BODY, 6, 6, 94, 94)


def _square(pen: _Pen) -> None:
    pen.rectangle(BODY, 10, 10, 90, 90)


def _triangle(pen: _Pen) -> None:
    pen.polygon(BODY, (50, 6), (95, 92), (5, 92))


def _star(pen: _Pen) -> None:
    radii = [46 if i % 2 == 0 else 19 for i in range(10)]
    angles = [math.pi * i / 5 for i in range(10)]
    pen.polygon(BODY, *[(50 + r * math.sin(a), 52 - r * math.cos(a)) for r, a in zip(radii, angles, strict=True)])


def _cat(pen: _Pen) -> None:
    pen.ellipse(BODY, 12, 28, 88, 95)
    pen.polygon(BODY, (13, 58), (16, 4), (50, 34))
    pen.polygon(BODY, (87, 58), (84, 4), (50, 34))
    pen.ellipse(DARK, 28, 48, 40, 64)
    pen.ellipse(DARK, 60, 48, 72, 64)
    pen.polygon(DARK, (44, 70), (56, 70), (50, 77))
    for outer, inner, above, below in ((4, 34, 70, 74), (4, 34, 84, 80), (96, 66, 70, 74), (96, 66, 84, 80)):
        pen.line(DARK, outer, above, inner, below, width=3)


def _dog(pen: _Pen) -> None:
    pen.ellipse(BODY, 20, 12, 80, 92)
    pen.ellipse(DARK, 4, 16, 30, 72)
    pen.ellipse(DARK, 70, 16, 96, 72)
    pen.ellipse(LIGHT, 32, 52, 68, 90)
    pen.ellipse(DARK, 42, 54, 58, 66)
    pen.ellipse(DARK, 32, 34, 42, 46)
    pen.ellipse(DARK, 58, 34, 68, 46)


def _boat(pen: _Pen) -> None:
    pen.polygon(BODY, (3, 62), (97, 62), (80, 92), (20, 92))
    pen.line(DARK, 47, 64, 47, 4, width=6)
    pen.polygon(BODY, (53, 6), (90, 55), (53, 55))
    pen.polygon(BODY, (42, 16), (42, 55), (14, 55))


def _train(pen: _Pen) -> None:
    pen.rectangle(BODY, 3, 24, 97, 74, radius=6)
    pen.rectangle(BODY, 66, 8, 97, 40, radius=4)
    for x in (10, 30, 50):
        pen.rectangle(LIGHT, x, 34, x + 13, 50)
    pen.rectangle(LIGHT, 72, 16, 90, 36)
    for x in (12, 36, 60, 80):
        pen.ellipse(DARK, x, 68, x + 18, 88)
    pen.line(DARK, 0, 91, 100, 91)


def _sheep(pen: _Pen) -> None:
    for x, y in ((10, 30), (28, 22), (48, 22), (20, 44), (40, 46), (54, 38)):
        pen.ellipse(BODY, x, y, x + 32, y + 32)
    pen.ellipse(DARK, 70, 22, 96, 56)
    for x in (28, 42, 58, 70):
        pen.rectangle(DARK, x, 70, x + 7, 94)


def _bird(pen: _Pen) -> None:
    pen.ellipse(BODY, 18, 34, 76, 80)
    pen.ellipse(BODY, 58, 14, 90, 46)
    pen.polygon(BODY, (26, 50), (0, 34), (4, 62))
    pen.polygon(LIGHT, (87, 24), (100, 31), (87, 37))
    pen.ellipse(DARK, 72, 22, 80, 30)
    pen.polygon(DARK, (36, 50), (64, 50), (34, 70))
    pen.line(DARK, 44, 78, 44, 96, width=4)
    pen.line(DARK, 54, 78, 54, 96, width=4)


def _sofa(pen: _Pen) -> None:
    pen.rectangle(BODY, 12, 20, 88, 60, radius=8)
    pen.rectangle(BODY, 2, 40, 22, 84, radius=8)
    pen.rectangle(BODY, 78, 40, 98, 84, radius=8)
    pen.rectangle(BODY, 10, 58, 90, 84)
    pen.line(DARK, 22, 60, 78, 60, width=4)
    pen.line(DARK, 50, 24, 50, 60, width=4)
    pen.rectangle(DARK, 8, 84, 16, 94)
    pen.rectangle(DARK, 84, 84, 92, 94)


def _car(pen: _Pen) -> None:
    pen.rectangle(BODY, 2, 46, 98, 76, radius=8)
    pen.polygon(BODY, (20, 48), (34, 20), (70, 20), (84, 48))
    pen.polygon(LIGHT, (29, 45), (38, 27), (50, 27), (50, 45))
    pen.polygon(LIGHT, (55, 45), (55, 27), (67, 27), (75, 45))
    pen.ellipse(DARK, 12, 62, 36, 88)
    pen.ellipse(DARK, 64, 62, 88, 88)


def _suitcase(pen: _Pen) -> None:
    pen.rectangle(DARK, 32, 6, 68, 40, radius=6)
    pen.rectangle(DARK, 40, 14, 60, 40, radius=3, fill=0)
    pen.rectangle(BODY, 5, 28, 95, 92, radius=8)
    pen.rectangle(DARK, 20, 28, 28, 92)
    pen.rectangle(DARK, 72, 28, 80, 92)


def _butterfly(pen: _Pen) -> None:
    for box in ((2, 8, 48, 56), (52, 8, 98, 56), (12, 48, 48, 92), (52, 48, 88, 92)):
        pen.ellipse(BODY, *box)
    pen.ellipse(DARK, 44, 14, 56, 90)
    pen.ellipse(LIGHT, 16, 22, 32, 40)
    pen.ellipse(LIGHT, 68, 22, 84, 40)
    pen.line(DARK, 48, 18, 36, 2, width=3)
    pen.line(DARK, 52, 18, 64, 2, width=3)


def _fish(pen: _Pen) -> None:
    pen.ellipse(BODY, 2, 24, 76, 78)
    pen.polygon(BODY, (66, 51), (98, 22), (98, 80))
    pen.ellipse(DARK, 14, 40, 24, 50)
    pen.polygon(DARK, (36, 44), (54, 51), (36, 60))
    pen.polygon(BODY, (30, 28), (54, 28), (50, 10))


def _tree(pen: _Pen) -> None:
    pen.rectangle(DARK, 42, 56, 58, 97)
    pen.ellipse(BODY, 12, 24, 58, 70)
    pen.ellipse(BODY, 42, 24, 88, 70)
    pen.ellipse(BODY, 24, 2, 76, 54)


_OUTLINES: dict[str, Callable[[_Pen], None]] = {
    "circle": _circle,
    "square": _square,
    "triangle": _triangle,
    "star": _star,
    "cat": _cat,
    "dog": _dog,
    "boat": _boat,
    "train": _train,
    "sheep": _sheep,
    "bird": _bird,
    "sofa": _sofa,
    "car": _car,
    "suitcase": _suitcase,
    "butterfly": _butterfly,
    "fish": _fish,
    "tree": _tree,
}


@lru_cache(maxsize=2048)
def sprite(name: str, pixels: int, *, flip: bool, outline: int) -> Sprite:
    """The masks of a class at ``pixels`` × ``pixels``, its outline ``outline`` pixels wide."""
    pen = _Pen(pixels * _SUPERSAMPLING)
    _OUTLINES[name](pen)
    body, dark, light = (
        (layer.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if flip else layer).resize(
            (pixels, pixels), Image.Resampling.BOX
        )
        for layer in pen.layers
    )
    core = body.filter(ImageFilter.MinFilter(2 * outline + 1))
    alpha = ImageChops.lighter(ImageChops.lighter(body, dark), light)
    return Sprite(alpha, dark, light, ImageChops.subtract(body, core))


def paint(masks: Sprite, colour: str, shade: tuple[int, int, int]) -> Image.Image:
    """The sprite's pixels in a colour, without its mask; ``shade`` shifts the colour's RGB."""
    body = tuple(min(255, max(0, base + shift)) for base, shift in zip(COLOURS[colour], shade, strict=True))
    edge = tuple(int(value * 0.55) for value in body)
    light = (190, 190, 160) if colour == "white" else (250, 244, 205)
    dark = (105, 105, 110) if colour == "black" else (20, 20, 22)
    pixels = Image.new("RGB", masks.alpha.size, body)
    pixels.paste(edge, mask=masks.edge)
    pixels.paste(light, mask=masks.light)
    pixels.paste(dark, mask=masks.dark)
    return pixels
