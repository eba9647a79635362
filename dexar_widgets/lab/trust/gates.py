"""The numbers that decide, frozen in ``gates.json`` before the first full run; the report prints that file's hash."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dexar_widgets.statistics import Estimate

__all__ = ["COLUMNS", "by_method", "fingerprint", "gates", "result", "table"]

_FILE = Path(__file__).with_name("gates.json")
COLUMNS = (
    *("test", "model", "method", "what", "n", "value", "low", "high"),
    *("chance", "p", "gate", "verdict", "note"),
)
"""Of every table of results. ``verdict``: "pass" or "fail" where a right answer is known, "as expected" or "finding"
where one is only expected, "by construction" where neither the model nor the method could miss the gate, "measured"
without a gate, "not measured" without a case, "error" where the unit failed."""


@cache
def gates() -> Mapping[str, Mapping[str, Any]]:
    """Each gate's bound, whether it decides, and why it is what it is.

    ``sampled``: a mean over scenes misses the bound only if its whole interval does.
    """
    found: dict[str, Mapping[str, Any]] = json.loads(_FILE.read_text("utf-8"))
    return found


def fingerprint() -> str:
    """SHA-256 of the file."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()


def result(
    test: str,
    what: str,
    found: Estimate | float,
    *,
    method: str = "",
    model: str = "",
    chance: float = float("nan"),
    gate: str | None = None,
    by_construction: bool = False,
    note: str = "",
) -> dict[str, Any]:
    """One row: a number with its interval, judged by a gate if one is named.

    ``by_construction``: algebra meets the gate, whatever the model. It then shows that the report works, and no more.
    """
    estimate = found if isinstance(found, Estimate) else Estimate(found, float("nan"), float("nan"), 1)
    text, verdict = _judge(gate, estimate)
    if by_construction and verdict in ("pass", "as expected"):
        verdict = "by construction"
    told = {"test": test, "model": model, "method": method, "what": what, "chance": chance, "note": note}
    return told | asdict(estimate) | {"gate": text, "verdict": verdict}


def by_method(cases: pd.DataFrame, seen: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """The cases of every method that was seen: one that has none is told of all the same."""
    for method in dict.fromkeys(seen["method"]):
        yield str(method), cases[cases["method"] == method]


def _judge(gate: str | None, found: Estimate) -> tuple[str, str]:
    bounds = gates()[gate] if gate is not None else {}
    low, high = bounds.get("within", (bounds.get("at_least", -np.inf), bounds.get("at_most", np.inf)))
    text = "" if gate is None else _written(low, high)
    if found.n == 0 or not np.isfinite(found.value):
        return text, "not measured"
    if gate is None:
        return text, "measured"
    least = most = found.value
    if bounds.get("sampled") and np.isfinite(found.low):
        least, most = found.low, found.high
    met, yes_no = low <= most and least <= high, ("pass", "fail") if bounds["decides"] else ("as expected", "finding")
    return text, yes_no[0] if met else yes_no[1]


def _written(low: float, high: float) -> str:
    if not np.isfinite(low):
        return f"≤ {high:g}"
    return f"≥ {low:g}" if not np.isfinite(high) else f"{low:g} … {high:g}"


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows as a table with every column of `COLUMNS`, in their order."""
    return pd.DataFrame(rows, columns=list(COLUMNS))
