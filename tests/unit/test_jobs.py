"""Jobs: their order, their end, what they tell, and that nothing of them stays."""

import gc
import itertools
import subprocess
import sys
import threading
import time
import weakref

import pytest

from dexar_widgets import jobs

SOON = 10.0  # seconds: far more than anything here takes


class Model:
    """Anything that can be referenced weakly."""


@pytest.fixture(autouse=True)
def no_thread_stays():
    before = set(threading.enumerate())
    yield
    late = time.monotonic() + SOON
    while set(threading.enumerate()) - before and time.monotonic() < late:
        time.sleep(0.001)
    assert set(threading.enumerate()) <= before


@pytest.fixture
def model():
    return Model()


@pytest.fixture
def gate():
    """Work that runs until it is let through or cancelled."""
    return Gate()


class Gate:
    def __init__(self):
        self.entered, self.open = threading.Event(), threading.Event()

    def work(self):
        self.entered.set()
        while not self.open.wait(0.001):
            jobs.check()
        return "through"


def test_jobs_of_one_model_run_one_at_a_time_in_the_order_they_came(model):
    news, inside = [], []

    def work(name):
        inside.append(name)
        time.sleep(0.002)
        news.append((name, tuple(inside)))
        inside.remove(name)
        return name

    submitted = [
        jobs.submit(model, lambda name=name: work(name), on_done=lambda job: news.append(job.state)) for name in "abc"
    ]
    assert [job.result(SOON) for job in submitted] == ["a", "b", "c"]
    assert news == [("a", ("a",)), "done", ("b", ("b",)), "done", ("c", ("c",)), "done"]


def test_another_model_has_a_queue_of_its_own(model, gate):
    waiting = jobs.submit(model, gate.work)
    assert jobs.submit(Model(), lambda: 3).result(SOON) == 3
    assert waiting.state == "running"
    gate.open.set()
    assert waiting.result(SOON) == "through"


def test_a_job_cancelled_in_the_queue_never_begins(model, gate):
    first, begun, ended = jobs.submit(model, gate.work), [], []
    second = jobs.submit(model, lambda: begun.append(1), on_done=ended.append)
    third = jobs.submit(model, lambda: 3)
    assert (first.state, second.state) == ("running", "queued")
    assert second.cancel()
    assert (second.state, ended) == ("cancelled", [second])
    with pytest.raises(jobs.Cancelled):
        second.result(0)
    gate.open.set()
    assert (third.result(SOON), first.state, begun) == (3, "done", [])
    assert not second.cancel()


def test_a_running_job_stops_at_its_next_check(model, gate):
    ended = []
    job = jobs.submit(model, gate.work, on_done=lambda job: ended.append(job.state))
    assert gate.entered.wait(SOON)
    assert job.cancel()
    with pytest.raises(jobs.Cancelled):
        job.result(SOON)
    assert (job.state, ended) == ("cancelled", ["cancelled"])


def test_a_job_that_has_ended_cannot_be_cancelled(model):
    job = jobs.submit(model, lambda: 3)
    job.result(SOON)
    assert not job.cancel()
    assert (job.state, job.result(0)) == ("done", 3)


@pytest.mark.parametrize("fails", [False, True])
def test_a_cancel_that_was_accepted_holds_whatever_the_work_still_does(model, fails):
    entered, accepted = threading.Event(), threading.Event()

    def work():
        entered.set()
        accepted.wait(SOON)
        return 1 / (not fails)

    job = jobs.submit(model, work)
    assert entered.wait(SOON)
    assert job.cancel()
    accepted.set()
    with pytest.raises(jobs.Cancelled):
        job.result(SOON)
    assert (job.state, job.error) == ("cancelled", None)


def test_an_exception_reaches_result_and_the_callback_and_the_next_job_runs(model):
    ended = []

    def work():
        raise ValueError("no such word")

    failing = jobs.submit(model, work, on_done=lambda job: ended.append((job.state, str(job.error))))
    following = jobs.submit(model, lambda: 3)
    with pytest.raises(ValueError, match="no such word"):
        failing.result(SOON)
    assert ended == [("failed", "no such word")]
    assert ", in work\n" in failing.error.__notes__[0]  # where it happened
    assert following.result(SOON) == 3


def test_a_job_is_done_for_others_only_after_its_callback(model):
    order = []

    def done(job):
        assert job.result(0) == 3  # there, it is
        time.sleep(0.01)
        order.append("told")

    jobs.submit(model, lambda: 3, on_done=done).result(SOON)
    assert order == ["told"]


def test_waiting_has_a_limit(model, gate):
    job = jobs.submit(model, gate.work)
    with pytest.raises(TimeoutError, match="running"):
        job.result(0.01)
    gate.open.set()
    job.result(SOON)


def test_a_callback_that_fails_stops_nothing(model, caplog):
    def callback(_):
        raise RuntimeError("the view is gone")

    def work():
        jobs.progress(0, 1, "working")
        return 3

    failing = jobs.submit(model, work, on_progress=callback, on_done=callback)
    assert failing.result(SOON) == 3
    assert jobs.submit(model, lambda: 4).result(SOON) == 4
    assert [record.exc_info[1].args for record in caplog.records] == [("the view is gone",)] * 2


def test_progress_is_told_in_order_at_most_twenty_times_a_second_and_to_the_last(model):
    heard = []

    def work():
        for phase, count in (("first", 1000), ("second", 7)):
            for step in range(count):
                jobs.progress(step, count, f"{phase} {step}")
        time.sleep(0.02)

    began = time.monotonic()
    jobs.submit(model, work, on_progress=heard.append).result(SOON)
    took = time.monotonic() - began
    texts = [news.text for news in heard]
    assert texts[0] == "first 0"
    assert "second 0" in texts
    assert texts[-1] == "second 6"
    assert texts == sorted(texts, key=lambda text: (text.split()[0], int(text.split()[1])))
    assert len(texts) <= 3 + took * 20


def test_progress_is_a_place_to_stop_too(model):
    def work():
        for step in itertools.count():
            jobs.progress(step, 0, "working")

    begun = threading.Event()
    job = jobs.submit(model, work, on_progress=lambda _: begun.set())
    assert begun.wait(SOON)
    job.cancel()
    with pytest.raises(jobs.Cancelled):
        job.result(SOON)


def test_outside_a_job_nothing_is_told_and_nothing_stops():
    jobs.check()
    jobs.progress(0, 3, "reading")
    assert jobs.current() is None


def test_a_job_knows_itself_and_only_in_its_own_thread(model, gate):
    job = jobs.submit(model, lambda: (jobs.current(), gate.work()), id="mine")
    assert gate.entered.wait(SOON)
    assert jobs.current() is None
    gate.open.set()
    assert job.result(SOON)[0] is job
    assert repr(job) == "Job('mine', done)"
    assert len({jobs.submit(model, int).id for _ in range(3)}) == 3


@pytest.mark.parametrize("how", ["done", "failed", "cancelled", "cancelled in the queue"])
def test_an_ended_job_keeps_neither_the_model_nor_what_was_listening(how, gate):
    model, view, blocking = Model(), Model(), Model()
    kept = [weakref.ref(model), weakref.ref(view)]
    before = jobs.submit(blocking, gate.work)

    def work(model=model, activations=view):
        gate.entered.set()
        while how == "cancelled":
            jobs.check()
        try:
            return 1 / (how != "failed")
        except ZeroDivisionError as error:
            raise ValueError(f"a failing {model} with {activations}") from error

    target = blocking if how == "cancelled in the queue" else model
    job = jobs.submit(target, work, on_progress=lambda _, view=view: None, on_done=lambda _, view=view: None)
    assert gate.entered.wait(SOON)
    if "cancelled" in how:
        job.cancel()
    gate.open.set()
    before.result(SOON)
    assert job._ended.wait(SOON)
    assert how.startswith(job.state)
    del model, view, work, target
    late = time.monotonic() + SOON  # the job's thread may still be returning
    while any(reference() for reference in kept) and time.monotonic() < late:
        gc.collect()
    assert [reference() for reference in kept] == [None, None]


def test_a_job_that_waits_for_a_lock_can_be_cancelled(model):
    lock, heard = threading.RLock(), []

    def work():
        with jobs.holding(lock):
            return "held"

    def wait(news):
        heard.append(news.text)
        waiting.set()

    waiting = threading.Event()
    with lock:
        job = jobs.submit(model, work, on_progress=wait)
        assert waiting.wait(SOON)
        job.cancel()
        with pytest.raises(jobs.Cancelled):
            job.result(SOON)
    assert heard == ["waiting for a cell that is using the model"]
    assert jobs.submit(model, work, on_progress=wait).result(SOON) == "held"
    assert len(heard) == 1  # nobody had to wait
    with jobs.holding(lock), jobs.holding(lock):  # free again, and its own
        pass


def test_a_view_may_be_collected_and_cancel_its_job_while_another_is_submitted(model, gate):
    class Collecting(Model):
        def __hash__(self):  # runs in the middle of submit, as a finaliser may
            queued.cancel()
            return 1

    running, queued = jobs.submit(model, gate.work), jobs.submit(model, int)
    assert jobs.submit(Collecting(), lambda: 3).result(SOON) == 3
    assert (running.state, queued.state) == ("running", "cancelled")
    gate.open.set()
    running.result(SOON)


def test_threads_are_made_where_the_job_is_submitted_and_start_in_turn(model, gate):
    made = []

    class Thread(threading.Thread):
        def __init__(self, **options):
            made.append((threading.current_thread(), options["daemon"]))
            super().__init__(**options)

    here = threading.current_thread()
    first, second = (jobs.submit(model, gate.work, thread=Thread) for _ in range(2))
    assert made == [(here, True)] * 2
    gate.open.set()
    assert (first.result(SOON), second.result(SOON)) == ("through", "through")


def test_a_thread_that_cannot_start_fails_its_job_and_no_other(model, gate):
    class Refused(threading.Thread):
        def start(self):
            raise RuntimeError("can't start new thread")

    alone = jobs.submit(model, int, thread=Refused)
    assert alone.state == "failed"
    first, second, third = (
        jobs.submit(model, gate.work, thread=thread) for thread in (threading.Thread, Refused, threading.Thread)
    )
    gate.open.set()
    assert (first.result(SOON), third.result(SOON)) == ("through", "through")
    with pytest.raises(RuntimeError, match="can't start"):
        second.result(SOON)


def test_the_end_of_the_process_stops_jobs():
    code = """
import threading
from dexar_widgets import jobs

class Model: pass

model, begun = Model(), threading.Event()

def work():
    begun.set()
    while True:
        jobs.check()

running, queued = (jobs.submit(model, work, on_done=lambda job: print(job.id, job.state), id=id) for id in ("a", "b"))
begun.wait()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split() == ["b", "cancelled", "a", "cancelled"]
