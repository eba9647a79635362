"""A report's contents, before it becomes a page: what did not hold first, then the tests."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from dexar_widgets.pages import Cell, Chapter, Table, number

__all__ = ["INTRODUCTIONS", "negative", "tests"]

INTRODUCTIONS = {
    "T1": "Localisation. NG = (energy on the object that the word names − its area) ÷ (what the best map of this grid "
    "has − its area): 0 is chance, 1 a map of the mask itself, and a map that is sharper still exceeds it. Of "
    "grounded class and colour words that the model says (p ≥ .5). Captions name no background; words of other answers "
    "that do have their NG under “filters”.",
    "T2": "Causal agreement: over the objects of scenes with three or more, the rank correlation of the map's energy "
    "on each with the nats that the word loses when it is removed. The oracle's row is what masks alone reach. With "
    "changes up to .05 nat tied at 0, a map that has some energy on each of the tied objects cannot reach 1.",
    "T3": "Filler: how well a word's weight (or its map's mass) tells words that the image decides from words that it "
    "does not, by intervention and by the caption's template.",
    "T4": "Sub-words: suit|case and butter|fly follow from their first piece, foot|ball and foot|print do not. Of "
    "pieces that the model says (p ≥ .5).",
    "T5": "Repeats: two objects of one class or one colour.",
    "T6": "Sinks: attention on cells that move nothing.",
    "T7": "Sensitivity without use: cells that are never attended, and would matter if they were.",
    "T8": "The method's numbers against a closed form.",
    "T9": "A planted dependency on the background: white boats are told of because there is water. Maps are judged "
    "where the model says the words (p ≥ .5), and these lose a nat without the water or without the boat.",
    "T10": "A planted trigger: a chequered patch makes the model name a yellow clock.",
    "decoy": "A planted decoy: the colour told is that of a swatch in the corner.",
    "T11": "Randomisation: weights drawn anew from the last layer to the first, and a model trained on other scenes' "
    "words. Chance is the |ρ| of a method's maps of two scenes on the trained model.",
    "T13": "Filling against removal: perturbation metrics fill pixels; here the object can really be removed. Words of "
    "a class or a colour, each against every object.",
    "T15": "Arithmetic: completeness, repeats, batches, precision.",
    "filters": "The head filter by the object's size, and for words that name the background.",
    "reasons": "Where DEX-AR loses: depth, head filter, text set, norms of the values, energy that is not attended.",
    "complex": "DEX-AR and TAM on crowds, objects behind objects, and questions that fit two objects.",
    "failures": "The failure cases of the paper's appendices I and J: what the map shows, and what the word needs.",
}
"""One for each test, in the order of the report."""
_MARKS = {
    "pass": "✓ pass",
    "fail": "✗ FAIL",
    "finding": "✗ finding",
    "as expected": "✓",
    "by construction": "✓ by construction",
    "error": "✗ error",
}


def _written(row: pd.Series) -> Cell:
    """A number with its interval and n; of a difference its p."""
    if row["verdict"] == "error":
        return Cell(f"✗ {row['note']}", "error")
    if row["verdict"] == "not measured":
        return Cell(f"not measured (n = {row['n']})", "not measured")
    interval = f" ({number(row['low'])} to {number(row['high'])})" if np.isfinite(row["low"]) else ""
    p = f", p = {row['p']:.2g}" if np.isfinite(row["p"]) else ""
    mark = f" {_MARKS[row['verdict']]}" if row["verdict"] in _MARKS else ""
    return Cell(f"{number(row['value'])}{interval}{p}, n = {row['n']}{mark}", row["verdict"])


def negative(results: pd.DataFrame) -> Chapter:
    """What failed, what was expected and not found, and what could not be measured: first in the report."""
    heads = ("test", "model", "method", "what", "found", "gate", "chance", "note")
    tables = []
    for verdict, caption in (
        ("fail", "A right answer is known, and was not given"),
        ("finding", "Expected, and not found"),
        ("error", "Could not be measured: an error"),
    ):
        rows = results[results["verdict"] == verdict]
        tables.append(Table(f"{caption}: {len(rows)}", heads, [_told(row) for _, row in rows.iterrows()]))
    count = Counter(results["verdict"])
    sentences = (
        f"Of {count['pass'] + count['fail']} checks with a known right answer {count['fail']} failed; of "
        f"{count['as expected'] + count['finding']} expectations {count['finding']} did not hold. An expectation that "
        f"does not hold is a finding about the method or the model, not a fault of the program. Apart from these, "
        f"{count['by construction']} controls hold by construction (maps of the masks, maps that do not see the model, "
        f"products with 0): they show that the report works, and nothing of a method. {count['not measured']} numbers "
        f"have no case to be measured on.",
        "Intervals are 95 %: bootstrap over scenes, Wilson for rates of scenes; a single scene has none, and the worst "
        "scene has the range of all. p-values of differences are two-sided, from the bootstrap, adjusted by Holm for "
        "the methods compared.",
    )
    return Chapter("What did not hold", sentences, [table for table in tables if table.rows])


def _told(row: pd.Series) -> list[Cell]:
    chance = number(row["chance"]) if np.isfinite(row["chance"]) else ""
    texts = (row["test"], row["model"], row["method"] or "–", row["what"])
    after = (row["gate"], chance, "" if row["verdict"] == "error" else row["note"])
    return [*map(Cell, map(str, texts)), _written(row), *map(Cell, map(str, after))]


def tests(results: pd.DataFrame) -> Iterator[Chapter]:
    """One for each test: a table per model, methods down and measurements across, chance in the heads."""
    for test, introduction in INTRODUCTIONS.items():
        some = results[(results["test"] == test) & (results["verdict"] != "error")]
        if len(some):
            tables = [_table(str(model) or "all models", rows) for model, rows in some.groupby("model", sort=False)]
            yield Chapter(f"{test}: {introduction.split('.')[0].split(':')[0]}", (introduction,), tables)


def _table(model: str, rows: pd.DataFrame) -> Table:
    columns = list(dict.fromkeys(rows["what"]))
    methods = list(dict.fromkeys(rows["method"]))
    if len(columns) > 3 * len(methods):  # long: one measurement a row
        heads: tuple[str, ...] = ("method", "what", "found", "chance", "gate", "note")
        body = [
            [
                Cell(row["method"] or "–"),
                Cell(row["what"]),
                _written(row),
                _chance(row),
                Cell(row["gate"]),
                Cell(row["note"]),
            ]
            for _, row in rows.iterrows()
        ]
        return Table(model, heads, body)
    found = {(row["method"], row["what"]): row for _, row in rows.iterrows()}
    heads = ("method", *(_head(what, rows[rows["what"] == what]) for what in columns))
    body = [
        [Cell(method or "the model itself")]
        + [_written(found[method, what]) if (method, what) in found else Cell("") for what in columns]
        for method in methods
    ]
    return Table(model, heads, body)


def _chance(row: pd.Series) -> Cell:
    return Cell(number(row["chance"]) if np.isfinite(row["chance"]) else "")


def _head(what: str, rows: pd.DataFrame) -> str:
    chances = rows["chance"].dropna().unique()
    chance = f" [chance {', '.join(sorted({number(one) for one in chances}))}]" if len(chances) else ""
    gates = [gate for gate in rows["gate"].unique() if gate]
    return f"{what}{chance}{f' [{gates[0]}]' if len(gates) == 1 else ''}"
