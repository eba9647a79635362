"""Deletion curves: hide a word's own top cells, more and more of them, and compare with random orders of cells.

Source: the deletion metric of Petsiuk, Das, Saenko (RISE, BMVC 2018). Differs: the log-probability of every word of a
teacher-forced answer instead of a class's probability, the area against the shares of cells that were really hidden,
and random orders beside it, so that a curve comes with its chance level.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets import perturb
from dexar_widgets.attribution import Attribution
from dexar_widgets.causal.chance import ENOUGH, LEVEL, NOTHING, RANDOMS, p_value, plain, range_of
from dexar_widgets.causal.scoring import BATCH, Words, log_probs, summed, text_of, words_of
from dexar_widgets.equality import ByValue
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Filter, Heads, Layers, Preset, Step, TextSet, accept
from dexar_widgets.types import HeatMap, Status

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.vlm import VLM

__all__ = ["FRACTIONS", "Deletion", "deletion"]

FRACTIONS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Shares of the cells that are hidden, unless told."""
_PLAIN: Mapping[str, object] = {"head_filter": "max", "filler_filter": "max", "relu": True, "magnitude": False}


@dataclass(frozen=True, eq=False, repr=False)
class Deletion(ByValue):
    """How the log-probability of words falls while the cells of their own maps are hidden, the largest first.

    A row per word; the last one, where no step was asked for, is the whole answer with its sequence map.
    ``fractions`` are the shares of the grid's cells that were really hidden. ``curves`` and ``random_curves`` are
    natural log-probabilities, the random ones of as many cells in random order. (Random cells lie scattered, a map's
    top cells mostly in one piece, and the shape of a hole counts too: a `Check` compares regions of the same shape.)
    Cells of equal value come in a random order, the same for all words and methods; ``ties`` is the share of the cells
    hidden at the last level that were so drawn from among more of their value. ``status`` is the map's: a word whose
    map is silenced or constant has no order of cells, and NaN for a curve.
    """

    words: tuple[str, ...]
    steps: Words
    fractions: Float[np.ndarray, " level"]
    curves: Float[np.ndarray, "word level"]
    random_curves: Float[np.ndarray, "word random level"]
    status: tuple[Status, ...]
    ties: Float[np.ndarray, " word"]
    method: str
    how: perturb.How
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def auc(self) -> Float[np.ndarray, " word"]:
        """Nats lost, averaged over the shares hidden (trapezoids): large if the map found what the word depends on."""
        return _mean_loss(self.curves, self.fractions)

    @property
    def random_auc(self) -> Float[np.ndarray, "word random"]:
        """The same for every random order."""
        return _mean_loss(self.random_curves, self.fractions)

    @property
    def random_range(self) -> tuple[Float[np.ndarray, "word level"], Float[np.ndarray, "word level"]]:
        """Between which log-probabilities 95 % of the random orders lie."""
        return range_of(self.random_curves.swapaxes(1, 2))

    @property
    def p(self) -> Float[np.ndarray, " word"]:
        """How often a random order loses as much: (1 + those that do) ÷ (1 + random orders); NaN without a curve."""
        return p_value(self.auc, self.random_auc)

    @property
    def verdicts(self) -> tuple[str, ...]:
        """For each word "above chance" (p ≤ .05), "at chance", "below chance" (random orders lose more).

        Or "no effect", if neither its own cells nor random ones change it by more than 0.05 nats; the map's status,
        if it has no top cells; "too few random orders", if p cannot fall to .05. Of many words some pass .05 by chance.
        """
        less = p_value(self.auc, self.random_auc, "less")
        return tuple(self._verdict(row, self.p[row], less[row]) for row in range(len(self.words)))

    def _verdict(self, row: int, more: float, less: float) -> str:
        if self.status[row] != "ok":
            return self.status[row]
        own, random = self.curves[row], self.random_curves[row]
        if max(np.ptp(own), np.ptp(random) if random.size else 0) <= NOTHING:
            return "no effect"
        if len(random) < ENOUGH:
            return "too few random orders"
        return "above chance" if more <= LEVEL else "below chance" if less <= LEVEL else "at chance"

    def to_pandas(self) -> "pd.DataFrame":
        """A row per word and share: its log-probability, that of random orders with its range, the word's verdict."""
        import pandas as pd

        levels, (low, high) = len(self.fractions), self.random_range
        mean = self.random_curves.mean(1) if self.random_curves.shape[1] else np.full_like(self.curves, np.nan)
        each = {"word": self.words, "auc": self.auc, "p": self.p, "ties": self.ties, "verdict": self.verdicts}
        own = {name: np.repeat(np.array(values), levels) for name, values in each.items()}
        curves = {"log_prob": self.curves, "random_mean": mean, "random_low": low, "random_high": high}
        table = {name: values.ravel() for name, values in curves.items()}
        share = np.tile(self.fractions, len(self.words))
        return pd.DataFrame({"word": own.pop("word"), "fraction": share, **table, **own})

    def __str__(self) -> str:
        most = f"{self.fractions[-1]:.0%} of the cells"
        lines = [f"Nats lost while the top cells of {self.method} are hidden ({self.how}), mean up to {most}:"]
        for row, (word, verdict) in enumerate(zip(self.words, self.verdicts, strict=True)):
            if self.status[row] != "ok":
                lines.append(f"“{word}”: its map is {verdict}, so it has no top cells.")
                continue
            random = self.random_auc[row]
            p = f", p = {self.p[row]:.2g}" if verdict != "no effect" else ""
            beside = f" ({plain(random.mean())} in random order{p})" if random.size else ""
            drawn = f" ({self.ties[row]:.0%} of the cells were drawn from equals)" if self.ties[row] else ""
            lines.append(f"“{word}”: {plain(self.auc[row])}{beside}: {verdict}{drawn}.")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head, *lines = str(self).split("\n")
        return f"<p>{escape(head)}</p><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _mean_loss(
    curves: Float[np.ndarray, "*of level"], fractions: Float[np.ndarray, " level"]
) -> Float[np.ndarray, "*of"]:
    return np.asarray(np.trapezoid(curves[..., :1] - curves, fractions, axis=-1) / (fractions[-1] - fractions[0]))


def deletion(
    e: Explanation,
    *,
    step: Step | None = None,
    whole: bool = False,
    how: perturb.How = "mean",
    randoms: int = RANDOMS,
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    method: str | None = None,
    layers: Layers = None,
    heads: Heads = None,
    head_filter: Filter = "max",
    filler_filter: Filter = "max",
    relu: bool = True,
    magnitude: bool = False,
    text_set: TextSet | None = None,
    preset: Preset | None = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Deletion:
    """Hide the top cells of each word's own map, cumulatively; see `dexar_widgets.check`, which calls this.

    With ``whole`` only those of the whole answer's sequence map. (``step`` may name all of its steps: their maps are
    then summed, as for any word.)
    It takes (words with a map + ``randoms``) × shares passes, whatever the answer's length; the random orders are the
    same for every word. Only the first image's cells are hidden.

    Raises
    ------
    ValueError
        If options of a map are given with another method's maps, which are made already.
    """
    accept("how", how, get_args(perturb.How))
    grid = e.layout.grids[0]
    counts = _counts(fractions, grid.rows * grid.cols)
    if randoms < 0:
        raise ValueError(f"randoms is {randoms}; expected a number of random orders, 0 for none.")
    given = {
        "layers": layers,
        "heads": heads,
        "head_filter": head_filter,
        "filler_filter": filler_filter,
        "relu": relu,
        "magnitude": magnitude,
        "text_set": text_set,
        "preset": preset,
    }
    only = whole or (step is None and method not in (None, "dexar") and _ready(e, str(method)).whole)
    words = (e.steps,) if only else words_of(e, step)
    last = whole or step is None
    maps = _maps(e, words[: len(words) - last], method, given, last=last)
    draw = np.random.default_rng(seed)
    noise, *drawn = (draw.permutation(grid.rows * grid.cols) for _ in range(1 + randoms))
    orders = [np.lexsort((noise, -heat.values.ravel())) for heat in maps if heat.status == "ok"]
    scores = _scores(e, [*orders, *drawn], counts, how, vlm or e.model(), batch_size)
    per_word = np.stack([summed(e, scores, word) for word in words])
    curves = np.full((len(words), len(counts)), np.nan)
    having = [row for row, heat in enumerate(maps) if heat.status == "ok"]
    curves[having] = per_word[having, range(len(having))]
    return Deletion(
        words=tuple(text_of(e, word) for word in words),
        steps=words,
        fractions=counts / (grid.rows * grid.cols),
        curves=curves,
        random_curves=per_word[:, len(orders) :],
        status=tuple(heat.status for heat in maps),
        ties=np.array([_ties(heat, counts[-1]) for heat in maps]),
        method=maps[0].method,
        how=how,
        options=dict(maps[0].options),
    )


def _counts(fractions: Sequence[float], cells: int) -> Int[np.ndarray, " level"]:
    """How many cells to hide, 0 first; shares that come to the same number count once."""
    given = np.asarray(list(fractions), float)
    if not given.size or not ((given >= 0) & (given <= 1)).all() or not np.round(given * cells).any():
        raise ValueError(
            f"fractions={list(fractions)!r}: expected shares of the {cells} cells between 0 and 1, at least one of "
            "them a cell or more."
        )
    return np.union1d([0], np.round(given * cells).astype(int))


def changed(options: Mapping[str, object]) -> list[str]:
    """The options of a map that were given, and are not as they are by themselves."""
    plain = {name: _PLAIN.get(name) for name in options}
    return [
        name
        for name, value in options.items()  # an array of heads compares cell by cell
        if value is not plain[name] and not (isinstance(value, str | bool) and value == plain[name])
    ]


def _maps(
    e: Explanation, words: Sequence[tuple[int, ...]], method: str | None, options: Mapping[str, Any], *, last: bool
) -> list[HeatMap]:
    """The map of each word, the explanation's own or a ready-made one; and ``last`` the sequence map."""
    if method in (None, "dexar"):
        return [*(e.heatmap(word, **options) for word in words), *([e.sequence_map(**options)] if last else [])]
    if wrong := changed(options):
        raise ValueError(
            f"The maps of method={method!r} are made already and take no {', no '.join(f'{name}=' for name in wrong)}; "
            "these are options of DEX-AR's."
        )
    ready = _ready(e, method)
    return [*(ready.heatmap(word) for word in words), *([ready.sequence_map()] if last else [])]


def _ready(e: Explanation, method: str) -> Attribution:
    if method not in e.attributions:
        there = ", ".join(map(repr, e.attributions)) or "none"
        raise ValueError(
            f"method={method!r} is not among the explanation's attributions ({there}); have it made first: "
            f"e = dx.compare(e, methods=[{method!r}])."
        )
    return e.attributions[method]


def _ties(heat: HeatMap, count: int) -> float:
    """The share of the first ``count`` cells that are as large as the largest of those left out."""
    if heat.status != "ok":
        return float("nan")
    values = -np.sort(-heat.values.ravel())
    return float((values[:count] == values[count]).mean()) if count < len(values) else 0.0


def _scores(
    e: Explanation,
    orders: Sequence[Int[np.ndarray, " cell"]],
    counts: Int[np.ndarray, " level"],
    how: perturb.How,
    vlm: "VLM",
    batch_size: int,
) -> Float[np.ndarray, "order level step"]:
    """Log-probabilities with the first cells of each order hidden; with none hidden they are one pass for all."""
    image, grid = e.example.image, e.layout.grids[0]
    filler = perturb.filler(image, how)

    def without(order: Int[np.ndarray, " cell"], count: int) -> perturb.Pixels:
        cells = np.zeros(grid.rows * grid.cols, bool)
        cells[order[:count]] = True
        mask = perturb.cells_mask(cells.reshape(grid.rows, grid.cols), grid)
        return np.where(mask[..., None], filler, image)

    pictures = [partial(without, order, int(count)) for order in orders for count in counts[1:]]
    whole, *rest = log_probs(e, vlm, [lambda: image, *pictures], batch_size=batch_size)
    found = np.empty((len(orders), len(counts), len(e.steps)))
    found[:, 0] = whole
    found[:, 1:] = np.reshape(rest, (len(orders), len(counts) - 1, len(e.steps)))
    return found
