"""The answer's words, and how probable each stays on other images."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Step
from dexar_widgets.perturb import Pixels, Source, Target

if TYPE_CHECKING:
    import torch

    from dexar_widgets.vlm import VLM

__all__ = ["BATCH", "Picture", "Words", "cut_log_probs", "log_probs", "summed", "text_of", "words_of"]

BATCH = 16
"""Variants in one pass, unless told."""
Picture = Callable[[], Pixels]
Words = tuple[tuple[int, ...], ...]
"""The steps of each."""


def words_of(e: Explanation, step: Step | None) -> Words:
    """The steps that ``step`` names; of None each explained word's, and last the whole answer's."""
    if step is not None:
        return (e.steps_of(step),)
    words = [tuple(t for t in word.steps if t in e.steps) for word in e.generation.words]
    return tuple(dict.fromkeys([*(word for word in words if word), e.steps]))


def text_of(e: Explanation, steps: Sequence[int]) -> str:
    """What these steps say."""
    return e.generation.said(steps)


def summed(e: Explanation, scores: Float[np.ndarray, "*of step"], word: Sequence[int]) -> Float[np.ndarray, "*of"]:
    """The log-probability of a word: the sum over its steps, given those of all explained steps."""
    return np.asarray(scores[..., [e.steps.index(step) for step in word]].sum(-1, dtype=float))


def log_probs(
    e: Explanation, vlm: "VLM", pictures: Sequence[Picture], *, batch_size: int
) -> Float[np.ndarray, "picture step"]:
    """The natural log-probability of each explained step on each picture, the answer itself held fixed.

    Pictures are made when their batch is run, and must have the size of the image that was explained. Nothing before
    the image is shared between them: that is a handful of the prompt's tokens.
    """
    from dexar_widgets import engine

    require_batch(batch_size)
    with engine.enough_memory(vlm, "The check", "lower batch_size="):
        request = engine.encode(vlm, e.example)
        said = engine.resume(vlm, request, e.generation)

        def variants(numbers: Sequence[int]) -> "torch.Tensor":
            return engine.pixels_of(vlm, [pictures[number]() for number in numbers])

        found = engine.score_variants(vlm, request, said, variants, len(pictures), steps=e.steps, batch_size=batch_size)
    if np.isnan(found).any():
        raise ValueError(f"{vlm.name} gives NaN on a changed image; does {vlm.model.dtype} overflow? Try float32.")
    return np.asarray(found, float)


def cut_log_probs(
    e: Explanation,
    vlm: "VLM",
    sources: Sequence[Source],
    target: Target,
    layers: Bool[np.ndarray, "variant layer"],
    *,
    batch_size: int,
) -> Float[np.ndarray, "variant step"]:
    """The natural log-probability of each explained step with each variant's source cut off from the target.

    ``layers`` says where each is cut, of as many layers as `engine.cuttable_layers` tells.
    """
    from dexar_widgets import engine

    require_batch(batch_size)
    with engine.enough_memory(vlm, "The knock-out", "lower batch_size="):
        request = engine.encode(vlm, e.example)
        said = engine.resume(vlm, request, e.generation)
        options: Any = {"layers": layers, "steps": e.steps, "batch_size": batch_size}
        found = engine.score_cuts(vlm, request, said, sources=sources, target=target, **options)
    return np.asarray(found, float)


def require_batch(batch_size: int) -> None:
    """Raise `ValueError` for what is no number of variants."""
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; expected at least 1.")
