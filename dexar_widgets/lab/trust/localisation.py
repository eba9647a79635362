"""T1 and T2: does a word's map lie on what the word names, and on what the word depends on?

Both read the rows of `dexar_widgets.lab.trust.observe`. An empty map, and one without an order, counts as chance, so
that no method gains by saying nothing; how many there were stands beside the number.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.observe import CONTROLS, ORACLES, over_area
from dexar_widgets.lab.trust.truth import FILLER, SAID
from dexar_widgets.statistics import Estimate, difference, holm, mean, rate

__all__ = ["adjusted", "agreement", "compared", "localisation", "normalised_grounding"]

_AGAINST = "dexar"
_T1_GATES = {"random": "T1 random", "oracle": "T1 oracle", "inverted oracle": "T1 inverted"}
_T2_GATES = {"rise": "T2 rise", "dexar": "T2 dexar", "dexar_use": "T2 dexar", "random": "T2 random"}
FEWEST = 10
"""Scenes of which a difference is told with a p-value: a bootstrap of fewer knows no tails."""
_LESS = "less DEX-AR's"


def normalised_grounding(seen: pd.DataFrame, column: str = "own") -> Float[np.ndarray, " case"]:
    """(EPG − area) ÷ (oracle's EPG − area): 0 by chance, 1 for a map of the mask; an empty map is 0."""
    reached = (seen[column] - seen["area"]) / (seen["oracle"] - seen["area"])
    return np.where(seen["empty"].astype(bool) | reached.isna(), 0.0, reached.to_numpy(float))


def _named(seen: pd.DataFrame, roles: tuple[str, ...] = ("class", "colour")) -> pd.DataFrame:
    """Grounded words that name one object and that the model says."""
    return seen[seen["grounded"] & (seen["object"] >= 0) & seen["role"].isin(roles) & (seen["probability"] >= SAID)]


def localisation(seen: pd.DataFrame) -> pd.DataFrame:
    """T1: normalised grounding, and energy over area, of every method; then each one's difference from DEX-AR."""
    rows: list[dict[str, Any]] = []
    for name, cases in by_method(_named(seen), seen):
        scenes = cases["scene"].to_numpy()
        empty = int(cases["empty"].astype(bool).sum())
        note = f"{empty} empty maps count as chance" if empty else ""
        whole = mean(normalised_grounding(cases), scenes)
        gate, given = _T1_GATES.get(name), name in ORACLES
        rows.append(result("T1", "NG", whole, method=name, chance=0.0, gate=gate, by_construction=given, note=note))
        for role in ("class", "colour"):
            some = cases[cases["role"] == role]
            found = mean(normalised_grounding(some), some["scene"].to_numpy())
            rows.append(result("T1", f"NG, words of a {role}", found, method=name, chance=0.0))
        risen = mean(normalised_grounding(cases, "own_risen"), scenes)
        rows.append(result("T1", "NG, map less its minimum", risen, method=name, chance=0.0))
        times = over_area(cases["own"], cases["area"])
        gate = None if name in (*_T1_GATES, *CONTROLS) else "T1 ratio"
        rows.append(result("T1", "EPG ÷ area", mean(times, scenes), method=name, chance=1.0, gate=gate))
        hits = rate(cases["hit"].to_numpy(bool), scenes)
        area = float(cases["area"].mean())
        rows.append(result("T1", "peak on the object", hits, method=name, chance=area))
    rows.append(_left_out(seen))
    cases = _named(seen)
    rows += _differences("T1", "NG", cases.assign(score=normalised_grounding(cases)))
    return table(rows)


def _left_out(seen: pd.DataFrame) -> dict[str, Any]:
    """Pieces of class and colour words that are not looked at: not said by the model, or not grounded."""
    named = seen[(seen["object"] >= 0) & seen["role"].isin(("class", "colour"))].drop_duplicates(["scene", "step"])
    silent = named["probability"] < SAID
    note = f"{int(silent.sum())} that the model does not say, {int((~silent & ~named['grounded']).sum())} not grounded"
    found = rate((silent | ~named["grounded"]).to_numpy(bool), named["scene"].to_numpy())
    return result("T1", "pieces of named words that are left out", found, note=note)


def agreement(seen: pd.DataFrame) -> pd.DataFrame:
    """T2: rank correlation, over objects, of the energy on each with the nats lost without it.

    Which of two objects matters less is noise where neither matters: once more with changes up to `FILLER` tied at 0.
    """
    cases = _named(seen)
    cases = cases[cases["objects"] >= 3]
    empty = cases["empty"].astype(bool)
    cases = cases.assign(
        score=cases["agreement"].mask(empty).fillna(0.0),
        risen=cases["agreement_risen"].mask(empty).fillna(0.0),
        tied=cases["agreement_tied"].mask(empty).fillna(0.0),
    )
    rows = []
    for name, some in by_method(cases, seen):
        scenes = some["scene"].to_numpy()
        silent = int(some["agreement"].isna().sum())
        note = f"{silent} maps that are empty or alike on all objects count as 0" if silent else ""
        found, risen = (mean(some[column].to_numpy(float), scenes) for column in ("score", "risen"))
        gate = _T2_GATES.get(name)
        whole, above = (None, gate) if name == "rise" else (gate, None)  # a mean probability stands on a constant
        rows.append(result("T2", "agreement", found, method=name, chance=0.0, gate=whole, note=note))
        rows.append(result("T2", "agreement, map less its minimum", risen, method=name, chance=0.0, gate=above))
        some = some[some["removed"] > FILLER]  # noqa: PLW2901 (of the others no object matters, and none has a rank)
        tied = mean(some["tied"].to_numpy(float), some["scene"].to_numpy())
        note = f"{len(scenes) - len(some)} words that no removal changes by more are left out"
        what = f"agreement, changes up to {FILLER} nat tied at 0"
        rows.append(result("T2", what, tied, method=name, chance=0.0, note=note))
    rows += _differences("T2", "agreement", cases)
    return table(rows)


def _differences(test: str, what: str, cases: pd.DataFrame) -> list[dict[str, Any]]:
    """Each method less DEX-AR on the same words; the p-values are adjusted where all methods are there (`adjusted`)."""
    return [
        result(test, f"{what}, {_LESS}", found, method=name, chance=0.0)
        for name, found in compared(cases[~cases["method"].isin(ORACLES)], _AGAINST)
    ]


def compared(cases: pd.DataFrame, against: str) -> list[tuple[str, Estimate]]:
    """Each method's score less that of another on the same words, with p-values of two sides."""
    if against not in set(cases["method"]):
        return []
    wide = cases.pivot_table("score", ["scene", "step"], "method", sort=False)
    scenes = wide.index.get_level_values("scene").to_numpy()
    found = []
    for name in wide:
        if name != against:
            one = difference(wide[name].to_numpy(float), wide[against].to_numpy(float), scenes)
            enough = len(np.unique(scenes[wide[[name, against]].notna().all(axis=1)])) >= FEWEST
            found.append((str(name), one if enough else replace(one, p=float("nan"))))
    return found


def adjusted(results: pd.DataFrame) -> pd.DataFrame:
    """The results with the p-values of T1's and T2's differences adjusted by Holm.

    All methods of a model and a test are one family, the slow ones too, which saw fewer scenes.
    """
    results = results.copy()
    less = results[results["test"].isin(("T1", "T2")) & results["what"].str.endswith(_LESS)]
    for _, rows in less.groupby(["test", "model"]):
        results.loc[rows.index, "p"] = holm(rows["p"].tolist())
    return results
