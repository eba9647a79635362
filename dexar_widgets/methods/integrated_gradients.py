"""Integrated gradients on the pixels: ∫ ∂F(α·x)/∂x dα · x, from the mean colour to the image, pooled to cells.

F is the summed log-probability of the explained tokens (``target="answer"``, one path for all of them) or each token's
own final logit (``target="step"``). The integral is a Gauss–Legendre sum of ``n_steps`` points. The note
``completeness_error`` is |Σ map − (F(x) − F(0))| ÷ |F(x) − F(0)|, the largest of all paths; raise ``n_steps`` where it
is large.

Source: Sundararajan, Taly, Yan (ICML 2017). Differs: pixels are those after the processor, and channels are summed.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from dexar_widgets import engine, jobs
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._checks import one_of, whole_number
from dexar_widgets.methods._pixels import blended, summed_in_cells

TITLE = "Integrated gradients"
UNIT = "log-probability (target: answer) or logit (target: step), shared out over the pixels"
CONTROL = False
NEEDS: frozenset[Need] = frozenset()
SMALLER = "lower batch_size"

Target = Literal["answer", "step"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """``batch_size``: points of the path in one pass."""

    n_steps: int = 20
    target: Target = "answer"
    batch_size: int = 4

    def __post_init__(self) -> None:
        whole_number("n_steps", self.n_steps, 1)
        whole_number("batch_size", self.batch_size, 1)
        one_of("target", self.target, get_args(Target))


def attribute(subject: Subject, options: Options) -> Maps:
    """One path for the answer, or one backward pass more per point for each further step."""
    nodes, weights = np.polynomial.legendre.leggauss(options.n_steps)
    shares, weights = (nodes + 1) / 2, weights / 2
    pixels = subject.request.inputs["pixel_values"]
    total: Float32[Tensor, "map 3 height width"] | float = 0.0
    for first in range(0, len(shares), options.batch_size):
        jobs.progress(first, len(shares), f"integrating gradients: point {first + 1} of {len(shares)}")
        some = slice(first, first + options.batch_size)
        total = total + _gradients(subject, options, blended(pixels, shares[some]), weights[some])
    values = (total * pixels.float()).sum(1).cpu().numpy()
    cells = summed_in_cells(values, subject.layout.grids[0])
    _, change = np.diff(_scores(subject, options, blended(pixels, [0.0, 1.0])), axis=0, prepend=0.0)
    error = np.abs(values.sum((1, 2)) - change) / np.maximum(np.abs(change), 1e-12)
    return Maps(subject.on_tokens(cells), notes={"completeness_error": float(error.max())})


def _gradients(
    subject: Subject, options: Options, variants: Float[Tensor, "variant 3 height width"], weights: np.ndarray
) -> Float32[Tensor, "map 3 height width"]:
    """The weighed sum of some points' gradients, for each target."""
    with _recorded(subject, variants) as recording:
        found = []
        for scalars in _targets(recording, options):
            (gradient,) = recording.gradients(scalars, [recording.source])
            share = torch.as_tensor(weights, dtype=gradient.dtype, device=gradient.device)
            found.append(torch.einsum("v,vchw->chw", share, gradient))
        return torch.stack(found)


def _scores(
    subject: Subject, options: Options, variants: Float[Tensor, "variant 3 height width"]
) -> Float[np.ndarray, "variant map"]:
    with _recorded(subject, variants, graph=False) as recording:
        return np.stack([scalars.cpu().numpy() for scalars in _targets(recording, options)], 1).astype(float)


def _recorded(
    subject: Subject, variants: Float[Tensor, "variant 3 height width"], *, graph: bool = True
) -> AbstractContextManager[engine.Recording]:
    vlm, request, answer = subject.vlm, subject.request, subject.answer
    return engine.record(vlm, request, answer, steps=subject.steps, pixels=variants, graph=graph, attention=False)


def _targets(recording: engine.Recording, options: Options) -> list[Float32[Tensor, " variant"]]:
    if options.target == "answer":
        return [recording.log_probs().sum(-1)]
    return list(recording.logits().unbind(-1))
