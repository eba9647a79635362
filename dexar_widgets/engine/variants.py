"""The same answer on many variants of the image: a few batched passes instead of many."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image
from torch import Tensor

from dexar_widgets import jobs
from dexar_widgets.engine.answers import Answer
from dexar_widgets.engine.recordings import record
from dexar_widgets.engine.requests import Request

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["pixels_of", "score_variants"]


def pixels_of(
    vlm: "VLM", images: Sequence[UInt8[np.ndarray, "height width 3"]]
) -> Float[Tensor, "variant 3 tall wide"]:
    """The pixel values of several images of one size, as `encode` makes them one by one."""
    with jobs.holding(vlm.lock):
        batch = vlm.processor.image_processor([Image.fromarray(image) for image in images], return_tensors="pt")
        pixels: Tensor = batch["pixel_values"]
    return pixels.to(vlm.device, vlm.model.dtype)


def score_variants(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    variants: Callable[[Sequence[int]], Float[Tensor, "variant 3 height width"]],
    count: int,
    *,
    steps: Sequence[int],
    batch_size: int,
) -> Float32[np.ndarray, "variant step"]:
    """The natural log-probability of each explained token on ``count`` variants of the pixel values.

    Parameters
    ----------
    variants
        Makes those of some numbers, when they are needed: all at once would not fit into memory.
    batch_size
        Variants in one pass. The numbers of the same variant in another batch differ in their last digits.
    """
    found = np.empty((count, len(steps)), np.float32)
    for first in range(0, count, batch_size):
        jobs.progress(first, count, f"scoring the answer on variants of the image: {first + 1} of {count}")
        some = range(first, min(first + batch_size, count))
        found[some.start : some.stop] = _scores(vlm, request, answer, variants(some), steps)
    return found


def _scores(
    vlm: "VLM",
    request: Request,
    answer: Answer,
    pixels: Float[Tensor, "variant 3 height width"],
    steps: Sequence[int],
) -> Float32[np.ndarray, "variant step"]:
    """One batch; its pass is gone before the next begins."""
    with record(vlm, request, answer, steps=steps, pixels=pixels, graph=False, attention=False) as run:
        return run.log_probs().cpu().numpy()
