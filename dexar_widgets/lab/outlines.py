"""Outlines of the classes and props, as strokes of a pen in a 100 × 100 unit square."""

import math
from collections.abc import Callable

from PIL import Image, ImageDraw

__all__ = ["BODY", "DARK", "LIGHT", "OUTLINES", "Pen"]

BODY, DARK, LIGHT = 0, 1, 2


class Pen:
    """Draws in a 100 × 100 unit square onto three layers."""

    def __init__(self, side: int) -> None:
        self.scale = side / 100
        self.layers = [Image.new("L", (side, side), 0) for _ in range(3)]
        self._draw = [ImageDraw.Draw(layer) for layer in self.layers]

    def _to_pixels(self, box: tuple[float, ...]) -> list[float]:
        return [value * self.scale for value in box]

    def ellipse(self, layer: int, *box: float, fill: int = 255) -> None:
        """A filled ellipse in (left, top, right, bottom); ``fill`` 0 cuts it out of the layer."""
        self._draw[layer].ellipse(self._to_pixels(box), fill=fill)

    def rectangle(self, layer: int, *box: float, radius: float = 0, fill: int = 255) -> None:
        """A filled rectangle in (left, top, right, bottom), its corners rounded by ``radius``."""
        self._draw[layer].rounded_rectangle(self._to_pixels(box), radius=radius * self.scale, fill=fill)

    def polygon(self, layer: int, *points: tuple[float, float]) -> None:
        """A filled polygon of (x, y) corners."""
        self._draw[layer].polygon([(x * self.scale, y * self.scale) for x, y in points], fill=255)

    def line(self, layer: int, *box: float, width: float = 5) -> None:
        """A line from (x, y) to (x, y)."""
        self._draw[layer].line(self._to_pixels(box), fill=255, width=max(1, int(width * self.scale)))


def _circle(pen: Pen) -> None:
    pen.ellipse(BODY, 6, 6, 94, 94)


def _square(pen: Pen) -> None:
    pen.rectangle(BODY, 10, 10, 90, 90)


def _triangle(pen: Pen) -> None:
    pen.polygon(BODY, (50, 6), (95, 92), (5, 92))


def _star(pen: Pen) -> None:
    radii = [46 if i % 2 == 0 else 19 for i in range(10)]
    angles = [math.pi * i / 5 for i in range(10)]
    pen.polygon(BODY, *[(50 + r * math.sin(a), 52 - r * math.cos(a)) for r, a in zip(radii, angles, strict=True)])


def _cat(pen: Pen) -> None:
    pen.ellipse(BODY, 12, 28, 88, 95)
    pen.polygon(BODY, (13, 58), (16, 4), (50, 34))
    pen.polygon(BODY, (87, 58), (84, 4), (50, 34))
    pen.ellipse(DARK, 28, 48, 40, 64)
    pen.ellipse(DARK, 60, 48, 72, 64)
    pen.polygon(DARK, (44, 70), (56, 70), (50, 77))
    for outer, inner, above, below in ((4, 34, 70, 74), (4, 34, 84, 80), (96, 66, 70, 74), (96, 66, 84, 80)):
        pen.line(DARK, outer, above, inner, below, width=3)


def _dog(pen: Pen) -> None:
    pen.ellipse(BODY, 20, 12, 80, 92)
    pen.ellipse(DARK, 4, 16, 30, 72)
    pen.ellipse(DARK, 70, 16, 96, 72)
    pen.ellipse(LIGHT, 32, 52, 68, 90)
    pen.ellipse(DARK, 42, 54, 58, 66)
    pen.ellipse(DARK, 32, 34, 42, 46)
    pen.ellipse(DARK, 58, 34, 68, 46)


def _boat(pen: Pen) -> None:
    pen.polygon(BODY, (3, 62), (97, 62), (80, 92), (20, 92))
    pen.line(DARK, 47, 64, 47, 4, width=6)
    pen.polygon(BODY, (53, 6), (90, 55), (53, 55))
    pen.polygon(BODY, (42, 16), (42, 55), (14, 55))


def _train(pen: Pen) -> None:
    pen.rectangle(BODY, 3, 24, 97, 74, radius=6)
    pen.rectangle(BODY, 66, 8, 97, 40, radius=4)
    for x in (10, 30, 50):
        pen.rectangle(LIGHT, x, 34, x + 13, 50)
    pen.rectangle(LIGHT, 72, 16, 90, 36)
    for x in (12, 36, 60, 80):
        pen.ellipse(DARK, x, 68, x + 18, 88)
    pen.line(DARK, 0, 91, 100, 91)


def _sheep(pen: Pen) -> None:
    for x, y in ((10, 30), (28, 22), (48, 22), (20, 44), (40, 46), (54, 38)):
        pen.ellipse(BODY, x, y, x + 32, y + 32)
    pen.ellipse(DARK, 70, 22, 96, 56)
    for x in (28, 42, 58, 70):
        pen.rectangle(DARK, x, 70, x + 7, 94)


def _bird(pen: Pen) -> None:
    pen.ellipse(BODY, 18, 34, 76, 80)
    pen.ellipse(BODY, 58, 14, 90, 46)
    pen.polygon(BODY, (26, 50), (0, 34), (4, 62))
    pen.polygon(LIGHT, (87, 24), (100, 31), (87, 37))
    pen.ellipse(DARK, 72, 22, 80, 30)
    pen.polygon(DARK, (36, 50), (64, 50), (34, 70))
    pen.line(DARK, 44, 78, 44, 96, width=4)
    pen.line(DARK, 54, 78, 54, 96, width=4)


def _sofa(pen: Pen) -> None:
    pen.rectangle(BODY, 12, 20, 88, 60, radius=8)
    pen.rectangle(BODY, 2, 40, 22, 84, radius=8)
    pen.rectangle(BODY, 78, 40, 98, 84, radius=8)
    pen.rectangle(BODY, 10, 58, 90, 84)
    pen.line(DARK, 22, 60, 78, 60, width=4)
    pen.line(DARK, 50, 24, 50, 60, width=4)
    pen.rectangle(DARK, 8, 84, 16, 94)
    pen.rectangle(DARK, 84, 84, 92, 94)


def _car(pen: Pen) -> None:
    pen.rectangle(BODY, 2, 46, 98, 76, radius=8)
    pen.polygon(BODY, (20, 48), (34, 20), (70, 20), (84, 48))
    pen.polygon(LIGHT, (29, 45), (38, 27), (50, 27), (50, 45))
    pen.polygon(LIGHT, (55, 45), (55, 27), (67, 27), (75, 45))
    pen.ellipse(DARK, 12, 62, 36, 88)
    pen.ellipse(DARK, 64, 62, 88, 88)


def _suitcase(pen: Pen) -> None:
    pen.rectangle(DARK, 32, 6, 68, 40, radius=6)
    pen.rectangle(DARK, 40, 14, 60, 40, radius=3, fill=0)
    pen.rectangle(BODY, 5, 28, 95, 92, radius=8)
    pen.rectangle(DARK, 20, 28, 28, 92)
    pen.rectangle(DARK, 72, 28, 80, 92)


def _butterfly(pen: Pen) -> None:
    for box in ((2, 8, 48, 56), (52, 8, 98, 56), (12, 48, 48, 92), (52, 48, 88, 92)):
        pen.ellipse(BODY, *box)
    pen.ellipse(DARK, 44, 14, 56, 90)
    pen.ellipse(LIGHT, 16, 22, 32, 40)
    pen.ellipse(LIGHT, 68, 22, 84, 40)
    pen.line(DARK, 48, 18, 36, 2, width=3)
    pen.line(DARK, 52, 18, 64, 2, width=3)


def _fish(pen: Pen) -> None:
    pen.ellipse(BODY, 2, 24, 76, 78)
    pen.polygon(BODY, (66, 51), (98, 22), (98, 80))
    pen.ellipse(DARK, 14, 40, 24, 50)
    pen.polygon(DARK, (36, 44), (54, 51), (36, 60))
    pen.polygon(BODY, (30, 28), (54, 28), (50, 10))


def _tree(pen: Pen) -> None:
    pen.rectangle(DARK, 42, 56, 58, 97)
    pen.ellipse(BODY, 12, 24, 58, 70)
    pen.ellipse(BODY, 42, 24, 88, 70)
    pen.ellipse(BODY, 24, 2, 76, 54)


def _football(pen: Pen) -> None:
    pen.ellipse(BODY, 6, 6, 94, 94)
    for x, y, r in ((50, 50, 15), (50, 12, 11), (88, 42, 11), (74, 84, 11), (26, 84, 11), (12, 42, 11)):
        angles = [2 * math.pi * i / 5 for i in range(5)]
        pen.polygon(DARK, *[(x + r * math.sin(a), y - r * math.cos(a)) for a in angles])


def _footprint(pen: Pen) -> None:
    pen.ellipse(BODY, 28, 30, 74, 72)
    pen.ellipse(BODY, 34, 56, 66, 97)
    for x, y, r in ((28, 22, 9), (42, 14, 8), (55, 13, 7), (66, 18, 6), (75, 27, 6)):
        pen.ellipse(BODY, x - r, y - r, x + r, y + r)


def _person(pen: Pen) -> None:
    pen.ellipse(LIGHT, 36, 2, 64, 30)
    pen.rectangle(BODY, 32, 30, 68, 66, radius=8)
    pen.rectangle(BODY, 14, 32, 32, 44, radius=5)
    pen.rectangle(BODY, 68, 32, 86, 44, radius=5)
    pen.rectangle(DARK, 34, 66, 46, 98)
    pen.rectangle(DARK, 54, 66, 66, 98)
    pen.ellipse(DARK, 42, 12, 46, 17)
    pen.ellipse(DARK, 54, 12, 58, 17)


def _hat(pen: Pen) -> None:
    pen.ellipse(BODY, 2, 58, 98, 88)
    pen.rectangle(BODY, 26, 16, 74, 72, radius=10)
    pen.rectangle(DARK, 26, 52, 74, 64)


def _clock(pen: Pen) -> None:
    pen.ellipse(BODY, 5, 5, 95, 95)
    pen.ellipse(LIGHT, 20, 20, 80, 80)
    pen.line(DARK, 50, 52, 50, 26, width=6)
    pen.line(DARK, 48, 50, 68, 60, width=6)


def _penguin(pen: Pen) -> None:
    pen.ellipse(BODY, 24, 14, 76, 94)
    pen.ellipse(LIGHT, 36, 36, 64, 90)
    pen.polygon(BODY, (28, 36), (8, 70), (30, 62))
    pen.polygon(BODY, (72, 36), (92, 70), (70, 62))
    pen.ellipse(DARK, 38, 22, 45, 30)
    pen.ellipse(DARK, 55, 22, 62, 30)
    pen.polygon(DARK, (45, 32), (55, 32), (50, 40))


def _tracks(pen: Pen) -> None:
    for x in range(4, 100, 16):
        pen.rectangle(BODY, x, 38, x + 8, 62)
    pen.rectangle(DARK, 0, 42, 100, 46)
    pen.rectangle(DARK, 0, 54, 100, 58)


def _face(pen: Pen) -> None:
    pen.ellipse(BODY, 6, 4, 94, 96)
    pen.ellipse(DARK, 6, 4, 94, 96)
    pen.ellipse(DARK, 12, 10, 88, 90, fill=0)
    pen.ellipse(DARK, 30, 32, 42, 46)
    pen.ellipse(DARK, 58, 32, 70, 46)
    pen.polygon(DARK, (50, 46), (44, 60), (56, 60))
    pen.line(DARK, 32, 72, 68, 72, width=6)


def _checker(pen: Pen) -> None:
    pen.rectangle(BODY, 0, 0, 100, 100)
    for row in range(4):
        for col in range(row % 2, 4, 2):
            pen.rectangle(DARK, col * 25, row * 25, col * 25 + 24, row * 25 + 24)


def _swatch(pen: Pen) -> None:
    pen.rectangle(BODY, 0, 0, 100, 100)


OUTLINES: dict[str, Callable[[Pen], None]] = {
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
    "football": _football,
    "footprint": _footprint,
    "person": _person,
    "hat": _hat,
    "clock": _clock,
    "penguin": _penguin,
    "tracks": _tracks,
    "face": _face,
    "checker": _checker,
    "swatch": _swatch,
}
"""Every class of the world, the props, and ``penguin``, a bird that looks like no other bird."""
