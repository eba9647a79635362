"""The interventions behind the causal check: hide or keep a region, regions like it elsewhere, cuts of attention."""

from collections.abc import Iterator, Sequence
from itertools import product
from operator import index
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from PIL import Image, ImageFilter

from dexar_widgets.maps import coverage_weights
from dexar_widgets.types import Box, Grid

__all__ = ["CUTS", "Cut", "How", "Mask", "Pixels", "Region", "Source", "Target"]
__all__ += ["cells_mask", "cut_of", "filler", "frame_of", "hide", "keep", "mask_of", "moved", "name_of", "seen_of"]

How = Literal["mean", "blur"]
Part = Literal["image", "prompt"]
Source = Part | Sequence[int]
"""What is not read: a part of the sequence, or the visual tokens of some cells of the grid, row-major."""
Target = Literal["answer", "prompt", "all"]
"""What does not read it; "all" is every other row, those of the image too."""
Cut = tuple[Source, Target]
CUTS: tuple[tuple[Part, Target], ...] = (("image", "answer"), ("image", "prompt"), ("prompt", "answer"))
"""The cuts between whole parts. Cells can be cut from each target."""
Pixels = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]
Region = Shaped[np.ndarray, "height width"] | Sequence[float] | Sequence[Sequence[float]]

_TRIES = 64  # places that are looked at for each region wanted
_LOOKED_AT = 128  # pixels along the longer side, on which overlaps are estimated

# A Gaussian whose deviation is 1/16 of the longer side leaves colours and no shapes.
_BLUR_SHARE = 1 / 16


def cut_of(cut: Any) -> Cut:
    """A cut (source, target) as it was given, its cells as plain numbers in rising order, each once.

    Raises
    ------
    ValueError
        If it is unknown.
    """
    try:
        source, target = cut
        cells = () if isinstance(source, str) else tuple(sorted({index(cell) for cell in source}))
    except (TypeError, ValueError):  # no pair, or no numbers
        source, target, cells = None, None, ()
    if cells and target in get_args(Target):
        return cells, target
    if (source, target) in CUTS:
        return source, target
    parts, targets = ", ".join(map(str, CUTS)), ", ".join(map(repr, get_args(Target)))
    raise ValueError(f"cut={cut!r} is unknown; accepted, as (source, target): {parts}; ([cell, …], one of {targets}).")


def name_of(source: Source) -> str:
    """What a cut's source is called: "image", "prompt", "cell 3" or "cells 3, 4"."""
    if isinstance(source, str):
        return source
    return f"cell{'s' * (len(source) > 1)} {', '.join(map(str, source))}"


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


def filler(image: Pixels, how: How = "mean") -> Pixels:
    """What hidden pixels become.

    ``mean``: the image's mean colour. ``blur``: a strong Gaussian blur of the whole image.
    """
    if how == "mean":
        return np.broadcast_to(image.mean(axis=(0, 1)).round().astype(np.uint8), image.shape)
    if how == "blur":
        radius = max(image.shape[:2]) * _BLUR_SHARE
        return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    raise ValueError(f"how={how!r} is unknown; choose one of {', '.join(get_args(How))}.")


def hide(image: Pixels, mask: Mask, *, how: How = "mean") -> Pixels:
    """The image with the masked pixels hidden; ``how`` as in `filler`."""
    return np.where(mask[..., None], filler(image, how), image)


def keep(image: Pixels, mask: Mask, *, how: How = "mean") -> Pixels:
    """The image with everything but the masked pixels hidden; options as in `hide`."""
    return hide(image, ~mask, how=how)


def cells_mask(cells: Bool[np.ndarray, "row col"], grid: Grid) -> Mask:
    """The pixels of the original image that some cells cover; one on an edge belongs to the cell that has more of it.

    Pixels outside the grid's box belong to no cell. A cell smaller than a pixel may have none.
    """
    places = []
    for weights in coverage_weights(grid):
        places.append(np.where(weights.any(0), weights.argmax(0), -1))
    rows, cols = places
    return np.asarray(cells[np.ix_(rows, cols)] & np.outer(rows >= 0, cols >= 0))


def frame_of(within: Box, size: tuple[int, int]) -> Mask:
    """The pixels of an image of ``size`` (width, height) that a model sees, all that `Grid.box` touches."""
    return _box(np.asarray(within, float), *size)


def seen_of(mask: Mask, within: Box) -> Mask:
    """What of a mask lies in the part of the image that a model sees, `Grid.box`: processors crop.

    Raises
    ------
    ValueError
        If nothing of it does, or it covers all of that part.
    """
    frame = frame_of(within, mask.shape[::-1])
    seen = mask & frame
    if not seen.any() or (seen == frame).all():
        box = ", ".join(f"{edge:.4g}" for edge in within)
        lies = "outside what" if not seen.any() else "over all that"
        raise ValueError(
            f"The region lies {lies} the model sees: its processor crops the image to ({box}), left, top, right, "
            "bottom. A check needs a part of that."
        )
    return np.asarray(seen)


def moved(mask: Mask, count: int, *, seed: int = 0, within: Box | None = None) -> list[Mask]:
    """Random regions of the same size and shape: the mask mirrored or not, and moved elsewhere.

    The frame is the box ``within``, `Grid.box` of what the model sees, or without it the whole image; of the mask
    counts what lies in it. A move may leave the frame and come in again on the other side, so that each region has
    exactly as many pixels as that. Of many random places (half of them within the frame) those are taken that overlap
    the mask least, in steps of a tenth of its size, and among those first the ones that no edge cuts in two. A mask
    of more than half of the frame cannot but overlap; regions may overlap one another. Where fewer than ``count``
    regions differ from the mask and from each other, as many as there are come back.
    """
    if within is None:
        return _elsewhere(mask, count, np.random.default_rng(seed))
    seen = seen_of(mask, within)
    (top, left), (height, width) = _extent(frame_of(within, mask.shape[::-1]))
    around = ((top, mask.shape[0] - top - height), (left, mask.shape[1] - left - width))
    part = seen[top : top + height, left : left + width]
    return [np.pad(region, around) for region in _elsewhere(part, count, np.random.default_rng(seed))]


def _elsewhere(mask: Mask, count: int, random: np.random.Generator) -> list[Mask]:
    known = {mask.tobytes()}
    found: list[Mask] = []
    for region in _by_overlap(mask, count, random):
        if len(found) == count:
            break
        if (key := region.tobytes()) not in known:
            known.add(key)
            found.append(region)
    return found


def _by_overlap(mask: Mask, count: int, random: np.random.Generator) -> Iterator[Mask]:
    """Mirrored and moved masks, the one that overlaps least first, made when they are asked for."""
    coarse = -(-max(mask.shape) // _LOOKED_AT)
    few = mask[::coarse, ::coarse]
    if not few.any():  # thin: whatever a block of pixels holds of it
        blocks = [np.arange(0, length, coarse) for length in mask.shape]
        few = np.logical_or.reduceat(np.logical_or.reduceat(mask, blocks[0], 0), blocks[1], 1)
    extents = {flips: _extent(_mirrored(mask, *flips)) for flips in product((False, True), repeat=2)}
    places: list[tuple[int, bool, tuple[bool, bool], tuple[int, int]]] = []
    for number in range(_TRIES * count):
        flips = (bool(random.integers(2)), bool(random.integers(2)))
        first, size = extents[flips]
        room = [length - extent + 1 if number % 2 else length for length, extent in zip(mask.shape, size, strict=True)]
        top, left = (int(random.integers(0, most)) for most in room)
        shift = (top - first[0], left - first[1])
        split = top + size[0] > mask.shape[0] or left + size[1] > mask.shape[1]
        there = np.roll(_mirrored(few, *flips), [round(by / coarse) for by in shift], (0, 1))
        overlap = float((few & there).sum()) / max(1.0, float(few.sum()))
        places.append((int(np.ceil(10 * overlap)), split, flips, shift))
    for _, _, flips, shift in sorted(places, key=lambda place: place[:2]):
        yield np.roll(_mirrored(mask, *flips), shift, (0, 1))


def _mirrored(mask: Mask, upside: bool, sideways: bool) -> Mask:  # noqa: FBT001 (a pair)
    return mask[:: -1 if upside else 1, :: -1 if sideways else 1]


def _extent(mask: Mask) -> tuple[tuple[int, int], tuple[int, int]]:
    """The first row and column, and the height and width, of what the mask covers."""
    spans = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    (top, height), (left, width) = ((int(span[0]), int(span[-1] - span[0] + 1)) for span in spans)
    return (top, left), (height, width)
