"""From normed hidden states to logits, of every word or of chosen ones."""

from typing import Any

import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor, nn

from dexar_widgets.families import Anatomy

__all__ = ["ROWS", "Targets", "logits_of"]

ROWS = 16
"""Rows unembedded at once: 16 MB of logits where the model knows 257 000 words."""


def logits_of(anatomy: Anatomy, normed: Float[Tensor, "... hidden"]) -> Float[Tensor, "... word"]:
    """Unembed normed hidden states, in float32, the model's final soft-cap included."""
    logits = anatomy.unembedding(normed).float()
    return logits if anatomy.softcap is None else anatomy.softcap * torch.tanh(logits / anatomy.softcap)


class Targets:
    """The unembedding's rows of some words: their logits without those of all others."""

    def __init__(self, anatomy: Anatomy, ids: Int[Tensor, " step"], dtype: torch.dtype) -> None:
        self.softcap = anatomy.softcap
        self.directions, self.offsets = _unembedding_rows(anatomy.unembedding, ids, dtype)

    def logits(self, normed: Float[Tensor, "... step hidden"]) -> Float32[Tensor, "... step"]:
        """The logit of each word at its own row, in float32, the final soft-cap included."""
        logits = (normed.float() * self.directions.to(normed.device)).sum(-1) + self.offsets.to(normed.device)
        return self.capped(logits)

    def capped(self, logits: Float32[Tensor, "..."]) -> Float32[Tensor, "..."]:
        """Logits after the final soft-cap, if the model has one."""
        return logits if self.softcap is None else self.softcap * torch.tanh(logits / self.softcap)


def _unembedding_rows(
    unembedding: nn.Module, ids: Int[Tensor, " step"], dtype: torch.dtype
) -> tuple[Float32[Tensor, "step hidden"], Float32[Tensor, " step"]]:
    """The unembedding's row and bias of each id: read off, or from its gradient where it is quantised or offloaded."""
    weight: Any = unembedding.weight
    if type(weight) is nn.Parameter and weight.is_floating_point() and not weight.is_meta:
        at = ids.to(weight.device)
        bias: Any = getattr(unembedding, "bias", None)
        return weight[at].detach().float(), torch.zeros(len(ids)) if bias is None else bias[at].detach().float()
    width: Any = unembedding.in_features
    probe = torch.zeros(len(ids), width, dtype=dtype, device=ids.device, requires_grad=True)
    with torch.enable_grad():
        logits = unembedding(probe).gather(-1, ids[:, None])[:, 0]
        (rows,) = torch.autograd.grad(logits, probe, torch.ones_like(logits))
    return rows.float(), logits.detach().float()
