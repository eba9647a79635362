"""Work on a model that a view asks for: one job at a time per model, with progress, and a cancel that stops it.

>>> job = submit(vlm, lambda: explain(vlm, image, "what is it?"), on_progress=print)
>>> job.cancel()  # or job.result()

What runs inside a job calls `check`, `progress` and `holding`; outside a job they cost next to nothing.
"""

import atexit
import logging
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from weakref import WeakKeyDictionary

__all__ = ["Cancelled", "Job", "Progress", "State", "check", "current", "holding", "progress", "submit"]

_log = logging.getLogger(__name__)

State = Literal["queued", "running", "done", "failed", "cancelled"]
Result = TypeVar("Result")

_APART = 0.05  # seconds between two reports, and between two looks at a lock: what a person calls at once
_LAST_WAIT = 5.0  # seconds that the end of the process waits for a job


class Cancelled(Exception):
    """The job was cancelled; raised where its work stops, and by `Job.result`."""


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` (0: unknown) of a phase, in words."""

    done: int
    total: int
    text: str


class Job(Generic[Result]):
    """Work that runs in a thread of its own, once the jobs before it on the same model have ended.

    ``state`` is queued, running, done, failed or cancelled; ``error`` is what a failed job raised.
    """

    def __init__(
        self,
        work: Callable[[], Result],
        id: str,
        on_progress: "Callable[[Progress], object] | None",
        on_done: "Callable[[Job[Result]], object] | None",
        thread: Callable[..., threading.Thread],
    ) -> None:
        self.id = id
        self.state: State = "queued"
        self.error: BaseException | None = None
        self._result: Any = None
        self._work, self._on_progress, self._on_done = work, on_progress, on_done
        self._thread: threading.Thread = thread(target=self._run, name=f"job {id}", daemon=True)
        self._queue: deque[Job[Any]] = deque()
        self._cancelled = False
        self._ended, self._ending_in = threading.Event(), 0
        self._reported = 0.0
        self._withheld: Progress | None = None

    def __repr__(self) -> str:
        return f"Job({self.id!r}, {self.state})"

    def cancel(self) -> bool:
        """Stop it. True: it ends as cancelled, whatever its work still does. False: it had ended before."""
        with _lock:
            if self.state not in {"queued", "running"}:
                return False
            self._cancelled = True
            waiting = self.state == "queued"
            if waiting:
                self._queue.remove(self)
                self.state = "cancelled"
        if waiting:
            self._end("cancelled")
        return True

    def result(self, timeout: float | None = None) -> Result:
        """Wait until it has ended and ``on_done`` was called; what its work gave.

        Raises
        ------
        Cancelled
            If it was cancelled. A failed job raises what its work raised.
        TimeoutError
            If it has not ended after so many seconds.
        """
        if threading.get_ident() != self._ending_in and not self._ended.wait(timeout):
            raise TimeoutError(f"The job has not ended after {timeout} s; it is {self.state}.")
        if self.state == "cancelled":
            raise Cancelled("The job was cancelled.")
        if self.error is not None:
            raise self.error
        found: Result = self._result
        return found

    def _run(self) -> None:
        outside = _current.set(self)
        state: State = "failed"
        try:
            check()
            self._result = self._work()
            state = "done"
        except Cancelled:
            state = "cancelled"
        except BaseException as error:  # noqa: BLE001 (whatever it is, `result` raises it)
            self.error = _without_traceback(error)
        finally:
            _current.reset(outside)
        self._end(state)
        self._start_next()

    def _end(self, state: State) -> None:
        with _lock:
            self.state = "cancelled" if self._cancelled else state
            self._ending_in = threading.get_ident()
        if self.state == "cancelled":
            self.error = self._result = None
        if self._withheld is not None:
            _tell(self._on_progress, self._withheld)
        _tell(self._on_done, self)
        # What a view keeps of an ended job keeps neither the model nor the view.
        del self._work, self._on_progress, self._on_done, self._thread
        self._ending_in = 0
        self._ended.set()

    def _start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError as error:  # the system gives no more threads
            self.error = error
            self._end("failed")
            self._start_next()

    def _start_next(self) -> None:
        with _lock:
            self._queue.popleft()
            following = self._queue[0] if self._queue else None
            if following is not None:
                following.state = "running"
        if following is not None:
            following._start()

    def _report(self, done: int, total: int, text: str) -> None:
        now = time.monotonic()
        found = Progress(done, total, text)
        if done in {0, total} or now - self._reported >= _APART:
            self._reported, self._withheld = now, None
            _tell(self._on_progress, found)
        else:
            self._withheld = found


_lock = threading.RLock()  # guards queues and states; re-entrant, for garbage collection may close a view at any point
_queues: WeakKeyDictionary[object, deque[Job[Any]]] = WeakKeyDictionary()  # the first of each is the running one
_current: ContextVar[Job[Any] | None] = ContextVar("job", default=None)


def submit(
    model: object,
    work: Callable[[], Result],
    *,
    id: str | None = None,
    on_progress: Callable[[Progress], object] | None = None,
    on_done: Callable[[Job[Result]], object] | None = None,
    thread: Callable[..., threading.Thread] = threading.Thread,
) -> Job[Result]:
    """Queue work on a model; jobs of one model run in the order in which they came.

    Parameters
    ----------
    model
        Whose queue it joins: any object that can be referenced weakly. The job alone keeps it alive, and only
        until it has ended.
    id
        Its name; by default a random one.
    on_progress
        Called in the job's thread with each `Progress`, at most 20 times a second, but always with a phase's
        beginning and with the last.
    on_done
        Called with the job once it has ended, however it ended: in its own thread, or in the one that cancelled it
        while it was queued.
    thread
        What makes the job's thread: ``marimo.Thread`` in marimo, where others cannot reach the front end. It is made
        here and now, and started when it is its turn.
    """
    job = Job(work, id or uuid.uuid4().hex, on_progress, on_done, thread)
    with _lock:
        job._queue = _queues.setdefault(model, job._queue)
        job._queue.append(job)
        first = job._queue[0] is job
        if first:
            job.state = "running"
    if first:
        job._start()
    return job


def current() -> Job[Any] | None:
    """The job that this code is run by."""
    return _current.get()


def check() -> None:
    """Raise `Cancelled` if the current job was cancelled."""
    job = _current.get()
    if job is not None and job._cancelled:
        raise Cancelled(f"The job {job.id} was cancelled.")


def progress(done: int, total: int, text: str) -> None:
    """Tell the current job's view how far it is, and `check`; ``done`` 0 begins a phase, ``total`` 0 is unknown."""
    check()
    job = _current.get()
    if job is not None:
        job._report(done, total, text)


@contextmanager
def holding(lock: threading.RLock) -> Iterator[None]:
    """Hold a lock; a job that waits for it can be cancelled."""
    if _current.get() is None:
        lock.acquire()
    elif not lock.acquire(blocking=False):
        progress(0, 0, "waiting for a cell that is using the model")
        while not lock.acquire(timeout=_APART):
            check()
    try:
        yield
    finally:
        lock.release()


@atexit.register
def _stop_all() -> None:
    """Torch aborts a process that is torn down while it works in another thread."""
    with _lock:
        unended = [job for queue in _queues.values() for job in queue]
    for job in reversed(unended):  # the queued ones first, so that none of them begins
        job.cancel()
    for job in unended:
        job._ended.wait(_LAST_WAIT)


def _tell(listener: Callable[[Any], object] | None, news: Any) -> None:
    if listener is None:
        return
    try:
        listener(news)
    except Exception:  # noqa: BLE001 (a view's error is not the job's)
        _log.exception("A view's callback failed; its job goes on.")


def _without_traceback(error: BaseException) -> BaseException:
    """The error with its traceback as a note: as it is, it would keep the model and its tensors alive."""
    error.add_note("".join(["In the job: ", *traceback.format_exception(error)]))
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
