"""What chance gives: where the numbers of random regions or orders lie, and how rarely they reach what was seen.

With the thresholds of every verdict, and how numbers are written.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

__all__ = ["ENOUGH", "LEVEL", "NEEDS", "NOTHING", "RANDOMS", "Tail", "jsonable", "p_value", "plain", "range_of", "told"]

RANDOMS = 19
"""Random regions or orders, unless told: p can fall to 1/20."""
ENOUGH = 19
"""With fewer of them p cannot fall to .05."""
LEVEL = 0.05
"""The largest p at which chance is ruled out."""
NEEDS = 1.0
"""Nats that a word loses at least without what it depends on: it becomes 2.7 times less likely."""
NOTHING = 0.05
"""Nats that a word may lose or gain and still count as one that nothing happened to."""
_FAR = 1e6
"""What a word that became impossible lost, in JSON, which has no infinity."""
Tail = Literal["more", "less"]


def p_value(
    seen: Float[np.ndarray, "*measured"], random: Float[np.ndarray, "*measured random"], tail: Tail = "more"
) -> Float[np.ndarray, "*measured"]:
    """(1 + how many random numbers are as large, or as small, as the one seen) ÷ (1 + how many there are).

    The Monte-Carlo p-value of one side (Phipson and Smyth 2010): never 0. NaN where there are no random numbers.
    """
    count = random.shape[-1]
    beyond = random >= seen[..., None] if tail == "more" else random <= seen[..., None]
    found = (1 + beyond.sum(-1)) / (1 + count)
    return np.asarray(np.where(np.isnan(seen) | (count == 0), np.nan, found))


def range_of(
    random: Float[np.ndarray, "*measured random"],
) -> tuple[Float[np.ndarray, "*measured"], Float[np.ndarray, "*measured"]]:
    """Between which 95 % of them lie; NaN where there are none."""
    if not random.shape[-1]:
        none = np.full(random.shape[:-1], np.nan)
        return none, none
    low, high = np.quantile(random, [0.025, 0.975], axis=-1)
    return np.asarray(low), np.asarray(high)


def plain(nats: float | np.floating) -> str:
    """Two decimals, and no minus before zero."""
    return f"{round(float(nats), 2) + 0.0:.2f}"


def told(p: float | None, nats: float) -> str:
    """As in "p = 0.05"; "" where there is no p, or no effect: at most `NOTHING` nats lost or gained have no odds."""
    return "" if p is None or math.isnan(p) or abs(nats) <= NOTHING else f"p = {p:.2g}"


def jsonable(value: Any) -> Any:
    """Plain values that JSON has, of arrays and containers too: None for NaN, ±1e6 for infinity."""
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, Mapping):
        return {name: jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, float):
        return None if math.isnan(value) else min(max(value, -_FAR), _FAR)
    return value
