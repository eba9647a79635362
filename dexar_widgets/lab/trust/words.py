"""T3 and T4: does what a method lets a word count for tell whether the image decides that word?

A method's weights are read where it has some (DEX-AR's ω, with the max and the avg filter; the mass of DEX-AR use),
else the mass of its positive map, and the row says which.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.localisation import normalised_grounding
from dexar_widgets.lab.trust.observe import ORACLES
from dexar_widgets.lab.trust.truth import SAID
from dexar_widgets.lab.world import SUBWORDS
from dexar_widgets.separation import separation, separation_less
from dexar_widgets.statistics import mean, median, rate

__all__ = ["filler", "subwords"]

_DETERMINED = ("suitcase", "butterfly")


def _readings(cases: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(column, what to call it) of a method's cases."""
    if cases["weight"].notna().any():
        yield "weight", "weight"
    else:
        yield "mass", "mass of the map"
    if cases["weight_avg"].notna().any():
        yield "weight_avg", "weight, avg filter"


def filler(seen: pd.DataFrame) -> pd.DataFrame:
    """T3: AUROC of the reading, words that the image decides against words that it does not.

    Once by intervention (what lies between grounded and filler is left out, its share told), once by the caption's
    template (words of content against all others).
    """
    seen = seen[~seen["method"].isin(ORACLES)]
    cases = seen[seen["probability"] >= SAID]
    rows: list[dict[str, Any]] = []
    for method, some in by_method(cases, seen):
        known = some[some["grounded"] | some["filler"]]
        between = 1 - len(known) / max(1, len(some))
        note = f"{between:.1%} of {len(some)} words lie between and are left out"
        for column, called in _readings(some):
            gate = "T3 causal" if method.startswith("dexar") and column == "weight" else None
            for what, part, truth in (("by intervention", known, "grounded"), ("by template", some, "content")):
                found = separation(part[column].to_numpy(float), part[truth].to_numpy(bool), part["scene"].to_numpy())
                causal = what == "by intervention"
                told = f"AUROC {what}, {called}"
                rows.append(
                    result(
                        "T3", told, found, method=method, chance=0.5,
                        gate=gate if causal else None, note=note if causal else "",
                    )
                )  # fmt: skip
    return table([_decided_fillers(cases), *rows, *_by_filter(cases)])


def _decided_fillers(cases: pd.DataFrame) -> dict[str, Any]:
    """How many words that the template calls filler are decided by the image, and which: the gap between the two."""
    once = cases.drop_duplicates(["scene", "step"])
    template = once[~once["content"].astype(bool)]
    decided = template[template["grounded"].astype(bool)]
    words = decided["word"].value_counts().head(5)
    note = "most often " + ", ".join(f"“{word}” {count}×" for word, count in words.items()) if len(words) else ""
    found = rate(template["grounded"].to_numpy(bool), template["scene"].to_numpy())
    return result("T3", "fillers of the template that the image decides", found, note=note)


def _by_filter(cases: pd.DataFrame) -> list[dict[str, Any]]:
    """How much better the avg filter separates than the max filter (expected: not at all)."""
    some = cases[(cases["method"] == "dexar") & (cases["grounded"] | cases["filler"])]
    if not len(some) or not some["weight_avg"].notna().any():
        return []
    truth, scenes = some["grounded"].to_numpy(bool), some["scene"].to_numpy()
    most, average = (some[name].to_numpy(float) for name in ("weight", "weight_avg"))
    apart = separation_less(average, most, truth, scenes)
    return [result("T3", "AUROC of the avg filter less that of max", apart, method="dexar", chance=0.0, gate="T3 avg")]


def subwords(seen: pd.DataFrame) -> pd.DataFrame:
    """T4: suit|case and butter|fly follow from their first piece; foot|ball and foot|print do not."""
    named = seen[(seen["role"] == "class") & seen["word"].isin(SUBWORDS) & ~seen["method"].isin(ORACLES)]
    piece = named["piece"].str.strip()
    first = piece == named["word"].map(lambda word: SUBWORDS[word][0])
    second = piece == named["word"].map(lambda word: SUBWORDS[word][1])
    keys = ["scene", "object", "word", "method"]
    pairs = named[second].merge(named[first], on=keys, suffixes=("", "_first"))
    pairs = pairs[(pairs["probability"] >= SAID) & (pairs["probability_first"] >= SAID)]
    rows = list(_swapped(pairs.drop_duplicates(["scene", "object", "word"])))
    for method, some in pairs.groupby("method", sort=False):
        for column, called in _readings(some):
            rows += _pieces(str(method), some, column, called)
    return table(rows)


def _swapped(pairs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """What the second piece loses with a look-alike in the object's place (for a football, a footprint)."""
    follows = pairs["word"].isin(_DETERMINED)
    for what, some in (("case, fly", pairs[follows]), ("ball, print", pairs[~follows])):
        lost = mean(some["reclassed"].to_numpy(float), some["scene"].to_numpy())
        yield result("T4", f"{what}: nats lost with a look-alike in its place", lost, chance=0.0)


def _pieces(method: str, pairs: pd.DataFrame, column: str, called: str) -> Iterator[dict[str, Any]]:
    gated = method.startswith("dexar") and column == "weight"
    follows = pairs["word"].isin(_DETERMINED)
    fixed, open_ = pairs[follows], pairs[~follows]
    unlit = int((fixed[f"{column}_first"] <= 0).sum())
    fixed = fixed[fixed[f"{column}_first"] > 0]
    ratio = (fixed[column] / fixed[f"{column}_first"]).to_numpy(float)
    note = f"{unlit} words whose first piece has no weight are left out" if unlit else ""
    yield result(
        "T4", f"median of case ÷ suit, fly ÷ butter: {called}", median(ratio, fixed["scene"].to_numpy()),
        method=method, chance=1.0, gate="T4 determined" if gated else None, note=note,
    )  # fmt: skip
    yield result(
        "T4", f"ball, print: {called} above 0", rate(open_[column].to_numpy(float) > 0, open_["scene"].to_numpy()),
        method=method, gate="T4 undetermined" if gated else None,
    )  # fmt: skip
    if column != "weight_avg":
        found = mean(normalised_grounding(open_), open_["scene"].to_numpy())
        gate = "T4 localised" if method.startswith("dexar") else None
        yield result("T4", "ball, print: NG", found, method=method, chance=0.0, gate=gate)
