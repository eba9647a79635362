"""Does any word need what the model keeps in a visual token, whatever its pixels show? No other row may read it.

The attention knock-out of `dexar_widgets.check` with ``cut=(cells, "all")``, in all layers; for chance, as many other
plain tokens are cut. What other patches took from the token inside the vision tower stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets.causal.chance import ENOUGH, LEVEL, NOTHING, p_value
from dexar_widgets.causal.scoring import Words, cut_log_probs, summed
from dexar_widgets.explanation import Explanation

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["TokenCut", "token_cuts", "token_verdict"]

_TRIES = 20
"""Draws for each set of other tokens that is wanted; where there are few of them, few come back."""


@dataclass(frozen=True, eq=False)
class TokenCut:
    """By how many nats each word changes, up or down, without some tokens; and without as many other plain ones."""

    change: Float[np.ndarray, " word"]
    chance: Float[np.ndarray, "word random"]

    @property
    def usual(self) -> Float[np.ndarray, " word"]:
        """The median of the others; NaN where there are none."""
        return np.median(self.chance, 1) if self.chance.shape[1] else np.full(len(self.change), np.nan)

    @property
    def p(self) -> float:
        """How often other tokens change some word as much as these change the one that they change most."""
        return float(p_value(np.array(self.change.max()), self.chance.max(0)))

    @property
    def verdict(self) -> str:
        """That of `token_verdict`."""
        return token_verdict(change=float(self.change.max()), p=self.p, randoms=self.chance.shape[1])


def token_verdict(*, change: float, p: float, randoms: int) -> str:
    """The rule for one token: ``change`` is the largest of all words, NaN where it could not be cut."""
    if np.isnan(change):
        return "not cut"
    if change <= NOTHING:
        return "unused"
    if randoms < ENOUGH:
        return "chance unknown"
    return "read" if p <= LEVEL else "chance"


def token_cuts(
    e: Explanation,
    vlm: "VLM",
    groups: Sequence[tuple[int, ...]],
    plain: Int[np.ndarray, " cell"],
    words: Words,
    *,
    randoms: int,
    seed: int,
    batch_size: int,
) -> tuple[list[TokenCut], str]:
    """What cutting each group of cells off from every other row does to the words; and why it could not be done, or "".

    ``plain`` are the cells from which the others are drawn.
    """
    from dexar_widgets import engine

    rng = np.random.default_rng(seed)
    others = {size: _drawn(plain, size, randoms, rng) for size in sorted({len(group) for group in groups})}
    sources = [*groups, *(cells for sets in others.values() for cells in sets)]
    try:
        layers = np.ones((1 + len(sources), engine.cuttable_layers(vlm, (groups[0], "all"))), bool)
        layers[0] = False  # the model as it is
        scores = cut_log_probs(e, vlm, [groups[0], *sources], "all", layers, batch_size=batch_size)
    except ValueError as error:  # of what the model does not take
        none = TokenCut(np.full(len(words), np.nan), np.zeros((len(words), 0)))
        return [none] * len(groups), str(error)
    each = np.stack([summed(e, scores, word) for word in words])
    change = np.abs(each[:, 1:] - each[:, :1])
    places = {cells: place for place, cells in enumerate(sources)}
    return [
        TokenCut(change[:, place], change[:, [places[cells] for cells in others[len(group)]]])
        for place, group in enumerate(groups)
    ], ""


def _drawn(plain: Int[np.ndarray, " cell"], size: int, count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Random sets of so many plain cells, each once."""
    found = dict[tuple[int, ...], None]()
    for _ in range(_TRIES * count if size <= len(plain) else 0):
        found[tuple(sorted(rng.choice(plain, size, replace=False).tolist()))] = None
        if len(found) == count:
            break
    return list(found)
