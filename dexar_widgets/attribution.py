"""What one method says about one answer: a raw map per token, of any method in one form."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from dexar_widgets.equality import ByValue
from dexar_widgets.maps import sequence_values, status_of
from dexar_widgets.options import Step, pick_steps
from dexar_widgets.types import Example, Generation, Grid, HeatMap

__all__ = ["Attribution", "Cost"]


@dataclass(frozen=True)
class Cost:
    """What a method took, in seconds: the ``answer``, what it can have ``shared`` with other methods, its ``own``.

    What is shared is the engine's pass; in a comparison one pass serves all who need some of it, and each is charged
    for the whole of it. ``peak_bytes`` is the most memory that shared and own work held at once, over what was in use
    before: exact on CUDA, the process's resident memory on Linux, None elsewhere. ``forwards`` and ``backwards`` count
    passes through the model after the answer, each image of a batch as one.
    """

    answer: float
    shared: float
    own: float
    peak_bytes: int | None
    forwards: int
    backwards: int

    @property
    def seconds(self) -> float:
        """The answer, what is shared, and the method's own work."""
        return self.answer + self.shared + self.own


@dataclass(frozen=True, eq=False, repr=False)
class Attribution(ByValue):
    """One method's maps of one answer: raw and signed, on the grid of visual tokens.

    Each of ``maps`` covers one of ``steps``; a single map of several steps (`whole`) covers the answer as one.
    ``weights`` are what each map counts for in the sequence map; ``minmaxed``: each is scaled to 0–1 before it
    is weighed (equation 6 of DEX-AR). ``gated``: a map of zeros means that the method silenced the word.
    ``unit`` says what the numbers are; ``control`` marks a map that knows nothing of the model. ``notes`` are
    numbers that the method reports about itself.
    """

    method: str
    title: str
    example: Example
    generation: Generation
    grid: Grid
    steps: tuple[int, ...]
    maps: Float32[np.ndarray, "map row col"]
    weights: Float[np.ndarray, " map"]
    unit: str
    cost: Cost
    minmaxed: bool = False
    gated: bool = False
    control: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, float] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        count, *cells = self.maps.shape
        if count not in (1, len(self.steps)) or tuple(cells) != (self.grid.rows, self.grid.cols):
            raise ValueError(
                f"{self.method} gave maps of shape {self.maps.shape}; expected one per step ({len(self.steps)}), or "
                f"one for all, on the layout's {self.grid.rows}×{self.grid.cols} grid."
            )
        if len(self.weights) != count:
            raise ValueError(f"{self.method} gave {count} maps but {len(self.weights)} weights.")
        if not np.isfinite(self.maps).all() or not np.isfinite(self.weights).all():
            raise ValueError(f"{self.method} gave NaN or infinity; does the model's data type overflow? Try float32.")
        for name in ("options", "notes", "provenance"):  # as they read back from a file: lists for tuples
            object.__setattr__(self, name, json.loads(json.dumps(dict(getattr(self, name)), allow_nan=False)))

    @property
    def seconds(self) -> float:
        """What it took: the answer, what is shared, and its own work."""
        return self.cost.seconds

    @property
    def peak_bytes(self) -> int | None:
        """The most memory that it held at once (see `Cost`)."""
        return self.cost.peak_bytes

    @property
    def whole(self) -> bool:
        """True where one map covers the whole answer, and no single word has its own."""
        return len(self.maps) < len(self.steps)

    def heatmap(self, step: Step) -> HeatMap:
        """The raw map of an answer token or word; several steps are summed raw.

        ``step`` is an int, slice or sequence of answer tokens (negative from the end), or a word of the answer.

        Raises
        ------
        ValueError
            If the step is unknown, or the method was asked for one map of the whole answer.
        """
        steps = pick_steps(self.generation, self.steps, step)
        if not self.whole:
            values = self.maps[[self.steps.index(t) for t in steps]].sum(0, dtype=float)
        elif steps == self.steps:
            values = self.maps[0]
        else:
            raise ValueError(
                f"{self.method} gave one map of the whole answer, and step={step!r} names a part of it; see "
                "sequence_map(), or ask for one map per token with target='step'."
            )
        return self._map(values, steps)

    def sequence_map(self) -> HeatMap:
        """The raw map of the whole answer: the steps' maps, weighed and summed."""
        flat = self.maps.reshape(len(self.maps), -1).astype(float)
        cells = np.ones(flat.shape[1], bool)
        values = sequence_values(flat, self.weights, cells, per_token=self.minmaxed)
        return self._map(values.reshape(self.maps.shape[1:]), self.steps)

    def _map(self, values: Float[np.ndarray, "row col"], steps: tuple[int, ...]) -> HeatMap:
        cells = values.astype(np.float32)
        status = status_of(cells, weighted=bool(cells.any()) or not self.gated)
        word = self.generation.said(steps)
        return HeatMap(cells, self.grid, self.method, steps, dict(self.options), status, word)

    def __repr__(self) -> str:
        count, rows, cols = self.maps.shape
        shape = f"{count} map{'s' * (count != 1)} of {rows}×{cols}"
        return f"Attribution({self.method!r}, {self.generation.text!r}, {shape}, {self.cost.seconds:.2f} s)"

    def _repr_png_(self) -> bytes:
        from dexar_widgets.display import overlaid

        return overlaid(self.example.image, self.sequence_map())
