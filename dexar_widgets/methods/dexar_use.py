"""Sensitivity times use: the attention times DEX-AR's gradient, heads and words filtered by the product itself.

X = A ⊙ G⁺, with each layer's own logit-lens logit as in DEX-AR. The gradient alone shows what the word is sensitive to,
attended or not; the product shows what of it the row takes in. Prefer it for *what was used*, DEX-AR for *what would
matter*; and check either by intervention. One step weighs as much as its X has mass on the image.

Source: none, this package's own; it departs from DEX-AR (equations 4–6) in X for G⁺ and in the step weight.
Differs from `attn_grad` in the head filter and the step weight.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from dexar_widgets import filters
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import one_of
from dexar_widgets.options import TEXT_SETS, Filter, Heads, Layers, TextSet, accept, fraction_of, resolve
from dexar_widgets.types import GradientTensor, TokenLayout

TITLE = "DEX-AR use"
UNIT = "logit per unit of attention, times attention and head weight; summed over heads and layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"attention", "gradients"})
SMALLER = "explain fewer steps at once"

Read = Literal["use", "gradient"]
StepWeight = Literal["mass", "use", "gradient", "use_by_head", "gradient_by_head", "none"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """``layers``, ``heads``, ``head_filter``, ``filler_filter``, ``text_set`` as on `Explanation.heatmap`.

    ``head_weight``: what δ is read from, "use" (X) or "gradient" (G⁺, as in DEX-AR). ``step_weight``: "mass",
    Σ X on the image; "use" or "gradient", ω of equation 6 read from X or G⁺; "use_by_head" or
    "gradient_by_head", the largest δ of any head (image and text compared within it); "none", 1.
    """

    layers: Layers = None
    heads: Heads = None
    head_filter: Filter = "max"
    filler_filter: Filter = "max"
    text_set: TextSet = "all"
    head_weight: Read = "use"
    step_weight: StepWeight = "mass"

    def __post_init__(self) -> None:
        one_of("head_weight", self.head_weight, get_args(Read))
        one_of("step_weight", self.step_weight, get_args(StepWeight))
        fraction_of(self.head_filter)
        fraction_of(self.filler_filter, "filler_filter")
        accept("text_set", self.text_set, TEXT_SETS)


def attribute(subject: Subject, options: Options) -> Maps:
    """Σ_{l,h} δ·X of each step."""
    passed = subject.passed
    _, layers, heads, _ = passed.shape
    chosen = resolve(
        range(layers),
        heads,
        layers=options.layers,
        heads=options.heads,
        head_filter=options.head_filter,
        text_set=options.text_set,
    )
    selection = chosen.selection(np.arange(layers), heads)
    maps, weights = [], []
    for tensor in subject.chunks():
        rows = subject.attention[np.isin(passed.steps, tensor.steps)]
        use = replace(tensor, values=np.maximum(tensor.values, 0) * rows, twice=None)
        read = {"use": use, "gradient": tensor}[options.head_weight]
        delta = _head_weights(read, passed.layout, selection, options, options.head_filter)
        visual = subject.visual(use.values)
        maps.append((delta[:, :, :, None] * visual).sum((1, 2)))
        weights.append(_step_weights(options, selection, passed.layout, tensor, use, visual))
    return Maps(np.concatenate(maps), np.concatenate(weights), minmaxed=True, gated=True)


def _head_weights(
    tensor: GradientTensor,
    layout: TokenLayout,
    selection: Bool[np.ndarray, "layer head"],
    options: Options,
    head_filter: Filter,
) -> Float[np.ndarray, "step layer head"]:
    reading = fraction_of(head_filter) or 0.0
    read = filters.sensitivity(tensor, layout, reading=reading, text_set=options.text_set)
    return filters.head_weights(read, selection, head_filter)


def _step_weights(
    options: Options,
    selection: Bool[np.ndarray, "layer head"],
    layout: TokenLayout,
    tensor: GradientTensor,
    use: GradientTensor,
    visual: Float[np.ndarray, "step layer head visual"],
) -> Float[np.ndarray, " step"]:
    if options.step_weight == "none":
        return np.ones(len(visual))
    if options.step_weight == "mass":
        return np.asarray((visual.sum(-1, dtype=float) * selection).sum((1, 2)))
    kind, _, by_head = options.step_weight.partition("_")
    read = {"use": use, "gradient": tensor}[kind]
    if by_head:
        return np.asarray(_head_weights(read, layout, selection, options, "max").max((1, 2)))
    reading = fraction_of(options.filler_filter, "filler_filter") or 0.0
    found = filters.sensitivity(read, layout, reading=reading, text_set=options.text_set)
    return filters.step_weights(found, selection, options.filler_filter)
