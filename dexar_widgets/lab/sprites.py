"""Sprites of the classes and props, drawn from relative outlines at any pixel size."""

from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageChops, ImageFilter

from dexar_widgets.lab.outlines import OUTLINES, Pen
from dexar_widgets.lab.world import COLOURS

__all__ = ["Sprite", "paint", "sprite"]

_SUPERSAMPLING = 4


class Sprite(NamedTuple):
    """Soft masks (mode L) of one class: where it is, and which parts are dark, light or outline."""

    alpha: Image.Image
    dark: Image.Image
    light: Image.Image
    edge: Image.Image


@lru_cache(maxsize=2048)
def sprite(name: str, pixels: int, *, flip: bool, outline: int) -> Sprite:
    """The masks of a class at ``pixels`` × ``pixels``, its outline ``outline`` pixels wide."""
    pen = Pen(pixels * _SUPERSAMPLING)
    OUTLINES[name](pen)
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
