"""Folders of results made by hand: what an evaluation leaves behind, without a model."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

COSTS = {
    "seconds_answer": 0.5, "seconds_shared": 0.25, "seconds_own": 0.25, "seconds_curves": 2.0,
    "forwards": 3, "backwards": 1, "peak_bytes": 2_000_000, "by": "{}",
}  # fmt: skip


def score(
    sample, variant, value, *, metric="iou", target="cat", view="answer", status=None, chance=0.1, **more
) -> dict:
    """A row of results; a value of None has no number."""
    return {
        "model": "lab/llava", "data": "lab", "sample": str(sample), "variant": variant, "method": variant.split()[0],
        "options": "{}", "reason": "", "facts": "{}", "metric": metric, "view": view, "target": target,
        "value": float("nan") if value is None else float(value),
        "status": status or ("ok" if value is not None else "constant_map"), "chance": chance, "parts": "{}",
    } | more  # fmt: skip


def lost(sample, variant, status="failed", reason="MemoryError: no room", **more) -> dict:
    """A row of a unit without a result."""
    nothing = {"metric": None, "view": None, "target": None, "value": float("nan"), "chance": float("nan")}
    return score(sample, variant, None) | nothing | {"parts": None, "status": status, "reason": reason} | more


def frame(*rows: dict) -> pd.DataFrame:
    """Scores as a table, each unit under its name."""
    named = [{"unit": f"{row['model']} {row['data']} {row['sample']} {row['variant']}"} | row for row in rows]
    return pd.DataFrame(named)


def write(folder: Path, *rows: dict, units: dict[str, Any] | None = None, **told: Any) -> Path:
    """A folder of these scores; ``units`` are further columns of every unit, ``told`` parts of its configuration."""
    scores = frame(*rows)
    folder.mkdir(parents=True, exist_ok=True)
    columns = ["unit", "model", "data", "sample", "variant", "method", "options", "reason", "facts"]
    each = scores.groupby("unit", sort=False).first().reset_index()[columns]
    broken = set(scores.loc[scores["metric"].isna(), "unit"])
    each["status"] = ["failed" if unit in broken else "ok" for unit in each["unit"]]
    each["answer"] = "a cat"
    drawn: dict[str, Any] = {name: [] for name in ("levels", "positive", "negative", "insertion")}
    for name, value in (
        drawn | {"rows": 2, "cols": 2, "box": [0.0, 0.0, 40.0, 40.0], "map": [0.0, 1.0, 2.0, 3.0]} | (units or {})
    ).items():
        each[name] = [value] * len(each)
    costs = each[["unit", "model", "sample", "variant"]].assign(**COSTS)
    for name, table in (("results", scores), ("units", each), ("costs", costs)):
        table.to_parquet(folder / f"{name}.parquet")
    variants = [
        {"name": name, "method": some["method"].iloc[0], "options": json.loads(some["options"].iloc[0])}
        for name, some in scores.groupby("variant", sort=False)
    ]
    configuration = {
        "models": dict.fromkeys(scores["model"].unique(), "1"), "data": str(scores["data"].iloc[0]),
        "data_settings": {}, "variants": variants, "metrics": sorted(scores["metric"].dropna().unique()), "levels": 10,
    }  # fmt: skip
    (folder / "configuration.json").write_text(json.dumps(configuration | told))
    return folder
