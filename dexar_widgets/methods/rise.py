"""RISE: hide random parts of the image, and average the masks by how probable each token stays.

Masks are coarse random grids, enlarged bilinearly and shifted; hidden pixels become the processor's mean colour. One
masked pass scores every token of the answer. A map is Σ score·mask ÷ Σ mask per pixel, averaged over each cell: the
mean score of the masks that show it.

Source: Petsiuk, Das, Saenko (BMVC 2018). Differs: it divides by each pixel's own mask mass where the source divides
by p·N, which overrates pixels that chance showed more often.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import interpolate

from dexar_widgets import engine
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import between, one_of, whole_number
from dexar_widgets.methods._pixels import summed_in_cells

TITLE = "RISE"
UNIT = "mean probability of the token while the cell is shown"
CONTROL = False
NEEDS: frozenset[Need] = frozenset()
SMALLER = "lower batch_size"

Score = Literal["probability", "log_probability"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """``n_masks`` masks of ``cells`` × ``cells`` squares, each shown with probability ``shown``, drawn by ``seed``.

    ``batch_size``: masks in one pass.
    """

    n_masks: int = 200
    cells: int = 7
    shown: float = 0.5
    score: Score = "probability"
    seed: int = 0
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name, least in (("n_masks", 1), ("cells", 1), ("seed", 0), ("batch_size", 1)):
            whole_number(name, getattr(self, name), least)
        between("shown", self.shown, 0, 1)
        one_of("score", self.score, get_args(Score))


def attribute(subject: Subject, options: Options) -> Maps:
    """``n_masks`` passes, whatever the answer's length."""
    pixels = subject.request.inputs["pixel_values"]
    height, width = pixels.shape[-2:]

    def masked(numbers: Sequence[int]) -> Float[Tensor, "mask 3 height width"]:
        shown = torch.as_tensor(masks(numbers, height, width, options), device=pixels.device)
        return (shown[:, None] * pixels.float()).to(pixels.dtype)

    scores = engine.score_variants(
        subject.vlm,
        subject.request,
        subject.answer,
        masked,
        options.n_masks,
        steps=subject.steps,
        batch_size=options.batch_size,
    ).astype(float)
    if options.score == "probability":
        scores = np.exp(scores)
    total, mass = np.zeros((scores.shape[1], height, width)), np.zeros((height, width))
    for first in range(0, options.n_masks, options.batch_size):
        some = range(first, min(first + options.batch_size, options.n_masks))
        drawn = masks(some, height, width, options)
        total += np.tensordot(scores[first : some.stop].T, drawn, 1)
        mass += drawn.sum(0)
    means = total / np.maximum(mass, 1e-12)  # a pixel that no mask shows says nothing: 0
    grid = subject.layout.grids[0]
    pixels_each = (height // grid.rows) * (width // grid.cols)
    return Maps(subject.on_tokens(summed_in_cells(means, grid) / pixels_each))


def masks(
    numbers: Sequence[int], height: int, width: int, options: Options
) -> Float32[np.ndarray, "mask height width"]:
    """The masks of some numbers; each depends on its number and the seed alone."""
    tall, wide = -(-height // options.cells), -(-width // options.cells)  # of one square, in pixels
    drawn = np.empty((len(numbers), height, width), np.float32)
    for place, number in enumerate(numbers):
        random = np.random.default_rng([options.seed, number])
        squares = torch.as_tensor(random.random((1, 1, options.cells, options.cells)) < options.shown).float()
        size = ((options.cells + 1) * tall, (options.cells + 1) * wide)
        large = interpolate(squares, size, mode="bilinear", align_corners=False)[0, 0].numpy()
        top, left = random.integers(0, tall), random.integers(0, wide)
        drawn[place] = large[top : top + height, left : left + width]
    return drawn
