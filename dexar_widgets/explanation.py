"""One explained answer, and every view on which image regions drove it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

import numpy as np
from jaxtyping import Float, Float32

from dexar_widgets.flow import Flow, Silenced, flow_of, silenced_of
from dexar_widgets.maps import on_grid, sequence_values, status_of, visual_tokens
from dexar_widgets.options import Filter, Heads, Layers, Options, Preset, Step, TextSet, pick_steps
from dexar_widgets.record import Record
from dexar_widgets.summary import collect
from dexar_widgets.types import HeatMap, Sensitivity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["Explanation", "collect"]


@dataclass(frozen=True, eq=False, repr=False)
class Explanation(Record):
    """What drove each word of one answer, as the model gave it.

    The step axis of every result is `steps`, the explained answer tokens. Options mean the same on
    every method and have the defaults of ``preset`` (None: the one this was made with); an option
    that is given overrides the preset's:

    ``layers``, ``heads``: true layer indices (int, slice or sequence; negative from the end), and
    (layer, head) pairs; they select first. ``head_filter``, ``filler_filter``: how δ and ω read their
    sets: "max", "none" (weight 1), "avg" or the mean of a top fraction. ``relu=False``: maps sum G, not G⁺.
    ``magnitude``: δ and ω read |G|. ``text_set``: what counts as text (see `filters.text_mask`).
    """

    def steps_of(self, step: Step) -> tuple[int, ...]:
        """The explained steps that an int, slice, sequence or word of the answer names (see `options.pick_steps`)."""
        return pick_steps(self.generation, self.steps, step)

    def heatmap(
        self,
        step: Step,
        *,
        layers: Layers = None,
        heads: Heads = None,
        head_filter: Filter = "max",
        filler_filter: Filter = "max",
        relu: bool = True,
        magnitude: bool = False,
        text_set: TextSet | None = None,
        preset: Preset | None = None,
        image: int = 0,
    ) -> HeatMap:
        """The raw token map Σ δ·G⁺ (equation 5) of an answer token or word; several steps are summed raw.

        ``step`` is an int, slice or sequence of answer tokens (negative from the end), or a word of the answer.
        """
        options = self.options(
            layers=layers,
            heads=heads,
            head_filter=head_filter,
            filler_filter=filler_filter,
            relu=relu,
            magnitude=magnitude,
            text_set=text_set,
            preset=preset,
        )
        steps = self.steps_of(step)
        places = [self.steps.index(t) for t in steps]
        values = np.sum([self.evidence.token_map(place, options) for place in places], axis=0)
        weighted = bool(self.evidence.head_weights(options)[places].any())
        return self._map(values, options, steps, image, weighted=weighted)

    def sequence_map(
        self,
        *,
        layers: Layers = None,
        heads: Heads = None,
        head_filter: Filter = "max",
        filler_filter: Filter = "max",
        relu: bool = True,
        magnitude: bool = False,
        text_set: TextSet | None = None,
        preset: Preset | None = None,
        image: int = 0,
    ) -> HeatMap:
        """The raw map of the whole answer, before the last min–max of equation 6.

        ``paper``: Σ ω·minmax(E[t]); ``released``: Σ ω·E[t].
        """
        options = self.options(
            layers=layers,
            heads=heads,
            head_filter=head_filter,
            filler_filter=filler_filter,
            relu=relu,
            magnitude=magnitude,
            text_set=text_set,
            preset=preset,
        )
        weights = self.evidence.step_weights(options)
        used = [place for place in range(len(self.steps)) if weights[place]]
        maps = np.zeros((len(used), int(self.layout.is_image.sum())))
        for row, place in enumerate(used):
            maps[row] = self.evidence.token_map(place, options)
        cells = self.layout.cells[visual_tokens(self.layout), 0] >= 0
        values = sequence_values(maps, weights[used], cells, per_token=options.preset == "paper")
        weighted = bool(self.evidence.head_weights(options)[used].any())
        return self._map(values, options, self.steps, image, weighted=weighted)

    def head_weights(
        self,
        *,
        layers: Layers = None,
        heads: Heads = None,
        head_filter: Filter = "max",
        filler_filter: Filter = "max",
        relu: bool = True,
        magnitude: bool = False,
        text_set: TextSet | None = None,
        preset: Preset | None = None,
    ) -> Float[np.ndarray, "step layer head"]:
        """δ of every explained step, layer and head (equation 4); 0 outside the selection."""
        options = self.options(
            layers=layers,
            heads=heads,
            head_filter=head_filter,
            filler_filter=filler_filter,
            relu=relu,
            magnitude=magnitude,
            text_set=text_set,
            preset=preset,
        )
        return self.evidence.head_weights(options)

    def step_weights(
        self,
        *,
        layers: Layers = None,
        heads: Heads = None,
        head_filter: Filter = "max",
        filler_filter: Filter = "max",
        relu: bool = True,
        magnitude: bool = False,
        text_set: TextSet | None = None,
        preset: Preset | None = None,
    ) -> Float[np.ndarray, " step"]:
        """ω of every explained step (equation 6)."""
        options = self.options(
            layers=layers,
            heads=heads,
            head_filter=head_filter,
            filler_filter=filler_filter,
            relu=relu,
            magnitude=magnitude,
            text_set=text_set,
            preset=preset,
        )
        return self.evidence.step_weights(options)

    def word_weights(self, options: Options | None = None) -> Float[np.ndarray, " word"]:
        """The largest ω among each word's steps: a word is as visual as its most visual part.

        (A sum would favour words cut into many pieces.) NaN for words of which no step was explained.
        """
        weights = dict(zip(self.steps, self.evidence.step_weights(options or self.options()), strict=True))
        parts = [[weights[step] for step in word.steps if step in weights] for word in self.generation.words]
        return np.array([max(part) if part else np.nan for part in parts], float)

    def sensitivity(self, options: Options | None = None, reading: Filter = "max") -> Sensitivity:
        """s_vis and s_txt of every explained step, layer and head, with the tokens that won."""
        return self.evidence.sensitivity(options or self.options(), reading)

    def layer_maps(self, options: Options | None = None) -> Float32[np.ndarray, "step layer visual"]:
        """Σ_h δ·G⁺ per step, layer and visual token (pooled ones included); 0 for layers not selected."""
        options = options or self.options()
        maps = np.zeros((len(self.steps), len(self.layers), int(self.layout.is_image.sum())), np.float32)
        for place in range(len(self.steps)):
            maps[place] = self.evidence.layer_maps(place, options)
        return maps

    def visual_gradients(self, step: int, *, twice: bool = False) -> Float32[np.ndarray, "layer head visual"]:
        """One step's signed gradients on the visual tokens; ``twice``: last layer as preset ``released`` has it."""
        (step,) = self.steps_of(step)
        return self.evidence.visual_gradients(self.steps.index(step), twice=twice)

    def flow(self, options: Options | None = None) -> Flow:
        """Visual and text sensitivity per step and layer: where in the model the image is read for each word."""
        return flow_of(self.evidence, options or self.options())

    def silenced(self, options: Options | None = None) -> list[Silenced]:
        """The words whose map or weight is zero, each with the layer, head and text token that won."""
        return silenced_of(self.evidence, self.generation, options or self.options())

    def to_pandas(
        self, kind: str = "steps", *, sample: str | None = None, options: Options | None = None
    ) -> "pd.DataFrame":
        """Tidy rows: one per "steps", "flow" (step × layer), "heads" (step × layer × head) or "cells" (step × cell).

        Of a comparison also "methods" (method × word, with what each method cost) and "method_cells" (… × cell).
        """
        from dexar_widgets.tables import table  # pandas is slow to import

        return table(self, kind, sample=sample, options=options)

    def to_xarray(self, options: Options | None = None) -> "xr.Dataset":
        """All per-step arrays with named axes (needs ``pip install dexar-widgets[xarray]``)."""
        from dexar_widgets.tables import dataset

        return dataset(self, options)

    def save(self, path: str | Path) -> Path:
        """Write everything to one safetensors file, whole or not at all; `read` gives back an equal explanation."""
        from dexar_widgets.files import save

        return save(self, path)

    @staticmethod
    def read(path: str | Path) -> "Explanation":
        """Read what `save` wrote."""
        from dexar_widgets.files import read

        return read(path)

    @overload
    def to_html(self, path: None = None) -> str: ...

    @overload
    def to_html(self, path: str | Path) -> Path: ...

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """One self-contained interactive page: its text, or with a ``path`` the file it was written to."""
        from dexar_widgets.files import write_whole
        from dexar_widgets.widgets import html

        page = html.page(self)
        return page if path is None else write_whole(path, page.encode())

    def _map(
        self,
        values: Float[np.ndarray, " visual"],
        options: Options,
        steps: tuple[int, ...],
        image: int,
        *,
        weighted: bool,
    ) -> HeatMap:
        cells = on_grid(values, self.layout, image)
        status = status_of(cells, weighted=weighted)
        given, word = options.as_dict() | {"image": image}, self.generation.said(steps)
        return HeatMap(cells, self.layout.grids[image], "dexar", steps, given, status, word)

    @property
    def question(self) -> str:
        """The user's own words, where the prompt was given as the model reads it: without template and placeholder."""
        own = [piece for piece, kind in zip(self.layout.pieces, self.layout.kinds, strict=True) if kind == "prompt"]
        asked = " ".join("".join(own).split())
        return asked if asked and asked in self.example.prompt else self.example.prompt

    def __repr__(self) -> str:
        layers, heads = len(self.layers), self.heads
        return (
            f"Explanation({self.generation.text!r}, {len(self.steps)} steps × {layers} layers × {heads} heads, "
            f"keep={self.keep!r}, preset={self.preset!r})"
        )

    def _repr_html_(self) -> str:
        from dexar_widgets.display import shaded

        return shaded(self)

    def _repr_png_(self) -> bytes:
        from dexar_widgets.display import picture

        return picture(self)
