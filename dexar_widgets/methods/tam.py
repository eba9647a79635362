"""Token activation map: how far the visual tokens' own last states speak for a word, less what earlier words explain.

A word's raw map is ReLU of its logit at the visual tokens' last hidden states. The causal step subtracts s·B: B mixes
the raw maps of the earlier text items whose text differs, by how far each item's own state speaks for the word, and s
is the least-squares scale ⟨A, B⟩ ÷ ⟨B, B⟩. The rest is scaled to 0–1 together with the text's scores, and smoothed by
a 3 × 3 rank-Gaussian filter.

Source: Li et al., "Token Activation Map to Visually Explain Multimodal LLMs" (ICCV 2025).
Differs from the authors' code in its first round alone, where that takes the argmax for the first prompt item and the
last prompt token's id for the first answer word: here every item stands for its own id. An answer token's state is
that of the row which predicts it. On Florence-2 the visual tokens' and the prompt's states are the encoder's, which
shares its vocabulary with the decoder.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int

from dexar_widgets import engine
from dexar_widgets.maps import visual_tokens
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import one_of

TITLE = "TAM"
UNIT = "activation, 0–1 together with the text's"
CONTROL = False
NEEDS: frozenset[Need] = frozenset()
SMALLER = "explain a shorter answer, or shrink the image"

Items = Literal["prompt", "all"]
Stage = Literal["raw", "causal", "scaled", "full"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """``items``: which of the prompt's text counts as earlier items, the user's words ("prompt") or "all" of it.

    ``stage``: how far to go. "raw" maps of one word said twice are equal to the last bit; then come the causal step,
    the scaling together with the text, and ("full") the filter.
    """

    items: Items = "prompt"
    stage: Stage = "full"

    def __post_init__(self) -> None:
        one_of("items", self.items, get_args(Items))
        one_of("stage", self.stage, get_args(Stage))


@dataclass(frozen=True)
class _Scores:
    """ReLU of the logits of every item's own id (``column[item]``): at the image's states, and at the items' own."""

    visual: Float[np.ndarray, "visual column"]
    text: Float[np.ndarray, "item column"]
    column: Int[np.ndarray, " item"]
    pieces: tuple[str, ...]
    first_answer: int


def attribute(subject: Subject, options: Options) -> Maps:
    """One pass over the predicting rows."""
    scores = _scores(subject, options)
    maps = [_activation(scores, scores.first_answer + step, options) for step in subject.steps]
    grid = subject.layout.grids[0]
    tokens = np.searchsorted(visual_tokens(subject.layout), subject.layout.tokens_of())
    cells = np.stack(maps)[:, tokens].reshape(-1, grid.rows, grid.cols)
    if options.stage == "full":
        cells = np.stack([rank_gaussian(one) for one in cells])
    return Maps(subject.on_tokens(cells))


def _scores(subject: Subject, options: Options) -> _Scores:
    layout, generation = subject.layout, subject.answer.generation
    kinds = np.array(layout.kinds)
    prompt = np.flatnonzero(kinds == "prompt" if options.items == "prompt" else ~layout.is_image)
    spoken = range(max(subject.steps) + 1)
    said = engine.final_states(subject.vlm, subject.request, subject.answer, steps=spoken)
    states = subject.answer.context.states
    visual = visual_tokens(layout)
    ids = np.concatenate([layout.ids[prompt], generation.ids[generation.positions[: len(spoken)]]])
    # one column per id, not per item: a product's last digits may depend on the column
    unique, column = np.unique(ids, return_inverse=True)
    every = torch.cat([states[visual], states[prompt], said.to(states.device)])
    logits = np.maximum(engine.logits_at(subject.vlm, every, unique), 0).astype(float)
    pieces = (*(layout.pieces[at] for at in prompt), *generation.pieces[: len(spoken)])
    return _Scores(logits[: len(visual)], logits[len(visual) :], column, pieces, len(prompt))


def _activation(scores: _Scores, item: int, options: Options) -> Float[np.ndarray, " visual"]:
    """The map of one item before the filter."""
    column = scores.column[item]
    own, relevance = scores.visual[:, column], scores.text[:item, column]
    if options.stage == "raw":
        return own
    text = scores.pieces[item].strip()
    differs = np.array([piece.strip() != text for piece in scores.pieces[:item]], bool)
    others = scores.visual[:, scores.column[:item][differs]]
    own = np.asarray(np.maximum(own - explained_by_others(own, others, relevance[differs]), 0))
    if options.stage == "causal":
        return own
    together = np.concatenate([own, relevance])
    low, high = together.min(), together.max()
    return (own - low) / (high - low) if high > low else np.zeros_like(own)


def explained_by_others(
    own: Float[np.ndarray, " visual"],
    others: Float[np.ndarray, "visual other"],
    relevance: Float[np.ndarray, " other"],
) -> Float[np.ndarray, " visual"]:
    """s·B: the mix of other items' maps, scaled to come as near as it can to one's own."""
    mix = others @ (relevance / (relevance.sum() + 1e-8))  # the source's own guard against no relevance at all
    energy = mix @ mix
    return np.asarray(mix * (own @ mix / energy) if energy > 0 else np.zeros_like(own))


def rank_gaussian(cells: Float[np.ndarray, "row col"]) -> Float[np.ndarray, "row col"]:
    """Each 3 × 3 window's values by rank, averaged with a Gaussian about the median's rank.

    Its deviation is the window's coefficient of variation: 0 gives the median. A window without positive mean gives 0.
    """
    padded = np.pad(cells, 1, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).reshape(*cells.shape, 9)
    ranked = np.sort(windows, -1)
    mean = ranked.mean(-1)
    variation = np.divide(ranked.std(-1), mean, out=np.zeros_like(mean), where=mean > 0)
    apart = np.broadcast_to((np.arange(9) - 4.0) ** 2, ranked.shape)
    spread = np.broadcast_to(2 * variation[..., None] ** 2, ranked.shape)
    weights = np.exp(-np.divide(apart, spread, out=np.where(apart > 0, np.inf, 0.0), where=spread > 0))
    return np.where(mean > 0, (ranked * weights).sum(-1) / weights.sum(-1), 0.0)
