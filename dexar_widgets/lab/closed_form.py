"""What is true of ``lab/analytic``, in closed form: from an image's pixels and the words, in numpy, without weights.

One equation per head of the table in `dexar_widgets.lab.analytic`. With e_c(j) the evidence of colour c on patch j
(`DETECTORS`), b(j) the brightness of patch j (0 … 1) and w the word that row t says,

    G[t, OBJECT, j]     = WRITES · (e_w(j) − AGAINST · Σ_{c ≠ w} e_c(j))   if w is a colour and j a patch with no mark
    G[t, SINK, j]       = 0
    G[t, DISTRACTOR, j] = WRITES · (1 + b(j))                              if w is a colour and j the distractor's
    G[t, COPY, j]       = WRITES                                           if w is a name and j that name, up to row t

and 0 elsewhere. The attention A is what the table says, and the logit is Σ_{h, j} A·G on top of `FOLLOWS` or `DEFAULT`.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image

from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.analytic import (
    AGAINST,
    CELLS,
    DETECTORS,
    GAIN,
    HEADS,
    NAMES,
    PLANTED,
    REST,
    SHARPNESS,
    WRITES,
)
from dexar_widgets.lab.templates import GRID
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["ClosedForm", "closed_form"]

_OBJECT, _SINK, _DISTRACTOR, _COPY = range(len(HEADS))


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """The truth about one explained answer, in the axes of its explanation; the layer axis has length 1.

    ``attention``: probabilities. ``gradient``: signed, logits per unit of attention. ``token_maps``: Σ_h δ·G⁺ of each
    word, in logits² (equation 5). ``evidence``: of each colour of `DETECTORS`, 0 where a patch is blind.
    """

    attention: Float[np.ndarray, "step layer head token"]
    gradient: Float[np.ndarray, "step layer head token"]
    token_maps: Float[np.ndarray, "step row col"]
    evidence: Float[np.ndarray, "colour row col"]

    @property
    def object(self) -> Bool[np.ndarray, "row col"]:
        """Cells in which a colour is seen."""
        return np.asarray((self.evidence > 0).any(0))

    @property
    def sink(self) -> Bool[np.ndarray, "row col"]:
        """The cell on which the sink head spends `PLANTED` of its attention, for nothing."""
        return _marked("sink")

    @property
    def distractor(self) -> Bool[np.ndarray, "row col"]:
        """Cells that would change the answer if they were attended, and never are."""
        return _marked("distractor")


def closed_form(e: Explanation) -> ClosedForm:
    """The truth about an explanation of ``lab/analytic``; only its image and its words are read.

    Source: the tables of `dexar_widgets.lab.analytic`.
    """
    cells, words = e.layout.tokens_of(0), np.array([piece.strip() for piece in e.layout.pieces])
    colours = _mean_colours(e.example.image)
    evidence = _evidence(colours)
    seen, loud = np.zeros((len(evidence), len(words))), np.zeros(len(words))
    seen[:, cells] = evidence.reshape(len(evidence), -1)
    loud[cells] = ((1 + colours.mean(-1)) * _marked("distractor")).ravel()

    positions = e.generation.positions[list(e.steps)]
    rows = (len(words) - 1 - positions[-1] + positions).tolist()  # the row that says a word ends before it
    said = [e.generation.pieces[step].strip() for step in e.steps]
    gradient = np.stack([_gradient(words[: row + 1], word, seen, loud) for row, word in zip(rows, said, strict=True)])
    sink = int(cells[np.flatnonzero(_marked("sink"))[0]])
    maps = [_token_map(one, e.layout.is_image)[cells].reshape(GRID, GRID) for one in gradient]
    attention = np.stack([_attention(words[: row + 1], seen, sink) for row in rows])
    return ClosedForm(attention[:, None], gradient[:, None], np.stack(maps), evidence)


def _marked(mark: str) -> Bool[np.ndarray, "row col"]:
    cells = np.zeros((GRID, GRID), bool)
    for row, col in CELLS[mark]:
        cells[row, col] = True
    return cells


def _mean_colours(image: UInt8[np.ndarray, "height width 3"]) -> Float[np.ndarray, "row col 3"]:
    """Each patch's mean colour, 0 … 1, of the image as the model's processor resizes it."""
    resized = Image.fromarray(image).resize((MODEL_SIZE, MODEL_SIZE), Image.Resampling.BICUBIC)
    patches = (np.asarray(resized) / 255).reshape(GRID, MODEL_SIZE // GRID, GRID, MODEL_SIZE // GRID, 3)
    return np.asarray(patches.mean((1, 3)))


def _evidence(colours: Float[np.ndarray, "row col 3"]) -> Float[np.ndarray, "colour row col"]:
    seen = [GAIN * (colours @ np.array(weights) - threshold) for weights, threshold in DETECTORS.values()]
    return np.where(_marked("sink") | _marked("distractor"), 0, np.clip(seen, 0, 1))


def _gradient(
    words: np.ndarray, said: str, seen: Float[np.ndarray, "colour token"], loud: Float[np.ndarray, " token"]
) -> Float[np.ndarray, "head token"]:
    """∂ logit of ``said`` / ∂ A at one row; ``words`` are those it may attend to."""
    gradient = np.zeros((len(HEADS), seen.shape[1]))
    if said in DETECTORS:
        speaks = [1.0 if colour == said else -AGAINST for colour in DETECTORS]
        gradient[_OBJECT] = WRITES * (speaks @ seen)
        gradient[_DISTRACTOR] = WRITES * loud
    if said in NAMES:
        gradient[_COPY, : len(words)] = WRITES * (words == said)
    return gradient


def _attention(
    words: np.ndarray, seen: Float[np.ndarray, "colour token"], sink: int
) -> Float[np.ndarray, "head token"]:
    """A of one row; the last of ``words`` stands at it."""
    attention = np.zeros((len(HEADS), seen.shape[1]))
    attention[:, 0] = 1  # the first token, where there is nothing to do
    if words[-1] == "is":
        scores = SHARPNESS * seen.sum(0)[: len(words)]
        scores[0] = REST
        attention[_OBJECT, : len(words)] = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    attention[_SINK, [0, sink]] = 1 - PLANTED, PLANTED
    named = np.isin(words, NAMES)
    if words[-1] == "The" and named.any():
        attention[_COPY, 0] = 0
        attention[_COPY, : len(words)] = named / named.sum()
    return attention


def _token_map(
    gradient: Float[np.ndarray, "head token"], is_image: Bool[np.ndarray, " token"]
) -> Float[np.ndarray, " token"]:
    """Σ_h δ·G⁺, with δ = ReLU(max over the image − max over the text) (equations 4 and 5)."""
    positive = np.maximum(gradient, 0)
    weights = np.maximum(positive[:, is_image].max(1) - positive[:, ~is_image].max(1), 0)
    return np.asarray(weights @ positive)
