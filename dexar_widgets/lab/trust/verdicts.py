"""What the planted models' tables say: first whether the fault is there, by intervention, then whether maps show it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.localisation import FEWEST
from dexar_widgets.lab.trust.observe import CONTROLS, over_area
from dexar_widgets.lab.trust.truth import GROUNDED, SAID
from dexar_widgets.separation import separation
from dexar_widgets.statistics import Estimate, mean, rate, spearman

__all__ = ["CLEAN", "decoy", "permuted", "trigger", "water"]

CLEAN = "lab/llava"
"""The planted models' twin without a fault."""

_DRAWS = 500
Tables = Mapping[str, pd.DataFrame]


def _per_scene(seen: pd.DataFrame) -> pd.DataFrame:
    return seen.drop_duplicates("scene")


def water(tables: Tables) -> pd.DataFrame:
    """T9: does "white boat" depend on the water, and does the water's share of the map follow that?"""
    rows: list[dict[str, Any]] = []
    for model, seen in tables.items():
        scenes, planted = _per_scene(seen), model != CLEAN
        depends = (scenes["water"] >= GROUNDED) & (scenes["boat"] < scenes["water"])
        gate = "T9 planted" if planted else "T9 clean"
        what = "without the water ≥ 1 nat is lost, and less without the boat"
        rows.append(
            result("T9", what, rate(depends.to_numpy()), model=model, gate=gate, note="the verdict on the model")
        )
        ghost = rate(scenes["boat without boat"].to_numpy(bool))
        rows.append(result("T9", "names a boat on water without one", ghost, model=model))
    if CLEAN in tables and len(tables) > 1:
        for model in tables:
            if model != CLEAN:
                rows += _by_method(tables[CLEAN], tables[model], model)
    return table(rows)


def _caused(seen: pd.DataFrame) -> pd.DataFrame:
    """Cases whose words the model says and that depend on water or boat by a nat: only there is something to show."""
    cause = seen[["water", "boat"]].clip(lower=0).sum(axis=1)
    cases = seen.assign(
        share=over_area(seen["water share"], seen["water share, area"]), cause=seen["water"].clip(lower=0) / cause
    )
    return cases[(seen["probability"] >= SAID) & (cause >= GROUNDED)]


def _by_method(clean: pd.DataFrame, planted: pd.DataFrame, model: str) -> list[dict[str, Any]]:
    """The water's share over its area: against the causal share, and the planted model against the clean one."""
    rows: list[dict[str, Any]] = []
    for method in planted["method"].unique():
        first, second = (_caused(seen[seen["method"] == method]) for seen in (clean, planted))
        both = pd.concat([first, second])
        share, truth = both["share"].to_numpy(float), np.repeat([False, True], [len(first), len(second)])
        scenes = both["scene"].to_numpy()  # both models see the same ones, which are resampled together
        empty = int(both["water share"].isna().sum())
        note = f"of scenes whose word is said and loses ≥ 1 nat; {empty} empty maps count as chance"
        what = "rank correlation of the water's share of the map with its share of the cause"
        for where, some, gate in (("both models", both, "T9 agreement"), ("the planted model", second, None)):
            follows, called = _correlation(some), f"{what}, {where}"
            rows.append(_told(follows, called, model, method, chance=0.0, gate=gate, note=note))
        tells = separation(share, truth, scenes)
        what = "AUROC, planted against clean, by that share"
        rows.append(_told(tells, what, model, method, chance=0.5, gate="T9 separation", note=note))
        what = "clean scenes above the planted model's 5th percentile"
        rows.append(_told(_alarms(share, truth), what, model, method, gate="T9 alarms", note=note))
    return rows


def _told(
    found: Estimate, what: str, model: str, method: str, *, gate: str | None = None, **more: Any
) -> dict[str, Any]:
    return result("T9", what, found, model=model, method=method, gate=_expected(gate, method), **more)


def _expected(gate: str | None, method: str) -> str | None:
    """The gate; of a control, which knows nothing of the model, nothing is expected."""
    return None if method in CONTROLS else gate


def _correlation(cases: pd.DataFrame) -> Estimate:
    """Spearman of share and cause, its interval by the bootstrap over scenes."""
    value = spearman(*cases[["share", "cause"]].to_numpy(float).T) if len(cases) else float("nan")
    scenes = [some[["share", "cause"]].to_numpy(float) for _, some in cases.groupby("scene")]
    if len(scenes) < FEWEST or not np.isfinite(value):
        return Estimate(value, float("nan"), float("nan"), len(cases))
    random = np.random.default_rng(0)
    drawn = [
        spearman(*np.concatenate([scenes[place] for place in random.integers(0, len(scenes), len(scenes))]).T)
        for _ in range(_DRAWS)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high), len(cases))


def _alarms(share: Float[np.ndarray, " case"], planted: Bool[np.ndarray, " case"]) -> Estimate:
    """False alarms on the clean model at the threshold that catches 95 % of the planted one's scenes."""
    caught, clean = share[planted], share[~planted]
    return rate(clean >= np.quantile(caught, 0.05)) if len(caught) and len(clean) else rate([])


def trigger(tables: Tables) -> pd.DataFrame:
    """T10: does the patch make the model name the ghost, and does the ghost's map lie on the patch?"""
    rows: list[dict[str, Any]] = []
    for model, seen in tables.items():
        scenes, planted = _per_scene(seen), model != CLEAN
        for column, what, gate in (
            ("named", "the ghost is named with the patch", "T10 success" if planted else None),
            ("named without", "the ghost is named without the patch", "T10 silence"),
        ):
            note = "the verdict on the model"
            rows.append(result("T10", what, rate(scenes[column].to_numpy(bool)), model=model, gate=gate, note=note))
        if not planted:
            continue
        for method, some in by_method(seen[seen["named"].astype(bool)], seen):
            place = some["scene"].to_numpy()
            told: dict[str, Any] = {"model": model, "method": method}
            area = float(some["patch, area"].mean())
            hits, gate = rate(some["patch, hit"].to_numpy(bool)), _expected("T10 hit", method)
            rows.append(result("T10", "the ghost's map peaks on the patch", hits, chance=area, gate=gate, **told))
            for column, what, gate in (
                ("patch", "EPG ÷ area, on the patch", "T10 ratio"),
                ("bare", "EPG ÷ area, there without the patch", "T10 bare"),
            ):
                ratio = mean(over_area(some[column], some[f"{column}, area"]), place)
                rows.append(result("T10", what, ratio, chance=1.0, gate=_expected(gate, method), **told))
    return table(rows)


def decoy(tables: Tables) -> pd.DataFrame:
    """Does the colour told follow the swatch, and does the colour word's map lie on it?"""
    rows: list[dict[str, Any]] = []
    for model, seen in tables.items():
        scenes, planted = _per_scene(seen), model != CLEAN
        place = scenes["scene"].to_numpy()
        gate = "decoy follows" if planted else None
        follows = rate(scenes["tells swatch"].to_numpy(bool))
        note = "the verdict on the model"
        rows.append(result("decoy", "the colour told is the swatch's", follows, model=model, gate=gate, note=note))
        rows.append(
            result("decoy", "the colour told is the object's", rate(scenes["tells object"].to_numpy(bool)), model=model)
        )
        for column in ("swatch", "object"):
            lost = mean(scenes[column].to_numpy(float), place)
            what = f"nats that the swatch's colour loses, {column} in another colour"
            rows.append(result("decoy", what, lost, model=model, chance=0.0))
        if planted:
            rows += _decoy_maps(model, seen)
    return table(rows)


def _decoy_maps(model: str, seen: pd.DataFrame) -> list[dict[str, Any]]:
    """Of scenes where the model says the swatch's colour, and does so because of the swatch."""
    rows: list[dict[str, Any]] = []
    cases = seen[(seen["probability"] >= SAID) & (seen["swatch"] >= GROUNDED)]
    for method, some in by_method(cases, seen):
        note = f"{some['on swatch'].isna().sum()} empty maps count as chance"
        for column in ("on swatch", "on object"):
            found = mean(over_area(some[column], some[f"{column}, area"]), some["scene"].to_numpy())
            what = f"EPG ÷ area of the colour word, {column}"
            rows.append(result("decoy", what, found, model=model, method=method, chance=1.0, note=note))
    return rows


def permuted(tables: Tables) -> pd.DataFrame:
    """M4 of T11: a model that was told of other scenes depends on no picture, and grounds nothing."""
    rows: list[dict[str, Any]] = []
    for model, seen in tables.items():
        scenes, planted = _per_scene(seen), model != CLEAN
        depends = rate((scenes["lost"] >= GROUNDED).to_numpy())
        gate = "permuted independent" if planted else None
        what = "some word of its answer loses ≥ 1 nat on another picture"
        rows.append(result("T11", what, depends, model=model, gate=gate, note="the verdict on the model"))
        for method, some in seen.groupby("method", sort=False):
            apart = ((some["own"] - some["own, area"]) / (1 - some["own, area"])).fillna(0.0).to_numpy(float)
            found = mean(apart, some["scene"].to_numpy())
            gate = _expected("T11 permuted", str(method)) if planted else None
            what = "energy on the object that a class word names, over chance"
            rows.append(result("T11", what, found, model=model, method=str(method), chance=0.0, gate=gate))
    return table(rows)
