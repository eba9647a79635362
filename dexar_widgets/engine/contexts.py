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
from dexar_widgets.engine.meter import count
from dexar_widgets.engine.requests import Request

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Context", "borrowed", "replay", "whole"]


@dataclass(frozen=True, eq=False)
class Context:
    """What the model keeps of a prompt, so that no later pass reads the image again.

    ``embeddings`` is what its `Anatomy.reader` read, ``states`` are the normed last hidden states of the prompt (of
    the encoder, where there is one), ``patch_norms`` the norms of the image's features.
    """

    cache: Cache
    encoder_outputs: Any
    embeddings: Float[Tensor, "1 token feature"]
    states: Float[Tensor, "token hidden"]
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
        # A prefix that sees itself beyond a window: its last row cannot be run alone, so all run on an empty cache.
        cache.layers.clear()
        inputs = whole(vlm, request, ids, embeddings=context.embeddings) | {"past_key_values": cache}
    else:
        cache.crop(-(cache.get_seq_length() - (prompt - 1)))  # it takes negative counts only
        inputs = _from_the_prompts_end(vlm, request, context, said)
    count(forwards=1)
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


def whole(
    vlm: "VLM",
    request: Request,
    ids: Int[np.ndarray, " id"],
    *,
    embeddings: Float[Tensor, "image token feature"] | None = None,
    pixels: Float[Tensor, "image 3 height width"] | None = None,
) -> dict[str, Any]:
    """Inputs of prompt and answer in one pass without a cache: of ``pixels``, or of what was read of the image before.

    As many at once as there are images in either; the rows that predict ``ids`` are the last of the result.
    """
    said = torch.as_tensor(ids[:-1], device=request.prompt_ids.device)[None]
    encoder_decoder = vlm.model.config.is_encoder_decoder
    ones = {name: torch.ones_like(said) for name in ("attention_mask", "token_type_ids")}  # type 1: not of the prefix
    inputs: dict[str, Any] = {name: value for name, value in request.inputs.items() if name != "pixel_values"}
    if encoder_decoder:
        inputs["decoder_input_ids"] = torch.cat([request.prompt_ids, said], dim=1)
    else:
        tails = {"input_ids": said, **ones}
        inputs |= {name: torch.cat([inputs[name], tail], dim=1) for name, tail in tails.items() if name in inputs}
    source = embeddings if pixels is None else pixels
    assert source is not None, "either pixels or embeddings"
    inputs = {name: value.expand(len(source), *value.shape[1:]) for name, value in inputs.items()}
    if pixels is not None:
        return inputs | {"pixel_values": pixels}
    del inputs["input_ids"]
    if not encoder_decoder:
        words = vlm.model.get_input_embeddings()(said).expand(len(source), -1, -1)
        source = torch.cat([source, words.to(source)], dim=1)
    return inputs | {"inputs_embeds": source}
