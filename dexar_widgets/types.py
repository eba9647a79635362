"""The data types every other module speaks, and the glossary of their axes.

Axes, used with these names everywhere in the package:

``step``
    One answer token that is explained, in order of generation (0-based).
``layer``
    One decoder block with softmax attention, by its true index.
``head``
    One query head. With grouped key-value heads it reads KV head ``head // group``.
``token``
    One key position: of the decoder's own sequence, or of the encoder's output (cross-attention).
``visual``
    One visual token, in the order of their positions; pooled ones included.
``row``, ``col``
    A cell of the grid of visual tokens, row-major, row 0 at the top.
``height``, ``width``
    Pixels of the original image, after its EXIF rotation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from dexar_widgets.equality import ByValue

__all__ = ["Example", "Generation", "GradientTensor", "Grid", "HeatMap", "Lens", "Sensitivity"]
__all__ += ["TokenLayout", "Word", "minmax"]

Kind = Literal["system", "image", "prompt", "answer", "special"]
"""``system``: the template's text, role words included; ``prompt``: the user's words; ``special``: control ids."""
Box = tuple[float, float, float, float]
Status = Literal["ok", "constant", "silenced"]


def _expect(condition: bool, message: str) -> None:  # noqa: FBT001 (an assertion with words)
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True, eq=False)
class Example(ByValue):
    """An image and a question about it; ``notices`` are sentences the user should read."""

    image: UInt8[np.ndarray, "height width 3"]
    prompt: str
    source: str | None = None
    notices: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shape = self.image.shape
        _expect(
            self.image.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3 and min(shape) > 0,
            f"Example.image is {self.image.dtype} {shape}; expected uint8 (height, width, 3).",
        )


@dataclass(frozen=True)
class Grid:
    """One image's grid of visual tokens, and the part of the original image it covers.

    ``box`` is (left, top, right, bottom) in pixels of the original image, whose
    ``image_size`` is (width, height): smaller than the image where a processor crops.
    """

    rows: int
    cols: int
    box: Box
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        left, top, right, bottom = self.box
        _expect(min(self.rows, self.cols) > 0, f"Grid is {self.rows}×{self.cols}; both must be positive.")
        _expect(left < right and top < bottom, f"Grid.box {self.box} is empty.")


@dataclass(frozen=True, eq=False)
class TokenLayout(ByValue):
    """What stands at each key position, and which cell of which image it shows.

    ``cells`` holds (image, row, col) per token, all −1 where the token shows no cell: text,
    and pooled image features (they are of kind ``image`` but belong to no cell).
    """

    ids: Int[np.ndarray, " token"]
    pieces: tuple[str, ...]
    kinds: tuple[Kind, ...]
    cells: Int[np.ndarray, "token 3"]
    grids: tuple[Grid, ...]

    def __post_init__(self) -> None:
        n = len(self.ids)
        _expect(
            len(self.pieces) == len(self.kinds) == len(self.cells) == n,
            f"TokenLayout has {n} ids, {len(self.pieces)} pieces, {len(self.kinds)} kinds and {len(self.cells)} cells.",
        )
        for index, grid in enumerate(self.grids):
            cells = self.cells[self.cells[:, 0] == index]
            found = len({(int(r), int(c)) for _, r, c in cells if 0 <= r < grid.rows and 0 <= c < grid.cols})
            _expect(
                found == len(cells) == grid.rows * grid.cols,
                f"Image {index} has a {grid.rows}×{grid.cols} grid but {len(cells)} visual tokens ({found} distinct "
                "cells); did the processor resize or pool?",
            )
        _expect(
            all(self.kinds[i] == "image" for i in np.flatnonzero(self.cells[:, 0] >= 0)),
            "A token with a cell must be of kind 'image'.",
        )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def is_image(self) -> Bool[np.ndarray, " token"]:
        """True for every visual token, pooled ones included."""
        return np.array([kind == "image" for kind in self.kinds], bool)

    def tokens_of(self, image: int = 0) -> Int[np.ndarray, " cell"]:
        """Positions of the visual tokens of one image, in row-major order of its grid."""
        tokens = np.flatnonzero(self.cells[:, 0] == image)
        return tokens[np.lexsort((self.cells[tokens, 2], self.cells[tokens, 1]))]


class Word(NamedTuple):
    """A word of the answer and the steps (sub-word tokens) of it."""

    text: str
    steps: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Generation(ByValue):
    """The answer, as generated (never re-tokenised).

    ``ids`` are all generated ids, end and forced tokens included; ``positions`` says which of them
    are steps. ``pieces``, ``log_probs`` (natural log) are per step.
    """

    ids: Int[np.ndarray, " id"]
    positions: Int[np.ndarray, " step"]
    pieces: tuple[str, ...]
    log_probs: Float[np.ndarray, " step"]
    words: tuple[Word, ...]
    text: str

    def __post_init__(self) -> None:
        n = len(self.positions)
        _expect(
            len(self.pieces) == len(self.log_probs) == n, f"Generation has {n} steps but {len(self.pieces)} pieces."
        )
        _expect(
            [s for w in self.words for s in w.steps] == list(range(n)),
            "The words must cover every step once, in order.",
        )

    def __len__(self) -> int:
        return len(self.positions)

    def said(self, steps: Sequence[int]) -> str:
        """What these steps say."""
        return "".join(self.pieces[step] for step in steps).strip()

    def word_of(self, step: int) -> Word:
        """The word that a step belongs to."""
        return next(word for word in self.words if step in word.steps)


@dataclass(frozen=True, eq=False)
class GradientTensor(ByValue):
    """Gradients of each layer's logit-lens logit with respect to that layer's attention row.

    ``values[t, l, h, j]`` = ∂o[l, t] / ∂A_l[h, row t, j], signed; unit: logit per unit of attention
    probability. Cells that the attention mask forbids are 0 and False in ``allowed``.
    ``steps``, ``layers`` and ``tokens`` give the true index of each entry of their axes;
    ``twice`` is the last layer's tensor with the final norm applied twice (preset ``released``).
    """

    values: Float32[np.ndarray, "step layer head token"]
    allowed: Bool[np.ndarray, "step layer token"]
    steps: Int[np.ndarray, " step"]
    layers: Int[np.ndarray, " layer"]
    tokens: Int[np.ndarray, " token"]
    twice: Float32[np.ndarray, "step head token"] | None = None

    def __post_init__(self) -> None:
        steps, layers, heads, tokens = self.values.shape
        _expect(
            self.allowed.shape == (steps, layers, tokens),
            f"GradientTensor.allowed is {self.allowed.shape}; expected {(steps, layers, tokens)}.",
        )
        named = (len(self.steps), len(self.layers), len(self.tokens))
        _expect(
            named == (steps, layers, tokens),
            f"GradientTensor names {named} steps, layers and tokens but its values are {self.values.shape}.",
        )
        _expect(
            self.twice is None or self.twice.shape == (steps, heads, tokens),
            f"GradientTensor.twice does not match {(steps, heads, tokens)}.",
        )
        for name, array in (("values", self.values), ("twice", self.twice)):
            _expect(
                array is None or all(np.isfinite(step).all() for step in array),  # step by step: little memory
                f"GradientTensor.{name} holds NaN or infinity; has the model NaN weights, or did float16 overflow?",
            )


@dataclass(frozen=True, eq=False)
class Sensitivity(ByValue):
    """The largest (or mean of the top fraction) gradient on image and on text, per head.

    ``visual_token`` and ``text_token`` are the layout positions that won the maximum (−1: empty set).
    """

    visual: Float[np.ndarray, "step layer head"]
    text: Float[np.ndarray, "step layer head"]
    visual_token: Int[np.ndarray, "step layer head"]
    text_token: Int[np.ndarray, "step layer head"]

    def of_steps(self, places: list[int] | slice) -> "Sensitivity":
        """The same, of some places along the step axis."""
        return Sensitivity(self.visual[places], self.text[places], self.visual_token[places], self.text_token[places])


@dataclass(frozen=True, eq=False)
class Lens(ByValue):
    """What each layer would say: the logit lens at the predicting positions.

    ``rank`` 0 is the layer's first choice; ``top_words[t][l]`` are its k first words.
    """

    logit: Float[np.ndarray, "step layer"]
    rank: Int[np.ndarray, "step layer"]
    top_ids: Int[np.ndarray, "step layer k"]
    top_words: tuple[tuple[tuple[str, ...], ...], ...]


def minmax(values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Shift and scale to [0, 1]; a constant array gives zeros, never NaN."""
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


@dataclass(frozen=True, eq=False, repr=False)
class HeatMap(ByValue):
    """A map over one image: raw, signed, not normalised for display.

    ``values`` are per cell of ``grid``, or per pixel of the original image after upsampling.
    ``status``: ``silenced`` when every weight was zero, ``constant`` when no cell stands out.
    ``word`` is what the steps say, if known.
    """

    values: Float32[np.ndarray, "row col"]
    grid: Grid
    method: str
    steps: tuple[int, ...]
    options: Mapping[str, object] = field(default_factory=dict)
    status: Status = "ok"
    word: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        width, height = self.grid.image_size
        _expect(
            self.values.shape in {(self.grid.rows, self.grid.cols), (height, width)},
            f"HeatMap is {'×'.join(map(str, self.values.shape))} but the layout has a "
            f"{self.grid.rows}×{self.grid.cols} grid (image {width}×{height}); did the processor resize?",
        )

    def normalised(self) -> "HeatMap":
        """The same map min–maxed to [0, 1]; all zeros if it is constant."""
        return replace(self, values=minmax(self.values).astype(np.float32))

    @property
    def peak(self) -> tuple[int, int]:
        """(row, col) of the largest value; the first in reading order if several are equal."""
        return divmod(int(self.values.argmax()), int(self.values.shape[1]))

    def __repr__(self) -> str:
        shape = "×".join(map(str, self.values.shape))
        at = "row {}, column {}".format(*(place + 1 for place in self.peak))
        return f"HeatMap({shape}, steps {list(self.steps)}, peak {self.values.max():.3g} at {at}, {self.status})"

    def _repr_html_(self) -> str:
        from dexar_widgets.display import alone

        return alone(self)
