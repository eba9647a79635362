"""Iterated integrated attributions (IIA): gradients times attention, averaged over two paths, then rolled out.

The outer path is α·x, from the mean colour to the image. On the inner one, for each of its images, the last block's
attention (the one that is explained) is held fixed and multiplied by β. M_l is the mean over both of
mean_h ReLU(∇A_l ⊙ A_l), for every layer; the map is row t of the product of all M_l + I, with rows scaled to sum 1.
Each image passes through the model once; for each point of the inner path the last block alone runs again.

Source: Barkan et al. (ICCV 2023), "IIA3"; read from the authors' code for vision transformers. ``target="answer"``
takes the gradient of the summed log-probability and starts from all predicting rows; "step" takes each final logit.
Differs: the last block's attention is multiplied through its head outputs, which is the same; on Florence-2 it is the
last cross-attention, and relevance passes over the union of the encoder's and the decoder's tokens
(`dexar_widgets.methods._propagation`).
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dexar_widgets import engine, jobs
from dexar_widgets.families import SublayerKind
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import one_of, whole_number
from dexar_widgets.methods._pixels import blended
from dexar_widgets.methods._propagation import propagate, starts

TITLE = "IIA"
UNIT = "relevance: gradient times attention along two paths, through all layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"maps"})
SMALLER = "lower batch_size"

Target = Literal["answer", "step"]
Layers = list[tuple[SublayerKind, Float32[Tensor, "_row _token"]]]  # of its own size each


@dataclass(frozen=True, kw_only=True)
class Options:
    """``n_images``, ``n_attentions``: points of the outer and the inner path, both ends included.

    ``batch_size``: images in one pass.
    """

    n_images: int = 6
    n_attentions: int = 6
    target: Target = "answer"
    batch_size: int = 2

    def __post_init__(self) -> None:
        for name, least in (("n_images", 2), ("n_attentions", 2), ("batch_size", 1)):
            whole_number(name, getattr(self, name), least)
        one_of("target", self.target, get_args(Target))


def attribute(subject: Subject, options: Options) -> Maps:
    """Both paths once for the answer, or once for each step."""
    count = len(subject.steps)
    groups = [list(range(count))] if options.target == "answer" else [[place] for place in range(count)]
    maps = []
    for number, group in enumerate(groups):
        layers, rows, tokens = _integrated(subject, options, group, f"path {number + 1} of {len(groups)}")
        start = starts(rows, tokens)[group].sum(0, keepdim=True)
        maps.append(propagate(start, reversed(layers), normalise=True)[0].cpu().numpy())
    return Maps(subject.visual(np.stack(maps)))


def _integrated(subject: Subject, options: Options, group: list[int], which: str) -> tuple[Layers, Tensor, int]:
    """M of every layer, from the lowest up; the predicting rows, and the number of the decoder's rows."""
    shares = np.linspace(0, 1, options.n_images)
    points = len(shares) * options.n_attentions
    layers: Layers = []
    for first in range(0, len(shares), options.batch_size):
        some = shares[first : first + options.batch_size]
        jobs.progress(first * options.n_attentions, points, f"IIA, {which}: image {first + 1} of {len(shares)}")
        more, rows, tokens = _of_images(subject, options, group, some)
        layers = _added(layers, more)
    return [(kind, total / points) for kind, total in layers], rows, tokens


def _of_images(
    subject: Subject, options: Options, group: list[int], shares: Float[np.ndarray, " image"]
) -> tuple[Layers, Tensor, int]:
    """The sum over some images and all of the inner path; one graph, gone before the next images'."""
    vlm, request, answer = subject.vlm, subject.request, subject.answer
    variants = blended(request.inputs["pixel_values"], shares)
    layers: Layers = []
    with engine.record(vlm, request, answer, steps=subject.steps, pixels=variants) as recording:
        for strength in np.linspace(0, 1, options.n_attentions):
            weak = recording.weakened(float(strength))
            scores = weak.logits() if options.target == "step" else weak.log_probs()
            layers = _added(layers, _relevance(weak, scores, group))
        return layers, recording.rows, recording.sublayers[-1].query.shape[2]


def _added(layers: Layers, more: Layers) -> Layers:
    return [(kind, a + b) for (kind, a), (_, b) in zip(layers, more, strict=True)] if layers else more


def _relevance(recording: engine.Recording, scores: Float32[Tensor, "image step"], group: list[int]) -> Layers:
    """Each layer's mean_h ReLU(∇A ⊙ A), summed over the images of one pass."""
    gradients = recording.gradients(scores[:, group].sum(-1), recording.outputs())
    return [
        (layer.kind, torch.stack([layer.mean_relevance(one, image) for image, one in enumerate(gradient)]).sum(0))
        for layer, gradient in zip(recording.sublayers, gradients, strict=True)
    ]
