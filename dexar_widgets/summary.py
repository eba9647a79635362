"""What an explanation keeps when it does not keep every gradient, gathered step by step.

``keep="visual"`` holds the visual columns and the filters' statistics, ``keep="summary"`` the
statistics and two maps per layer. Both answer what they can with the numbers of ``keep="full"``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float32, Int, Int32

from dexar_widgets import jobs
from dexar_widgets.equality import ByValue
from dexar_widgets.filters import head_weights, measure, tail, text_mask
from dexar_widgets.maps import layer_maps, visual_tokens
from dexar_widgets.options import READINGS, TEXT_SETS, TextSet, accept
from dexar_widgets.types import GradientTensor, Sensitivity, TokenLayout

__all__ = ["KEEPS", "Collected", "Keep", "LayerMaps", "Statistics", "Summary", "collect"]

Keep = Literal["full", "visual", "summary"]
KEEPS: tuple[Keep, ...] = get_args(Keep)
MAP_TEXT_SETS: tuple[TextSet, ...] = ("all", "released")  # the presets' own


@dataclass(frozen=True, eq=False)
class Statistics(ByValue):
    """s_vis and s_txt of G⁺ (magnitude 0) and |G| (1), for every reading in `READINGS` and set in `TEXT_SETS`.

    The winning tokens are layout positions (−1: empty set), those of the maximum.
    """

    visual: Float32[np.ndarray, "magnitude reading step layer head"]
    text: Float32[np.ndarray, "magnitude text_set reading step layer head"]
    visual_token: Int32[np.ndarray, "magnitude step layer head"]
    text_token: Int32[np.ndarray, "magnitude text_set step layer head"]

    @staticmethod
    def empty(steps: int, layers: int, heads: int) -> "Statistics":
        """Room for the statistics of so many steps."""
        shape, sets, readings = (steps, layers, heads), len(TEXT_SETS), len(READINGS)
        return Statistics(
            np.zeros((2, readings, *shape), np.float32),
            np.zeros((2, sets, readings, *shape), np.float32),
            np.full((2, *shape), -1, np.int32),
            np.full((2, sets, *shape), -1, np.int32),
        )

    def fill(self, first: int, tensor: GradientTensor, layout: TokenLayout) -> None:
        """Measure a chunk of steps, the first of which stands at place ``first``."""
        visual, *texts = [visual_tokens(layout), *(np.flatnonzero(text_mask(layout, name)) for name in TEXT_SETS)]
        for step, (values, allowed) in enumerate(zip(tensor.values, tensor.allowed, strict=True), first):
            jobs.check()
            for magnitude, cells in enumerate((np.maximum(values, 0), np.abs(values))):
                read, won = measure(cells.take(visual, -1), allowed[:, visual], visual, READINGS)
                self.visual[magnitude, :, step], self.visual_token[magnitude, step] = read, won
                for text_set, tokens in enumerate(texts):
                    read, won = measure(cells.take(tokens, -1), allowed[:, tokens], tokens, READINGS)
                    self.text[magnitude, text_set, :, step], self.text_token[magnitude, text_set, step] = read, won

    def read(self, reading: float, text_set: TextSet, *, magnitude: bool) -> Sensitivity:
        """The sensitivities of one reading, which must be one of `READINGS`."""
        if reading not in READINGS:
            kept = ", ".join(f"{fraction:g}" for fraction in READINGS[1:-1])
            raise ValueError(
                f"The fraction {reading:g} was not kept; this explanation has 'max', 'avg', {kept}. "
                "Explain again with keep='full' for any other."
            )
        row, column, kind = READINGS.index(reading), TEXT_SETS.index(text_set), int(magnitude)
        return Sensitivity(
            self.visual[kind, row],
            self.text[kind, column, row],
            self.visual_token[kind],
            self.text_token[kind, column],
        )


@dataclass(frozen=True, eq=False)
class LayerMaps(ByValue):
    """Σ_h G⁺ per step and layer, and Σ_h δ·G⁺ with the text set of each preset (`MAP_TEXT_SETS`)."""

    plain: Float32[np.ndarray, "step layer visual"]
    filtered: Float32[np.ndarray, "text_set step layer visual"]

    @staticmethod
    def empty(steps: int, layers: int, visual: int) -> "LayerMaps":
        """Room for the maps of so many steps."""
        shape = (steps, layers, visual)
        return LayerMaps(np.zeros(shape, np.float32), np.zeros((len(MAP_TEXT_SETS), *shape), np.float32))

    def fill(self, first: int, tensor: GradientTensor, columns: Int[np.ndarray, " visual"], known: Statistics) -> None:
        """Sum the heads of a chunk of steps whose statistics are already ``known``."""
        every = np.ones(tensor.values.shape[1:3], bool)
        readings = [known.read(0.0, name, magnitude=False) for name in MAP_TEXT_SETS]
        for step, values in enumerate(tensor.values, first):
            self.plain[step] = layer_maps(values[..., columns], every.astype(float))
            for text_set, read in enumerate(readings):
                weights = head_weights(read.of_steps([step]), every)
                self.filtered[text_set, step] = layer_maps(values[..., columns], weights[0])


@dataclass(frozen=True, eq=False)
class Summary(ByValue):
    """Statistics of all explained steps; ``twice`` and ``twice_maps`` hold the last layer of preset ``released``.

    The layer maps are kept with ``keep="summary"`` only: elsewhere they follow from the gradients.
    """

    steps: Int[np.ndarray, " step"]
    layers: Int[np.ndarray, " layer"]
    once: Statistics
    twice: Statistics | None
    maps: LayerMaps | None = None
    twice_maps: LayerMaps | None = None

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return int(self.once.visual.shape[-1])


class Collected(NamedTuple):
    """What `collect` kept of a pass; the names are those of `Explanation`'s fields."""

    gradients: GradientTensor | None
    summary: Summary | None


class _Store:
    """Room for all steps, allocated at the first chunk and filled chunk by chunk."""

    def __init__(self, like: GradientTensor, keep: Keep, layout: TokenLayout, steps: Sequence[int]) -> None:
        count, (_, layers, heads, tokens) = len(steps), like.values.shape
        self.layout, self.place, self.steps = layout, 0, np.asarray(steps)
        self.visual = visual_tokens(layout)
        self.columns = np.arange(tokens) if keep == "full" else self.visual
        self.gradients: GradientTensor | None = None
        if keep != "summary":
            self.gradients = GradientTensor(
                np.zeros((count, layers, heads, len(self.columns)), np.float32),
                np.zeros((count, layers, len(self.columns)), bool),
                self.steps,
                like.layers,
                like.tokens[self.columns],
                None if like.twice is None else np.zeros((count, heads, len(self.columns)), np.float32),
            )
        self.summary = None if keep == "full" else _room(like, keep, self.steps, len(self.visual))

    def add(self, chunk: GradientTensor) -> None:
        place, end = self.place, self.place + len(chunk.steps)
        if list(chunk.steps) != list(self.steps[place:end]) or len(chunk.tokens) != len(self.layout):
            raise ValueError(
                f"A chunk holds steps {chunk.steps.tolist()} of {len(chunk.tokens)} tokens; expected the next of "
                f"{self.steps.tolist()} (from place {place}) and {len(self.layout)} tokens."
            )
        if self.gradients is not None:
            self.gradients.values[place:end] = chunk.values[..., self.columns]
            self.gradients.allowed[place:end] = chunk.allowed[..., self.columns]
            if self.gradients.twice is not None and chunk.twice is not None:
                self.gradients.twice[place:end] = chunk.twice[..., self.columns]
        if self.summary is not None:
            _fill(self.summary, place, chunk, self.layout)
        self.place = end


def _room(like: GradientTensor, keep: Keep, steps: Int[np.ndarray, " step"], visual: int) -> Summary:
    count, (_, layers, heads, _) = len(steps), like.values.shape
    maps, twice = keep == "summary", like.twice is not None
    return Summary(
        steps,
        like.layers,
        Statistics.empty(count, layers, heads),
        Statistics.empty(count, 1, heads) if twice else None,
        LayerMaps.empty(count, layers, visual) if maps else None,
        LayerMaps.empty(count, 1, visual) if maps and twice else None,
    )


def _fill(summary: Summary, place: int, chunk: GradientTensor, layout: TokenLayout) -> None:
    parts = [(chunk, summary.once, summary.maps)]
    if summary.twice is not None:
        parts.append((tail(chunk), summary.twice, summary.twice_maps))
    for tensor, statistics, maps in parts:
        statistics.fill(place, tensor, layout)
        if maps is not None:
            maps.fill(place, tensor, visual_tokens(layout), statistics)


def collect(chunks: Iterator[GradientTensor], *, keep: Keep, layout: TokenLayout, steps: Sequence[int]) -> Collected:
    """Gather a pass that comes in chunks over steps; memory holds what is kept and one chunk more.

    ``steps`` are the true steps that the chunks will bring, in order. Each chunk holds all tokens of
    ``layout``. A single chunk that is kept in full is not copied.
    """
    accept("keep", keep, KEEPS)
    rest = iter(chunks)
    chunk = next(rest, None)
    if chunk is None:
        raise ValueError("The pass brought no step; is the answer empty?")
    if keep == "full" and list(chunk.steps) == list(steps):
        return Collected(chunk, None)
    store = _Store(chunk, keep, layout, steps)
    while chunk is not None:
        store.add(chunk)
        chunk = None  # freed before the next one is made
        chunk = next(rest, None)
    if store.place != len(steps):
        raise ValueError(f"The pass brought {store.place} of {len(steps)} steps; was it interrupted?")
    return Collected(store.gradients, store.summary)
