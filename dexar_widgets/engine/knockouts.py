"""Attention knock-out: some rows may not attend to some columns, in some layers, and the answer is scored again.

Source: Geva et al., "Dissecting recall of factual associations in auto-regressive language models" (EMNLP 2023,
arXiv 2304.14767), section 5: the mask gets −inf there, and the softmax shares the attention out among what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_outputs import BaseModelOutput

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.answers import Answer
from dexar_widgets.engine.contexts import Context, borrowed, whole
from dexar_widgets.engine.masks import not_padding, visible
from dexar_widgets.engine.meter import count
from dexar_widgets.engine.requests import Request
from dexar_widgets.engine.unembedding import ROWS, logits_of
from dexar_widgets.families import Anatomy
from dexar_widgets.perturb import CUTS, Cut

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["cuttable_layers", "score_cuts"]


def cuttable_layers(vlm: "VLM", cut: Cut) -> int:
    """The number of layers in which a cut can be made: those of the attention that `score_cuts` cuts.

    Raises
    ------
    ValueError
        If the cut is unknown, or the model's attention takes no mask.
    """
    return len(_attentions(vlm.anatomy, cut))


def _attentions(anatomy: Anatomy, cut: Cut) -> tuple[nn.Module, ...]:
    if cut not in CUTS:
        known = ", ".join(map(str, CUTS))
        raise ValueError(f"cut={cut!r} is unknown; accepted, as (source, target): {known}.")
    found = anatomy.attentions
    if anatomy.cross_attention and cut[1] == "prompt":
        if anatomy.encoder is None:
            raise ValueError("The family's anatomy names no encoder=, in which the prompt reads the image.")
        found = anatomy.encoder.attentions
    modules: list[Any] = list(found)
    if any("flash" in str(module.config._attn_implementation) for module in modules):
        raise ValueError('Flash attention takes no such mask; load the model with attn_implementation="sdpa".')
    return found


def score_cuts(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    *,
    cut: Cut,
    layers: Bool[np.ndarray, "variant layer"],
    steps: Sequence[int],
    batch_size: int,
) -> Float32[np.ndarray, "variant step"]:
    """The natural log-probability of each explained token with the cut made in some layers.

    Parts of the sequence: ``answer`` are the rows that predict its tokens, from the prompt's last position on;
    ``prompt`` is all other text before them, the template's included. As rows that also means special tokens, through
    which the image could be relayed; as columns it does not, for heads rest on those when they read nothing, and
    without them a model breaks rather than a path. A row never loses its own column.

    What is cut: the decoder's self-attention. Where the image is read through cross-attention, image or prompt to
    answer cuts that, and image to prompt the encoder's self-attention.

    What no cut changes is run once and shared: the prompt up to the first row that loses something, or the encoder.
    (Not where the prompt's positions see one another both ways: there the last one changes all.)

    Parameters
    ----------
    layers
        Where each variant is cut (see `cuttable_layers`); False everywhere is the model as it is.
    steps
        The explained steps.
    batch_size
        Variants in one pass. The numbers of the same variant in another batch differ in their last digits.

    Raises
    ------
    ValueError
        If there is nothing to cut, or the model's attention takes no mask.
    """
    attentions = _attentions(vlm.anatomy, cut)
    positions = answer.generation.positions[list(steps)]
    ids = answer.generation.ids[: positions[-1] + 1]
    plan = _planned(vlm.anatomy, request, cut, len(ids), len(attentions))
    found = np.empty((len(layers), len(steps)), np.float32)
    for first in range(0, len(layers), batch_size):
        jobs.progress(first, len(layers), f"cutting {cut[0]} from {cut[1]}: {first + 1} of {len(layers)}")
        some = layers[first : first + batch_size]
        with borrowed(vlm), hooks.inputs(attentions, _Masks(plan, some)):
            normed = _run(vlm, request, answer.context, ids, plan.start, cut, len(some))[:, positions - len(ids)]
            targets = torch.as_tensor(answer.generation.ids[positions], device=normed.device)
            found[first : first + len(some)] = _log_probs(vlm.anatomy, normed, targets)
    return found


@dataclass(frozen=True)
class _Plan:
    """Which keys the rows that are run see in each layer, and which of them the cut takes; ``start`` is the first."""

    seen: Sequence[Bool[np.ndarray, "row token"]]
    cut: Bool[np.ndarray, "row token"]
    start: int


def _planned(anatomy: Anatomy, request: Request, cut: Cut, said: int, depth: int) -> _Plan:
    """``said``: ids that are predicted, so that prompt + said − 1 positions are run."""
    prompt = request.prompt_ids.shape[1]
    source, target = cut
    image = request.layout.is_image
    special = np.array([kind == "special" for kind in request.layout.kinds], bool)
    if anatomy.cross_attention:
        columns = image if source == "image" else ~image & ~special
        rows = np.ones(said, bool) if target == "answer" else ~image
        taken = rows[:, None] & columns
        seen = [np.broadcast_to(not_padding(request, len(columns)), taken.shape)] * depth
        if target == "prompt":
            np.fill_diagonal(taken, val=False)
    else:
        tokens = prompt + said - 1
        at = np.arange(tokens)
        image, special = (np.pad(part, (0, said - 1)) for part in (image, special))
        asked = at < prompt - 1
        columns = image if source == "image" else asked & ~image & ~special
        rows = ~asked if target == "answer" else asked & ~image
        taken = rows[:, None] & columns & (at[:, None] != at)
        known = {window: _self_seen(anatomy, request, window, tokens) for window in anatomy.windows or (None,)}
        seen = [known[window] for window in anatomy.windows or (None,) * depth]
    lost = np.any([taken & layer for layer in seen], axis=(0, 2))
    if not lost.any():
        raise ValueError(f"cut={cut!r} cuts nothing: no row of the {target} sees anything of the {source}.")
    shares = not anatomy.cross_attention and not anatomy.prefix
    start = min(int(lost.argmax()), prompt - 1) if shares else 0
    return _Plan([layer[start:] for layer in seen], taken[start:], start)


def _self_seen(anatomy: Anatomy, request: Request, window: int | None, tokens: int) -> Bool[np.ndarray, "row token"]:
    seen = visible(request, np.arange(tokens), tokens, window=window, prefix=anatomy.prefix)
    return np.asarray(seen & not_padding(request, tokens))


@dataclass(eq=False)
class _Masks:
    """Gives each attention the mask of the model's own rule, less what is cut in its layer: 0, or −inf."""

    plan: _Plan
    layers: Bool[np.ndarray, "variant layer"]

    def __call__(self, layer: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if "attention_mask" not in options:
            raise ValueError("The model hands its attention no attention_mask=, so nothing can be cut in it.")
        hidden: Tensor = args[0] if args else options["hidden_states"]
        seen = self.plan.seen[layer]
        both = torch.as_tensor(np.stack([seen, seen & ~self.plan.cut]), device=hidden.device)
        masks = torch.zeros(both.shape, dtype=hidden.dtype, device=hidden.device).masked_fill(~both, -torch.inf)
        cut = torch.as_tensor(self.layers[:, layer].astype(int), device=hidden.device)
        options["attention_mask"] = masks[cut][:, None]


def _run(
    vlm: "VLM", request: Request, context: Context, ids: Int[np.ndarray, " id"], start: int, cut: Cut, variants: int
) -> Float[Tensor, "variant row hidden"]:
    """The normed last hidden states from position ``start`` on; the last rows, one per id, predict ``ids``."""
    count(forwards=variants)
    embeddings = context.embeddings.expand(variants, -1, -1)
    inputs = whole(vlm, request, ids, embeddings=embeddings) | {"use_cache": False}
    if vlm.anatomy.cross_attention and cut[1] == "answer":
        encoded = context.encoder_outputs[0].expand(variants, -1, -1)
        cross = _shared(context.cache.cross_attention_cache, None, variants)  # type: ignore[attr-defined]
        cache: Any = EncoderDecoderCache(DynamicCache(), cross)
        del inputs["inputs_embeds"]
        inputs |= {"encoder_outputs": BaseModelOutput(encoded), "past_key_values": cache, "use_cache": True}
    elif start:
        cache = _shared(context.cache, start, variants)
        inputs |= {"inputs_embeds": inputs["inputs_embeds"][:, start:], "past_key_values": cache, "use_cache": True}
    rows: Tensor = vlm.anatomy.decoder(**inputs).last_hidden_state
    return rows


class _Read(DynamicLayer):
    """One layer's keys and values of what comes before, the same for each variant; what is added is not kept."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.keys, self.values, self.is_initialized = keys, values, True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        keys: Any = self.keys
        values: Any = self.values
        return torch.cat([keys, key_states], -2), torch.cat([values, value_states], -2)


def _shared(cache: Any, length: int | None, variants: int) -> DynamicCache:
    """The first positions of a cache as they are, without a copy; ``cache`` itself stays as it is."""

    def first(kept: Tensor) -> Tensor:
        return kept[:, :, :length].expand(variants, -1, -1, -1)

    found = DynamicCache()
    found.layers = [_Read(first(layer.keys), first(layer.values)) for layer in cache.layers]
    return found


def _log_probs(
    anatomy: Anatomy, normed: Float[Tensor, "variant step hidden"], targets: Int[Tensor, " step"]
) -> Float32[np.ndarray, "variant step"]:
    rows, wanted = normed.flatten(0, 1), targets.repeat(len(normed))
    found = [  # a few rows at a time: a vocabulary is wide
        logits_of(anatomy, few).log_softmax(-1).gather(-1, some[:, None])[:, 0]
        for few, some in zip(rows.split(ROWS), wanted.split(ROWS), strict=True)
    ]
    return np.asarray(torch.cat(found).unflatten(0, normed.shape[:2]).cpu())
