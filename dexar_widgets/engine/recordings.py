"""The whole answer in one pass without a cache, recorded: what methods need that look further than one block.

Attention maps are not kept: each is built again from queries and keys when asked for, one sublayer at a time, and
its gradient from that of the head outputs, ∂o/∂A[h, i, j] = ⟨∂o/∂z[h, i], v[h, j]⟩.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor, nn

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.answers import Answer
from dexar_widgets.engine.contexts import borrowed, whole
from dexar_widgets.engine.masks import not_padding, visible
from dexar_widgets.engine.meter import count
from dexar_widgets.engine.requests import Request
from dexar_widgets.engine.unembedding import ROWS, Targets, logits_of
from dexar_widgets.families import Anatomy, SublayerKind

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Recording", "Sublayer", "record"]

_MAP_VALUES = 2**26
"""Attention probabilities built at once: 256 MB."""


@dataclass(eq=False)
class Sublayer:
    """One attention as it ran over all rows; ``output``, the concatenated head outputs z, is part of the graph.

    ``strength`` is what its attention was multiplied by (1 unless `Recording.weakened`).
    """

    kind: SublayerKind
    query: Float[Tensor, "image head row feature"]
    key: Float[Tensor, "image kv_head token feature"]
    value: Float[Tensor, "image kv_head token feature"] | None
    scaling: float
    softcap: float | None
    visible: Bool[Tensor, "row token"]
    output: Float[Tensor, "image row features"] | None = None
    strength: float = 1.0

    def attention(self, image: int, heads: slice = slice(None)) -> Float32[Tensor, "head row token"]:
        """The attention probabilities of some heads, as the model computed them."""
        query, key = self.query[image, heads].detach().float(), self._per_head(self.key[image].detach(), heads)
        scores = query @ key.float().transpose(1, 2) * self.scaling
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        return self.strength * scores.masked_fill(~self.visible, -torch.inf).softmax(-1)

    def mean_attention(self, image: int = 0) -> Float32[Tensor, "row token"]:
        """Mean over heads."""
        return self._mean(lambda heads: self.attention(image, heads))

    def mean_relevance(self, gradient: Float[Tensor, "row features"], image: int = 0) -> Float32[Tensor, "row token"]:
        """Mean over heads of ReLU(∇A ⊙ A), from the gradient of the concatenated head outputs."""
        kept = self._values()[image].detach()
        per_head = gradient.float().unflatten(-1, (self.query.shape[1], -1)).transpose(0, 1)

        def relevance(heads: slice) -> Float32[Tensor, "head row token"]:
            value = self._per_head(kept, heads).float()
            change: Tensor = per_head[heads] @ value.transpose(1, 2)
            return (change * self.attention(image, heads)).clamp(min=0)

        return self._mean(relevance)

    def attended(self, image: int) -> Float[Tensor, "row features"]:
        """Head outputs once more, the attention held fixed: gradients go down through the values alone."""
        values = self._per_head(self._values()[image], slice(None))
        found = [self.attention(image, heads).to(values) @ values[heads] for heads in self._some_heads()]
        return torch.cat(found).transpose(0, 1).flatten(1)

    def _values(self) -> Float[Tensor, "image kv_head token feature"]:
        assert self.value is not None, "kept with a graph alone"
        return self.value

    def _per_head(
        self, kept: Float[Tensor, "kv_head token feature"], heads: slice
    ) -> Float[Tensor, "head token feature"]:
        return kept.repeat_interleave(self.query.shape[1] // len(kept), 0)[heads]

    def _some_heads(self) -> list[slice]:
        """All heads, in runs whose maps fit into `_MAP_VALUES`."""
        heads, some = self.query.shape[1], max(1, _MAP_VALUES // self.visible.numel())
        return [slice(first, first + some) for first in range(0, heads, some)]

    def _mean(self, maps: Callable[[slice], Tensor]) -> Float32[Tensor, "row token"]:
        total = torch.zeros(*self.visible.shape, device=self.query.device)
        for heads in self._some_heads():
            total += maps(heads).sum(0)
        return total / self.query.shape[1]


@dataclass(eq=False)
class Recording:
    """One pass, of one image or several at once.

    ``source`` is what gradients may be taken with respect to: the pixels, or what was read of the image. ``normed``
    are the last hidden states of the rows that predict the explained steps, ``rows`` their places in the decoder,
    ``ids`` the tokens. ``sublayers`` stand in the order in which they ran; where no attention was kept, ``states[l]``
    is what the l-th of `Anatomy.visual_blocks` got.
    """

    source: Float[Tensor, "image ..."]
    normed: Float[Tensor, "image step hidden"]
    rows: Int[Tensor, " step"]
    ids: Int[Tensor, " step"]
    sublayers: list[Sublayer]
    states: list[Float[Tensor, "image token feature"]]
    _anatomy: Anatomy
    _request: Request
    _dtype: torch.dtype
    _last: tuple[tuple[Any, ...], dict[str, Any]]

    def logits(self) -> Float32[Tensor, "image step"]:
        """The logit of each explained token at the row that predicts it."""
        return Targets(self._anatomy, self.ids, self._dtype).logits(self.normed)

    def log_probs(self) -> Float32[Tensor, "image step"]:
        """Its natural log-probability."""
        ids = self.ids.to(self.normed.device)
        return torch.stack([self._log_probs_of(rows, ids) for rows in self.normed])

    def _log_probs_of(
        self, normed: Float[Tensor, "step hidden"], ids: Int[Tensor, " step"]
    ) -> Float32[Tensor, " step"]:
        found = [  # a few rows at a time: a vocabulary is wide
            logits_of(self._anatomy, rows).log_softmax(-1).gather(-1, some[:, None])[:, 0]
            for rows, some in zip(normed.split(ROWS), ids.split(ROWS), strict=True)
        ]
        return torch.cat(found)

    def gradients(self, scalars: Float32[Tensor, " image"], of: Sequence[Tensor]) -> list[Tensor]:
        """∂ of each image's own scalar by its part of some tensors of the graph, in float32; 0 where there is no path.

        float16 loses small gradients, so there the scalar is scaled by a power of two, as far as nothing overflows.
        """
        jobs.check()
        count(backwards=len(scalars))
        scale = 2.0**10 if self._dtype == torch.float16 else 1.0
        found = self._pull(scalars, of, scale)
        if scale > 1 and not all(bool(one.isfinite().all()) for one in found):
            found = self._pull(scalars, of, 1.0)
        return found

    def _pull(self, scalars: Float32[Tensor, " image"], of: Sequence[Tensor], scale: float) -> list[Tensor]:
        # images do not mix, so one backward serves all of them
        raw: Sequence[Tensor | None] = torch.autograd.grad(
            scalars.sum() * scale, list(of), retain_graph=True, allow_unused=True
        )
        return [
            torch.zeros_like(one, dtype=torch.float32) if gradient is None else gradient.float() / scale
            for one, gradient in zip(of, raw, strict=True)
        ]

    def outputs(self) -> list[Tensor]:
        """Z of every sublayer: what `Sublayer.mean_relevance` wants the gradient of."""
        return [sublayer.output for sublayer in self.sublayers if sublayer.output is not None]

    def weakened(self, strength: float) -> "Recording":
        """The last block run once more with its explained attention held fixed and multiplied by ``strength``."""
        again = _Tape(
            self._anatomy, self._request, self._anatomy.sublayers(), graph=True, fixed=(self.sublayers[-1], strength)
        )
        args, options = self._last
        with again.running(self._anatomy.blocks[-1]):
            output = self._anatomy.blocks[-1](*args, **options)
        hidden = output[0] if isinstance(output, tuple) else output
        normed = self._anatomy.final_norm(hidden[:, self.rows.to(hidden.device)])
        below = self.sublayers[: len(self.sublayers) - len(again.sublayers)]
        return replace(self, normed=normed, sublayers=[*below, *again.sublayers])


@contextmanager
def record(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    *,
    steps: Sequence[int],
    pixels: Float[Tensor, "image 3 height width"] | None = None,
    graph: bool = True,
    attention: bool = True,
) -> Iterator[Recording]:
    """Run prompt and answer at once, and hold the model while what was recorded is looked at.

    Parameters
    ----------
    steps
        The explained steps.
    pixels
        Other pixel values, one answer's pass for each; by default what the model already read of its own image.
    graph
        Record gradients.
    attention
        Keep queries and keys (with a graph, values and head outputs too) of every attention, which flash attention does
        not show; otherwise, with a graph, the hidden states that the visual tokens pass through.
    """
    positions = answer.generation.positions[list(steps)]
    ids = answer.generation.ids[: positions[-1] + 1]
    with borrowed(vlm), torch.enable_grad() if graph else nullcontext():
        source = (answer.context.embeddings if pixels is None else pixels).detach().clone().requires_grad_(graph)
        inputs = whole(vlm, request, ids, **{"embeddings" if pixels is None else "pixels": source})
        tape = _Tape(vlm.anatomy, request, vlm.anatomy.sublayers() if attention else [], graph=graph)
        with tape.running(vlm.anatomy.decoder):
            count(forwards=len(source))
            hidden = vlm.anatomy.decoder(**inputs, use_cache=False).last_hidden_state
        rows = torch.as_tensor(request.prompt_ids.shape[1] - 1 + positions, device=vlm.device)
        targets = torch.as_tensor(answer.generation.ids[positions], device=vlm.device)
        normed = hidden[:, rows.to(hidden.device)]
        sublayers, states, last = tape.sublayers, tape.states, tape.last
        yield Recording(source, normed, rows, targets, sublayers, states, vlm.anatomy, request, vlm.model.dtype, last)


class _Tape:
    """Listens to a run of the model, or of its last block with the explained attention ``fixed`` to what it was."""

    def __init__(
        self,
        anatomy: Anatomy,
        request: Request,
        sublayers: Sequence[tuple[SublayerKind, nn.Module, nn.Module]],
        *,
        graph: bool,
        fixed: tuple[Sublayer, float] | None = None,
    ) -> None:
        self.anatomy, self.request, self.listened = anatomy, request, sublayers
        self.graph, self.fixed = graph, fixed
        self.sublayers: list[Sublayer] = []
        self.states: list[Tensor] = []
        self.last: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})

    @contextmanager
    def running(self, module: nn.Module) -> Iterator[None]:
        """Hear what this module holds."""
        inside = set(module.modules())
        heard = [index for index, (_, attention, _) in enumerate(self.listened) if attention in inside]
        with (
            hooks.attention_calls([self.listened[index][1] for index in heard], partial(self._called, heard)),
            hooks.inputs([self.listened[index][2] for index in heard] if self.graph else [], self._projected),
            hooks.inputs(self.anatomy.visual_blocks if self.graph and not heard else [], self._passed),
            hooks.inputs(self.anatomy.blocks[-1:] if self.graph else [], self._entered),
        ):
            yield

    def _called(
        self, heard: Sequence[int], index: int, query: Tensor, key: Tensor, value: Tensor, options: Mapping[str, Any]
    ) -> None:
        kind = self.listened[heard[index]][0]
        windows = () if self.anatomy.cross_attention else self.anatomy.windows
        window = windows[heard[index]] if windows else None
        seen = _visible(self.anatomy, self.request, kind, query.shape[2], key.shape[2], window)
        scaling = options.get("scaling")
        scaling = query.shape[-1] ** -0.5 if scaling is None else scaling
        mask = torch.as_tensor(seen, device=query.device)
        kept = value if self.graph else None
        self.sublayers.append(Sublayer(kind, query, key, kept, scaling, options.get("softcap"), mask))

    def _projected(self, _index: int, args: tuple[Any, ...], _options: Any) -> Tensor | None:
        sublayer = self.sublayers[-1]
        if self.fixed is None or sublayer.kind != self.fixed[0].kind:
            # a frozen model's decoder begins its own graph here: its first words come from no tensor of it
            leaf = not args[0].requires_grad
            sublayer.output = args[0].detach().requires_grad_() if leaf else args[0]
            return sublayer.output if leaf else None
        kept, strength = self.fixed
        held = replace(kept, value=sublayer.value, strength=strength)
        held.output = torch.stack([held.attended(image) for image in range(len(args[0]))]).to(args[0])
        self.sublayers[-1] = held
        return held.output

    def _passed(self, _index: int, args: tuple[Any, ...], _options: Any) -> None:
        self.states.append(args[0])

    def _entered(self, _index: int, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        self.last = (args, options)


def _visible(
    anatomy: Anatomy, request: Request, kind: SublayerKind, rows: int, tokens: int, window: int | None
) -> Bool[np.ndarray, "row token"]:
    """The mask's rule; the request's own mask is about the encoder's tokens where there is an encoder."""
    if kind != "self":
        return np.broadcast_to(not_padding(request, tokens), (rows, tokens)).copy()
    seen = visible(request, np.arange(rows), tokens, window=window, prefix=anatomy.prefix)
    return seen if anatomy.cross_attention else seen & not_padding(request, tokens)
