"""The exact gradient tensor from one batched pass, without attention maps.

With z the concatenated head outputs of layer l at row t, and u = ∂o[l, t]/∂z,

    G[t, l, h, j] = ∂o[l, t] / ∂A_l[h, row t, j] = ⟨u[t, l, h], v_l[kv(h), j]⟩

because head h's output is Σ_j A_j v_j. The values v lie in the cache; u needs the gradient of one
block's tail (output projection, residual, MLP, final norm, one row of the unembedding) at the rows
that predict the answer.

Source: DEX-AR, Eq. 2–3 and appendix D.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int
from torch import Tensor

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.answers import Answer
from dexar_widgets.engine.contexts import borrowed, replay
from dexar_widgets.engine.masks import visible_by_layer
from dexar_widgets.engine.meter import count, now
from dexar_widgets.engine.readings import AttentionRows, patch_norm_of, read_lens
from dexar_widgets.engine.requests import Request
from dexar_widgets.engine.unembedding import Targets
from dexar_widgets.families import Anatomy
from dexar_widgets.types import GradientTensor, Lens, TokenLayout

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Pass", "differentiate"]


@dataclass(frozen=True, eq=False)
class Pass:
    """What one pass over an answer gives; the tensor itself is contracted chunk by chunk, when asked for.

    ``layout`` describes all keys, the answer's own context included; ``steps`` are the explained steps.
    ``attention`` are rows of attention probabilities, ``patch_norm`` is NaN where a token shows no cell,
    ``seconds`` what the pass and the lens took.
    """

    layout: TokenLayout
    steps: Int[np.ndarray, " step"]
    attention: Float32[np.ndarray, "step layer head token"] | None
    patch_norm: Float32[np.ndarray, " token"] | None
    lens: Lens | None
    seconds: Mapping[str, float]
    _sensitivity: Sequence[Float32[Tensor, "step head feature"]]  # u, per layer
    _twice: Float32[Tensor, "step head feature"]
    _values: Sequence[Float[Tensor, "kv_head token feature"]]
    _allowed: Bool[np.ndarray, "step layer token"]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Of the whole tensor: step, layer, head, token."""
        return len(self.steps), len(self._values), self._twice.shape[1], len(self.layout)

    @property
    def nbytes(self) -> int:
        """Size of the whole tensor, its twice-normed last layer included."""
        steps, layers, heads, tokens = self.shape
        return 4 * steps * (layers + 1) * heads * tokens

    def chunks(self, *, max_bytes: int = 2**28) -> Iterator[GradientTensor]:
        """The tensor in runs of steps, each at most ``max_bytes`` (one step at least)."""
        count = max(1, max_bytes * len(self.steps) // self.nbytes)
        for start in range(0, len(self.steps), count):
            jobs.progress(start, len(self.steps), f"collecting: step {start + 1} of {len(self.steps)}")
            yield self._contract(slice(start, start + count))

    @torch.no_grad()
    def _contract(self, steps: slice) -> GradientTensor:
        allowed = self._allowed[steps]
        values = np.empty((len(allowed), *self.shape[1:]), np.float32)
        for layer, (u, v) in enumerate(zip(self._sensitivity, self._values, strict=True)):
            jobs.check()
            values[:, layer] = _inner(u[steps], v, allowed[:, layer])
        return GradientTensor(
            values,
            allowed,
            self.steps[steps],
            np.arange(values.shape[1]),
            np.arange(values.shape[3]),
            _inner(self._twice[steps], self._values[-1], allowed[:, -1]),
        )


def differentiate(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    *,
    steps: Sequence[int] | None = None,
    attention: bool = False,
    lens: bool = False,
    patch_norm: bool = False,
    softcap: bool = True,
) -> Pass:
    """Run the answer's tokens once more, in one call, and take each layer's gradient on the way.

    Parameters
    ----------
    steps
        The steps to explain, given back in order; all by default.
    attention
        Also keep the attention probabilities of the explained rows.
    lens
        Also keep what each layer would say; its unembedding runs after the pass.
    patch_norm
        Also give the norm of each visual token after the vision tower.
    softcap
        False leaves the model's final soft-cap out of the logits that are differentiated.
    """
    chosen = _chosen(steps, len(answer.generation))
    positions = answer.generation.positions[chosen]
    with borrowed(vlm):
        anatomy = vlm.anatomy if softcap else replace(vlm.anatomy, softcap=None)
        started = now(vlm)
        ids = answer.generation.ids[: positions[-1] + 1]
        rows = positions - len(ids)  # counted from the last: the replay may begin earlier
        targets = torch.as_tensor(ids[positions], device=vlm.device)
        tails = _Tails(anatomy, torch.as_tensor(rows, device=vlm.device), targets, vlm.model.dtype, keep_normed=lens)
        attended = AttentionRows(rows)
        with (
            hooks.block_tails(anatomy.projections, anatomy.blocks, tails.differentiate),
            hooks.attention_calls(anatomy.attentions, attended.keep) if attention else nullcontext(),
        ):
            replay(vlm, request, answer.context, ids)
        count(backwards=1)  # the tails of all blocks together
        values = answer.context.values(cross_attention=anatomy.cross_attention)
        passed = now(vlm)
        read = read_lens(vlm, anatomy, tails.normed, targets) if lens else None
        seconds = {"pass": passed - started} | ({"lens": now(vlm) - passed} if lens else {})
    layout = request.layout if anatomy.cross_attention else _with_answer(vlm, request.layout, answer, len(ids) - 1)
    prompt_end = request.prompt_ids.shape[1] - 1
    allowed = visible_by_layer(anatomy, request, prompt_end + positions, len(layout))
    return Pass(
        layout=layout,
        steps=chosen,
        attention=attended.probabilities(allowed) if attention else None,
        patch_norm=patch_norm_of(layout, answer.context.patch_norms) if patch_norm else None,
        lens=read,
        seconds=seconds,
        _sensitivity=tails.sensitivity,
        _twice=tails.twice,
        _values=values,
        _allowed=allowed,
    )


@dataclass(eq=False)
class _Tails:
    """Differentiates blocks' recorded tails: u, the gradient of each layer's logits by its head outputs."""

    anatomy: Anatomy
    rows: Int[Tensor, " step"]
    targets: Int[Tensor, " step"]
    dtype: torch.dtype
    keep_normed: bool
    sensitivity: list[Tensor] = field(default_factory=list)
    normed: list[Tensor] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.words = Targets(self.anatomy, self.targets, self.dtype)

    def differentiate(self, layer: int, leaf: Tensor, hidden: Tensor) -> None:
        """Take one layer's gradient; for the last layer also the one through the final norm applied twice."""
        layers = len(self.anatomy.blocks)
        jobs.progress(layer, layers, f"differentiating: layer {layer + 1} of {layers}")
        normed = self.anatomy.final_norm(hidden[0, self.rows.to(hidden.device)])
        self.sensitivity.append(self._gradient(normed, leaf))
        if layer == layers - 1:
            self.twice = self._gradient(self.anatomy.final_norm(normed), leaf)
        if self.keep_normed:
            self.normed.append(normed.detach())

    def _gradient(self, normed: Tensor, leaf: Tensor) -> Float32[Tensor, "step head feature"]:
        logits = self.words.logits(normed)
        rows = self.rows.to(leaf.device)

        def pull(weights: Tensor) -> Tensor:  # rows do not mix, so one backward serves all
            gradient: Tensor = torch.autograd.grad(logits, leaf, weights, retain_graph=True)[0]
            return gradient[0, rows].float()

        u = pull(torch.ones_like(logits))
        if leaf.dtype == torch.float16:
            scale = _power_of_two(u, self.words.directions.to(u.device))
            scaled = pull(scale.to(logits.device)) / scale[:, None]
            u = torch.where(scaled.isfinite(), scaled, u)
        per_head: Tensor = u.unflatten(-1, (self.anatomy.heads, -1))
        return per_head


def _power_of_two(
    u: Float32[Tensor, "step feature"], directions: Float32[Tensor, "step hidden"]
) -> Float32[Tensor, " step"]:
    """What to multiply small float16 gradients by: below 2⁻¹⁰ they lose digits, below 2⁻²⁴ they vanish.

    No more than the gradient at the other end, the unembedding's row, can bear.
    """
    peak, room = u.abs().amax(-1), 2.0**14 / directions.abs().amax(-1).clamp(min=2.0**-24)
    wanted = torch.where(peak < 2.0**-10, 1 / peak.clamp(min=2.0**-24), 1.0)
    return torch.minimum(wanted, room).clamp(min=1).log2().floor().exp2()


def _inner(
    u: Float32[Tensor, "step head feature"],
    v: Float[Tensor, "kv_head token feature"],
    allowed: Bool[np.ndarray, "step token"],
) -> Float32[np.ndarray, "step head token"]:
    """⟨u, v⟩ in float32, each head with the KV head it reads; 0 where the mask forbids."""
    grouped = u.unflatten(1, (v.shape[0], -1))
    inner = torch.einsum("tkgd,knd->tkgn", grouped, v.to(u.device).float()).flatten(1, 2)
    mask = torch.as_tensor(allowed, device=u.device)[:, None].float()
    return inner.mul_(mask).cpu().numpy()


def _chosen(steps: Sequence[int] | None, count: int) -> Int[np.ndarray, " step"]:
    if steps is None:
        return np.arange(count)
    wrong = [step for step in steps if not 0 <= step < count]
    if wrong or not len(steps):
        raise ValueError(f"steps={list(steps)}: expected some of the answer's steps 0 to {count - 1}.")
    return np.unique(np.asarray(steps))


def _with_answer(vlm: "VLM", layout: TokenLayout, answer: Answer, count: int) -> TokenLayout:
    """The prompt's layout and the first ``count`` ids of the answer, which are keys too."""
    generation = answer.generation
    ids = generation.ids[:count]
    pieces = dict(zip(generation.positions.tolist(), generation.pieces, strict=True))
    special = set(vlm.tokenizer.all_special_ids)
    return TokenLayout(
        np.concatenate([layout.ids, ids]),
        (*layout.pieces, *(pieces.get(i, vlm.tokenizer.decode([id_])) for i, id_ in enumerate(ids.tolist()))),
        (*layout.kinds, *("special" if id_ in special else "answer" for id_ in ids.tolist())),
        np.concatenate([layout.cells, np.full((count, 3), -1)]),
        layout.grids,
    )
