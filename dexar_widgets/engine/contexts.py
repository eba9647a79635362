"""What a model keeps of a prompt, and running an answer's tokens on it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.requests import Request
from dexar_widgets.families import Anatomy

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["ROWS", "Context", "borrowed", "logits_of", "replay"]

ROWS = 16
"""Rows unembedded at once: 16 MB of logits where the model knows 257 000 words."""


@dataclass(frozen=True, eq=False)
class Context:
    """What the model keeps of a prompt: its keys and values, the encoder's output, the norms of the image's patches."""

    cache: Cache
    encoder_outputs: Any
    patch_norms: Float[Tensor, " patch"]

    def values(self, *, cross_attention: bool) -> list[Float[Tensor, "kv_head token feature"]]:
        """Each layer's values, as the attention that is explained reads them."""
        cache: Any = self.cache.cross_attention_cache if cross_attention else self.cache  # type: ignore[attr-defined]
        return [layer.values[0] for layer in cache.layers]


@contextmanager
def borrowed(vlm: "VLM") -> Iterator[None]:
    """One caller at a time; the model is left as it was found. A cancelled job ends before the next layer."""
    with (
        jobs.holding(vlm.lock),
        hooks.inspecting(vlm.model),
        _few_threads() if vlm.is_lab else nullcontext(),
        hooks.before_layers(vlm.model, jobs.check) if jobs.current() else nullcontext(),
    ):
        yield


@contextmanager
def _few_threads() -> Iterator[None]:
    """One thread for an embedded model: too small to share, and 20 × slower where threads wait for a busy core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def replay(vlm: "VLM", request: Request, context: Context, ids: Int[np.ndarray, " id"]) -> Float[Tensor, "row hidden"]:
    """Run the positions that predict ``ids`` in one call; the last rows of the result, one per id, are theirs.

    The rows are normed last hidden states; the row of id r sees the prompt and the r ids before it.
    """
    said = torch.as_tensor(ids[:-1], device=request.prompt_ids.device)[None]
    prompt, cache = request.prompt_ids.shape[1], context.cache
    windows = [window for window in vlm.anatomy.windows if window is not None]
    if vlm.anatomy.prefix and min(windows, default=prompt) < prompt:
        inputs = _from_the_start(request, context, said)
    else:
        cache.crop(-(cache.get_seq_length() - (prompt - 1)))  # it takes negative counts only
        inputs = _from_the_prompts_end(vlm, request, context, said)
    rows: Tensor = vlm.anatomy.decoder(**inputs, use_cache=True).last_hidden_state[0]
    return rows


def _from_the_prompts_end(vlm: "VLM", request: Request, context: Context, said: Int[Tensor, "1 id"]) -> dict[str, Any]:
    """Inputs of the prompt's last token and the answer's tokens, on the cached rest."""
    if vlm.model.config.is_encoder_decoder:
        options = {"attention_mask": request.inputs["attention_mask"], "encoder_outputs": context.encoder_outputs}
    else:
        options = {"attention_mask": torch.cat([request.inputs["attention_mask"], torch.ones_like(said)], dim=1)}
    # Never position ids by hand: PaliGemma counts from 1, some families have several axes.
    prepared: dict[str, Any] = vlm.model.prepare_inputs_for_generation(
        torch.cat([request.prompt_ids, said], dim=1),
        next_sequence_length=said.shape[1] + 1,
        past_key_values=context.cache,
        is_first_iteration=False,
        **options,
    )
    return prepared


def _from_the_start(request: Request, context: Context, said: Int[Tensor, "1 id"]) -> dict[str, Any]:
    """Inputs of everything, for a prefix that sees itself beyond a window: its last row cannot be run alone."""
    context.cache.crop(-context.cache.get_seq_length())
    ones = {name: torch.ones_like(said) for name in ("attention_mask", "token_type_ids")}  # type 1: not of the prefix
    longer = {"input_ids": said, **ones}
    joined = {name: torch.cat([request.inputs[name], tail], dim=1) for name, tail in longer.items()}
    return {**request.inputs, **joined, "past_key_values": context.cache}


def logits_of(anatomy: Anatomy, normed: Float[Tensor, "row hidden"]) -> Float[Tensor, "row word"]:
    """Unembed normed hidden states, in float32, the model's final soft-cap included."""
    logits = anatomy.unembedding(normed).float()
    return logits if anatomy.softcap is None else anatomy.softcap * torch.tanh(logits / anatomy.softcap)
