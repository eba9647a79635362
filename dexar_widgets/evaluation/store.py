"""Results on disk: parts that exist whole or not at all, and the tables that are made of them.

A unit is one map of one answer: a model, a sample and a variant. Its record holds what was measured (the map, the raw
curves), what every metric made of that, and what it took. Parts may come from any number of processes, in any order,
and hold the same unit twice: reading takes each once. A part that cannot be read is as if it were not there.

`join` writes three tables, sorted by unit: ``results.parquet`` (a row per score), ``units.parquet`` (a row per unit,
with raw curves, so that another area can be taken without the model), and ``costs.parquet`` (seconds, memory,
versions). The first two depend on the configuration alone, byte for byte.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dexar_widgets.evaluation.configuration import CURVES, Configuration, differences
from dexar_widgets.files import whole, write_whole

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["Joined", "Store"]

_COSTS = (
    *("seconds_answer", "seconds_shared", "seconds_own", "seconds_curves", "forwards", "backwards", "peak_bytes"),
    *("seconds_effects", "seconds_randomised", "seconds_metrics", "seconds_sample", "forwards_sample"),
    "forwards_randomised",
)
_SCORE = ("metric", "view", "target", "value", "status", "chance", "parts")
_PLAIN = ("unit", "model", "data", "sample", "variant", "method", "options", "status", "reason", "answer", "facts")


def _schema() -> "pa.Schema":
    import pyarrow as pa

    text, real, whole_number = pa.string(), pa.float64(), pa.int64()
    score = pa.struct([(name, real if name in ("value", "chance") else text) for name in _SCORE])
    costs = [(name, real if name.startswith("seconds") else whole_number) for name in _COSTS]
    lists = {name: pa.list_(real) for name in ("log_probs", "weights", "energies", *CURVES)}
    return pa.schema(
        [(name, text) for name in _PLAIN]
        + [("ids", pa.list_(whole_number)), ("rows", whole_number), ("cols", whole_number)]
        + [
            ("box", pa.list_(real)),
            ("map", pa.list_(pa.float32())),
            ("levels", pa.list_(real)),
            ("sizes", pa.list_(whole_number)),
        ]
        + list(lists.items())
        + [("scores", pa.list_(score)), ("costs", pa.struct([*costs, ("by", text)]))]
    )


@dataclass(frozen=True)
class Joined:
    """What `Store.join` found: units, of which some are broken or failed, and parts that could not be read."""

    units: int
    broken: int
    damaged: tuple[str, ...]
    tables: Mapping[str, Path] = field(default_factory=dict)


class Store:
    """One folder of results.

    Raises
    ------
    ValueError
        If the folder holds results of another configuration, naming where it differs, or cannot be written to.
    """

    def __init__(self, folder: Path, configuration: Configuration) -> None:
        self.folder, self._parts = folder, folder / "parts"
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            _same(folder / "configuration.json", configuration)
        except OSError as error:
            raise ValueError(
                f"{str(folder)!r} cannot be written to ({error.strerror}); give another folder."
            ) from error

    @classmethod
    def files(cls, folder: Path) -> list[Path]:
        """The parts of a folder, in the order of their names."""
        return sorted((folder / "parts").glob("*.parquet"))

    def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Write one part: all of these records, or nothing.

        Raises
        ------
        OSError
            Where it cannot be written, as on a full disk; earlier parts stay as they are.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        table = pa.Table.from_pylist([dict(record) for record in records], schema=_schema())
        with whole(self._parts / f"{os.getpid()}-{secrets.token_hex(6)}.parquet") as place:
            pq.write_table(table, place, compression="zstd")

    def done(self) -> set[str]:
        """The ids of the units that were measured; broken and failed ones are tried again."""
        found: set[str] = set()
        for table in self._tables(["unit", "status"], []):
            units, states = (table.column(name).to_pylist() for name in ("unit", "status"))
            found.update(unit for unit, state in zip(units, states, strict=True) if state == "ok")
        return found

    def costs(self) -> "pd.DataFrame":
        """What units took, as ``costs.parquet`` has it, of all parts there are now."""
        import pandas as pd

        columns = ["unit", "model", "sample", "variant", "costs"]
        rows = [_told(record) for table in self._tables(columns, []) for record in table.to_pylist()]
        return pd.DataFrame(rows, columns=_costs_schema().names)

    def _tables(self, columns: Sequence[str] | None, damaged: list[str]) -> Iterator["pa.Table"]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file in self.files(self.folder):
            try:
                yield pq.read_table(file, schema=_schema(), columns=columns, memory_map=False)
            except (pa.ArrowException, OSError):  # cut short where the machine lost power, or somebody else's
                damaged.append(file.name)

    def join(self) -> Joined:
        """Write the tables of all parts; safe to call while others write."""
        damaged: list[str] = []
        records: dict[str, dict[str, Any]] = {}
        for table in self._tables(None, damaged):
            for record in table.to_pylist():
                before = records.get(record["unit"])
                if before is None or (before["status"] != "ok" and record["status"] == "ok"):
                    records[record["unit"]] = record
        ordered = [records[unit] for unit in sorted(records)]
        tables = {
            "results": self._write("results", list(_scores(ordered))),
            "units": self._write("units", [_without(record, "scores", "costs") for record in ordered]),
            "costs": self._write("costs", [_told(record) for record in ordered]),
        }
        broken = sum(record["status"] != "ok" for record in ordered)
        return Joined(len(ordered), broken, tuple(damaged), tables)

    def _write(self, name: str, rows: list[dict[str, Any]]) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with whole(self.folder / f"{name}.parquet") as place:
            pq.write_table(pa.Table.from_pylist(rows, schema=_TABLES[name]()), place, compression="zstd")
        return self.folder / f"{name}.parquet"


def _without(record: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in names}


def _scores(records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """A row per score; a unit without scores is a row with its reason."""
    for record in records:
        told = {name: record[name] for name in _PLAIN if name not in ("status", "answer")}
        if record["status"] != "ok":
            yield told | {"status": record["status"]}
        for score in record["scores"] or ():
            yield told | score


def _told(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: record[name] for name in ("unit", "model", "sample", "variant")} | (record["costs"] or {})


def _results_schema() -> "pa.Schema":
    import pyarrow as pa

    names = [name for name in _PLAIN if name not in ("status", "answer")] + list(_SCORE)
    return pa.schema([(name, pa.float64() if name in ("value", "chance") else pa.string()) for name in names])


def _units_schema() -> "pa.Schema":
    import pyarrow as pa

    return pa.schema([field for field in _schema() if field.name not in ("scores", "costs")])


def _costs_schema() -> "pa.Schema":
    import pyarrow as pa

    plain = [pa.field(name, pa.string()) for name in ("unit", "model", "sample", "variant")]
    return pa.schema(plain + list(_schema().field("costs").type))


_TABLES = {"results": _results_schema, "units": _units_schema, "costs": _costs_schema}


def _same(path: Path, configuration: Configuration) -> None:
    """Keep the configuration, or refuse another than the one that is kept."""
    if not path.is_file():
        write_whole(path, json.dumps(configuration.told, indent=1, ensure_ascii=False).encode())
        return
    try:
        before = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(path)!r} is damaged ({error}); give another folder.") from error
    if changed := differences(before, configuration.told):
        raise ValueError(
            f"{str(path.parent)!r} holds results of another configuration (other {', '.join(changed)}): numbers would "
            "mix. Give another --out."
        )
