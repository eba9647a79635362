"""COCO's two ways to write a mask: polygons, and run lengths."""

import numpy as np
from jaxtyping import Bool, Float

__all__ = ["mask_of"]


def mask_of(segmentation: object, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """The pixels of a list of polygons (all of them together), or of uncompressed run lengths.

    Raises
    ------
    ValueError
        If it is neither; the message goes on where "a mask of image 7" ends.
    """
    if isinstance(segmentation, dict):
        return _from_runs(segmentation.get("counts"), segmentation.get("size"), height, width)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("is neither a list of polygons nor run lengths")
    mask = np.zeros((height, width), bool)
    for polygon in segmentation:
        mask |= _from_polygon(_points(polygon), height, width)
    return mask


def _points(polygon: object) -> Float[np.ndarray, "point 2"]:
    try:
        numbers = np.asarray(polygon, float)
    except (TypeError, ValueError):
        numbers = np.zeros(0)
    if numbers.ndim != 1 or numbers.size < 6 or numbers.size % 2 or not np.isfinite(numbers).all():
        raise ValueError("has a polygon that is no list of x, y, x, y, … of at least three points")
    return numbers.reshape(-1, 2)


def _from_polygon(points: Float[np.ndarray, "point 2"], height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Pixels whose centre is inside: along each row, what an odd number of edges lies to the left of."""
    centres = np.arange(height) + 0.5
    edges = np.zeros((height, width + 1), int)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        rows = np.flatnonzero((y0 <= centres) != (y1 <= centres))
        crossings = x0 + (centres[rows] - y0) * (x1 - x0) / (y1 - y0 or 1)
        edges[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)] += 1  # a row is met once by an edge
    return np.asarray(np.cumsum(edges[:, :width], axis=1) % 2 == 1)


def _from_runs(counts: object, size: object, height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """Runs of off, on, off, … down the columns."""
    if isinstance(counts, str | bytes):
        raise ValueError("has compressed run lengths, which are not read; write them as a list of numbers")
    if size != [height, width]:
        raise ValueError(f"has the size {size} of its run lengths; expected [{height}, {width}]")
    runs = counts if isinstance(counts, list) else [-1]
    if any(not isinstance(run, int) or run < 0 for run in runs) or sum(runs) != height * width:
        raise ValueError(f"has run lengths that do not add up to {height}×{width}")
    shown = np.arange(len(runs)) % 2 == 1
    return np.asarray(np.repeat(shown, runs).reshape(width, height).T)
