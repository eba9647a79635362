"""What one pass over the predicting rows gives without any gradient: their attention, their last hidden states."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.answers import Answer
from dexar_widgets.engine.contexts import borrowed, replay
from dexar_widgets.engine.masks import visible_by_layer
from dexar_widgets.engine.readings import AttentionRows
from dexar_widgets.engine.requests import Request
from dexar_widgets.engine.unembedding import Targets

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["final_states", "logits_at", "read_attention", "shows_attention"]


def shows_attention(vlm: "VLM") -> bool:
    """Whether attention can be read at all: flash attention shows no queries."""
    modules: list[Any] = [module for _, module, _ in vlm.anatomy.sublayers()]
    return not any("flash" in str(module.config._attn_implementation) for module in modules)


def read_attention(
    vlm: "VLM", request: Request, answer: Answer, *, steps: Sequence[int]
) -> Float32[np.ndarray, "step layer head token"]:
    """The attention probabilities of the rows that predict the explained steps, and nothing else."""
    jobs.progress(0, 1, "reading the attention rows")
    positions = answer.generation.positions[list(steps)]
    ids = answer.generation.ids[: positions[-1] + 1]
    kept = AttentionRows(positions - len(ids))
    with borrowed(vlm), hooks.attention_calls(vlm.anatomy.attentions, kept.keep):
        replay(vlm, request, answer.context, ids)
    rows = request.prompt_ids.shape[1] - 1 + positions
    tokens = len(request.layout) if vlm.anatomy.cross_attention else request.prompt_ids.shape[1] + len(ids) - 1
    return kept.probabilities(visible_by_layer(vlm.anatomy, request, rows, tokens))


def final_states(vlm: "VLM", request: Request, answer: Answer, *, steps: Sequence[int]) -> Float[Tensor, "step hidden"]:
    """The normed last hidden states of the rows that predict the steps."""
    jobs.progress(0, 1, "reading the last hidden states")
    positions = answer.generation.positions[list(steps)]
    ids = answer.generation.ids[: positions[-1] + 1]
    with borrowed(vlm):
        return replay(vlm, request, answer.context, ids)[positions - len(ids)]


def logits_at(
    vlm: "VLM", states: Float[Tensor, "state hidden"], ids: Int[np.ndarray, " id"]
) -> Float32[np.ndarray, "state id"]:
    """The logits of some words at some normed hidden states, the final soft-cap included."""
    with borrowed(vlm):
        words = Targets(vlm.anatomy, torch.as_tensor(ids, device=vlm.device), vlm.model.dtype)
        logits = states.float() @ words.directions.to(states.device).T + words.offsets.to(states.device)
        return words.capped(logits).cpu().numpy()
