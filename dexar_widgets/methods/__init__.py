"""Attribution methods: one file each, all behind `dexar_widgets.attribute`.

A method is a plain module that has the names of `Method`; `plugins` finds it by scanning this folder (third parties:
entry point group ``dexar_widgets.methods``). It gets a `Subject`, one answer to be explained, and gives `Maps`, raw and
signed, one value per visual token. Whatever runs the model is a function of `dexar_widgets.engine`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from jaxtyping import Float, Float32

from dexar_widgets import engine
from dexar_widgets.maps import visual_tokens
from dexar_widgets.types import GradientTensor, TokenLayout

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Maps", "Method", "Need", "Subject"]

Need = Literal["attention", "gradients", "maps"]
"""What a method takes: attention rows or the gradient tensor, of the pass that several methods share; or attention maps
of all rows, of a pass of its own. Flash attention shows neither rows nor maps."""
_KEPT = 2**28
"""Bytes up to which the gradient tensor is kept for the next method; a larger one is contracted again."""


@dataclass(frozen=True)
class Maps:
    """What a method gives: one map per explained step, or one for all of them.

    ``weights`` are what each map counts for in the sequence map (default 1); ``minmaxed``: each is scaled to 0–1
    before it is weighed; ``gated``: a map of zeros means that the word was silenced. ``notes`` are numbers that the
    method reports about itself.
    """

    values: Float[np.ndarray, "map visual"]
    weights: Float[np.ndarray, " map"] | None = None
    minmaxed: bool = False
    gated: bool = False
    notes: Mapping[str, float] = field(default_factory=dict)


@dataclass(eq=False)
class Subject:
    """One answer that is to be explained, and the pass that the methods of one comparison share.

    ``steps`` are the explained steps; ``needs`` is what all methods together take. ``softcap=False`` leaves the model's
    final soft-cap out of the logits that the shared pass differentiates.
    """

    vlm: "VLM"
    request: engine.Request
    answer: engine.Answer
    steps: Sequence[int]
    needs: frozenset[Need] = frozenset()
    softcap: bool = True
    _kept: list[GradientTensor] = field(default_factory=list, init=False, repr=False)

    @property
    def layout(self) -> TokenLayout:
        """The prompt's layout: every visual token is there."""
        return self.request.layout

    @cached_property
    def passed(self) -> engine.Pass:
        """The engine's pass, with the attention rows if some method needs them."""
        return engine.differentiate(
            self.vlm,
            self.request,
            self.answer,
            steps=self.steps,
            attention="attention" in self.needs,
            softcap=self.softcap,
        )

    def chunks(self) -> Iterable[GradientTensor]:
        """The gradient tensor in runs of steps; kept for the next method where it is small."""
        if self.passed.nbytes > _KEPT:
            return self.passed.chunks()
        self._kept = self._kept or list(self.passed.chunks())
        return self._kept

    @cached_property
    def attention(self) -> Float32[np.ndarray, "step layer head token"]:
        """The explained rows' attention: from the shared pass where gradients are needed too, else from its own."""
        rows = self.passed.attention if "gradients" in self.needs else None
        if rows is None:
            return engine.read_attention(self.vlm, self.request, self.answer, steps=self.steps)
        return rows

    def on_tokens(self, cells: Float[np.ndarray, "map row col"]) -> Float[np.ndarray, "map visual"]:
        """Cells of the grid as visual tokens; pooled ones get 0."""
        tokens = visual_tokens(self.layout)
        values = np.zeros((len(cells), len(tokens)))
        values[:, np.searchsorted(tokens, self.layout.tokens_of())] = cells.reshape(len(cells), -1)
        return values

    def visual(self, rows: Float[np.ndarray, "... token"]) -> Float[np.ndarray, "... visual"]:
        """The visual tokens' columns."""
        return rows[..., visual_tokens(self.layout)]


class Method(Protocol):
    """What a method module provides; its docstring names the source, and where it departs from it."""

    TITLE: str
    """Its name as people write it."""
    UNIT: str
    """What its numbers are."""
    CONTROL: bool
    """True for a map that knows nothing of the model: every comparison shows some."""
    NEEDS: frozenset[Need]
    """What it takes from the shared pass."""
    SMALLER: str
    """What to lower when memory runs out."""
    Options: type[Any]
    """A frozen dataclass of its options, each with a default; it raises `ValueError` for values that mean nothing."""

    def attribute(self, subject: Subject, options: Any) -> Maps:
        """Its maps of the subject's steps."""
