"""Hide or keep a region of an image: the interventions behind the causal check and the metrics."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image, ImageFilter

__all__ = ["How", "hide", "keep", "mask_of"]

How = Literal["mean", "blur"]
Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]
Region = Shaped[np.ndarray, "height width"] | Sequence[float] | Sequence[Sequence[float]]

# A Gaussian whose deviation is 1/16 of the longer side leaves colours and no shapes.
_BLUR_SHARE = 1 / 16


def mask_of(region: Region, size: tuple[int, int]) -> Mask:
    """A region as a mask over an image of ``size`` (width, height).

    Parameters
    ----------
    region
        A mask of the image's shape (boolean, or 0 and non-zero); a box (left, top, right, bottom) in pixels: every
        pixel that it touches; or a polygon, at least three points (x, y) in pixels: every pixel whose centre is
        inside by the even–odd rule.

    Raises
    ------
    ValueError
        If the region has another shape, covers nothing, or covers everything.
    """
    width, height = size
    array = np.asarray(region)
    if array.shape == (4,):
        mask = _box(array.astype(float), width, height)
    elif array.shape == (height, width):
        mask = array.astype(bool)
    elif array.ndim == 2 and array.shape[1] == 2 and len(array) >= 3:
        mask = _polygon(array.astype(float), width, height)
    else:
        raise ValueError(
            f"The region has shape {array.shape}; expected a box (left, top, right, bottom), a polygon of at least "
            f"three points (x, y), or a mask of shape {(height, width)} like the image."
        )
    if not mask.any() or mask.all():
        extent = "nothing" if not mask.any() else "everything"
        raise ValueError(f"The region covers {extent} of the {width}×{height} image; a check needs a part of it.")
    return mask


def _box(box: Shaped[np.ndarray, "4"], width: int, height: int) -> Mask:
    _require_finite("box", box)
    left, top = np.floor(box[:2]).clip(0).astype(int)
    right, bottom = np.ceil(box[2:]).clip(0, (width, height)).astype(int)
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def _polygon(points: Shaped[np.ndarray, "point 2"], width: int, height: int) -> Mask:
    _require_finite("polygon", points)
    x, y = np.arange(width) + 0.5, np.arange(height) + 0.5
    mask = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = (y0 <= y) != (y1 <= y)  # that the edge crosses, between its ends
        crossing = x0 + (y[rows] - y0) * (x1 - x0) / (y1 - y0 or 1)
        mask[rows] ^= x >= crossing[:, None]
    return mask


def _require_finite(what: str, region: Shaped[np.ndarray, "..."]) -> None:
    if not np.isfinite(region).all():
        raise ValueError(f"The {what} {region.tolist()} holds a value that is not finite.")


def hide(image: Pixels, mask: Mask, *, how: How = "mean") -> Pixels:
    """The image with the masked pixels hidden.

    Parameters
    ----------
    how
        ``mean``: the image's mean colour. ``blur``: a strong Gaussian blur of the whole image.
    """
    if how == "mean":
        filler = np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape)
    elif how == "blur":
        radius = max(image.shape[:2]) * _BLUR_SHARE
        filler = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    else:
        raise ValueError(f"how={how!r} is unknown; choose one of {', '.join(get_args(How))}.")
    return np.where(mask[..., None], filler, image)


def keep(image: Pixels, mask: Mask, *, how: How = "mean") -> Pixels:
    """The image with everything but the masked pixels hidden; options as in `hide`."""
    return hide(image, ~mask, how=how)
