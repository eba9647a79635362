"""Carry out an evaluation, or one shard of it, with any engine. Whatever is done is on disk.

A shard is a part of the samples, chosen by their ids alone: it does not matter who takes which, in what order, or how
often. Work that is there is not done again, nor is what failed and would fail alike. Only the process that was called
writes, a few samples in one part.
"""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dexar_widgets.evaluation import engines
from dexar_widgets.evaluation.configuration import Configuration
from dexar_widgets.evaluation.engines import Measured, Records, Task
from dexar_widgets.evaluation.records import FINAL, Status
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.evaluation.spending import Estimate, estimated
from dexar_widgets.evaluation.store import Joined, Store

__all__ = ["FailingRunError", "Plan", "Shard", "evaluate", "plan", "shard_of"]

Tell = Callable[[int, int, str], None]
_PER_PART = 32
_SECONDS_PER_PART = 20.0  # at most so much work is lost when the power fails
_ALIKE = 5  # samples in a row that give nothing, for one kind of reason, before the run ends
_SAID = {"ValueError", "BrokenSampleError"}
"""Errors that methods and data sets raise on purpose, of the sample at hand."""


class FailingRunError(RuntimeError):
    """Sample after sample gave nothing, as where the device is broken or the data are gone."""


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` parts, counted from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(f"{self.count} shards hold nothing; expected at least 1.")
        if not 0 <= self.index < self.count:
            raise ValueError(
                f"There is no shard {self.index}/{self.count}; shards of {self.count} are 0 to {self.count - 1}."
            )

    @classmethod
    def of(cls, text: str) -> "Shard":
        """From "2/8"."""
        try:
            index, count = map(int, text.split("/"))
        except ValueError:
            raise ValueError(f"--shard {text!r} is not understood; write i/N, as in 0/8.") from None
        return cls(index, count)

    def __contains__(self, sample: object) -> bool:
        return self.count == 1 or shard_of(str(sample), self.count) == self.index


def shard_of(sample: str, count: int) -> int:
    """The shard that a sample belongs to."""
    return int.from_bytes(hashlib.blake2b(sample.encode(), digest_size=8).digest()) % count


@dataclass(frozen=True)
class Plan:
    """What is to do: samples and units, those that are done, and the perturbation curves' passes through the model.

    ``done`` are those that `evaluate` would not try, ``failed`` those of them without a result. ``images`` are left, a
    sample by a model each, and ``estimate`` what they will take.
    """

    samples: int
    units: int
    done: int
    metric_forwards: int
    images: int
    estimate: Estimate
    failed: int = 0


def evaluate(
    configuration: Configuration,
    dataset: Dataset,
    out: str | Path,
    *,
    limit: int | None = None,
    shard: Shard = Shard(),
    retry_failed: bool = False,
    engine: engines.Kind = "local",
    workers: int | None = None,
    address: str | None = None,
    tell: Tell = lambda _done, _all, _text: None,
) -> Joined:
    """Measure every unit that is not done yet, and join the results.

    A unit that cannot be measured is a row with its reason, and done. It is tried again by the next run where the
    machine was to blame (status "lost": memory, files, the device, a worker that died), after all others.

    Parameters
    ----------
    out
        The folder of results; one of another configuration is refused.
    limit
        Only the data set's first samples.
    shard
        Only these of them.
    retry_failed
        Try those again, too, that are broken or failed.
    engine
        Processes of this machine, or a Ray cluster.
    workers
        Processes, each with the model in memory; 0 works in this process. None: one, or as many as the cluster has
        room for.
    address
        The cluster's. None: RAY_ADDRESS, or the one that this machine belongs to, or one that is started for the run.
    tell
        Told of samples done, of how many, and of which came last.

    Raises
    ------
    ValueError
        For a folder that cannot be used, or a cluster that is not there.
    FailingRunError
        After five samples in a row that gave nothing, all for one kind of error that is none of a method's or data
        set's own words (`ValueError`); what was measured is joined.
    OSError
        Where results cannot be written, as on a full disk; what was written stays.
    """
    store = Store(Path(out), configuration)
    store.ask(len(dataset.ids[:limit]))
    samples = list(_samples(dataset, limit, shard))
    tasks = list(_open(configuration, samples, store.states(), retry_failed=retry_failed))
    every = len(samples) * len(configuration.models)
    tell(every - len(tasks), every, "begins")
    if not tasks:
        return store.join()
    try:
        with engines.opened(engine, configuration, dataset, workers, address) as opened, _parts(store) as write:
            measured = engines.persistent(opened, tasks, partial(engines.given_up, configuration))
            for number, (task, records) in enumerate(_watched(measured, len(tasks)), every - len(tasks) + 1):
                write(records)
                tell(number, every, f"{task.model}, {task.sample}")
    except FailingRunError:
        store.join()
        raise
    return store.join()


def _watched(measured: Measured, count: int) -> Measured:
    """The same, until too many in a row failed alike; the one after them is not waited for."""
    kind: str | None = None
    alike = 0
    for number, (task, records) in enumerate(measured, 1):
        yield task, records
        before, kind = kind, _fault(records)
        alike = alike + 1 if kind == before else 1
        if kind is not None and alike >= _ALIKE and number < count:
            again = "" if records[0]["status"] == "lost" else " with --retry-failed"
            reason = str(records[0]["reason"]).rstrip(".")
            raise FailingRunError(
                f"{alike} samples in a row gave nothing, so the run ends; the last is {task.sample} ({task.model}): "
                f"{reason}. What was measured is kept, {count - number} samples were not tried. Once the cause is "
                f"mended, the same again{again} goes on."
            )


def _fault(records: Records) -> str | None:
    """The kind of error for which a sample has no result at all; None for one that has, or is itself at fault."""
    if any(record["status"] == "ok" for record in records):
        return None
    kind = str(records[0]["reason"]).partition(":")[0]
    return None if records[0]["status"] != "lost" and kind in _SAID else kind


def _samples(dataset: Dataset, limit: int | None, shard: Shard) -> Iterable[str]:
    return (id_ for id_ in dataset.ids[:limit] if id_ in shard)


def _open(
    configuration: Configuration, samples: Sequence[str], states: Mapping[str, Status], *, retry_failed: bool
) -> Iterator[Task]:
    """What is not done, model by model: first what was never tried, so that what was lost once keeps nobody waiting."""
    names = [variant.name for variant in configuration.variants]
    for model in configuration.models:
        again: list[Task] = []
        for id_ in samples:
            found = {name: states.get(configuration.unit(model, id_, name)) for name in names}
            left = tuple(name for name in names if not _done(found[name], retry_failed=retry_failed))
            if left and all(found[name] is None for name in left):
                yield Task(model, id_, left)
            elif left:
                again.append(Task(model, id_, left))
        yield from again


def _done(state: Status | None, *, retry_failed: bool) -> bool:
    return state == "ok" or (state in FINAL and not retry_failed)


@contextmanager
def _parts(store: Store) -> Iterator[Callable[[Records], None]]:
    """Writes records of samples, several in one part; the last part when the block is left, however that is."""
    held: list[Records] = []
    written = time.monotonic()

    def flush() -> None:
        some = [record for records in held for record in records]
        held.clear()  # where they cannot be written, the second try in the end would fail alike
        if some:
            store.add(some)

    def write(records: Records) -> None:
        nonlocal written
        held.append(records)
        if len(held) >= _PER_PART or time.monotonic() - written > _SECONDS_PER_PART:
            flush()
            written = time.monotonic()

    try:
        yield write
    finally:
        flush()


def plan(
    configuration: Configuration,
    dataset: Dataset,
    *,
    limit: int | None = None,
    shard: Shard = Shard(),
    retry_failed: bool = False,
    out: Path | None = None,
    probe: int = 0,
) -> Plan:
    """What `evaluate` would do; no model is loaded but to ``probe`` so many images of each that has none measured."""
    samples = list(_samples(dataset, limit, shard))
    there = Store(out, configuration) if out is not None and (out / "configuration.json").is_file() else None
    states = {} if there is None else there.states()
    tasks = list(_open(configuration, samples, states, retry_failed=retry_failed))
    inner = len(configuration.curves) * (configuration.levels - 1)
    shared = 3 if configuration.curves else 0
    images = len(samples) * len(configuration.models)
    forwards = images * (shared + inner * len(configuration.variants))
    units = images * len(configuration.variants)
    done = units - sum(len(task.variants) for task in tasks)
    ok = sum(states.get(unit) == "ok" for unit in _units(configuration, samples))
    known = None if there is None else there.costs()
    left = estimated(configuration, dataset, tasks, known, probe=probe)
    return Plan(len(samples), units, done, forwards, len(tasks), left, done - ok)


def _units(configuration: Configuration, samples: Sequence[str]) -> Iterator[str]:
    for model in configuration.models:
        for id_ in samples:
            yield from (configuration.unit(model, id_, variant.name) for variant in configuration.variants)
