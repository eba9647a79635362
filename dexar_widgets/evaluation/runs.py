"""Carry out an evaluation, or one shard of it, with any engine. Whatever is done is on disk.

A shard is a part of the samples, chosen by their ids alone: it does not matter who takes which, in what order, or how
often. Work that is there is not done again. Only the process that was called writes, a few samples in one part.
"""

import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dexar_widgets.evaluation import engines
from dexar_widgets.evaluation.configuration import Configuration
from dexar_widgets.evaluation.engines import LostWorkersError, Records, Task
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.evaluation.spending import Estimate, estimated
from dexar_widgets.evaluation.store import Joined, Store

__all__ = ["LostWorkersError", "Plan", "Shard", "evaluate", "plan", "shard_of"]

Tell = Callable[[int, int, str], None]
_PER_PART = 32
_SECONDS_PER_PART = 20.0  # at most so much work is lost when the power fails


@dataclass(frozen=True)
class Shard:
    """The ``index``-th of ``count`` parts, counted from 0."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
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
    """What is to do: samples and units, those that are there, and the perturbation curves' passes through the model.

    ``images`` are left, a sample by a model each, and ``estimate`` what they will take.
    """

    samples: int
    units: int
    done: int
    metric_forwards: int
    images: int
    estimate: Estimate


def evaluate(
    configuration: Configuration,
    dataset: Dataset,
    out: Path,
    *,
    limit: int | None = None,
    shard: Shard = Shard(),
    engine: engines.Kind = "local",
    workers: int | None = None,
    address: str | None = None,
    tell: Tell = lambda _done, _all, _text: None,
) -> Joined:
    """Measure every unit that is not there yet, and join the results.

    Parameters
    ----------
    out
        The folder of results; one of another configuration is refused.
    limit
        Only the data set's first samples.
    shard
        Only these of them.
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
    LostWorkersError
        For samples that end their worker again and again; all others are measured and joined.
    OSError
        Where results cannot be written, as on a full disk; what was written stays.
    """
    store = Store(out, configuration)
    tasks = open_tasks(configuration, dataset, store, limit, shard)
    every = sum(1 for _ in _samples(dataset, limit, shard)) * len(configuration.models)
    tell(every - len(tasks), every, "begins")
    if not tasks:
        return store.join()
    try:
        with engines.opened(engine, configuration, dataset, workers, address) as opened, _parts(store) as write:
            for number, (task, records) in enumerate(engines.persistent(opened, tasks), every - len(tasks) + 1):
                write(records)
                tell(number, every, f"{task[0]}, {task[1]}")
    except LostWorkersError:
        store.join()
        raise
    return store.join()


def _samples(dataset: Dataset, limit: int | None, shard: Shard) -> Iterable[str]:
    return (id_ for id_ in dataset.ids[:limit] if id_ in shard)


def open_tasks(
    configuration: Configuration, dataset: Dataset, store: Store, limit: int | None, shard: Shard
) -> list[Task]:
    """Samples of which some unit is not there, model by model; a sample is measured whole: its batches are alike."""
    return list(_open(configuration, list(_samples(dataset, limit, shard)), store.done()))


def _open(configuration: Configuration, samples: Sequence[str], done: Collection[str]) -> Iterator[Task]:
    for model in configuration.models:
        for id_ in samples:
            if any(configuration.unit(model, id_, variant.name) not in done for variant in configuration.variants):
                yield model, id_


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
    out: Path | None = None,
    probe: int = 0,
) -> Plan:
    """What `evaluate` would do; no model is loaded but to ``probe`` so many images of each that has none measured."""
    samples = list(_samples(dataset, limit, shard))
    there = Store(out, configuration) if out is not None and (out / "configuration.json").is_file() else None
    done = set[str]() if there is None else there.done()
    units = [
        configuration.unit(model, id_, variant.name)
        for model in configuration.models for id_ in samples for variant in configuration.variants
    ]  # fmt: skip
    inner = len(configuration.curves) * (configuration.levels - 1)
    shared = 3 if configuration.curves else 0
    forwards = len(samples) * len(configuration.models) * (shared + inner * len(configuration.variants))
    tasks = list(_open(configuration, samples, done))
    known = None if there is None else there.costs()
    left = estimated(configuration, dataset, tasks, known, probe=probe)
    return Plan(len(samples), len(units), len(done.intersection(units)), forwards, len(tasks), left)
