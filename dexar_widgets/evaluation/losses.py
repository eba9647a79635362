"""Where DEX-AR loses: to another method, and to chance. The first thing that a report says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from dexar_widgets.evaluation.readings import Reading, meaning_of
from dexar_widgets.evaluation.tables import DRAWS, KNOWN, rows_of
from dexar_widgets.pages import Cell, Chapter, Table, number

__all__ = ["every_comparison", "losses"]

_TITLE = "Where DEX-AR loses"
_NAMED = 3  # methods, and twice as many metrics of each
_HEADS = ("model", "data", "metric", "other", "DEX-AR", "the other", "difference", "p", "Wilcoxon's p", "n")
_COMPARED = {"better": "Another is better than DEX-AR", "worse": "DEX-AR is better", "level": "Neither is better"}


def losses(numbers: pd.DataFrame, references: Sequence[str], controls: Sequence[str]) -> Chapter:
    """Sentences and tables from a `tables.summary`; ``controls`` are variants that know nothing of the model."""
    own, others = _apart(numbers, references)
    if own.empty:
        return Chapter(_TITLE, ("DEX-AR was not measured here, so no other method is compared with it.",))
    chance = own[own["beside_chance"].isin(["worse", "level"])]
    first = " ".join(filter(None, (_against_others(others), _against_chance(own))))
    told = [first, _to_controls(others, controls), _not_judged(own)]
    tables = [
        _places(own, others),
        Table(f"DEX-AR is no better than chance: {len(chance)}", ("model", "data", "metric", "DEX-AR", "chance",
              "difference", "n"), _no_better(chance)),
    ]  # fmt: skip
    sentences = [sentence for sentence in told if sentence]
    sentences.append(
        "Compared are means over the cases that both have, by a bootstrap over images (95 %, paired, "
        f"{DRAWS:,} draws); p is adjusted by Holm for the methods of one comparison. Ratios r are compared as shares, "
        "r ÷ (1 + r): an infinite one is the share 1, and no pair is left out. Chance is known beforehand, or else "
        "what random maps score on the same cases, where they were measured; a floor, which no map can miss, is not "
        "chance. Many metrics read the same maps, so losses come in groups."
    )
    return Chapter(_TITLE, sentences, [table for table in tables if table.rows])


def every_comparison(numbers: pd.DataFrame, references: Sequence[str]) -> Chapter | None:
    """Each comparison with its interval: those that DEX-AR loses, wins, and neither; None where there is none."""
    _, others = _apart(numbers, references)
    tables = [
        Table(f"{said}: {len(some)}", _HEADS, _comparisons(some, mark=verdict == "better"))
        for verdict, said in _COMPARED.items()
        if len(some := others[others["beside_reference"] == verdict].sort_values("p", kind="stable"))
    ]
    return Chapter("Every comparison", (), tables, (), folded=True) if tables else None


def _apart(numbers: pd.DataFrame, references: Sequence[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Whole metrics of DEX-AR, and of all others."""
    whole = numbers[numbers["part"] == ""]
    own = whole["variant"].isin(list(references))
    return whole[own], whole[~own]


def _places(own: pd.DataFrame, others: pd.DataFrame) -> Table:
    """DEX-AR among the others: a row per metric and view, a column per model and data set."""
    keys = ["metric", "part", "view", "model", "data"]
    beside = dict(list(others.groupby(keys, sort=False)))
    cells = {tuple(row[key] for key in keys): row for row in rows_of(own)}
    readings = list(dict.fromkeys(key[:3] for key in cells))
    columns = list(dict.fromkeys(key[3:] for key in cells))
    rows = [
        [
            Cell(Reading(*reading).title),
            *(_place(cells.get((*reading, *column)), beside.get((*reading, *column))) for column in columns),
        ]
        for reading in readings
    ]
    said = "DEX-AR, metric by metric: how many others are better ▲, neither ≈, worse ▽, and the one furthest ahead"
    return Table(said, ("", *(f"{model}\n{data}" for model, data in columns)), rows)


def _place(own: Mapping[str, Any] | None, others: pd.DataFrame | None) -> Cell:
    if own is None:
        return Cell("")
    lines = [number(own["mean"])]
    if own["beside_chance"] in ("worse", "level"):
        lines[0] += " ✗ chance"
    if others is None:
        return Cell(lines[0])
    count = Counter(others["beside_reference"])
    better = others[others["beside_reference"] == "better"]
    lines.append(f"{count['better']} ▲ {count['level']} ≈ {count['worse']} ▽")
    if len(better):
        first = rows_of(better.loc[[better["less_reference"].abs().idxmax()]])[0]
        beside = (
            f" beside {number(first['paired'] - first['less_reference'])}, {first['form']}" if first["form"] else ""
        )
        lines.append(f"{first['variant']} {number(first['paired'])}{beside}")
    return Cell("\n".join(lines), "better" if len(better) else "")


def _against_others(others: pd.DataFrame) -> str:
    count = Counter(others["beside_reference"])
    judged = count["better"] + count["level"] + count["worse"]
    if not judged:
        few = f": {count['few']} comparisons have fewer than 10 samples" if count["few"] else ""
        return f"Nothing can be said of who is better{few}. The numbers below are of too few samples, or of one method."
    first = (
        f"In {count['better']} of {judged} comparisons with another method or setting DEX-AR loses, in "
        f"{count['level']} neither is better, in {count['worse']} DEX-AR is."
    )
    if count["better"]:
        worst = others[others["beside_reference"] == "better"]
        by = Counter(worst["variant"]).most_common(_NAMED)
        named = "; ".join(
            f"{name} ({times}: {_metrics(worst[worst['variant'] == name], 2 * _NAMED)})" for name, times in by
        )
        first += f" Most often it loses to {named}."
    if count["few"]:
        first += f" {count['few']} more have fewer than 10 samples, and are not judged."
    return first


def _to_controls(others: pd.DataFrame, controls: Sequence[str]) -> str:
    some = others[
        others["variant"].isin(list(controls)) & others["beside_reference"].isin(["better", "level", "worse"])
    ]
    failed = some[some["beside_reference"] != "worse"]
    if some.empty:
        return ""
    if failed.empty:
        return f"It beats the controls, maps that know nothing of the model, in all {len(some)} comparisons with them."
    named = "; ".join(_named(row) for row in rows_of(failed.head(3)))
    return (
        f"Beside controls, maps that know nothing of the model, it is no better in {len(failed)} of {len(some)} "
        f"comparisons: {named}{' …' if len(failed) > 3 else '.'}"
    )


def _against_chance(own: pd.DataFrame) -> str:
    judged = own[own["beside_chance"].isin(["better", "level", "worse"])]
    none = judged[judged["beside_chance"] != "better"]
    named = f" ({_metrics(none, 2 * _NAMED)})" if len(none) else ""
    told = f"No better than chance: {len(none)} of its {len(judged)} numbers whose chance is known{named}."
    return told if len(judged) else ""


def _not_judged(own: pd.DataFrame) -> str:
    few, unknown = int((own["beside_chance"] == "few").sum()), int(own["chance"].isna().sum())
    told = []
    if few:
        told.append(f"{few} numbers whose chance is known are of fewer than 10 samples, and are not judged.")
    if unknown:
        told.append(f"The chance of {unknown} numbers is not known, and no random maps were measured beside them.")
    return " ".join(told)


def _metrics(rows: pd.DataFrame, most: int) -> str:
    """The metrics of some rows, the most frequent first."""
    titles = [title for title, _ in Counter(meaning_of(metric).title for metric in rows["metric"]).most_common()]
    return f"{', '.join(titles[:most])}{' …' if len(titles) > most else ''}"


def _named(row: Mapping[str, Any]) -> str:
    return f"{row['variant']} on {row['model']}, {row['data']}: {Reading.of(row).title}"


def _comparisons(others: pd.DataFrame, *, mark: bool) -> list[list[Cell]]:
    """Means are of the cases that both have, in the form in which they are compared."""
    return [
        [
            *map(Cell, (row["model"], row["data"], _metric(row), row["variant"])),
            Cell(number(row["paired"] - row["less_reference"])),
            Cell(number(row["paired"])),
            Cell(_interval(row, "less_reference"), "better" if mark else ""),
            *(Cell(f"{row[name]:.2g}") for name in ("p", "wilcoxon")),
            Cell(str(row["pairs"])),
        ]
        for row in rows_of(others)
    ]


def _metric(row: Mapping[str, Any]) -> str:
    """Its title, and the form of the comparison if that is another than its own."""
    return "\n".join(filter(None, (Reading.of(row).title, row["form"])))


def _no_better(own: pd.DataFrame) -> list[list[Cell]]:
    return [
        [
            *map(Cell, (row["model"], row["data"], _metric(row))),
            Cell(number(row["mean"])),
            Cell(number(row["chance"]) + ("" if row["chance_from"] == KNOWN else f"\n{row['chance_from']}")),
            Cell(_interval(row, "less_chance"), "better"),
            Cell(str(row["n"])),
        ]
        for row in rows_of(own)
    ]


def _interval(row: Mapping[str, Any], name: str) -> str:
    value, low, high = (number(row[key]) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value}\n({low} to {high})"
