"""From gradients and weights to maps over the image: equations 5 and 6 of DEX-AR, and the way back to its pixels.

Nothing here is normalised for display: maps are raw, and zero where nothing was read.
"""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from dexar_widgets.types import Grid, HeatMap, Status, TokenLayout, minmax

__all__ = [
    "Upsampling",
    "cell_of",
    "coverage",
    "coverage_weights",
    "layer_maps",
    "on_grid",
    "sequence_values",
    "status_of",
    "upsample",
    "visual_tokens",
]

Upsampling = Literal["bilinear", "nearest"]
"""How a pixel gets its value: from the cells around it, or from the one that holds its centre."""


def visual_tokens(layout: TokenLayout) -> Int[np.ndarray, " visual"]:
    """Positions of all visual tokens, pooled ones included: the order of every per-token map."""
    return np.flatnonzero(layout.is_image)


def layer_maps(
    gradients: Float32[np.ndarray, "layer head visual"],
    weights: Float[np.ndarray, "layer head"],
    *,
    relu: bool = True,
) -> Float[np.ndarray, "layer visual"]:
    """Σ_h δ·G⁺ per layer; its sum over layers is the token map of equation 5. ``relu=False`` sums δ·G."""
    heads = np.maximum(gradients, 0) if relu else gradients
    return np.asarray((weights[:, None, :] @ heads.astype(float))[:, 0])


def sequence_values(
    maps: Float[np.ndarray, "step visual"],
    weights: Float[np.ndarray, " step"],
    cells: Bool[np.ndarray, " visual"],
    *,
    per_token: bool,
) -> Float[np.ndarray, " visual"]:
    """Σ_t ω·E[t], before the last min–max of equation 6.

    With ``per_token`` (the paper's way) each E[t] is min–maxed first, over the cells of all images
    together, so that images keep their proportion. Tokens without a cell get 0.
    """
    total = np.zeros(maps.shape[1])
    for values, weight in zip(maps, weights, strict=True):
        total[cells] += weight * (minmax(values[cells]) if per_token and cells.any() else values[cells])
    return total


def on_grid(
    values: Float[np.ndarray, " visual"], layout: TokenLayout, image: int = 0
) -> Float32[np.ndarray, "row col"]:
    """Put one value per visual token onto the grid of one image, row-major; pooled tokens have no cell."""
    if not 0 <= image < len(layout.grids):
        raise ValueError(f"image={image!r} is unknown; the example has {len(layout.grids)} image(s), counted from 0.")
    grid = layout.grids[image]
    places = np.searchsorted(visual_tokens(layout), layout.tokens_of(image))
    return values[places].reshape(grid.rows, grid.cols).astype(np.float32)


def status_of(values: Float32[np.ndarray, "row col"], *, weighted: bool) -> Status:
    """``silenced`` when every weight was zero, ``constant`` when no cell stands out."""
    if not weighted:
        return "silenced"
    return "ok" if values.max() > values.min() else "constant"


def _place(cells: int, pixels: int, start: float, end: float) -> Float[np.ndarray, " pixel"]:
    """Where each pixel's centre lies among the centres of cells, along one axis; beyond the outermost, at those."""
    return np.asarray(np.clip((np.arange(pixels) + 0.5 - start) / (end - start) * cells - 0.5, 0, cells - 1))


def _holding(cells: int, pixels: int, start: float, end: float) -> Int[np.ndarray, " pixel"]:
    """The cell that holds each pixel's centre, or is the nearest, along one axis; on an edge, the one behind it."""
    return np.asarray(np.floor(_place(cells, pixels, start, end) + 0.5), int)


def _interpolation(
    cells: int, pixels: int, start: float, end: float, how: Upsampling
) -> Float[np.ndarray, "pixel cell"]:
    """Weights of each cell in each pixel along one axis; a pixel outside [start, end) has none."""
    centre = np.arange(pixels) + 0.5
    place = (_holding if how == "nearest" else _place)(cells, pixels, start, end)
    low = np.floor(place).astype(int)
    weights = np.zeros((pixels, cells))
    weights[np.arange(pixels), low] = 1 - (place - low)
    weights[np.arange(pixels), np.minimum(low + 1, cells - 1)] += place - low
    weights[(centre < start) | (centre >= end)] = 0
    return weights


def upsample(heatmap: HeatMap, how: Upsampling = "bilinear") -> HeatMap:
    """The same map per pixel of the original image; 0 outside the grid's box, and as it is if it is one of pixels.

    The box says which part of the image the grid covers. ``bilinear``: between cell centres, and beyond the outermost
    their values are held. ``nearest``: every pixel has the value of the cell that holds its centre.

    Raises
    ------
    ValueError
        For another ``how``.
    """
    if how not in get_args(Upsampling):
        raise ValueError(f"how is {how!r}; expected one of {', '.join(get_args(Upsampling))}.")
    grid = heatmap.grid
    (width, height), (left, top, right, bottom) = grid.image_size, grid.box
    if heatmap.values.shape != (grid.rows, grid.cols):
        return heatmap
    rows = _interpolation(grid.rows, height, top, bottom, how)
    cols = _interpolation(grid.cols, width, left, right, how)
    return replace(heatmap, values=(rows @ heatmap.values.astype(float) @ cols.T).astype(np.float32))


def cell_of(grid: Grid) -> Int[np.ndarray, "height width"]:
    """The cell, row-major, that each pixel of the original image belongs to: the one that holds its centre.

    Pixels outside the grid's box have the nearest cell. One smaller than a pixel may have none.
    """
    (width, height), (left, top, right, bottom) = grid.image_size, grid.box
    rows, cols = _holding(grid.rows, height, top, bottom), _holding(grid.cols, width, left, right)
    return np.asarray(rows[:, None] * grid.cols + cols)


def coverage_weights(grid: Grid) -> tuple[Float[np.ndarray, "row height"], Float[np.ndarray, "col width"]]:
    """The share of each cell's extent that each pixel row, and each pixel column, makes up.

    ``rows @ mask @ cols.T`` is the share of every cell that a mask covers.
    """
    width, height = grid.image_size
    left, top, right, bottom = grid.box

    def along(cells: int, pixels: int, start: float, end: float) -> Float[np.ndarray, "cell pixel"]:
        edges = np.linspace(start, end, cells + 1)
        pixel = np.arange(pixels)
        overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
        return np.asarray(np.maximum(overlap, 0) / np.diff(edges)[:, None])

    return along(grid.rows, height, top, bottom), along(grid.cols, width, left, right)


def coverage(mask: Bool[np.ndarray, "height width"], grid: Grid) -> Float[np.ndarray, "row col"]:
    """The share of each cell that a mask over the original image covers."""
    rows, cols = coverage_weights(grid)
    return np.asarray(rows @ mask.astype(float) @ cols.T)
