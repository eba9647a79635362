"""The engine of a Ray cluster: Ray Data hands names of models and samples to actors, each with a model in memory.

The records come back and the caller writes them: the machines need no folder of results in common. What is read
(weights, images) must lie on each at the same path, and a data set's own class be installed there. Ray gives the task
of an actor that died to the next, a few times; what is lost in spite of that does not come back, and
`engines.persistent` sees it.
"""

import logging
import math
import os
import pickle
import secrets
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dexar_widgets.evaluation.configuration import Configuration, differences, identity
from dexar_widgets.evaluation.engines import Bench, Engine, Measured, Task
from dexar_widgets.evaluation.samples import Dataset

__all__ = ["Measuring", "opened", "quiet"]

_IN_HAND = 2  # tasks of an actor at a time: the one that it measures, and the next
_RETRIES = 2  # of a task whose actor died; the actor itself begins anew as often as it must
_SECONDS_TO_ANSWER = 10.0  # Ray itself asks for minutes


def quiet() -> None:
    """Ray's own lines stay out of this process's output; to be called before Ray is imported for the first time."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".*")  # reports of dead workers, on stdout


@contextmanager
def opened(configuration: Configuration, dataset: Dataset, most: int | None, address: str | None) -> Iterator[Engine]:
    """The engine of a cluster with up to ``most`` workers: one on each GPU or, without, as their threads fit on CPUs.

    Raises
    ------
    ValueError
        If Ray is not installed, no cluster answers, or no worker fits on it.
    """
    with _connected(address):
        import ray

        gpus = int(ray.cluster_resources().get("GPU", 0) >= 1 and configuration.device != "cpu")
        count = min(room(configuration.threads, gpus), most or math.inf)
        yield Engine(partial(_measure, configuration, dataset, int(count), gpus), int(_IN_HAND * count))


@contextmanager
def _connected(address: str | None) -> Iterator[None]:
    """As long as the block lasts; a connection that was there already stays."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ValueError(f"The engine ray needs Ray ({error}): pip install 'dexar-widgets[ray]'") from error
    if ray.is_initialized():
        yield
        return
    _ask(address)
    if not (address or os.environ.get("RAY_ADDRESS")):
        _have_token()
    try:
        ray.init(address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError) as error:
        raise ValueError(
            f"No Ray cluster at {address or 'this machine'}: {error}. It answers where its token is known "
            "(RAY_AUTH_MODE, RAY_AUTH_TOKEN_PATH)."
        ) from error
    log = logging.getLogger("ray.data")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)
        ray.shutdown()


def _ask(address: str | None) -> None:
    """Whether anything listens there."""
    host, _, port = (address or os.environ.get("RAY_ADDRESS", "")).rpartition(":")
    if port.isdecimal() and "/" not in host:
        try:
            socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
        except OSError as error:
            raise ValueError(f"No Ray cluster at {host}:{port}: {error.strerror or error}.") from error


def _have_token() -> None:
    """A cluster of this run's own asks for a token, too; unless there is one, Ray writes it into the user's home."""
    if "RAY_AUTH_TOKEN_PATH" not in os.environ and not (Path.home() / ".ray" / "auth_token").exists():
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))


def room(cpus: int, gpus: int) -> int:
    """How many workers of so many CPUs and GPUs the machines of the cluster have room for.

    Raises
    ------
    ValueError
        If not one fits.
    """
    import ray

    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fit = [min(node.get("CPU", 0) // cpus, node.get("GPU", 0) // gpus if gpus else math.inf) for node in alive]
    if not sum(fit):
        each = f"{cpus} CPU{'s' * (cpus > 1)}{' and a GPU' * gpus}"
        told = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in alive)
        raise ValueError(f"No machine of the cluster has the {each} of a worker; they have {told}.")
    return int(sum(fit))


def _measure(configuration: Configuration, dataset: Dataset, count: int, gpus: int, tasks: Sequence[Task]) -> Measured:
    """The records of the tasks that are not lost. Raises what a worker raised."""
    import ray.data
    from ray.exceptions import RayActorError, RayError

    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars, context.max_errored_blocks
    context.enable_progress_bars, context.max_errored_blocks = False, -1  # a lost task takes no other with it
    size = min(count, len(tasks), room(configuration.threads, gpus))
    try:
        named = ray.data.from_items([{"task": pickle.dumps(task)} for task in tasks], override_num_blocks=len(tasks))
        with warnings.catch_warnings():  # Ray 2.64 drops max_task_retries, without which a deadly task goes on for ever
            warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
            found = named.map_batches(
                Measuring,
                fn_constructor_args=(configuration, dataset, configuration.told),
                batch_size=None,
                compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=_IN_HAND),
                num_cpus=configuration.threads,
                num_gpus=gpus,
                runtime_env={"env_vars": {"OMP_NUM_THREADS": str(configuration.threads)}},
                max_task_retries=_RETRIES,
            )
        for batch in found.iter_batches(batch_size=None, prefetch_batches=0):
            for task, outcome in zip(batch["task"], batch["outcome"], strict=True):
                records = pickle.loads(outcome)
                if isinstance(records, Exception):
                    raise records
                yield pickle.loads(task), records
    except RayError as error:  # the pool could not be kept
        if isinstance(error, RayActorError) and error.actor_init_failed:  # by an exception, which would come again
            raise ValueError(f"No worker can begin on the cluster: {str(error).strip().splitlines()[-1]}") from error
    finally:
        context.enable_progress_bars, context.max_errored_blocks = before


class Measuring:
    """What an actor does. Errors are results: raised here, they would pass for a lost task."""

    def __init__(self, configuration: Configuration, dataset: Dataset, told: Mapping[str, Any]) -> None:
        self._configuration, self._told = configuration, told
        self._bench = Bench(configuration, dataset)
        self._checked: set[str] = set()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """The tasks with their outcomes: records or an error, pickled, for numbers come back as they are."""
        return batch | {"outcome": [pickle.dumps(self._outcome(pickle.loads(task))) for task in batch["task"]]}

    def _outcome(self, task: Task) -> Any:
        try:
            self._check(task.model)
            return self._bench.records(task)
        except Exception as error:  # noqa: BLE001 (the caller raises it)
            return _portable(error)

    def _check(self, model: str) -> None:
        """Numbers of other versions or weights than the caller's must not come under its configuration."""
        if model in self._checked:
            return
        import ray

        where = f"On the machine {ray.util.get_node_ip_address()} of the cluster"
        here, there = replace(self._configuration).told["versions"], self._told["versions"]
        if changed := differences(here, there):
            name = changed[0]
            raise ValueError(f"{where} {name} is {here.get(name)}; the run was begun with {there.get(name)}.")
        if identity(model, self._configuration.commit(model)) != self._configuration.models[model]:
            raise ValueError(f"{where} {model} has other weights than where the run was begun, or is not there.")
        self._checked.add(model)


def _portable(error: Exception) -> Exception:
    """The error, or its text where it does not survive the way."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # noqa: BLE001 (whatever its constructor does)
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
