"""CheferCAM: relevance through all layers, by attention times the gradient of the final logit.

R ← R + mean_h ReLU(∇A_l ⊙ A_l)·R from the lowest layer up, ∇ of the final logit of step t; row t at the visual tokens.
Here the row alone is propagated, from the top down; ∇A_l is formed from the gradient of the head outputs and the
values when its layer is reached.

Source: Chefer, Gur, Wolf (ICCV 2021); DEX-AR, appendix C.2 (equations 9–10).
Differs on Florence-2: the union of the encoder's and the decoder's tokens (see `dexar_widgets.methods._propagation`)
instead of that paper's co-attention rule, which normalises R between modalities.
No map is kept here; a model that attends eagerly (PaliGemma 2 can no other way) keeps its own for the backward pass.
"""

from dataclasses import dataclass

import numpy as np

from dexar_widgets import engine, jobs
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._propagation import propagate, starts

TITLE = "CheferCAM"
UNIT = "relevance: logit gradient times attention, through all layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"maps"})
SMALLER = "explain a shorter answer, or shrink the image"


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def attribute(subject: Subject, _options: Options) -> Maps:
    """Row t of the relevance matrix, with a backward pass for each step."""
    maps = []
    with engine.record(subject.vlm, subject.request, subject.answer, steps=subject.steps) as recording:
        logits = recording.logits()
        start = starts(recording.rows, recording.sublayers[-1].query.shape[2])
        for place in range(len(subject.steps)):
            jobs.progress(place, len(subject.steps), f"CheferCAM: step {place + 1} of {len(subject.steps)}")
            gradients = recording.gradients(logits[:, place], recording.outputs())
            layers = zip(reversed(recording.sublayers), reversed(gradients), strict=True)
            relevance = ((layer.kind, layer.mean_relevance(gradient[0])) for layer, gradient in layers)
            reached = propagate(start[place : place + 1], relevance, normalise=False)
            maps.append(reached[0].cpu().numpy())
    return Maps(subject.visual(np.stack(maps)))
