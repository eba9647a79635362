"""Grad-CAM on hidden states: the gradient of the final logit by the visual tokens' states at one layer, times them.

Source: Selvaraju et al. (IJCV 2020); DEX-AR, appendix C.1 (equations 7–8): gradient ⊙ states, summed over channels.
Differs: signed, without the original's ReLU (a reader that wants it clips); the layer is the middle one by default,
since neither source names one. On Florence-2 the visual tokens pass through the encoder, and its layers are meant.
At the last layer of the other families the product is 0 whatever the model does: there the visual states are read
through a norm alone, which their length does not change, so that the gradient is orthogonal to them.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32
from torch import Tensor

from dexar_widgets import engine, jobs
from dexar_widgets.maps import visual_tokens
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import one_of

TITLE = "Grad-CAM"
UNIT = "logit: gradient times hidden state, summed over channels"
CONTROL = False
NEEDS: frozenset[Need] = frozenset()
SMALLER = "explain a shorter answer, or shrink the image"

Form = Literal["product", "pooled"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """``layer``: the block whose input is read (negative from the last; default: the middle one).

    ``form``: "product" is the paper's; "pooled" weighs each channel by its mean gradient over the visual tokens, as
    the original does over a feature map.
    """

    layer: int | None = None
    form: Form = "product"

    def __post_init__(self) -> None:
        one_of("form", self.form, get_args(Form))


def attribute(subject: Subject, options: Options) -> Maps:
    """A backward pass for each step."""
    vlm, steps = subject.vlm, subject.steps
    maps = []
    with engine.record(vlm, subject.request, subject.answer, steps=steps, attention=False) as recording:
        states = recording.states[_place(options.layer, len(recording.states))]
        logits, columns = recording.logits(), visual_tokens(subject.layout)
        shown = states[0, columns].detach().float()
        for place in range(len(steps)):
            jobs.progress(place, len(steps), f"Grad-CAM: step {place + 1} of {len(steps)}")
            (gradient,) = recording.gradients(logits[:, place], [states])
            maps.append(_weighed(shown, gradient[0, columns], options.form).cpu().numpy())
    return Maps(np.stack(maps))


def _weighed(
    states: Float32[Tensor, "visual feature"], gradient: Float32[Tensor, "visual feature"], form: Form
) -> Float32[Tensor, " visual"]:
    if form == "pooled":
        return states @ gradient.mean(0)
    return (states * gradient).sum(-1)


def _place(layer: int | None, layers: int) -> int:
    if layer is None:
        return layers // 2
    if type(layer) is not int or not -layers <= layer < layers:
        raise ValueError(f"layer={layer!r} is not accepted; the visual tokens pass through layers 0 to {layers - 1}.")
    return layer % layers
