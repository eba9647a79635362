"""The data behind an explanation, validated when built."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType

import numpy as np
from jaxtyping import Float

from dexar_widgets.attribution import Attribution
from dexar_widgets.equality import ByValue
from dexar_widgets.evidence import Evidence
from dexar_widgets.options import PRESETS, Filter, Heads, Layers, Options, Preset, TextSet, accept, resolve
from dexar_widgets.summary import KEEPS, Keep, Summary
from dexar_widgets.types import Example, Generation, GradientTensor, Lens, TokenLayout

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Record"]


@dataclass(frozen=True, eq=False, repr=False)
class Record(ByValue):
    """The data of an explanation: everything `Explanation` holds and derives its views from.

    ``gradients`` is None with ``keep="summary"`` and holds the visual columns with ``keep="visual"``;
    ``summary`` is None with ``keep="full"``. ``provenance`` holds plain JSON values; its ``family``
    decides whether preset ``released`` applies. ``attributions`` are maps that other methods gave of the
    same answer, by the method's name. ``vlm`` is a weak reference to the model that was explained, if it
    was; it is neither compared nor saved.
    """

    example: Example
    layout: TokenLayout
    generation: Generation
    gradients: GradientTensor | None
    summary: Summary | None
    preset: Preset
    keep: Keep
    provenance: Mapping[str, Any]
    attention: Float[np.ndarray, "step layer head token"] | None = None
    patch_norm: Float[np.ndarray, " token"] | None = None
    lens: Lens | None = None
    attributions: Mapping[str, Attribution] = field(default_factory=dict)
    vlm: "ReferenceType[VLM] | None" = field(default=None, compare=False)

    def __post_init__(self) -> None:
        accept("keep", self.keep, KEEPS)
        accept("preset", self.preset, PRESETS)
        if (self.gradients is None, self.summary is None) != (self.keep == "summary", self.keep == "full"):
            raise ValueError(f"keep={self.keep!r} does not go with the gradients and summary given; see `collect`.")
        steps = self.steps
        if not steps or not set(steps) <= set(range(len(self.generation))):
            raise ValueError(f"The explained steps {steps} are not among the answer's {len(self.generation)} tokens.")
        if self.gradients is not None and self.keep == "full" and len(self.gradients.tokens) != len(self.layout):
            raise ValueError(
                f"The gradients hold {len(self.gradients.tokens)} tokens but the layout {len(self.layout)}; "
                "is the layout that of the prompt alone?"
            )
        self._check_parts()
        for name, attribution in self.attributions.items():
            same = (attribution.method, attribution.grid, attribution.example.prompt) == (
                name,
                self.layout.grids[0],
                self.example.prompt,
            )
            pairs = ((attribution.generation.ids, self.generation.ids), (attribution.example.image, self.example.image))
            if not (same and all(np.array_equal(one, other) for one, other in pairs)):
                raise ValueError(f"Explanation.attributions: {name!r} holds {attribution!r}, of another answer.")
        try:
            plain = json.loads(json.dumps(dict(self.provenance), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ValueError(f"Explanation.provenance must be plain JSON values: {error}") from error
        object.__setattr__(self, "provenance", plain)

    def _check_parts(self) -> None:
        axes = (len(self.steps), len(self.layers), self.heads, len(self.layout))
        for name, part, expected in (
            ("attention", self.attention, axes),
            ("patch_norm", self.patch_norm, axes[3:]),
            ("lens.logit", None if self.lens is None else self.lens.logit, axes[:2]),
        ):
            if part is not None and part.shape != expected:
                raise ValueError(f"Explanation.{name} is {part.shape}; the gradients and the layout say {expected}.")

    @property
    def steps(self) -> tuple[int, ...]:
        """The explained answer tokens, by their place in the answer."""
        return tuple(int(step) for step in self.evidence.steps)

    @property
    def layers(self) -> tuple[int, ...]:
        """True indices of the explained layers."""
        return tuple(int(layer) for layer in self.evidence.layers)

    @property
    def heads(self) -> int:
        """Number of query heads per layer."""
        return self.evidence.heads

    @cached_property
    def evidence(self) -> Evidence:
        """What was kept of the pass, with one way to ask for it."""
        return Evidence(self.layout, self.gradients, self.summary, self.provenance.get("family"))

    def model(self) -> "VLM":
        """The model that was explained, while it is in memory."""
        found = self.vlm() if self.vlm is not None else None
        if found is None:
            name = self.provenance.get("model", "the model")
            raise ValueError(f"This explanation does not know its model any more; load {name} and pass it as vlm=.")
        return found

    def options(
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
    ) -> Options:
        """Check a choice of options and fill in the preset's."""
        options = resolve(
            self.layers,
            self.heads,
            layers=layers,
            heads=heads,
            head_filter=head_filter,
            filler_filter=filler_filter,
            relu=relu,
            magnitude=magnitude,
            text_set=text_set,
            preset=self.preset if preset is None else preset,
        )
        self.evidence.check(options)
        return options
