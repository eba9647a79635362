"""Results on disk: parts that exist whole or not at all, and the tables that are made of them.

A unit is one map of one answer: a model, a sample and a variant. Its record holds what was measured (the map, the raw
curves), what every metric made of that, and what it took. Parts may come from any number of processes, in any order,
and hold the same unit twice: reading takes each once, with its result if it has one, and of others the last that was
written. A part that cannot be read, or is of another configuration, is as if it were not there.

`join` writes three tables, sorted by unit: ``results.parquet`` (a row per score), ``units.parquet`` (a row per unit,
with raw curves, so that another area can be taken without the model), and ``costs.parquet`` (seconds, memory,
versions). The first two depend on the configuration alone, byte for byte.
"""

import contextlib
import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dexar_widgets.evaluation.configuration import CURVES, Configuration, complete, differences
from dexar_widgets.evaluation.records import Status
from dexar_widgets.files import whole, write_first, write_whole

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
_KEY = ("unit", "status")
_OF = ("unit", "model", "sample", "variant")
_WEIGHT = {"ok": 2, "lost": 0}
"""What is known for good comes before what was lost once."""
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
    """What `Store.join` found: units, of which ``broken`` have no result.

    Parts that were left out are ``damaged``, which could not be read, or ``foreign``, of another configuration.
    """

    units: int
    broken: int
    damaged: tuple[str, ...]
    tables: Mapping[str, Path] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()


class Store:
    """One folder of results.

    Raises
    ------
    ValueError
        If the folder holds results of another configuration, naming where it differs, or cannot be written to.
    """

    def __init__(self, folder: Path, configuration: Configuration) -> None:
        self.folder, self._parts, self._configuration = folder, folder / "parts", configuration
        try:
            self._parts.mkdir(parents=True, exist_ok=True)
            _same(folder / "configuration.json", configuration)
        except OSError as error:
            raise ValueError(
                f"{str(folder)!r} cannot be written to ({error.strerror}); give another folder."
            ) from error

    def ask(self, samples: int) -> None:
        """Keep how many samples are asked for, over all shards; the most, if this is not the first run."""
        path = self.folder / "asked.txt"
        with contextlib.suppress(OSError, ValueError):
            samples = max(samples, int(path.read_text("utf-8")))
        write_whole(path, str(samples).encode())

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
        with whole(self._parts / f"{time.time_ns()}-{secrets.token_hex(6)}.parquet") as place:
            pq.write_table(table, place, compression="zstd")

    def states(self) -> dict[str, Status]:
        """Of every unit that there is, its status."""
        units = self._units([*_KEY])
        return dict(zip(*(units[name].to_pylist() for name in _KEY), strict=True))

    def costs(self) -> "pd.DataFrame":
        """What units took, as ``costs.parquet`` has it, of all parts there are now."""
        units = self._units([*_KEY, "costs"])
        found: pd.DataFrame = _costs(units).to_pandas()
        return found

    def join(self) -> Joined:
        """Write the tables of all parts; safe to call while others write."""
        damaged: list[str] = []
        foreign: list[str] = []
        units = self._units(None, damaged, foreign)
        tables = {
            "results": self._write("results", _results(units)),
            "units": self._write("units", units.drop_columns(["scores", "costs"])),
            "costs": self._write("costs", _costs(units)),
        }
        broken = sum(state != "ok" for state in units["status"].to_pylist())
        return Joined(len(units), broken, tuple(damaged), tables, tuple(foreign))

    def _units(
        self, columns: Sequence[str] | None, damaged: list[str] | None = None, foreign: list[str] | None = None
    ) -> "pa.Table":
        """These columns of every unit, and those that name it; each once, in the units' order."""
        import pyarrow as pa

        wanted = None if columns is None else list(dict.fromkeys([*columns, *_OF]))
        parts = []
        for name, table in self._read(wanted, [] if damaged is None else damaged):
            if self._is_ours(table):
                parts.append(table)
            elif foreign is not None:
                foreign.append(name)
        found = pa.concat_tables(parts) if parts else _schema().empty_table()
        best: dict[str, tuple[int, int]] = {}
        for place, (unit, state) in enumerate(zip(*(found[name].to_pylist() for name in _KEY), strict=True)):
            best[unit] = max(best.get(unit, (-1, 0)), (_WEIGHT.get(state, 1), place))
        return found.take(pa.array([best[unit][1] for unit in sorted(best)], pa.int64())).combine_chunks()

    def _is_ours(self, part: "pa.Table") -> bool:
        """Whether a part is of this configuration, as units' ids tell; a part's are all of one."""
        first = part.select(_OF).slice(0, 1).to_pylist()
        return all(
            self._configuration.unit(one["model"], one["sample"], one["variant"]) == one["unit"] for one in first
        )

    def _read(self, columns: Sequence[str] | None, damaged: list[str]) -> Iterator[tuple[str, "pa.Table"]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for file in self.files(self.folder):
            try:
                yield file.name, pq.read_table(file, schema=_schema(), columns=columns, memory_map=False)
            except (pa.ArrowException, OSError):  # cut short where the machine lost power, or somebody else's
                damaged.append(file.name)

    def _write(self, name: str, table: "pa.Table") -> Path:
        import pyarrow.parquet as pq

        with whole(self.folder / f"{name}.parquet") as place:
            pq.write_table(table, place, compression="zstd")
        return self.folder / f"{name}.parquet"


def _results(units: "pa.Table") -> "pa.Table":
    """A row per score; a unit without scores is a row with its reason."""
    import pyarrow as pa
    import pyarrow.compute as pc

    plain = units.select([name for name in _PLAIN if name not in ("status", "answer")])
    scores = units["scores"].combine_chunks()
    scored = plain.take(pc.list_parent_indices(scores))
    for name, values in zip(_SCORE, pc.list_flatten(scores).flatten(), strict=True):
        scored = scored.append_column(name, values)
    without = plain.append_column("status", units["status"]).filter(pc.not_equal(units["status"], "ok"))
    found = pa.concat_tables([without, scored], promote_options="default").select(scored.column_names)
    return found.take(pc.sort_indices(found["unit"])).combine_chunks()


def _costs(units: "pa.Table") -> "pa.Table":
    found = units.select(["unit", "model", "sample", "variant"])
    costs = units["costs"].combine_chunks()
    for name, values in zip(costs.type.names, costs.flatten(), strict=True):
        found = found.append_column(name, values)
    return found


def _same(path: Path, configuration: Configuration) -> None:
    """Keep the configuration, or refuse another than the one that is kept."""
    told = json.dumps(configuration.told, indent=1, ensure_ascii=False).encode()
    if not path.is_file() and write_first(path, told):
        return
    try:
        before = complete(json.loads(path.read_text("utf-8")))
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(path)!r} is damaged ({error}); give another folder.") from error
    if changed := differences(before, configuration.told):
        raise ValueError(
            f"{str(path.parent)!r} holds results of another configuration (other {', '.join(changed)}): numbers would "
            "mix. Give another --out."
        )
