"""Many images into one table: rows are kept in parts as they come, and a job that was cut off goes on.

A part is a whole file or none (written beside its place, then moved). When every item is done the
parts are joined, in order, into the output, which therefore also exists whole or not at all.
"""

import csv
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dexar_widgets.cli.inputs import Item
from dexar_widgets.files import whole, write_whole

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Outcome", "finished", "parts_of", "run"]

_PER_PART = 64
_SECONDS_PER_PART = 20.0  # at most so much work is lost when the power fails

_THERE = "'{}' is there already, and does not say that it is of this job; give --overwrite, or another name with -o."


@dataclass(frozen=True)
class Outcome:
    """How many items this run explained, how many earlier runs had done, and which failed here, with reasons."""

    done: int
    earlier: int
    failed: tuple[tuple[str, str], ...]


def parts_of(output: Path) -> Path:
    """The folder that holds a job's rows until it is complete."""
    return output.with_name(output.name + ".parts")


def finished(items: Sequence[Item], output: Path, settings: dict[str, Any]) -> Outcome | None:
    """What an earlier run of this very job came to, whose rows are all in ``output``; None where there is no such file.

    Only a Parquet file says which job it is of; any other that is there already is refused.
    """
    if not output.exists():
        return None
    if _stamped(output) != _job(items, settings):
        raise ValueError(_THERE.format(output))
    import pyarrow.parquet as pq

    failed = pq.read_table(output, columns=["sample", "error"], filters=[("error", "!=", "")]).to_pylist()
    return Outcome(0, len(items), tuple((row["sample"], row["error"]) for row in failed))


def _stamped(output: Path) -> str | None:
    """The job that a Parquet file is of; None for any other file."""
    if output.suffix.lower() != ".parquet":
        return None
    import pyarrow.parquet as pq

    try:
        return str(json.loads((pq.read_schema(output).metadata or {})[b"dexar_widgets"])["job"])
    except (KeyError, TypeError, ValueError):  # of another hand, or none that can be read
        return None


def _job(items: Sequence[Item], settings: dict[str, Any]) -> str:
    described = json.dumps([settings, [item.as_dict() for item in items]], ensure_ascii=False, default=str)
    return hashlib.sha256(described.encode()).hexdigest()


def run(
    items: Sequence[Item],
    rows_of: Callable[[Item], "pd.DataFrame"],
    output: Path,
    *,
    settings: dict[str, Any],
    provenance: Mapping[str, Any] = MappingProxyType({}),
    overwrite: bool = False,
    on_item: Callable[[int], None] | None = None,
    errors: tuple[type[Exception], ...] = (ValueError, OSError),
) -> Outcome:
    """Explain every item and write one table; items of an earlier, interrupted run are not done again.

    An item that raises one of ``errors`` becomes a row with its reason. ``settings`` identify the job, with the
    model's ``provenance``: parts of another job are never mixed in. ``on_item`` is told how many items are done.
    """
    origin = {**settings, **provenance}
    folder = _open_job(items, output, origin, overwrite=overwrite)
    known = _done(folder)
    failed: list[tuple[str, str]] = []
    pending: list[tuple[int, pd.DataFrame]] = []
    since = time.monotonic()
    if on_item and known:
        on_item(len(known))
    try:
        for index, item in enumerate(items):
            if index in known:
                continue
            rows, reason = _rows(item, rows_of, errors)
            if reason:
                failed.append((item.sample, reason))
            pending.append((index, rows))
            if len(pending) >= _PER_PART or time.monotonic() - since >= _SECONDS_PER_PART:
                _keep(folder, pending, output.suffix.lower())
                pending, since = [], time.monotonic()
            if on_item:
                on_item(len(known) + index + 1 - sum(done < index for done in known))
    finally:  # what is explained is kept, whatever stops the rest
        _keep(folder, pending, output.suffix.lower())
    _join(folder, output, origin | {"job": _job(items, settings)})
    shutil.rmtree(folder)
    return Outcome(len(items) - len(known), len(known), tuple(failed))


def _open_job(items: Sequence[Item], output: Path, settings: dict[str, Any], *, overwrite: bool) -> Path:
    folder = parts_of(output)
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    elif output.exists():
        raise ValueError(_THERE.format(output))
    described = json.dumps([item.as_dict() for item in items], ensure_ascii=False)
    job = {**settings, "items": hashlib.sha256(described.encode()).hexdigest()}
    note = folder / "job.json"
    if note.exists():
        earlier = json.loads(note.read_text("utf-8"))
        differing = [name for name in {**job, **earlier} if job.get(name) != earlier.get(name)]
        if differing:
            raise ValueError(
                f"{str(folder)!r} holds rows of another job (it differs in: {', '.join(differing)}); "
                "give --overwrite to begin anew, or another name with -o."
            )
    folder.mkdir(exist_ok=True)
    write_whole(note, json.dumps(job, indent=1).encode())
    return folder


def _rows(
    item: Item, rows_of: Callable[[Item], "pd.DataFrame"], errors: tuple[type[Exception], ...]
) -> tuple["pd.DataFrame", str]:
    import pandas as pd

    try:
        rows, reason = rows_of(item), ""
    except errors as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        rows = pd.DataFrame({"sample": [item.sample], "prompt": [item.prompt]})
    rows["error"] = reason
    return rows, reason


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("part-*"))


def _done(folder: Path) -> set[int]:
    """Indices of the items in the parts; the names say them, so that nothing has to be read."""
    done: set[int] = set()
    for part in _parts(folder):
        first, last = part.stem.removeprefix("part-").split("-")
        done |= set(range(int(first), int(last) + 1))
    return done


def _keep(folder: Path, pending: list[tuple[int, "pd.DataFrame"]], suffix: str) -> None:
    if not pending:
        return
    import pandas as pd

    from dexar_widgets.cli.outputs import table_bytes

    # nullable: a row without numbers must not turn whole numbers into floats
    frames = [frame.astype(dict.fromkeys(frame.select_dtypes("integer"), "Int64")) for _, frame in pending]
    rows = pd.concat(frames, ignore_index=True)
    name = f"part-{pending[0][0]:09d}-{pending[-1][0]:09d}{suffix}"
    write_whole(folder / name, table_bytes(rows, suffix, provenance={}))


def _join(folder: Path, output: Path, settings: dict[str, Any]) -> None:
    with whole(output) as place:
        (_join_csv if output.suffix.lower() == ".csv" else _join_parquet)(_parts(folder), place, settings)


def _lines(part: Path) -> Iterator[dict[str, str]]:
    with part.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _columns(found: Sequence[Sequence[str]]) -> list[str]:
    """Every column in the order of its first appearance, ``error`` last."""
    names = dict.fromkeys(name for columns in sorted(found, key=len, reverse=True) for name in columns)
    return [name for name in names if name != "error"] + ["error"]


def _join_csv(parts: Sequence[Path], output: Path, settings: dict[str, Any]) -> None:  # noqa: ARG001 (one signature)
    headers = []
    for part in parts:
        with part.open(newline="", encoding="utf-8") as file:
            headers.append(next(csv.reader(file)))
    with output.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _columns(headers), restval="", lineterminator="\n")
        writer.writeheader()
        for part in parts:
            writer.writerows(_lines(part))


def _join_parquet(parts: Sequence[Path], output: Path, settings: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schemas = [pq.read_schema(part).remove_metadata() for part in parts]
    whole = pa.unify_schemas(schemas, promote_options="permissive")
    ordered = pa.schema([whole.field(name) for name in _columns([schema.names for schema in schemas])])
    stamp = {b"dexar_widgets": json.dumps(settings, default=str).encode()}
    with pq.ParquetWriter(output, ordered.with_metadata(stamp)) as writer:
        for part in parts:
            table = pq.read_table(part)
            columns = [
                table[field.name].cast(field.type)
                if field.name in table.column_names
                else pa.nulls(len(table), field.type)
                for field in ordered
            ]
            writer.write_table(pa.table(columns, schema=ordered.with_metadata(stamp)))
