"""Perturbation curves: how the answer fares as the pixels that a map puts first are taken away, or given back.

The answer's tokens are held fixed. Images of one unit are scored in batches of their own, so that a unit's numbers do
not depend on what was measured beside it. What all methods share of a sample, the image as it is, all of it replaced,
and all of it blurred, is scored once.

Source: DEX-AR, equations 23 and 24; insertion and deletion from Petsiuk et al. (RISE, BMVC 2018); the images of the
perplexity information curve are those of the negative one (Kapishnikov et al., XRAI, ICCV 2019).
"""

import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8
from PIL import Image, ImageFilter

from dexar_widgets import engine
from dexar_widgets.asking import Asked
from dexar_widgets.evaluation.configuration import Configuration, CurveKind, Fill
from dexar_widgets.maps import upsample
from dexar_widgets.metrics import Curve
from dexar_widgets.perturb import frame_of
from dexar_widgets.types import HeatMap

if TYPE_CHECKING:
    from torch import Tensor

    from dexar_widgets.vlm import VLM

__all__ = ["Ends", "curves", "draws_of", "ends", "forwards_of", "pictures_of", "ranking", "scored"]

Picture = Callable[[], UInt8[np.ndarray, "height width 3"]]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
_DRAWS = 5
"""Orders of equal pixels, where more of them than `_FEW` are cut by a level."""
_FEW = 0.01


@dataclass(frozen=True, eq=False)
class Ends:
    """What every method's curves of one sample share: the pictures at their ends, and how the answer fares on them."""

    image: UInt8[np.ndarray, "height width 3"]
    blank: UInt8[np.ndarray, "height width 3"]
    blurred: UInt8[np.ndarray, "height width 3"]
    log_probs: Float64[np.ndarray, "picture step"]
    """On the image, all of it replaced, all of it blurred."""
    sizes: tuple[int, int]
    """Bytes of the first two as lossless WebP; 0 where nobody asked."""

    @property
    def nll(self) -> Float64[np.ndarray, "3"]:
        """Mean over the answer's tokens, in nats."""
        return np.asarray(-self.log_probs.mean(1))


def ends(asked: Asked, configuration: Configuration) -> Ends:
    """Score what is shared."""
    image = asked.example.image
    blank = np.broadcast_to(_colour(asked.vlm, image, configuration.fill), image.shape)
    radius = configuration.blur * max(image.shape[:2]) / 224
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))
    seen = frame_of(asked.request.layout.grids[0].box, image.shape[1::-1])[..., None]
    blank, blurred = (np.where(seen, one, image).astype(np.uint8) for one in (blank, blurred))
    pictures = [lambda: image, lambda: blank, lambda: blurred]
    sizes = (_bytes(asked, image), _bytes(asked, blank)) if "sizes" in configuration.needs else (0, 0)
    return Ends(image, blank, blurred, scored(asked, pictures, configuration.batch_size), sizes)


def _colour(vlm: "VLM", image: UInt8[np.ndarray, "height width 3"], fill: Fill) -> UInt8[np.ndarray, "3"]:
    if fill == "image":
        mean = image.mean((0, 1))
    elif fill == "processor":
        mean = 255 * np.asarray(vlm.processor.image_processor.image_mean, float)
    else:
        mean = np.array(IMAGENET_MEAN)
    return np.asarray(mean.round(), np.uint8)


def scored(asked: Asked, pictures: Sequence[Picture], batch_size: int) -> Float64[np.ndarray, "picture step"]:
    """The log-probability of each of the answer's tokens on each picture, in nats."""
    vlm = asked.vlm

    def variants(numbers: Sequence[int]) -> "Tensor":
        return engine.pixels_of(vlm, [pictures[number]() for number in numbers])

    with engine.enough_memory(vlm, "A perturbation curve", "lower batch_size"):
        found = engine.score_variants(
            vlm, asked.request, asked.said, variants, len(pictures), steps=asked.steps, batch_size=batch_size
        )
    return found.astype(float)


def ranking(heat: HeatMap, key: str) -> Int[np.ndarray, " pixel"]:
    """The pixels that the model sees, highest first, as places in the image read row by row.

    Pixels of equal value, as most of a rectified map is, stand in an order drawn from ``key``: the same for every
    method, so that none gains by where in the image its zeros are.
    """
    values = upsample(heat).values.ravel()
    seen = np.flatnonzero(frame_of(heat.grid.box, heat.grid.image_size))
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    shuffled = np.random.default_rng(seed).permutation(seen)
    return shuffled[np.argsort(-values[shuffled], kind="stable")]


def curves(asked: Asked, heat: HeatMap, shared: Ends, configuration: Configuration, key: str) -> dict[CurveKind, Curve]:
    """The curves of one map; where a level has to draw among many equal pixels, the mean perplexity of five orders."""
    order = ranking(heat, key)
    counts = _counts(order, configuration.levels)
    tied = _tied(upsample(heat).values.ravel()[order], counts[1:-1])
    orders = [order, *(ranking(heat, f"{key} {draw}") for draw in range(1, draws_of(tied)))]
    made = [[pictures_of(kind, one, configuration.levels, shared) for kind in configuration.curves] for one in orders]
    every = [picture for kinds in made for pictures in kinds for picture in pictures]
    nll = -scored(asked, every, configuration.batch_size).mean(1)
    inner = np.logaddexp.reduce(nll.reshape(len(orders), len(configuration.curves), -1)) - np.log(len(orders))
    whole, blank, blurred = shared.nll
    first_last = {"positive": (whole, blank), "negative": (whole, blank), "insertion": (blurred, whole)}
    found: dict[CurveKind, Curve] = {}
    for place, kind in enumerate(configuration.curves):
        first, last = first_last[kind]
        sizes = None
        if kind == "negative" and "sizes" in configuration.needs:
            between = np.mean([[_bytes(asked, one()) for one in kinds[place]] for kinds in made], axis=0).round()
            sizes = np.array([shared.sizes[0], *between, shared.sizes[1]], np.int64)
        found[kind] = Curve(counts / len(order), np.array([first, *inner[place], last]), sizes, tied)
    return found


def draws_of(tied: float) -> int:
    """How many orders of the pixels a curve is the mean of, by the share of those that are equal where it is cut."""
    return _DRAWS if tied > _FEW else 1


def forwards_of(curve: Curve) -> int:
    """How many images its own levels took through the model; both ends are shared."""
    return (len(curve.fractions) - 2) * draws_of(curve.tied)


def _tied(values: Float32[np.ndarray, " pixel"], cuts: Int[np.ndarray, " level"]) -> float:
    """The share of the pixels, ranked, whose value stands on both sides of a cut."""
    equal = {float(values[cut]) for cut in cuts if 0 < cut < len(values) and values[cut - 1] == values[cut]}
    return float(np.isin(values, list(equal)).mean())


def _counts(order: Int[np.ndarray, " pixel"], levels: int) -> Int[np.ndarray, " level"]:
    """How many pixels are changed at each level, from none to all."""
    return np.asarray(np.round(np.arange(levels + 1) / levels * len(order)), int)


def pictures_of(kind: CurveKind, order: Int[np.ndarray, " pixel"], levels: int, shared: Ends) -> list[Picture]:
    """The pictures between a curve's ends, each made when it is asked for."""
    base, source = (shared.blurred, shared.image) if kind == "insertion" else (shared.image, shared.blank)
    places = np.full(base.shape[:2], len(order))
    places.ravel()[order[::-1] if kind == "negative" else order] = np.arange(len(order))

    def picture(count: int) -> UInt8[np.ndarray, "height width 3"]:
        return np.where((places < count)[..., None], source, base)

    return [partial(picture, int(count)) for count in _counts(order, levels)[1:-1]]


def _bytes(asked: Asked, image: UInt8[np.ndarray, "height width 3"]) -> int:
    """Of the picture as lossless WebP, no larger than the model sees it: its information, as XRAI counts it."""
    side = max(asked.request.inputs["pixel_values"].shape[-2:])
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.BOX)
    picture.save(buffer, "WEBP", lossless=True, quality=100)
    return buffer.tell()
