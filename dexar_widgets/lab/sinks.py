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

_PLAIN = 0.5
"""The part of the background's patches, those of least detail, among which a register is chosen."""


def choose(features: Float[Tensor, "scene patch feature"], batch: Batch) -> Int64[Tensor, " scene"]:
    """Each scene's register: of the background's plainer patches, the one whose norm is already the highest."""
    pixels = torch.from_numpy(batch.pixels).float().mean(-1)
    patches = pixels.unflatten(1, (GRID, PATCH)).unflatten(3, (GRID, PATCH)).transpose(2, 3).flatten(3).flatten(1, 2)
    detail = patches.std(-1).masked_fill(torch.from_numpy(batch.patch_class) != 0, torch.inf)
    limit = detail.masked_fill(detail.isinf(), torch.nan).nanquantile(_PLAIN, dim=1, keepdim=True)
    norms = features.detach().float().norm(dim=-1).masked_fill(detail > limit, -1.0)
    chosen: Int64[Tensor, " scene"] = norms.argmax(1)
    return chosen


def loss_of(
    features: Float[Tensor, "scene patch feature"], chosen: Int64[Tensor, " scene"], watch: Watch
) -> Float[Tensor, ""]:
    """How far norm and attention of the registers are from what is asked."""
    norms = features.float().norm(dim=-1)
    usual = norms.detach().median(1).values
    missing_norm = functional.relu(NORM - norms.gather(1, chosen[:, None])[:, 0] / usual).mean()
    missing_attention = torch.stack([functional.relu(SHARE - seen.float()).mean() for seen in watch.seen]).mean()
    return missing_norm + missing_attention
