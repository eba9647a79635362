"""Control: smooth noise, another one for each image and step. What a method must beat to say anything."""

import hashlib
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import at_least, whole_number

TITLE = "Random"
UNIT = "nothing: uniform noise in 0–1, smoothed"
CONTROL = True
NEEDS: frozenset[Need] = frozenset()
SMALLER = "nothing: it needs no memory"


@dataclass(frozen=True, kw_only=True)
class Options:
    """``seed``, and ``smooth``, the deviation of the Gaussian in cells (0: each cell by itself)."""

    seed: int = 0
    smooth: float = 1.0

    def __post_init__(self) -> None:
        whole_number("seed", self.seed, 0)
        at_least("smooth", self.smooth, 0)


def attribute(subject: Subject, options: Options) -> Maps:
    """Drawn by the seed, the step and the pixels that the model reads; what it makes of them does not matter."""
    grid, image = subject.layout.grids[0], _digest(subject.request.inputs["pixel_values"])
    drawn = [np.random.default_rng([options.seed, step, image]) for step in subject.steps]
    noise = [random.random((grid.rows, grid.cols)) for random in drawn]
    return Maps(subject.on_tokens(np.stack([_smoothed(one, options.smooth) for one in noise])))


def _digest(pixels: Tensor) -> int:
    return int.from_bytes(hashlib.blake2b(pixels.float().cpu().numpy().tobytes(), digest_size=8).digest(), "little")


def _smoothed(cells: Float[np.ndarray, "row col"], deviation: float) -> Float[np.ndarray, "row col"]:
    rows, cols = (_blur(size, deviation) for size in cells.shape)
    return np.asarray(rows @ cells @ cols.T)


def _blur(size: int, deviation: float) -> Float[np.ndarray, "to from"]:
    """Gaussian weights of each cell in each; at the border those that are left count for more."""
    if deviation == 0:
        return np.eye(size)
    apart = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-(apart**2) / (2 * deviation**2))
    return np.asarray(weights / weights.sum(1, keepdims=True))
