"""T1 and T2: does a word's map lie on what the word names, and on what the word depends on?

Both read the rows of `dexar_widgets.lab.trust.observe`. An empty map counts as chance, so that no method gains by
saying nothing; how many were empty stands beside the number.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.observe import CONTROLS, ORACLES
from dexar_widgets.statistics import Estimate, difference, holm, mean, rate

__all__ = ["agreement", "localisation", "normalised_grounding"]

_AGAINST = "dexar"
_T1_GATES = {"random": "T1 random", "oracle": "T1 oracle", "inverted oracle": "T1 inverted"}
_T2_GATES = {"rise": "T2 rise", "dexar": "T2 dexar", "dexar_use": "T2 dexar", "random": "T2 random"}
_SAID = 0.5
"""Least probability of a word that the model is taken to say; of others a map explains nothing."""


def normalised_grounding(seen: pd.DataFrame, column: str = "own") -> Float[np.ndarray, " case"]:
    """(EPG − area) ÷ (oracle's EPG − area): 0 by chance, 1 for a map of the mask; an empty map is 0."""
    reached = (seen[column] - seen["area"]) / (seen["oracle"] - seen["area"])
    return np.where(seen["empty"].astype(bool) | reached.isna(), 0.0, reached.to_numpy(float))


def _named(seen: pd.DataFrame, roles: tuple[str, ...] = ("class", "colour")) -> pd.DataFrame:
    """Grounded words that name one object and that the model says."""
    return seen[seen["grounded"] & (seen["object"] >= 0) & seen["role"].isin(roles) & (seen["probability"] >= _SAID)]


def localisation(seen: pd.DataFrame) -> pd.DataFrame:
    """T1: normalised grounding, and energy over area, of every method; then each one's difference from DEX-AR."""
    rows: list[dict[str, Any]] = []
    for name, cases in by_method(_named(seen), seen):
        scenes = cases["scene"].to_numpy()
        empty = int(cases["empty"].astype(bool).sum())
        note = f"{empty} empty maps count as chance" if empty else ""
        whole = mean(normalised_grounding(cases), scenes)
        rows.append(result("T1", "NG", whole, method=name, chance=0.0, gate=_T1_GATES.get(name), note=note))
        for role in ("class", "colour"):
            some = cases[cases["role"] == role]
            found = mean(normalised_grounding(some), some["scene"].to_numpy())
            rows.append(result("T1", f"NG, words of a {role}", found, method=name, chance=0.0))
        risen = mean(normalised_grounding(cases, "own_risen"), scenes)
        rows.append(result("T1", "NG, map less its minimum", risen, method=name, chance=0.0))
        times = np.where(cases["empty"].astype(bool), 1.0, (cases["own"] / cases["area"]).to_numpy(float))
        gate = None if name in (*_T1_GATES, *CONTROLS) else "T1 ratio"
        rows.append(result("T1", "EPG ÷ area", mean(times, scenes), method=name, chance=1.0, gate=gate))
        hits = cases["hit"].to_numpy(float)
        area = float(cases["area"].mean())
        rows.append(result("T1", "peak on the object", mean(hits, scenes), method=name, chance=area))
    rows.append(_left_out(seen))
    cases = _named(seen)
    rows += _differences("T1", "NG", cases.assign(score=normalised_grounding(cases)))
    return table(rows)


def _left_out(seen: pd.DataFrame) -> dict[str, Any]:
    """Pieces of class and colour words that are not looked at: not said by the model, or not grounded."""
    named = seen[(seen["object"] >= 0) & seen["role"].isin(("class", "colour"))].drop_duplicates(["scene", "step"])
    silent = named["probability"] < _SAID
    note = f"{int(silent.sum())} that the model does not say, {int((~silent & ~named['grounded']).sum())} not grounded"
    found = rate((silent | ~named["grounded"]).to_numpy(bool))
    return result("T1", "pieces of named words that are left out", found, note=note)


def agreement(seen: pd.DataFrame) -> pd.DataFrame:
    """T2: rank correlation, over objects, of the energy on each with the nats lost without it."""
    cases = _named(seen)
    cases = cases[cases["objects"] >= 3]
    empty = cases["empty"].astype(bool)
    cases = cases.assign(
        score=np.where(empty, 0.0, cases["agreement"].to_numpy(float)),
        risen=np.where(empty | cases["agreement_risen"].isna(), 0.0, cases["agreement_risen"].to_numpy(float)),
    )
    rows = []
    for name, some in by_method(cases, seen):
        scenes = some["scene"].to_numpy()
        silent = int(some["empty"].astype(bool).sum())
        note = f"{silent} empty maps count as 0" if silent else ""
        found, risen = (mean(some[column].to_numpy(float), scenes) for column in ("score", "risen"))
        gate = _T2_GATES.get(name)
        whole, above = (None, gate) if name == "rise" else (gate, None)  # a mean probability stands on a constant
        rows.append(result("T2", "agreement", found, method=name, chance=0.0, gate=whole, note=note))
        rows.append(result("T2", "agreement, map less its minimum", risen, method=name, chance=0.0, gate=above))
    rows += _differences("T2", "agreement", cases)
    return table(rows)


def _differences(test: str, what: str, cases: pd.DataFrame) -> list[dict[str, Any]]:
    """Each method less DEX-AR on the same words; p-values of two sides, adjusted for their number (Holm)."""
    if _AGAINST not in set(cases["method"]):
        return []
    wide = cases.pivot_table("score", ["scene", "step"], "method", sort=False)
    scenes = wide.index.get_level_values("scene").to_numpy()
    against = wide[_AGAINST].to_numpy(float)
    others = [name for name in wide if name not in (_AGAINST, *ORACLES)]
    found = [difference(wide[name].to_numpy(float), against, scenes) for name in others]
    adjusted = holm([one.p for one in found])
    return [
        result(
            test,
            f"{what}, less DEX-AR's",
            Estimate(one.value, one.low, one.high, one.n, p),
            method=str(name),
            chance=0.0,
        )
        for name, one, p in zip(others, found, adjusted, strict=True)
    ]
