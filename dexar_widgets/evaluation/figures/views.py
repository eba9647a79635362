"""Maps as pictures with their numbers: what a cell of a figure shows, and where its energy lies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image, ImageDraw

import dexar_widgets as dx
from dexar_widgets.attributions import readable
from dexar_widgets.evaluation.figures.drawing import COLOURS
from dexar_widgets.evaluation.figures.plates import Mark, Picture, Pixels
from dexar_widgets.evaluation.samples import Sample
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import density
from dexar_widgets.figures import overlay
from dexar_widgets.maps import coverage
from dexar_widgets.options import RELEASED_FAMILIES
from dexar_widgets.types import HeatMap
from dexar_widgets.vlm import VLM

__all__ = ["BOTH", "PAPER", "RELEASED", "View", "explained", "mapped", "named_mask", "pictured", "shared", "times"]
__all__ += ["nats", "views_of"]

_PIXELS = 300  # of a picture's longer side: an inch in print
_EDGE = 3  # of an outline
Mask = Bool[np.ndarray, "height width"]
Small = UInt8[np.ndarray, "down across 3"]


@dataclass(frozen=True)
class View:
    """A method with its options, under the title that a figure gives it."""

    title: str
    method: str = "dexar"
    options: Mapping[str, Any] = field(default_factory=dict)

    def heat(self, e: Explanation, steps: Sequence[int] | None = None) -> HeatMap:
        """The raw map of some steps, or of the whole answer."""
        if self.method == "dexar":
            return e.sequence_map(**self.options) if steps is None else e.heatmap(steps, **self.options)
        found = e.attributions.get(self.method) if not self.options else None
        if found is None:
            found = dx.attribute(e, method=self.method, **self.options)
        return found.sequence_map() if steps is None else found.heatmap(steps)


PAPER = View("DEX-AR, preset paper")
RELEASED = View("DEX-AR, preset released", options={"preset": "released"})
BOTH = (PAPER, RELEASED)


def views_of(vlm: VLM, views: Sequence[View]) -> list[View | None]:
    """The views that this model has: ``released`` is for the families of the authors' code; None for others."""
    family = vlm.provenance()["family"]
    blind = readable(vlm, [view.method for view in views])
    return [
        None
        if blind[view.method] or (view.options.get("preset") == "released" and family not in RELEASED_FAMILIES)
        else view
        for view in views
    ]


def explained(vlm: VLM, sample: Sample, views: Sequence[View | None] = (), **more: Any) -> Explanation:
    """A sample's answer (its own, where it has one, else the model's), with what the views read."""
    methods = dict.fromkeys(one.method for one in views if one and one.method != "dexar" and not one.options)
    if methods:
        return dx.compare(vlm, sample.image, sample.prompt, methods=list(methods), answer=sample.answer)
    return dx.explain(vlm, sample.image, sample.prompt, answer=sample.answer, **more)


def named_mask(sample: Sample) -> Mask | None:
    """Every target together; None where no mask is known."""
    return np.any([target.mask for target in sample.targets], axis=0) if sample.targets else None


def shared(heat: HeatMap, mask: Mask | None) -> float:
    """The share of the map's positive part on a mask ÷ the mask's share of the area; NaN where there is none."""
    return float("nan") if mask is None else density(heat.values, coverage(mask, heat.grid))


def times(value: float) -> str:
    """A density in words."""
    return "an empty map" if np.isnan(value) else f"{value:.1f}×"


def nats(value: float) -> str:
    """A loss in words, without a minus before zero."""
    return f"{round(float(value), 1) + 0.0:.1f}"


def pictured(image: Pixels, outlines: Mapping[Mark, Mask | None], **more: Any) -> Picture:
    """The image, with the outlines of what was looked for."""
    return Picture(_outlined(_small(image), outlines), marks=_marks(outlines), **more)


def mapped(image: Pixels, heat: HeatMap, outlines: Mapping[Mark, Mask | None], **more: Any) -> Picture:
    """A map over the image; one that shows nothing says why."""
    small = _small(image)
    shown = _outlined(overlay(small, _fit(heat, small)), outlines)
    signed = heat.status == "ok" and float(heat.values.min()) < 0
    told = more.pop("lines", ())
    lines = told if heat.status == "ok" else (heat.status, *told)
    return Picture(shown, lines=lines, marks=_marks(outlines) | {"signed" if signed else "map"}, **more)


def _marks(outlines: Mapping[Mark, Mask | None]) -> frozenset[Mark]:
    return frozenset(mark for mark, mask in outlines.items() if mask is not None and mask.any())


def _small(image: Pixels) -> Small:
    height, width = image.shape[:2]
    share = _PIXELS / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))


def _fit(heat: HeatMap, image: Small) -> HeatMap:
    """The map of the same image at another size."""
    size = (image.shape[1], image.shape[0])
    across, down = (new / old for new, old in zip(size, heat.grid.image_size, strict=True))
    left, top, right, bottom = heat.grid.box
    grid = replace(heat.grid, box=(left * across, top * down, right * across, bottom * down), image_size=size)
    return replace(heat, grid=grid)


def _outlined(image: Small, outlines: Mapping[Mark, Mask | None]) -> Small:
    """Lines along the inner edge of regions; a "ring" is a circle around each of its parts."""
    shown, size = image.copy(), (image.shape[1], image.shape[0])
    for mark, mask in outlines.items():
        if mask is None or not mask.any():
            continue
        large = np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST))
        if mark == "ring":
            shown = _ringed(shown, large)
        else:
            shown[large & ~_inner(large)] = COLOURS[mark]
    return shown


def _inner(mask: Mask) -> Mask:
    """The mask less a margin; the picture's border is none."""
    for _ in range(_EDGE):
        padded = np.pad(mask, 1, mode="edge")
        mask = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & mask
    return np.asarray(mask)


def _ringed(image: Small, mask: Mask) -> Small:
    """A circle around every cell: the mask's parts, which touch nothing else of it, or are drawn as one."""
    page = Image.fromarray(image)
    draw = ImageDraw.Draw(page)
    left = mask.copy()
    while left.any():
        part = _part(left)
        down, across = np.nonzero(part)
        y, x = (float(one.min() + one.max()) / 2 for one in (down, across))
        reach = 0.8 * max(np.ptp(down), np.ptp(across)) + 4
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=COLOURS["ring"], width=_EDGE + 1)
        left &= ~part
    return np.asarray(page)


def _part(mask: Mask) -> Mask:
    """The pixels that hang together with the first."""
    part = np.zeros_like(mask)
    part[np.unravel_index(int(mask.argmax()), mask.shape)] = True
    while True:
        padded = np.pad(part, 1)
        grown = mask & (padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:] | part)
        if (grown == part).all():
            return part
        part = np.asarray(grown)
