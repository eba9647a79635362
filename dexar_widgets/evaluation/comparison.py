"""A table of the paper, with our numbers beside its own: as far as there are any of either."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from dexar_widgets.attributions import options_of
from dexar_widgets.evaluation.layouts import Column, Preset, Row, Source
from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.published import FAMILIES, family_of, published
from dexar_widgets.evaluation.ranks import agreement
from dexar_widgets.evaluation.results import Results
from dexar_widgets.evaluation.tables import SUMMARY, costs_of, rows_of, summary

__all__ = ["COLUMNS", "OTHERS", "comparison", "left_out", "measured_rows", "orders", "same_setting"]

_SCALED = (
    "mean",
    "low",
    "high",
    "median",
    "floor",
    "chance",
    "pessimistic",
    "paired",
    *(name for name in SUMMARY if "less_" in name),
)
COLUMNS = ("table", "model", "row", "column", "data", "metric", "variant", "published", *SUMMARY[6:])
"""Of a comparison: ``row`` and ``column`` are the table's, ``published`` is the paper's number; the others are ours.
Seconds have no ``metric``."""


OTHERS = " (not in the paper)"
"""After the name of a variant that the paper's table does not have."""


def comparison(preset: Preset, results: Results, *, lab: bool) -> pd.DataFrame:
    """A row per model, row and column of the table, with those that nobody measured: then all of ours is NaN.

    ``lab``: from the lab's stand-ins instead of the paper's data sets. Empty where neither was measured.
    """
    found = [one for source in preset.sources for one in _of_source(preset, source, results, lab=lab)]
    models = sorted(dict.fromkeys(one["model"] for one in found), key=_place)
    measured = {(one["model"], one["row"], one["column"]): one for one in found}
    filled = {(model, row) for model, row, _ in measured}
    others = list(dict.fromkeys(one["row"] for one in found if one["row"] not in {row.title for row in preset.rows}))
    rows = [*preset.rows, *(Row(name, None) for name in others)]
    told = [
        {"table": preset.name, "model": model, "row": row.title, "column": column.title, "n": 0, "reasons": ""}
        | measured.get((model, row.title, column.title), {})
        | {"published": _published(preset, row, column, model)}
        for model in models for row in rows if row.suits(model) or (model, row.title) in filled
        for column in preset.columns
    ]  # fmt: skip
    return pd.DataFrame(told, columns=list(COLUMNS))


def _place(model: str) -> int:
    """In the paper's order of families."""
    families: list[str | None] = [*FAMILIES, None]
    return families.index(family_of(model))


def _of_source(preset: Preset, source: Source, results: Results, *, lab: bool) -> list[dict[str, Any]]:
    """Our cells of the columns that show one data set; of each model those of the stand-in, or of most rows."""
    labels = _labels(source, results, lab=lab)
    named = {label: _rows_by_variant(preset, results.variants(label)) for label in labels}
    settings = {label: results.told[label][0].get("data_settings", {}) for label in labels}
    models = {label: [model for told in results.told[label] for model in told["models"]] for label in labels}
    columns = [column for column in preset.columns if column.source == source.title]
    found: list[dict[str, Any]] = []
    for model in dict.fromkeys(model for label in labels for model in models[label]):
        own = [label for label in labels if model in models[label]]
        data = max(own, key=lambda label: (not lab or source.agrees(settings[label]), len(named[label])))
        cells = _cells(preset, results, data, named[data], columns) if named[data] else []
        found += [cell for cell in cells if cell["model"] == model]
    return found


def _labels(source: Source, results: Results, *, lab: bool) -> list[str]:
    """The results that are of one data set, however it was set."""
    return [label for label in results.told if results.plain_name(label) == source.names(lab=lab)]


def _rows_by_variant(preset: Preset, variants: Mapping[str, tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """The row that each variant stands in; any other is a row of its own, in a closed table if its method is there."""
    settings = {same_setting(row.variant.method, row.variant.options): row for row in preset.rows if row.variant}
    found: dict[str, str] = {}
    for name, (method, options) in variants.items():
        row = settings.get(same_setting(method, options))
        if row is not None and row.title not in found.values():
            found[name] = row.title
    methods = {row.variant.method for row in preset.rows if row.variant}
    if found:
        found |= {
            name: f"{name}{OTHERS}"
            for name, (method, _) in variants.items()
            if name not in found and (not preset.closed or method in methods)
        }
    return found


def left_out(preset: Preset, table: pd.DataFrame, results: Results, *, lab: bool) -> Iterator[str]:
    """Sentences on what was measured on a table's data sets and stands in no row of a `comparison`."""
    shown = set(table["data"].dropna())
    others = {label for source in preset.sources for label in _labels(source, results, lab=lab)} - shown
    if others:
        named = ", ".join(label for label in results.told if label in others)
        yield f"Measured in another way, and not in this table: {named}; see every number."
    missing = [name for label in shown for name in results.variants(label) if name not in set(table["variant"])]
    if missing:
        named = ", ".join(dict.fromkeys(missing))
        yield f"Also measured on these data, and in no row of this table: {named}; see every number."


def same_setting(method: str, options: Mapping[str, Any]) -> str:
    """A text that is the same for the same method and options, defaults filled in."""
    try:
        told = vars(options_of(method, options))
    except ValueError:  # a method, or an option, that is not installed here
        told = dict(options)
    return json.dumps([method, told], sort_keys=True, default=str)


def _cells(
    preset: Preset, results: Results, data: str, rows: Mapping[str, str], columns: Sequence[Column]
) -> list[dict[str, Any]]:
    scores, costs = (
        frame[(frame["data"] == data) & frame["variant"].isin(list(rows))] for frame in (results.scores, results.costs)
    )
    titles = {row.title: row.variant.name for row in preset.rows if row.variant}
    reference = next((name for name, title in rows.items() if titles.get(title) == preset.reference), None)
    readings = [column.reading for column in columns if column.reading]
    made = [name for name, (method, _) in results.variants(data).items() if method in ORACLES]
    numbers, seconds = summary(scores, readings, reference, uncompared=made), costs_of(costs)
    found: list[dict[str, Any]] = []
    for column in columns:
        if column.reading is None:
            some = seconds.rename(columns={"seconds": "mean"}).assign(reasons="", skipped=0)
        else:
            one = column.reading
            same = (numbers["metric"] == one.metric) & (numbers["part"] == one.part) & (numbers["view"] == one.view)
            some = numbers[same]
        for cell in rows_of(some):
            scaled = {name: column.factor * cell[name] for name in _SCALED if name in cell}
            found.append(cell | scaled | {"column": column.title, "row": rows[cell["variant"]]})
    return found


def _published(preset: Preset, row: Row, column: Column, model: str) -> float:
    """The paper's number, NaN where it has none."""
    theirs, (dataset, metric) = published(preset.name), column.published
    same = (theirs["family"] == family_of(model)) & (theirs["method"] == row.published)
    values = theirs.loc[same & (theirs["dataset"] == dataset) & (theirs["metric"] == metric), "value"]
    return float(values.iloc[0]) if len(values) else float("nan")


def measured_rows(table: pd.DataFrame) -> int:
    """How many rows of a comparison have a number of ours, in the model that has most; seconds do not count."""
    known = table[table["mean"].notna() & table["metric"].notna()]
    return int(known.groupby("model")["row"].nunique().max()) if len(known) else 0


def orders(table: pd.DataFrame) -> pd.DataFrame:
    """For each model and column, how far both put the rows in the same order: n, Spearman's ρ, Kendall's τ."""
    rows: list[dict[str, Any]] = [
        {"model": model, "column": column} | agreement(list(some["mean"]), list(some["published"]))
        for (model, column), some in table.groupby(["model", "column"], sort=False)
    ]
    known = [row for row in rows if np.isfinite(row["spearman"])]
    return pd.DataFrame(known, columns=["model", "column", "n", "spearman", "kendall"])
