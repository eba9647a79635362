"""How strongly each head and word reads the image and the text: sensitivities and the two filters of DEX-AR.

Source: DEX-AR, equations 4 and 6, table 3 and appendix G. ``δ`` is a head's weight, ``ω`` a word's.
Statistics are float32 like the tensor; weights are float64 and have no epsilon added, as ω·δ·G⁺ is
cubic in the gradient's scale.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from dexar_widgets.options import TEXT_SETS, Filter, TextSet, accept, fraction_of
from dexar_widgets.types import GradientTensor, Sensitivity, TokenLayout

__all__ = ["head_weights", "measure", "sensitivity", "step_weights", "tail", "text_mask", "with_tail"]


def text_mask(layout: TokenLayout, text_set: TextSet) -> Bool[np.ndarray, " token"]:
    """True for the text tokens of a set; a row reads those of them its attention mask allows.

    - ``all``: everything that is not an image token: template, control ids, the row's own
      position and the answer so far (the paper's X).
    - ``no_special``: all but control ids (BOS, separators, …); role words stay.
    - ``content``: the user's own words and the answer so far.
    - ``answer``: the answer so far.
    - ``released``: all but the first text token after the image, as in the authors' code.
    """
    accept("text_set", text_set, TEXT_SETS)
    kinds = np.array(layout.kinds)
    text = ~layout.is_image
    if text_set == "no_special":
        return np.asarray(text & (kinds != "special"))
    if text_set == "content":
        return np.asarray(np.isin(kinds, ("prompt", "answer")))
    if text_set == "answer":
        return np.asarray(kinds == "answer")
    if text_set == "released" and layout.is_image.any():
        after = np.flatnonzero(text[layout.is_image.argmax() :])
        text[layout.is_image.argmax() + after[:1]] = False
    return text


def measure(
    cells: Float32[np.ndarray, "layer head chosen"],
    allowed: Bool[np.ndarray, "layer chosen"],
    tokens: Int[np.ndarray, " chosen"],
    fractions: Sequence[float],
) -> tuple[Float32[np.ndarray, "reading layer head"], Int32[np.ndarray, "layer head"]]:
    """Mean of the top k = max(1, ⌈f·N⌉) of some tokens' cells for each fraction f, and the largest one's token.

    ``cells`` are not negative, best C-contiguous; N counts allowed cells only. An empty set reads 0 and has token −1.
    """
    if not len(tokens):
        return np.zeros((len(fractions), *cells.shape[:2]), np.float32), np.full(cells.shape[:2], -1, np.int32)
    masked = np.where(allowed[:, None], cells, np.float32(-1))
    count = allowed.sum(-1)
    place = masked.argmax(-1)
    winner = np.where(count[:, None] > 0, tokens[place], -1)
    if any(fractions):
        means = _means_of_top(masked, count, np.asarray(fractions))
    else:
        largest = np.take_along_axis(masked, place[..., None], -1)[..., 0]
        means = np.maximum(largest, 0)[None].repeat(len(fractions), 0)
    return means.astype(np.float32), winner.astype(np.int32)


def _means_of_top(
    masked: Float32[np.ndarray, "layer head token"],
    count: Int[np.ndarray, " layer"],
    fractions: Float[np.ndarray, " reading"],
) -> Float[np.ndarray, "reading layer head"]:
    """Mean of the top k of each layer's ``count`` allowed cells; the others hold −1."""
    means = np.zeros((len(fractions), *masked.shape[:2]))
    for size in set(count[count > 0].tolist()):
        layers = count == size
        k = np.maximum(1, np.ceil(fractions * size - 1e-9)).astype(int)  # 0.55 × 100 is 55.000000000000007
        ends, place = np.unique(k, return_inverse=True)
        ranked = np.sort(masked[layers], -1)[..., : -ends[-1] - 1 : -1]
        totals = np.add.reduceat(ranked, np.append(0, ends[:-1]), -1, dtype=np.float64).cumsum(-1)
        means[:, layers] = np.moveaxis(totals[..., place] / k, -1, 0)
    return means


def tail(tensor: GradientTensor) -> GradientTensor:
    """The last layer alone, with the gradients through the final norm applied twice (preset ``released``)."""
    if tensor.twice is None:
        raise ValueError("preset='released' needs the last layer's gradients through a twice applied norm; none here.")
    return GradientTensor(
        tensor.twice[:, None], tensor.allowed[:, -1:], tensor.steps, tensor.layers[-1:], tensor.tokens
    )


def with_tail(read: Sensitivity, last: Sensitivity) -> Sensitivity:
    """The same sensitivities with the last layer's replaced by those of `tail`."""
    names = ("visual", "text", "visual_token", "text_token")
    return Sensitivity(*(np.concatenate([getattr(read, n)[:, :-1], getattr(last, n)], 1) for n in names))


def sensitivity(
    tensor: GradientTensor,
    layout: TokenLayout,
    *,
    reading: float = 0.0,
    text_set: TextSet = "all",
    magnitude: bool = False,
    alike: Sensitivity | None = None,
) -> Sensitivity:
    """s_vis and s_txt of every step, layer and head (equation 4), with the tokens that won the maximum.

    ``reading`` is a fraction as in `READINGS`. ``magnitude`` reads |G| instead of G⁺. ``alike`` was read
    the same way for another text set: its visual side is not read again.
    """
    if len(tensor.tokens) != len(layout):
        raise ValueError(
            f"The tensor holds {len(tensor.tokens)} of {len(layout)} tokens; reading text needs all of them."
        )
    texts = np.flatnonzero(text_mask(layout, text_set))
    text, token = _one_side(tensor, texts, reading=reading, magnitude=magnitude)
    if alike is not None:
        return Sensitivity(alike.visual, text, alike.visual_token, token)
    visual, won = _one_side(tensor, np.flatnonzero(layout.is_image), reading=reading, magnitude=magnitude)
    return Sensitivity(visual, text, won, token)


def _one_side(
    tensor: GradientTensor, tokens: Int[np.ndarray, " chosen"], *, reading: float, magnitude: bool
) -> tuple[Float32[np.ndarray, "step layer head"], Int32[np.ndarray, "step layer head"]]:
    """`measure` of every step, for some ``tokens`` of a tensor that holds them all."""
    shape = tensor.values.shape[:3]
    largest, winners = np.zeros(shape, np.float32), np.full(shape, -1, np.int32)
    for step, (values, allowed) in enumerate(zip(tensor.values, tensor.allowed, strict=True)):
        chosen = values.take(tokens, -1)  # not values[..., tokens], whose rows are not contiguous: argmax 20 × slower
        cells = np.abs(chosen) if magnitude else np.maximum(chosen, 0)
        (largest[step],), winners[step] = measure(cells, allowed[:, tokens], tokens, (reading,))
    return largest, winners


def head_weights(
    read: Sensitivity, selection: Bool[np.ndarray, "layer head"], head_filter: Filter = "max"
) -> Float[np.ndarray, "step layer head"]:
    """δ = ReLU(s_vis − s_txt) of the selected heads, 0 elsewhere; without a filter δ is 1 (equation 4)."""
    if fraction_of(head_filter) is None:
        return np.broadcast_to(selection.astype(float), read.visual.shape).copy()
    return np.asarray(np.maximum(read.visual.astype(float) - read.text, 0) * selection)


def step_weights(
    read: Sensitivity, selection: Bool[np.ndarray, "layer head"], filler_filter: Filter = "max"
) -> Float[np.ndarray, " step"]:
    """ω = ReLU(max s_vis − max s_txt), maxima over the selected layers and heads; 1 without a filter (equation 6)."""
    if fraction_of(filler_filter, "filler_filter") is None:
        return np.ones(len(read.visual))
    visual, text = (array[:, selection].max(-1).astype(float) for array in (read.visual, read.text))
    return np.asarray(np.maximum(visual - text, 0))
