"""Attention knock-out: some rows may not attend to some columns, in some layers, and the answer is scored again.

Source: Geva et al., "Dissecting recall of factual associations in auto-regressive language models" (EMNLP 2023,
arXiv 2304.14767), section 5: the mask gets −inf there, and the softmax shares the attention out among what is left.
"""

from collections.abc import Mapping, Sequence, Set
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
from dexar_widgets.perturb import Cut, Source, Target, cut_of, name_of
from dexar_widgets.types import TokenLayout

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
    return len(_attentions(vlm.anatomy, cut_of(cut)[1]))


def _attentions(anatomy: Anatomy, target: Target) -> tuple[nn.Module, ...]:
    found = anatomy.attentions
    if anatomy.cross_attention and target != "answer":
        if anatomy.encoder is None:
            raise ValueError("The family's anatomy names no encoder=, in which the prompt reads the image.")
        found = anatomy.encoder.attentions + (anatomy.attentions if target == "all" else ())
    modules: list[Any] = list(found)
    if any("flash" in str(module.config._attn_implementation) for module in modules):
        raise ValueError('Flash attention takes no such mask; load the model with attn_implementation="sdpa".')
    return found


def score_cuts(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    *,
    sources: Sequence[Source],
    target: Target,
    layers: Bool[np.ndarray, "variant layer"],
    steps: Sequence[int],
    batch_size: int,
) -> Float32[np.ndarray, "variant step"]:
    """The natural log-probability of each explained token with one source per variant cut off in some layers.

    Parts of the sequence: ``answer`` are the rows that predict its tokens, from the prompt's last position on;
    ``prompt`` is all other text before them, the template's included. As rows that also means special tokens, through
    which the image could be relayed; as columns it does not, for heads rest on those when they read nothing, and
    without them a model breaks rather than a path. Cells are visual tokens of the image's grid; ``all`` are all rows,
    the image's too, through which one visual token could be relayed. A row never loses its own column.

    What is cut: the decoder's self-attention. Where the image is read through cross-attention, what the answer reads is
    cut there, and what the prompt reads in the encoder's self-attention; from all rows, in both.

    What no cut changes is run once and shared: the prompt up to the first row that loses something, or the encoder.
    (Not where the prompt's positions see one another both ways: there the last one changes all.)

    Parameters
    ----------
    sources
        What each variant cuts off from the target.
    layers
        Where each variant is cut (see `cuttable_layers`), an encoder's layers before the decoder's; False everywhere
        is the model as it is.
    steps
        The explained steps.
    batch_size
        Variants in one pass. The numbers of the same variant in another batch differ in their last digits.

    Raises
    ------
    ValueError
        If a cut is unknown or there is nothing to cut, or the model's attention takes no mask.
    """
    known = [cut_of((source, target))[0] for source in sources]
    attentions = _attentions(vlm.anatomy, target)
    positions = answer.generation.positions[list(steps)]
    ids = answer.generation.ids[: positions[-1] + 1]
    plan = _planned(vlm.anatomy, request, set(known), target, len(ids))
    found = np.empty((len(layers), len(steps)), np.float32)
    for first in range(0, len(layers), batch_size):
        some = slice(first, first + batch_size)
        jobs.progress(
            first, len(layers), f"cutting {name_of(known[first])} from {target}: {first + 1} of {len(layers)}"
        )
        with borrowed(vlm), hooks.inputs(attentions, _Masks(plan, known[some], layers[some])):
            rows = _run(vlm, request, answer.context, ids, plan.start, target, len(layers[some]))
            normed = rows[:, positions - len(ids)]
            targets = torch.as_tensor(answer.generation.ids[positions], device=normed.device)
            found[some] = _log_probs(vlm.anatomy, normed, targets)
    return found


@dataclass(frozen=True)
class _Sight:
    """Which keys the rows of one attention see, and which of them each source's cut takes."""

    seen: Bool[np.ndarray, "row token"]
    taken: Mapping[Source, Bool[np.ndarray, "row token"]]

    def lost(self, source: Source) -> Bool[np.ndarray, " row"]:
        return np.asarray((self.taken[source] & self.seen).any(1))

    def since(self, start: int) -> "_Sight":
        return _Sight(self.seen[start:], {source: taken[start:] for source, taken in self.taken.items()})


@dataclass(frozen=True)
class _Plan:
    """The sight of each attention that is cut, of the rows from position ``start`` on."""

    sights: Sequence[_Sight]
    start: int


def _planned(anatomy: Anatomy, request: Request, sources: Set[Source], target: Target, said: int) -> _Plan:
    """``said``: ids that are predicted, so that prompt + said − 1 positions are run."""
    columns = {source: _columns(request.layout, source) for source in sources}
    make = _of_encoder if anatomy.cross_attention else _of_decoder
    sights = make(anatomy, request, columns, target, said)
    for source in sources:
        if not any(sight.lost(source).any() for sight in sights):
            row = "row" if target == "all" else f"row of the {target}"
            raise ValueError(f"cut={(source, target)!r} cuts nothing: no {row} sees anything of the {name_of(source)}.")
    if anatomy.cross_attention or anatomy.prefix:
        return _Plan(sights, 0)
    lost = np.any([sight.lost(source) for sight in sights for source in sources], axis=0)
    start = min(int(lost.argmax()), request.prompt_ids.shape[1] - 1)
    return _Plan([sight.since(start) for sight in sights], start)


def _columns(layout: TokenLayout, source: Source) -> Bool[np.ndarray, " token"]:
    if not isinstance(source, str):
        cells = layout.tokens_of(0)
        if not 0 <= min(source) <= max(source) < len(cells):
            raise ValueError(f"cut= names {name_of(source)}; the image's grid has the cells 0 to {len(cells) - 1}.")
        return np.isin(np.arange(len(layout)), cells[list(source)])
    special = np.array([kind == "special" for kind in layout.kinds], bool)
    return layout.is_image if source == "image" else ~layout.is_image & ~special


def _of_encoder(
    anatomy: Anatomy, request: Request, columns: Mapping[Source, Bool[np.ndarray, " token"]], target: Target, said: int
) -> list[_Sight]:
    """Under cross-attention: the encoder's own attention, where the prompt reads, and the decoder's to its output."""
    size, found = len(request.layout), list[_Sight]()
    seen = not_padding(request, size)
    if anatomy.encoder is not None and target != "answer":
        rows = ~request.layout.is_image | (target == "all")
        apart = rows[:, None] & ~np.eye(size, dtype=bool)
        within = _Sight(np.broadcast_to(seen, apart.shape), {source: apart & of for source, of in columns.items()})
        found += [within] * len(anatomy.encoder.attentions)
    if target != "prompt":
        every = np.ones((said, 1), bool)
        across = _Sight(every & seen, {source: every & of for source, of in columns.items()})
        found += [across] * len(anatomy.attentions)
    return found


def _of_decoder(
    anatomy: Anatomy, request: Request, columns: Mapping[Source, Bool[np.ndarray, " token"]], target: Target, said: int
) -> list[_Sight]:
    """The decoder's self-attention, layer by layer."""
    prompt = request.prompt_ids.shape[1]
    tokens = prompt + said - 1
    at = np.arange(tokens)
    image, asked = np.pad(request.layout.is_image, (0, said - 1)), at < prompt - 1
    rows = {"answer": ~asked, "prompt": asked & ~image, "all": np.ones(tokens, bool)}[target]
    # the prompt's last position is a row of the answer, and no column of the prompt
    apart = rows[:, None] & (asked | image) & (at[:, None] != at)
    taken = {source: apart & np.pad(of, (0, said - 1)) for source, of in columns.items()}
    windows = anatomy.windows or (None,) * len(anatomy.attentions)
    known = {window: _Sight(_self_seen(anatomy, request, window, tokens), taken) for window in set(windows)}
    return [known[window] for window in windows]


def _self_seen(anatomy: Anatomy, request: Request, window: int | None, tokens: int) -> Bool[np.ndarray, "row token"]:
    seen = visible(request, np.arange(tokens), tokens, window=window, prefix=anatomy.prefix)
    return np.asarray(seen & not_padding(request, tokens))


@dataclass(eq=False)
class _Masks:
    """Gives each attention the mask of the model's own rule, less what is cut in its layer: 0, or −inf."""

    plan: _Plan
    sources: Sequence[Source]
    layers: Bool[np.ndarray, "variant layer"]

    def __call__(self, layer: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if "attention_mask" not in options:
            raise ValueError("The model hands its attention no attention_mask=, so nothing can be cut in it.")
        hidden: Tensor = args[0] if args else options["hidden_states"]
        sight = self.plan.sights[layer]
        cuts = zip(self.sources, self.layers[:, layer], strict=True)
        shown = np.stack([sight.seen & ~sight.taken[source] if made else sight.seen for source, made in cuts])
        masks = torch.zeros(shown.shape, dtype=hidden.dtype, device=hidden.device)
        forbidden = torch.as_tensor(~shown, device=hidden.device)
        options["attention_mask"] = masks.masked_fill(forbidden, -torch.inf)[:, None]


def _run(
    vlm: "VLM",
    request: Request,
    context: Context,
    ids: Int[np.ndarray, " id"],
    start: int,
    target: Target,
    variants: int,
) -> Float[Tensor, "variant row hidden"]:
    """The normed last hidden states from position ``start`` on; the last rows, one per id, predict ``ids``."""
    count(forwards=variants)
    embeddings = context.embeddings.expand(variants, -1, -1)
    inputs = whole(vlm, request, ids, embeddings=embeddings) | {"use_cache": False}
    if vlm.anatomy.cross_attention and target == "answer":
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
