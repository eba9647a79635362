"""Attention as two batched matrix products: on a CPU it trains twice as fast as the fused kernels at this size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

__all__ = ["Watch", "batched_attention"]

_NAME = "lab_batched"


@dataclass
class Watch:
    """Collects how much attention each row pays to some columns: one entry of ``seen`` per layer.

    Rows of a shared prefix are left out.
    """

    columns: Int64[Tensor, "batch column"]
    seen: list[Float[Tensor, "batch head query"]] = field(default_factory=list)

    def note(self, rows: Float[Tensor, "batch head query key"]) -> None:
        """Add up the watched columns of one layer's attention."""
        batch, heads, length, _ = rows.shape
        where = self.columns[:, None, None].expand(batch, heads, length, -1)
        self.seen.append(rows.gather(-1, where).sum(-1))


def _rows(
    query: Float[Tensor, "batch head query width"],
    key: Float[Tensor, "batch head key width"],
    value: Float[Tensor, "batch head key width"],
    mask: Float[Tensor, "batch 1 query key"] | None,
    watch: Watch | None = None,
) -> Float[Tensor, "batch head query width"]:
    batch, heads, length, width = query.shape
    flat = (batch * heads, -1, width)
    scores = torch.bmm(query.reshape(flat), key.reshape(flat).transpose(1, 2))
    if mask is not None:
        scores = (scores.view(batch, heads, length, -1) + mask).view(batch * heads, length, -1)
    rows = torch.softmax(scores, -1)
    if watch is not None:
        watch.note(rows.view(batch, heads, length, -1))
    return torch.bmm(rows, value.reshape(flat)).view(batch, heads, length, width)


def _attend(
    module: nn.Module,  # noqa: ARG001 (the library's signature)
    query: Float[Tensor, "batch head query width"],
    key: Float[Tensor, "batch group key width"],
    value: Float[Tensor, "batch group key width"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,  # noqa: ARG001
    shared_prefix: int = 0,
    watch: Watch | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "batch query head width"], None]:
    groups = query.shape[1] // key.shape[1]
    if groups > 1:  # each key and value head serves a group of query heads
        key, value = (heads.repeat_interleave(groups, 1) for heads in (key, value))
    query = query * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    with torch.autocast(query.device.type, enabled=False):  # softmax in the type of the scores: half the traffic
        query, key, value = (part.to(value.dtype) for part in (query, key, value))
        if attention_mask is None or not shared_prefix:
            mixed = _rows(query, key, value, attention_mask, watch)
        else:  # rows of the prefix see no further than the prefix
            first, n = attention_mask, shared_prefix
            parts = (
                _rows(query[:, :, :n], key[:, :, :n], value[:, :, :n], first[:, :, :n, :n]),
                _rows(query[:, :, n:], key, value, first[:, :, n:], watch),
            )
            mixed = torch.cat(parts, 2)
    return mixed.transpose(1, 2).contiguous(), None


@contextmanager
def batched_attention(model: PreTrainedModel) -> Iterator[None]:
    """Let every attention of the model use batched products, and undo it."""
    configs = [module.config for module in model.modules() if isinstance(module, PreTrainedModel)]
    before = [config._attn_implementation for config in configs]
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
    try:
        for config in configs:
            config._attn_implementation = _NAME
        yield
    finally:
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation = name
