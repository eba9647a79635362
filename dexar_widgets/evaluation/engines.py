"""Who measures: this process, several of this machine, or a Ray cluster; the records come back to the caller.

An engine may lose tasks with a process or a machine. `persistent` gives them to it once more and, those that were at
work at both times, alone: a task that ends whoever measures it is known in the end, and takes no other with it.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from dexar_widgets.evaluation.configuration import Configuration
from dexar_widgets.evaluation.records import unmeasured
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.threads import threads_of_children

if TYPE_CHECKING:
    from dexar_widgets.evaluation.worker import Worker

__all__ = ["Bench", "Engine", "Kind", "LostWorkerError", "Measured", "Records", "Task", "given_up", "opened"]
__all__ += ["persistent"]

Kind = Literal["local", "ray"]
Records = Sequence[Mapping[str, Any]]


class Task(NamedTuple):
    """A model, a sample, and the names of the variants that are to be measured on it."""

    model: str
    sample: str
    variants: tuple[str, ...]


Measured = Iterator[tuple[Task, Records]]


class LostWorkerError(RuntimeError):
    """A task ended every worker that measured it."""


@dataclass(frozen=True)
class Engine:
    """Measures tasks, in any order; those that are lost with their worker do not come back.

    ``at_once``: how many it has in hand at any time, the first of those that are open.
    """

    measure: Callable[[Sequence[Task]], Measured]
    at_once: int


@contextmanager
def opened(
    kind: Kind, configuration: Configuration, dataset: Dataset, workers: int | None, address: str | None
) -> Iterator[Engine]:
    """An engine; a cluster is connected for as long.

    Raises
    ------
    ValueError
        For an engine or a cluster that is not there.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"There is no engine {kind!r}; there are {', '.join(get_args(Kind))}.")
    if kind == "ray":
        from dexar_widgets.evaluation import cluster

        with cluster.opened(configuration, dataset, workers, address) as engine:
            yield engine
        return
    if address is not None:
        raise ValueError(f"The address {address!r} is for the engine ray; the engine local is this machine.")
    if workers == 0:
        bench = Bench(configuration, dataset)
        yield Engine(lambda tasks: ((task, bench.records(task)) for task in tasks), 1)
    else:
        count = workers or 1
        yield Engine(partial(_in_processes, configuration, dataset, count), count)


def persistent(engine: Engine, tasks: Sequence[Task], give_up: Callable[[Task], Records]) -> Measured:
    """Every task once, however often it is delivered; one that ends its worker alone, too, is ``give_up``'s."""
    left, lost = dict.fromkeys(tasks), Counter[Task]()

    def once(some: Sequence[Task]) -> Measured:
        for task, records in engine.measure(some):
            if task in left:
                del left[task]
                yield task, records

    while left:
        yield from once(list(left))
        at_work = list(left)[: engine.at_once]
        lost.update(at_work)
        for task in at_work:
            if lost[task] > 1:
                yield from once([task])
                if task in left:
                    del left[task]
                    yield task, give_up(task)


def given_up(configuration: Configuration, task: Task) -> Records:
    """The records of a task that ends its workers."""
    error = LostWorkerError(
        "Every worker that measured it died. Most often memory is short: try fewer --jobs or --dtype bfloat16."
    )
    wanted = [variant for variant in configuration.variants if variant.name in task.variants]
    return [unmeasured(configuration, task.model, task.sample, variant, error, "lost") for variant in wanted]


class Bench:
    """Where one process measures: the worker of the model that was asked for last."""

    def __init__(self, configuration: Configuration, dataset: Dataset) -> None:
        self._given = configuration, dataset
        self._worker: Worker | None = None

    def records(self, task: Task) -> Records:
        """One task's records."""
        from dexar_widgets.evaluation.worker import Worker

        if self._worker is None or self._worker.model != task.model:
            self._worker = None  # its memory is free before the next is loaded
            self._worker = Worker(*self._given, task.model)
        return self._worker.records(task.sample, task.variants)


_HERE: dict[str, Bench] = {}  # the one of a process of the pool


def _settle(configuration: Configuration, dataset: Dataset) -> None:
    _HERE["bench"] = Bench(configuration, dataset)
    Thread(target=_end_with_the_caller, daemon=True).start()


def _end_with_the_caller() -> None:
    """Else a pool whose caller is killed waits for work for ever, with the model in memory."""
    caller = parent_process()
    if caller is not None:
        caller.join()
    os._exit(1)


def _records(task: Task) -> Records:
    return _HERE["bench"].records(task)


def _in_processes(configuration: Configuration, dataset: Dataset, workers: int, tasks: Sequence[Task]) -> Measured:
    """In a pool, which breaks with the first process that is killed."""
    with threads_of_children(configuration.threads):
        pool = ProcessPoolExecutor(workers, get_context("spawn"), _settle, (configuration, dataset))
        try:
            futures = {pool.submit(_records, task): task for task in tasks}
            for future in as_completed(futures):
                task = futures.pop(future)  # results are kept no longer than needed
                if not isinstance(future.exception(), BrokenProcessPool):
                    yield task, future.result()
        except BrokenProcessPool:  # while they were handed in
            return
        finally:
            pool.shutdown(cancel_futures=True)
