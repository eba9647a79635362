"""Attention knock-out by windows of layers: which way does the image reach the word, and in which layers?

DEX-AR sees direct reads by the predicting row alone. What travels from the image through prompt or earlier answer
tokens counts as text there, and can silence a visual word; the knock-out shows it.

Source: Geva et al., "Dissecting recall of factual associations in auto-regressive language models" (EMNLP 2023,
arXiv 2304.14767). Differs: the change in log-probability in nats, of every word of a teacher-forced answer.
"""

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets import perturb
from dexar_widgets.causal.chance import plain
from dexar_widgets.causal.scoring import BATCH, Words, cut_log_probs, require_batch, summed, text_of, words_of
from dexar_widgets.equality import ByValue
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Layers, Step, resolve

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.vlm import VLM

__all__ = ["Knockout", "knockout"]

_SHARE = 4
"""A window is one layer in so many, unless told."""


@dataclass(frozen=True, eq=False, repr=False)
class Knockout(ByValue):
    """What words lose when one part of the sequence may not read another, or some cells, window by window of layers.

    A row per word; the last one, where more than one was asked for, is the whole answer. ``windows`` holds the layers
    of each window. ``drop`` is in nats, positive where the word becomes less probable; ``total`` is the drop when the
    cut is made in all layers. ``visual`` is the layer curve of `Explanation.flow` to be shown beside it, the largest
    s_vis among each word's steps; None where the cut is made in other layers (an encoder's) than those explained.
    """

    words: tuple[str, ...]
    steps: Words
    cut: perturb.Cut
    depth: int
    windows: Int[np.ndarray, "window width"]
    log_prob: Float[np.ndarray, " word"]
    drop: Float[np.ndarray, "word window"]
    total: Float[np.ndarray, " word"]
    visual: Float[np.ndarray, "word layer"] | None

    def to_pandas(self) -> "pd.DataFrame":
        """A row per word and window: its layers, as in "0–2" or "0, 2", the nats lost, and DEX-AR's s_vis in them."""
        import pandas as pd

        count = len(self.windows)
        curve = np.full((len(self.words), self.depth), np.nan) if self.visual is None else self.visual
        return pd.DataFrame(
            {
                "word": np.repeat(np.array(self.words), count),
                "source": perturb.name_of(self.cut[0]),
                "target": self.cut[1],
                "layers": [_numbers(window) for window in self.windows] * len(self.words),
                "first_layer": np.tile(self.windows[:, 0], len(self.words)),
                "last_layer": np.tile(self.windows[:, -1], len(self.words)),
                "drop": self.drop.ravel(),
                "visual": curve[:, self.windows].max(-1).ravel(),
                "log_prob": np.repeat(self.log_prob, count),
                "total": np.repeat(self.total, count),
            }
        )

    @property
    def _title(self) -> str:
        source, target = self.cut
        reader = "no other row can" if target == "all" else f"the {target} cannot"
        name = perturb.name_of(source)
        return f"Nats lost when {reader} read {f'the {name}' if isinstance(source, str) else f'{name} of the image'}"

    def __str__(self) -> str:
        lines = [f"{self._title}, in all {self.depth} layers and where most:"]
        for word, total, drops in zip(self.words, self.total, self.drop, strict=True):
            most = int(drops.argmax())
            where = f"in {_layers(self.windows[most])}" if drops[most] > 0 else "at most, in any window"
            lines.append(f"“{word}”: {plain(total)}; {plain(drops[most])} {where}.")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{_numbers(window)}</th>" for window in self.windows)
        rows = "".join(
            f"<tr><th>{escape(word)}</th><td><b>{plain(total)}</b></td>"
            + "".join(f"<td>{plain(value)}</td>" for value in drops)
            + "</tr>"
            for word, total, drops in zip(self.words, self.total, self.drop, strict=True)
        )
        return (
            f"<table><caption>{self._title}, by window of layers</caption>"
            f"<tr><th></th><th>all</th>{heads}</tr>{rows}</table>"
        )


def _layers(window: Int[np.ndarray, " width"]) -> str:
    return f"layer{'s' * (len(window) > 1)} {_numbers(window)}"


def _numbers(window: Int[np.ndarray, " width"]) -> str:
    first, last = int(window[0]), int(window[-1])
    run = len(window) > 1 and last - first + 1 == len(window)
    return f"{first}–{last}" if run else ", ".join(map(str, window.tolist()))


def knockout(
    e: Explanation,
    *,
    cut: perturb.Cut,
    step: Step | None = None,
    layers: Layers = None,
    window: int | None = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Knockout:
    """Cut a part of the sequence, or some cells, off from another, and score the answer: a `dexar_widgets.check`.

    A pass per window, one with all layers cut and one with none, and none of them twice; all in batches on a shared
    prompt, where the cut leaves some of it unchanged.
    """
    from dexar_widgets import engine

    require_batch(batch_size)
    model, cut = vlm or e.model(), perturb.cut_of(cut)
    depth = engine.cuttable_layers(model, cut)
    windows = _windows(depth, layers, window)
    words = words_of(e, step)
    where = np.zeros((2 + len(windows), depth), bool)
    where[1] = True
    for row, some in enumerate(windows, start=2):
        where[row, some] = True
    each_once, back = np.unique(where, axis=0, return_inverse=True)
    sources = [cut[0]] * len(each_once)
    scores = cut_log_probs(e, model, sources, cut[1], each_once, batch_size=batch_size)
    whole, total, *each = np.stack([summed(e, scores[back.ravel()], word) for word in words], axis=1)
    drop = np.stack([whole - one for one in each], axis=1)
    explained = depth == len(e.layers) and (cut[1] == "answer" or not model.anatomy.cross_attention)
    visual = _visual(e, words) if explained else None
    return Knockout(
        tuple(text_of(e, word) for word in words), words, cut, depth, windows, whole, drop, whole - total, visual
    )


def _windows(depth: int, layers: Layers, window: int | None) -> Int[np.ndarray, "window width"]:
    """One window of given layers; or every run of ``window`` neighbouring layers, a quarter of all by default."""
    if layers is not None:
        if window is not None:
            raise ValueError("Give either layers=, one window of layers, or window=, the width of windows that slide.")
        return np.array([resolve(range(depth), 1, layers=layers).layers])
    width = max(1, round(depth / _SHARE)) if window is None else window
    if not 1 <= width <= depth:
        raise ValueError(f"window is {width} layers; expected 1 to {depth}, the layers in which the cut can be made.")
    return np.arange(depth - width + 1)[:, None] + np.arange(width)


def _visual(e: Explanation, words: Words) -> Float[np.ndarray, "word layer"]:
    curves = e.flow().visual
    return np.stack([curves[[e.steps.index(step) for step in word]].max(0) for word in words])
