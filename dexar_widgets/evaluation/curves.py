"""Perturbation curves: how the answer fares as the pixels that a map puts first are taken away, or given back.

The answer's tokens are held fixed. Images of one unit are scored in batches of their own, so that a unit's numbers do
not depend on what was measured beside it. What all methods share of a sample, the image as it is, all of it replaced,
and all of it blurred, is scored once.

With `Configuration.upsampling` "nearest" whole cells of the grid are changed and none is in part (but for what the
processor blurs at their edges when it resizes). A level is then a share of the cells, which are of one size to the
model, though some may have a row of the image's pixels more than others.

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
from dexar_widgets.maps import Upsampling, cell_of, upsample
from dexar_widgets.metrics import Curve
from dexar_widgets.perturb import frame_of
from dexar_widgets.types import HeatMap

if TYPE_CHECKING:
    from torch import Tensor

    from dexar_widgets.vlm import VLM

__all__ = ["Ends", "Ranking", "curves", "draws_of", "ends", "forwards_of", "pictures_of", "ranking", "scored"]

Picture = Callable[[], UInt8[np.ndarray, "height width 3"]]

IMAGENET_MEAN = (123.675, 116.28, 103.53)
_DRAWS = 5
"""Orders of equal places, where more of them than `_FEW` are cut by a level."""
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


@dataclass(frozen=True, eq=False)
class Ranking:
    """Places in the order in which they are taken away: pixels, or cells of the grid, whose pixels go together.

    ``values`` are the places', highest first. ``ranks`` say of each pixel which of these it belongs to, from 0; of one
    that the model does not see it is their number, so that it is never taken.
    """

    values: Float32[np.ndarray, " place"]
    ranks: Int[np.ndarray, "height width"]

    def counts(self, levels: int) -> Int[np.ndarray, " level"]:
        """How many places are changed at each level, from none to all."""
        return np.asarray(np.round(np.arange(levels + 1) / levels * len(self.values)), int)


def ranking(heat: HeatMap, key: str, how: Upsampling = "bilinear") -> Ranking:
    """The pixels that the model sees, highest first; with "nearest" the cells, as they are equal to the model.

    Places of equal value, as most of a rectified map is, stand in an order drawn from ``key``: the same for every
    method, so that none gains by where in the image its zeros are. A pixel that the model sees a rim of goes with the
    nearest cell.
    """
    seen = frame_of(heat.grid.box, heat.grid.image_size)
    if how == "nearest":
        values, place = heat.values.ravel(), cell_of(heat.grid)
    else:
        values, place = upsample(heat).values.ravel(), np.arange(seen.size).reshape(seen.shape)
    seed = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")
    shuffled = np.random.default_rng(seed).permutation(np.unique(place[seen]))
    order = shuffled[np.argsort(-values[shuffled], kind="stable")]
    ranks = np.full(len(values), len(order))
    ranks[order] = np.arange(len(order))
    return Ranking(values[order], np.where(seen, ranks[place], len(order)))


def curves(asked: Asked, heat: HeatMap, shared: Ends, configuration: Configuration, key: str) -> dict[CurveKind, Curve]:
    """The curves of one map; where a level has to draw among many equal places, the mean perplexity of five orders."""
    how = configuration.upsampling
    first = ranking(heat, key, how)
    counts = first.counts(configuration.levels)
    tied = _tied(first.values, counts[1:-1])
    orders = [first, *(ranking(heat, f"{key} {draw}", how) for draw in range(1, draws_of(tied)))]
    made = [[pictures_of(kind, one, configuration.levels, shared) for kind in configuration.curves] for one in orders]
    every = [picture for kinds in made for pictures in kinds for picture in pictures]
    nll = -scored(asked, every, configuration.batch_size).mean(1)
    inner = np.logaddexp.reduce(nll.reshape(len(orders), len(configuration.curves), -1)) - np.log(len(orders))
    whole, blank, blurred = shared.nll
    both_ends = {"positive": (whole, blank), "negative": (whole, blank), "insertion": (blurred, whole)}
    found: dict[CurveKind, Curve] = {}
    for place, kind in enumerate(configuration.curves):
        begin, end = both_ends[kind]
        sizes = None
        if kind == "negative" and "sizes" in configuration.needs:
            between = np.mean([[_bytes(asked, one()) for one in kinds[place]] for kinds in made], axis=0).round()
            sizes = np.array([shared.sizes[0], *between, shared.sizes[1]], np.int64)
        found[kind] = Curve(counts / len(first.values), np.array([begin, *inner[place], end]), sizes, tied)
    return found


def draws_of(tied: float) -> int:
    """How many orders of the places a curve is the mean of, by the share of those that are equal where it is cut."""
    return _DRAWS if tied > _FEW else 1


def forwards_of(curve: Curve) -> int:
    """How many images its own levels took through the model; both ends are shared."""
    return (len(curve.fractions) - 2) * draws_of(curve.tied)


def _tied(values: Float32[np.ndarray, " place"], cuts: Int[np.ndarray, " level"]) -> float:
    """The share of the places, ranked, whose value stands on both sides of a cut."""
    equal = {float(values[cut]) for cut in cuts if 0 < cut < len(values) and values[cut - 1] == values[cut]}
    return float(np.isin(values, list(equal)).mean())


def pictures_of(kind: CurveKind, ranked: Ranking, levels: int, shared: Ends) -> list[Picture]:
    """The pictures between a curve's ends, each made when it is asked for."""
    base, source = (shared.blurred, shared.image) if kind == "insertion" else (shared.image, shared.blank)
    ranks, every = ranked.ranks, len(ranked.values)
    if kind == "negative":
        ranks = np.where(ranks < every, every - 1 - ranks, every)

    def picture(count: int) -> UInt8[np.ndarray, "height width 3"]:
        return np.where((ranks < count)[..., None], source, base)

    return [partial(picture, int(count)) for count in ranked.counts(levels)[1:-1]]


def _bytes(asked: Asked, image: UInt8[np.ndarray, "height width 3"]) -> int:
    """Of the picture as lossless WebP, no larger than the model sees it: its information, as XRAI counts it."""
    side = max(asked.request.inputs["pixel_values"].shape[-2:])
    picture, buffer = Image.fromarray(image), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.BOX)
    picture.save(buffer, "WEBP", lossless=True, quality=100)
    return buffer.tell()
