"""Results read back from one or several folders; what was measured in another way stands apart under a name of its own.

Folders whose configurations differ in nothing but models, methods and metrics are one evaluation that was done in
parts. Of any two others, the data sets keep different names ("lab [second]"), so that no mean mixes their numbers.
"""

import contextlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dexar_widgets.evaluation.configuration import complete

__all__ = ["Results", "read"]

_TABLES = ("results", "units", "costs")
_PARTS_OF_ONE = ("models", "variants", "metrics")
"""What the configurations of one evaluation may differ in."""
_UNIT = ["model", "data", "sample", "variant"]


@dataclass(frozen=True, eq=False)
class Results:
    """A row per score, per unit and per unit's cost; ``data`` names the data set as the page calls it.

    ``told`` has the configurations by that name, one for each folder; ``notes`` what a reader must know of the folders.
    """

    scores: pd.DataFrame
    units: pd.DataFrame
    costs: pd.DataFrame
    told: Mapping[str, Sequence[Mapping[str, Any]]]
    notes: tuple[str, ...] = ()

    def plain_name(self, data: str) -> str:
        """The data set's own name."""
        return str(self.told[data][0]["data"])

    def variants(self, data: str) -> dict[str, tuple[str, Mapping[str, Any]]]:
        """The method and the options behind each variant's name, in the order in which they were asked for."""
        return {one["name"]: (one["method"], one["options"]) for told in self.told[data] for one in told["variants"]}


@dataclass(frozen=True, eq=False)
class _Folder:
    """What one folder holds."""

    path: Path
    told: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]

    @property
    def setting(self) -> str:
        """All that decides a number, but for which model, method and metric it is of."""
        return json.dumps({name: self.told[name] for name in self.told if name not in _PARTS_OF_ONE}, sort_keys=True)

    def meanings(self) -> dict[tuple[str, str], str]:
        """What the names of models and variants stand for."""
        models = {("model", name): str(weights) for name, weights in self.told["models"].items()}
        return models | {("variant", one["name"]): json.dumps(one, sort_keys=True) for one in self.told["variants"]}


def read(folders: str | Path | Sequence[str | Path]) -> Results:
    """Read one or several folders of results, or folders that hold such.

    Raises
    ------
    ValueError
        If a folder has no results, or they are damaged; it says which, and what to do.
    """
    every = [folders] if isinstance(folders, str | Path) else folders
    found = [_read(folder) for given in every for folder in _within(Path(given))]
    labels = _labels(found)
    told: dict[str, list[Mapping[str, Any]]] = {}
    for label, one in zip(labels, found, strict=True):
        told.setdefault(label, []).append(one.told)
    scores, units, costs = (
        pd.concat([_labelled(one, name, label) for one, label in zip(found, labels, strict=True)], ignore_index=True)
        for name in _TABLES
    )
    units = units.loc[(units["status"] != "ok").sort_values(kind="stable").index]  # those with numbers first
    units = units.drop_duplicates(_UNIT).sort_index().reset_index(drop=True)
    kept = scores["unit"].isin(units["unit"]) | scores["metric"].notna()
    scores = scores[kept].drop_duplicates([*_UNIT, "metric", "view", "target"]).reset_index(drop=True)
    costs = costs.drop_duplicates("unit").merge(units[["unit", "facts"]], on="unit")
    scores, units, costs = (_in_order(table, told) for table in (scores, units, costs))
    return Results(scores, units, costs, told, tuple(note for one in found for note in one.notes))


def _in_order(table: pd.DataFrame, told: Mapping[str, Sequence[Mapping[str, Any]]]) -> pd.DataFrame:
    """Data, models and variants as they were asked for; on disk rows go by hashes."""
    places: dict[tuple[str, str, str], int] = {}
    for label, configurations in told.items():
        for one in configurations:
            for model in one["models"]:
                for variant in one["variants"]:
                    places.setdefault((label, model, variant["name"]), len(places))
    keys = zip(table["data"], table["model"], table["variant"], strict=True)
    rank = pd.Series([places.get(key, len(places)) for key in keys], index=table.index)
    return table.loc[rank.sort_values(kind="stable").index].reset_index(drop=True)


def _within(folder: Path) -> list[Path]:
    """The folder itself, if it has results, and those directly in it that have."""
    if not folder.is_dir():
        raise ValueError(f"There is no folder {str(folder)!r}.")
    own = [folder] if (folder / "configuration.json").is_file() else []
    found = own + sorted(path.parent for path in folder.glob("*/configuration.json"))
    if not found:
        raise ValueError(
            f"{str(folder)!r} holds no results (no configuration.json); `dexar evaluate --out {folder}` makes some."
        )
    return found


def _read(folder: Path) -> _Folder:
    try:
        told = json.loads((folder / "configuration.json").read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(folder / 'configuration.json')!r} is damaged ({error}).") from error
    lacking = [name for name in ("data", *_PARTS_OF_ONE) if name not in told]
    if lacking:
        raise ValueError(f"{str(folder / 'configuration.json')!r} is of no evaluation: it has no {lacking[0]!r}.")
    told = complete(told)
    tables = _whole({name: _table(folder / f"{name}.parquet") for name in _TABLES}, told["variants"])
    if tables["units"].empty:
        raise ValueError(f"{str(folder)!r} holds no unit: nothing was measured yet; the same `dexar evaluate` goes on.")
    written = (folder / "results.parquet").stat().st_mtime
    newer = sum(part.stat().st_mtime > written for part in (folder / "parts").glob("*.parquet"))
    notes = [f"{folder.name}: {newer} parts are newer than its tables; the same dexar evaluate once more adds them."]
    return _Folder(folder, told, tables, (*(notes if newer else ()), *_left(folder, tables["units"], told["models"])))


def _left(folder: Path, units: pd.DataFrame, models: Collection[str]) -> Iterator[str]:
    """What of that which was asked for is not among the results, as while other shards run."""
    with contextlib.suppress(OSError, ValueError):  # folders did not always say
        asked = int((folder / "asked.txt").read_text("utf-8")) * len(models)
        there = len(units[["model", "sample"]].drop_duplicates())
        if there < asked:
            yield f"{folder.name}: of {asked} answers that were asked for, {asked - there} have not been tried."


def _whole(tables: dict[str, pd.DataFrame], variants: Sequence[Mapping[str, Any]]) -> dict[str, pd.DataFrame]:
    """With a row for each unit that is not there, as in a damaged part: all variants were asked for the same samples.

    Their status is ``unmeasured``.
    """
    units = tables["units"]
    there = set(zip(units["model"], units["sample"], units["variant"], strict=True))
    samples = units[["model", "data", "sample"]].drop_duplicates().to_dict("records")
    rows = [
        sample
        | {"unit": f"unmeasured {sample['model']} {sample['sample']} {one['name']}", "variant": one["name"]}
        | {"method": one["method"], "options": json.dumps(one["options"], sort_keys=True)}
        | {"status": "unmeasured", "reason": "not among the results", "facts": "{}"}
        for sample in samples
        for one in variants
        if (sample["model"], sample["sample"], one["name"]) not in there
    ]
    if not rows:
        return tables
    added = pd.DataFrame(rows)
    both = {name: pd.concat([tables[name], added], ignore_index=True) for name in ("results", "units")}
    return tables | both


def _table(path: Path) -> pd.DataFrame:
    import pyarrow as pa

    again = "the same `dexar evaluate` once more writes it."
    if not path.is_file():
        raise ValueError(f"{str(path.parent)!r} has no {path.name}, as of a run that was cut short; {again}")
    try:
        return pd.read_parquet(path)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{str(path)!r} is damaged ({type(error).__name__}); {again}") from error


def _labelled(folder: _Folder, name: str, label: str) -> pd.DataFrame:
    return folder.tables[name].assign(data=label)


def _labels(folders: Sequence[_Folder]) -> list[str]:
    """A name for each folder's data set: the same for parts of one evaluation, and for nothing else."""
    groups: list[tuple[str, str, dict[tuple[str, str], str]]] = []
    labels = []
    for folder in folders:
        meanings = folder.meanings()
        for label, setting, known in groups:
            if setting == folder.setting and all(known.get(key, value) == value for key, value in meanings.items()):
                known.update(meanings)
                labels.append(label)
                break
        else:
            label = _unused(str(folder.told["data"]), folder.path, [label for label, _, _ in groups])
            groups.append((label, folder.setting, meanings))
            labels.append(label)
    return labels


def _unused(name: str, folder: Path, taken: Sequence[str]) -> str:
    tried = [name, f"{name} [{folder.name}]", *(f"{name} [{folder.name}, {count}]" for count in range(2, 99))]
    return next(label for label in tried if label not in taken)
