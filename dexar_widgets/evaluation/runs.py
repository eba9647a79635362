"""Carry out an evaluation: in this process, in several, or one shard of it. Whatever is done is on disk.

A shard is a part of the samples, chosen by their ids alone: it does not matter who takes which, in what order, or how
often. Work that is there is not done again.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from dexar_widgets.evaluation.configuration import Configuration
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.evaluation.store import Joined, Store

__all__ = ["Plan", "Shard", "evaluate", "plan", "shard_of"]

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
    """What is to do: samples and units, those that are there, and the metrics' passes through the model."""

    samples: int
    units: int
    done: int
    metric_forwards: int


def evaluate(
    configuration: Configuration,
    dataset: Dataset,
    out: Path,
    *,
    limit: int | None = None,
    shard: Shard = Shard(),
    workers: int = 1,
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
    workers
        Processes, each with the model in memory; 0 works in this process.
    tell
        Told of samples done, of how many, and of which came last.

    Raises
    ------
    ValueError
        For a folder that cannot be used.
    OSError
        Where results cannot be written, as on a full disk; what was written stays.
    """
    store = Store(out, configuration)
    tasks = open_tasks(configuration, dataset, store, limit, shard)
    every = sum(1 for _ in _samples(dataset, limit, shard)) * len(configuration.models)
    tell(every - len(tasks), every, "begins")
    for number, task in enumerate(_work(configuration, dataset, out, tasks, workers), every - len(tasks) + 1):
        tell(number, every, f"{task[0]}, {task[1]}")
    return store.join()


Task = tuple[str, str]
"""A model and a sample."""


def _samples(dataset: Dataset, limit: int | None, shard: Shard) -> Iterable[str]:
    return (id_ for id_ in dataset.ids[:limit] if id_ in shard)


def open_tasks(
    configuration: Configuration, dataset: Dataset, store: Store, limit: int | None, shard: Shard
) -> list[Task]:
    """Samples of which some unit is not there, model by model; a sample is measured whole: its batches are alike."""
    done = store.done()
    return [
        (model, id_)
        for model in configuration.models
        for id_ in _samples(dataset, limit, shard)
        if any(configuration.unit(model, id_, variant.name) not in done for variant in configuration.variants)
    ]


def _work(
    configuration: Configuration, dataset: Dataset, out: Path, tasks: Sequence[Task], workers: int
) -> Iterator[Task]:
    if workers == 0:
        yield from measure(configuration, dataset, out, tasks)
        return
    chunks = (
        [tasks[place::workers] for place in range(workers)] if len(tasks) >= workers else [[task] for task in tasks]
    )
    context = get_context("spawn")
    with _threads(configuration.threads), context.Manager() as manager:
        told: Any = manager.Queue()
        with ProcessPoolExecutor(workers, mp_context=context) as pool:
            futures = [pool.submit(_measure_told, configuration, dataset, out, chunk, told) for chunk in chunks]
            left = len(tasks)
            while left:
                if not told.empty():
                    left -= 1
                    yield told.get()
                elif all(future.done() for future in futures) and told.empty():
                    break
                else:
                    time.sleep(0.02)
            for future in as_completed(futures):
                future.result()


def _measure_told(configuration: Configuration, dataset: Dataset, out: Path, tasks: Sequence[Task], told: Any) -> None:
    for task in measure(configuration, dataset, out, tasks):
        told.put(task)


def measure(configuration: Configuration, dataset: Dataset, out: Path, tasks: Sequence[Task]) -> Iterator[Task]:
    """Measure some tasks and write them, in parts of a few samples; each is told when it is measured."""
    from dexar_widgets.evaluation.worker import Worker

    store, worker, held = Store(out, configuration), None, []
    written = time.monotonic()
    try:
        for model, id_ in tasks:
            if worker is None or worker.model != model:
                worker = Worker(configuration, dataset, model)
            held += worker.records(id_)
            yield model, id_
            if len(held) >= _PER_PART * len(configuration.variants) or time.monotonic() - written > _SECONDS_PER_PART:
                store.add(held)
                held, written = [], time.monotonic()
    finally:
        if held:
            store.add(held)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Processes begin with so many threads of arithmetic."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def plan(
    configuration: Configuration,
    dataset: Dataset,
    *,
    limit: int | None = None,
    shard: Shard = Shard(),
    out: Path | None = None,
) -> Plan:
    """What `evaluate` would do, without loading a model."""
    samples = list(_samples(dataset, limit, shard))
    each = len(configuration.variants) * len(configuration.models)
    done = 0
    if out is not None and (out / "configuration.json").is_file():
        there = Store(out, configuration).done()
        done = sum(
            configuration.unit(model, id_, variant.name) in there
            for model in configuration.models for id_ in samples for variant in configuration.variants
        )  # fmt: skip
    inner = len(configuration.curves) * (configuration.levels - 1)
    shared = 3 if configuration.curves else 0
    forwards = len(samples) * len(configuration.models) * (shared + inner * len(configuration.variants))
    return Plan(len(samples), len(samples) * each, done, forwards)
