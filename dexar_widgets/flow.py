"""How visual and text sensitivity run through the layers, and which words the text won."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets.equality import ByValue
from dexar_widgets.evidence import Evidence
from dexar_widgets.options import Options
from dexar_widgets.types import Generation

__all__ = ["Flow", "Silenced", "flow_of", "silenced_of"]


@dataclass(frozen=True, eq=False, repr=False)
class Flow(ByValue):
    """The largest s_vis and s_txt over the selected heads of each step and layer; 0 for layers not selected."""

    steps: Int[np.ndarray, " step"]
    layers: Int[np.ndarray, " layer"]
    visual: Float[np.ndarray, "step layer"]
    text: Float[np.ndarray, "step layer"]

    def __repr__(self) -> str:
        step, layer = np.unravel_index(self.visual.argmax(), self.visual.shape)
        return (
            f"Flow({len(self.steps)} steps × {len(self.layers)} layers, the image is read most "
            f"at step {self.steps[step]} in layer {self.layers[layer]})"
        )

    def _repr_png_(self) -> bytes:
        """Visual sensitivity, one column per step, the first layer at the bottom."""
        from dexar_widgets.display import matrix  # only to be looked at

        return matrix(self.visual.T[::-1])


@dataclass(frozen=True)
class Silenced:
    """A step whose map is empty (``empty_map``: every δ is 0), or whose weight ω in the answer's map is 0.

    ``said`` is the step's own part of its word. ``layer``, ``head`` and ``token`` are where text won; −1 and None
    where there is no text to win.
    """

    step: int
    word: str
    said: str
    empty_map: bool
    visual: float
    text: float
    layer: int
    head: int
    token: int
    piece: str | None
    kind: str | None

    def __str__(self) -> str:
        what = "has an empty map" if self.empty_map else "does not count in the answer's map"
        part = "" if self.said == self.word else f"a part of {self.word!r}, "
        start = f"{self.said!r} ({part}step {self.step}) {what}: "
        if self.piece is None:
            return start + "nothing raises it, neither image nor text."
        return (
            f"{start}the {self.kind} token {self.piece!r} (position {self.token}) won in layer {self.layer}, "
            f"head {self.head}, {self.text:.4g} on text against at most {self.visual:.4g} on the image."
        )


def flow_of(evidence: Evidence, options: Options) -> Flow:
    """Reduce the sensitivities over the selected heads."""
    read = evidence.sensitivity(options, options.head_filter)
    selection = options.selection(evidence.layers, evidence.heads)
    visual, text = ((array * selection).max(-1) for array in (read.visual, read.text))
    return Flow(evidence.steps, evidence.layers, visual, text)


def silenced_of(evidence: Evidence, generation: Generation, options: Options) -> list[Silenced]:
    """One record for every step with no head weight or no step weight left."""
    read = evidence.sensitivity(options, options.filler_filter)
    selection = options.selection(evidence.layers, evidence.heads)
    empty = np.asarray(~evidence.head_weights(options).any((1, 2)))
    weights = evidence.step_weights(options)
    records = []
    for place in np.flatnonzero(empty | (weights == 0)):
        text = np.where(selection, read.text[place], -1)
        layer, head = np.unravel_index(int(text.argmax()), text.shape)
        token = int(read.text_token[place, layer, head])
        won = token >= 0 and text[layer, head] > 0
        step = int(evidence.steps[place])
        records.append(
            Silenced(
                step,
                generation.word_of(step).text.strip(),
                generation.pieces[step].strip(),
                bool(empty[place]),
                float(read.visual[place][selection].max()),
                float(max(text[layer, head], 0)),
                int(evidence.layers[layer]) if won else -1,
                int(head) if won else -1,
                token if won else -1,
                evidence.layout.pieces[token] if won else None,
                evidence.layout.kinds[token] if won else None,
            )
        )
    return records
