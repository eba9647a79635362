"""Between the processor's pixels and the grid of visual tokens, and variants of the pixels on a straight path."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dexar_widgets.types import Grid

__all__ = ["blended", "summed_in_cells"]


def summed_in_cells(values: Float[np.ndarray, "map height width"], grid: Grid) -> Float[np.ndarray, "map row col"]:
    """Sums over each cell's pixels; a rest at the right and the bottom that fills no cell is not seen by the model."""
    count, height, width = values.shape
    tall, wide = height // grid.rows, width // grid.cols
    seen = values[:, : tall * grid.rows, : wide * grid.cols].astype(float)
    return np.asarray(seen.reshape(count, grid.rows, tall, grid.cols, wide).sum((2, 4)))


def blended(
    pixels: Float[Tensor, "1 3 height width"], shares: Sequence[float] | Float[np.ndarray, " variant"]
) -> Float[Tensor, "variant 3 height width"]:
    """α·x for each share α: from the baseline 0, which is the processor's mean colour, to the image."""
    alphas: Float32[Tensor, " variant"] = torch.as_tensor(np.asarray(shares, np.float32), device=pixels.device)
    return (alphas[:, None, None, None] * pixels.float()).to(pixels.dtype)
