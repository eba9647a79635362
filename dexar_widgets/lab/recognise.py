"""Whether a picture comes from the lab's world: so that a lab model can say when it is out of its depth."""

import hashlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["is_lab_scene", "remember"]

_DRAWN: set[bytes] = set()
_MOST = 2**16  # training draws millions
_BLOCKS = 12
_PART = 0.25


class _Range(NamedTuple):
    """Lowest and highest of: luma, red − green, blue − green, spread of luma, |∂x| and |∂y| of luma, per block."""

    low: tuple[float, ...]
    high: tuple[float, ...]


# Measured on 240 empty scenes per background, of 96, 192 and 384 pixels (99.9 % of their blocks lie inside).
_RANGES = {
    "water": _Range((79.2, -109.1, 27.0, 6.9, 0.5, 4.6), (152.8, -38.1, 80.4, 22.3, 5.6, 10.7)),
    "sky": _Range((161.7, -85.8, -7.8, 0.0, 0.0, 0.0), (255.0, 9.7, 66.5, 21.3, 7.3, 7.2)),
    "grass": _Range((77.4, -85.9, -106.5, 5.2, 5.0, 3.1), (136.1, -33.5, -57.0, 14.7, 18.2, 8.5)),
    "sand": _Range((150.3, 3.7, -76.5, 4.7, 4.4, 4.4), (213.2, 55.4, -23.4, 11.3, 13.7, 13.7)),
    "wall": _Range((106.4, 20.0, -45.5, 3.0, 2.1, 2.8), (183.3, 82.7, 10.3, 34.9, 23.1, 24.0)),
    "carpet": _Range((102.8, -41.7, -48.2, 0.6, 0.1, 0.1), (185.6, 71.0, 50.8, 17.4, 8.7, 8.7)),
}
_SKY_SLOPE = (1.2, 9.0)  # levels of (red − blue) per row of blocks; a blank page has none


def remember(image: UInt8[np.ndarray, "height width 3"]) -> None:
    """Take note of a picture that this process drew, or made of one that it drew."""
    if len(_DRAWN) >= _MOST:
        _DRAWN.clear()
    _DRAWN.add(_key(image))


def _key(image: UInt8[np.ndarray, "height width 3"]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=8).digest()


def is_lab_scene(image: Image.Image | UInt8[np.ndarray, "height width 3"]) -> bool:
    """Whether this process drew the picture, or a quarter of it looks like one of the lab's backgrounds.

    The look is a hint, not a proof. Error rates: 1 of 150 lab scenes is not recognised, and few with much on them; of
    132 other pictures found on a Linux machine (screenshots, icons, charts, a few photographs) none is taken for one.
    """
    if isinstance(image, np.ndarray) and _key(image) in _DRAWN:
        return True
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    side = (MODEL_SIZE, MODEL_SIZE)
    pixels = np.asarray(picture.convert("RGB").resize(side, Image.Resampling.BICUBIC), np.float32)
    features = _features(pixels)
    for name, (low, high) in _RANGES.items():
        inside = (features >= np.array(low, np.float32)) & (features <= np.array(high, np.float32))
        alike = np.asarray(inside.all(-1))
        if alike.mean() > _PART and (name != "sky" or _brightens(pixels, alike)):
            return True
    return False


def _means(values: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "row col"]:
    means: Float[np.ndarray, "row col"] = values.reshape(_BLOCKS, MODEL_SIZE // _BLOCKS, _BLOCKS, -1).mean((1, 3))
    return means


def _features(pixels: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "row col feature"]:
    luma = pixels.mean(-1)
    across = np.abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    down = np.abs(np.diff(luma, axis=0, append=luma[-1:]))
    spread = np.sqrt(np.maximum(0, _means(luma * luma) - _means(luma) ** 2))
    red, green, blue = (pixels[..., channel] for channel in range(3))
    columns = (_means(luma), _means(red - green), _means(blue - green), spread, _means(across), _means(down))
    return np.stack(columns, -1)


def _brightens(pixels: Float[np.ndarray, "height width 3"], alike: Bool[np.ndarray, "row col"]) -> bool:
    """Whether the blocks alike turn from blue to white downwards, as the lab's sky does."""
    rows, _ = np.nonzero(alike)
    if np.ptp(rows) == 0:
        return False
    slope = np.polyfit(rows, _means(pixels[..., 0] - pixels[..., 2])[alike], 1)[0]
    return bool(_SKY_SLOPE[0] < slope < _SKY_SLOPE[1])
