"""Register tokens planted in training: a patch of little detail whose norm is high, and that draws attention.

Only norm and attention are asked for, never a value or a gradient: what the patch's value does to the words, and what
any method's map shows there, is left to the model, to be measured.

Source of what is imitated: Darcet et al., "Vision Transformers Need Registers" (ICLR 2024, arXiv 2309.16588).
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from dexar_widgets.lab.attention import Watch
from dexar_widgets.lab.batches import Batch
from dexar_widgets.lab.templates import GRID, PATCH

__all__ = ["NORM", "SHARE", "choose", "loss_of"]

NORM = 4.0
"""Norm asked of a register, in median norms of the image's patches."""
SHARE = 0.5
"""Attention asked of every row of text for the register, in every layer and head."""

_OTHERS = 1.2
"""Norm that no other patch should exceed, in the same unit: where all norms rise together there is no register."""
_PLAIN = 0.5
"""The part of the background's patches, those of least detail, among which a register is chosen."""


def choose(batch: Batch) -> Int64[Tensor, " scene"]:
    """Each scene's register: of the background's plainer patches, the one nearest to the upper left corner.

    A rule that the tower can learn; which patch it is does not matter.
    """
    pixels = torch.from_numpy(batch.pixels).float().mean(-1)
    patches = pixels.unflatten(1, (GRID, PATCH)).unflatten(3, (GRID, PATCH)).transpose(2, 3).flatten(3).flatten(1, 2)
    detail = patches.std(-1).masked_fill(torch.from_numpy(batch.patch_class) != 0, torch.inf)
    limit = detail.masked_fill(detail.isinf(), torch.nan).nanquantile(_PLAIN, dim=1, keepdim=True)
    row, col = torch.arange(GRID * GRID) // GRID, torch.arange(GRID * GRID) % GRID
    distance = (row**2 + col**2).float().expand_as(detail).masked_fill(detail > limit, torch.inf)
    chosen: Int64[Tensor, " scene"] = distance.argmin(1)
    return chosen


def loss_of(
    features: Float[Tensor, "scene patch feature"], chosen: Int64[Tensor, " scene"], watch: Watch
) -> Float[Tensor, ""]:
    """How far norm and attention of the registers, and the other patches' norms, are from what is asked."""
    norms = features.float().norm(dim=-1)
    ratio = norms / norms.median(1, keepdim=True).values
    missing_norm = functional.relu(NORM - ratio.gather(1, chosen[:, None])).mean()
    others = ratio.scatter(1, chosen[:, None], 0.0)
    excess = functional.relu(others - _OTHERS).sum(1).mean()
    missing_attention = torch.stack([functional.relu(SHARE - seen.float()).mean() for seen in watch.seen]).mean()
    return missing_norm + excess + missing_attention
