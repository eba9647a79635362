"""The six textured backgrounds: fixed master textures, cut and scaled to the size asked for."""

import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from dexar_widgets.lab.world import BACKGROUNDS, MODEL_SIZE

__all__ = ["OVERSIZE", "TEXTURES", "background_pixels"]

TEXTURES = 40
"""Textures per background; scenes cut them at different offsets."""

OVERSIZE = 4 / 3
"""Side of a texture in sides of a scene."""

_MASTER = 512  # pixels: a 384-pixel scene cuts the master without scaling
_UNITS = OVERSIZE * MODEL_SIZE


def _noise(generator: np.random.Generator, cells: int) -> Float[np.ndarray, "side side 1"]:
    lattice = Image.fromarray((generator.random((cells, cells)) * 255).astype(np.uint8))
    return np.asarray(lattice.resize((_MASTER, _MASTER), Image.Resampling.BICUBIC), np.float32)[..., None] / 255


def _grain(generator: np.random.Generator, *, smear: int = 1) -> Float[np.ndarray, "side side 1"]:
    cells = _MASTER // 2
    grain = generator.random((cells, cells)).astype(np.float32)
    smeared = np.stack([np.roll(grain, shift, 0) for shift in range(smear)]).sum(0) / smear
    return np.asarray(smeared.repeat(2, 0).repeat(2, 1)[..., None] - 0.5, np.float32)


def _rgb(*levels: float) -> Float[np.ndarray, "3"]:
    return np.array(levels, np.float32)


def _paint(name: str, generator: np.random.Generator) -> Any:  # an array, side × side × 3
    axis = (np.arange(_MASTER, dtype=np.float32) + 0.5) / _MASTER * _UNITS
    y, x = axis[:, None, None], axis[None, :, None]
    smooth = _noise(generator, 8)
    if name == "water":
        wave = np.sin(y / generator.uniform(1.6, 2.6) + 2.2 * np.sin(x / generator.uniform(6, 10)))
        return _rgb(40, 110, 165) + wave * _rgb(22, 26, 26) + smooth * 20
    if name == "sky":
        return _rgb(120, 180, 235) + y / _UNITS * _rgb(80, 50, 15) + np.clip(smooth - 0.55, 0, 1) * _rgb(300, 160, 60)
    if name == "grass":
        return _rgb(80, 140, 60) + _grain(generator, smear=6) * 1.6 * _rgb(80, 110, 50) + smooth * 25
    if name == "sand":
        return _rgb(205, 180, 130) + _grain(generator) * 60 + smooth * 20
    if name == "wall":
        height = generator.integers(8, 11)
        shifted = x + (y // height % 2) * height
        mortar = (y % height < 1.2) | (shifted % (2 * height) < 1.2)
        return np.where(mortar, _rgb(200, 195, 185), _rgb(165, 105, 85)) + smooth * 24 + _grain(generator) * 26
    checks = (x // 6 + y // 6) % 2
    first, second = generator.integers(60, 200, 3), generator.integers(60, 200, 3)
    return (first * checks + second * (1 - checks)) * 0.45 + 70 + smooth * 40


@lru_cache(maxsize=len(BACKGROUNDS) * TEXTURES)
def _master(name: str, texture: int) -> bytes:
    """Packed: all together they take 40 MB and not 250, and unpacking takes a tenth of the time of painting anew."""
    generator = np.random.default_rng((7, BACKGROUNDS.index(name), texture))
    tint = generator.integers(-14, 15, 3)
    return zlib.compress(np.clip(_paint(name, generator) + tint, 0, 255).astype(np.uint8).tobytes(), level=1)


def _texture(name: str, texture: int, side: int) -> Image.Image:
    return _small(name, texture, side) if side <= _MASTER // 2 else _resized(name, texture, side)


@lru_cache(maxsize=2 * len(BACKGROUNDS) * TEXTURES)
def _small(name: str, texture: int, side: int) -> Image.Image:
    """Kept as they are: training draws at two small sizes, and resizing would take most of the time."""
    return _resized(name, texture, side)


def _resized(name: str, texture: int, side: int) -> Image.Image:
    master = Image.frombytes("RGB", (_MASTER, _MASTER), zlib.decompress(_master(name, texture)))
    return master.resize((side, side), Image.Resampling.BOX)


def background_pixels(
    name: str, texture: int, offset: tuple[float, float], *, flip: bool, brightness: float, size: int
) -> Image.Image:
    """A ``size`` × ``size`` cut of a texture; ``offset`` is its top left corner in sides of the scene."""
    left, top = (round(value * size) for value in offset)
    cut = _texture(name, texture, round(OVERSIZE * size)).crop((left, top, left + size, top + size))
    if flip:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return cut.point([min(255, round(level * brightness)) for level in range(256)] * 3)
