"""What the numbers say in words: where DEX-AR loses and why, what DEX-AR use is worth, and the failure cases."""

from collections.abc import Iterator

import pandas as pd

from dexar_widgets.lab.trust.tales import SHOWN, verdict
from dexar_widgets.pages import Cell, Chapter, Table, number

__all__ = ["cases", "causally", "why"]

_DEFAULT, _PRODUCT = "all layers (the default)", "times attention: attn_grad"
_SQUARES = {
    "filter, G⁺": _DEFAULT,
    "no filter, G⁺": "head filter none",
    "filter, A·G⁺": "times attention: dexar_use",
    "no filter, A·G⁺": _PRODUCT,
}
"""Whether attention or the head filter makes the difference: the variants that have one, both, or neither."""


def _find(rows: pd.DataFrame, what: str, method: str) -> pd.Series | None:
    some = rows[(rows["what"] == what) & (rows["method"] == method)]
    return some.iloc[0] if len(some) and some.iloc[0]["n"] > 0 else None


def _interval(row: pd.Series) -> str:
    return f"{number(row['value'])} ({number(row['low'])} to {number(row['high'])})"


def why(results: pd.DataFrame) -> Chapter | None:
    """For every model: does DEX-AR localise as well as attention × gradient, and what of it makes the difference?"""
    sentences = []
    for model, rows in results[results["test"] == "reasons"].groupby("model", sort=False):
        own, product = (_find(rows, "NG", name) for name in (_DEFAULT, _PRODUCT))
        less = _find(rows, "NG, less the default's", _PRODUCT)
        if own is None or product is None or less is None:
            continue
        head = (
            f"{model} ({own['n']} words): DEX-AR's NG is {_interval(own)}, that of attention × gradient "
            f"{_interval(product)}. "
        )
        if not less["low"] > 0:
            better = "DEX-AR localises better." if less["high"] < 0 else "The data do not tell them apart."
            sentences.append(head + better)
            continue
        sentences.append(head + f"DEX-AR is lower by {_interval(less)}. " + " ".join(_parts(rows)))
    if not sentences:
        return None
    return Chapter("Where DEX-AR does not localise as well as attention × gradient, and why", sentences)


def _parts(rows: pd.DataFrame) -> Iterator[str]:
    """One sentence for each suspected reason, with what changing it does to NG."""
    gains = rows[rows["what"] == "NG, less the default's"].set_index("method")
    variants = [str(name) for name in gains.index]
    groups = {
        "Depth": [name for name in variants if name.startswith("layer")],
        "Head filter": [name for name in variants if name.startswith("head filter")],
        "Text set": [name for name in variants if name.startswith("text set")],
        "Norms of the values": [name for name in variants if "norm 1" in name],
    }
    for what, names in groups.items():
        if names:
            changes = [row for name in names if (row := _find(rows, "NG, less the default's", name)) is not None]
            best = max(changes, key=lambda row: float(row["value"]))
            yield f"{what}: the best other choice, {best['method']}, changes NG by {_interval(best)}."
    lit = _find(rows, "share of DEX-AR's energy on cells of less than even attention", "dexar")
    if lit is not None:
        yield (
            f"Of its energy {lit['value']:.0%} lies on cells that get less than an even share of attention (they are "
            f"{lit['chance']:.0%} of all): the gradient shows what would matter there, whether or not it is read."
        )
    settings = gains[[not name.startswith("times attention") for name in variants]]["value"]
    gap = _find(rows, "NG, less the default's", _PRODUCT)
    if gap is None:
        return
    yield (
        f"The best of these settings gains {number(max(0.0, float(settings.max())))} of the {number(gap['value'])} "
        "that separate the two."
    )
    squares = {where: _find(rows, "NG", method) for where, method in _SQUARES.items()}
    yield (
        "NG of head filter × factor attention: "
        + "; ".join(f"{where} {_interval(row)}" for where, row in squares.items() if row is not None)
        + "."
    )


def causally(results: pd.DataFrame) -> Chapter | None:
    """DEX-AR use against DEX-AR, judged by intervention and not by masks alone."""
    sentences = []
    for model, rows in results[results["test"] == "T2"].groupby("model", sort=False):
        own, use = (_find(rows, "agreement", name) for name in ("dexar", "dexar_use"))
        less = _find(rows, "agreement, less DEX-AR's", "dexar_use")
        best = _find(rows, "agreement", "oracle")
        if own is None or use is None or less is None:
            continue
        clear = less["low"] > 0 or less["high"] < 0
        masks = f" (masks alone reach {_interval(best)})" if best is not None else ""
        sentences.append(
            f"{model}, {own['n']} words of scenes with three or more objects: DEX-AR {_interval(own)}, DEX-AR use "
            f"{_interval(use)}{masks}; the difference is {_interval(less)}, p = {less['p']:.2g}"
            f"{'' if clear else ': the data do not tell them apart'}."
        )
    return Chapter("DEX-AR use judged by causal agreement", sentences) if sentences else None


def cases(tables: dict[str, pd.DataFrame]) -> Chapter | None:
    """One scene of every failure case of the paper, per model: scene, maps, intervention, verdict."""
    found = []
    heads = ("case", "word (its probability)", *(f"map: {name}" for name in SHOWN), "map on object, on suspect ÷ area")
    heads = (*heads, "nats lost without object, without suspect", "verdict by intervention")
    for model, seen in tables.items():
        rows = []
        for name, some in seen.groupby("story", sort=False):
            one = some[some["scene"] == some["scene"].min()].set_index("method")
            first = one.iloc[0]
            shown = [name for name in SHOWN if name in one.index]
            shares = "; ".join(
                f"{method} {number(one.loc[method, 'map on object'])}, {number(one.loc[method, 'map on suspect'])}"
                for method in shown
            )
            pictures = [
                Cell(f"map of {method}", picture=str(one.loc[method, "picture"])) if method in one.index else Cell("")
                for method in SHOWN
            ]
            lost = f"{number(first['object'])}, {number(first['suspect'])}"
            rows.append(
                [
                    Cell(str(name)), Cell(f"{first['word']} ({first['probability']:.2f})"), *pictures, Cell(shares),
                    Cell(lost), Cell(verdict(*(float(first[name]) for name in ("suspect", "object", "probability")))),
                ]
            )  # fmt: skip
        found.append(Table(f"{model}: one scene of each case", heads, rows))
    text = "The map lies over its scene. Of a word that the model does not say nothing is concluded."
    return Chapter("Every failure case of appendices I and J", (text,), found) if found else None
