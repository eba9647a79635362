"""What an engine loses is measured again, what it delivers twice counts once, and a task that kills is given up."""

import os
import pickle
import socket
import sys
from collections import Counter
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from dexar_widgets import cli
from dexar_widgets.evaluation import cluster, engines, runs, worker
from dexar_widgets.evaluation.configuration import Configuration, Variant
from dexar_widgets.evaluation.engines import Engine, Task, given_up, persistent
from dexar_widgets.evaluation.samples import Given

TASKS = [Task("lab/a", str(number), ("dexar",)) for number in range(7)]
CONFIGURATION = Configuration(
    {"lab/analytic": "made in code"}, "given", {}, (Variant("dexar", "dexar"),), ("pointing_game",)
)


class Pool:
    """Measures in order, ``at_once`` at a time; it breaks at a deadly task, and loses those that are then at work."""

    def __init__(self, deadly, at_once=2, lives=10**6):
        self.deadly, self.at_once, self.lives, self.asked, self.killed = set(deadly), at_once, lives, [], Counter()

    def __call__(self, tasks):
        self.asked.append(list(tasks))
        for place, task in enumerate(tasks):
            at_work = {other.sample for other in tasks[place : place + self.at_once]}
            if self.deadly & at_work or self.lives <= 0:
                self.lives = 10**6
                self.killed.update(self.deadly & at_work)
                return
            self.lives -= 1
            yield task, [{"unit": task.sample}]


def measured(pool):
    """How often each sample came, and which were given up."""
    found, dead = Counter(), []

    def give_up(task):
        dead.append(task.sample)
        return []

    for task, records in persistent(Engine(pool, pool.at_once), TASKS, give_up):
        assert bool(records) == (task.sample not in dead)
        found[task.sample] += 1
    return found, dead


def test_what_a_pool_that_broke_had_not_measured_is_given_to_a_fresh_one_and_nothing_else():
    pool = Pool(deadly=(), lives=3)
    assert measured(pool) == (Counter(map(str, range(7))), [])
    assert pool.asked == [TASKS, TASKS[3:]]


@pytest.mark.parametrize("deadly", [("0",), ("3",), ("6",), ("0", "1"), ("0", "3", "6"), tuple("0123456")])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_deadly_tasks_are_given_up_after_three_tries_and_every_other_is_measured_once(deadly, at_once):
    pool = Pool(deadly, at_once)
    found, dead = measured(pool)
    assert found == Counter(map(str, range(7)))
    assert sorted(dead) == list(deadly)
    assert all(pool.killed[sample] >= 3 for sample in deadly)
    assert len(pool.asked) <= 1 + (2 + at_once) * len(deadly)


def test_a_task_that_is_given_up_has_a_record_for_each_variant_that_was_left():
    both = (Variant("dexar", "dexar"), Variant("one", "random"))
    configuration = Configuration({"lab/a": "1"}, "given", {}, both, ("pointing_game",))
    (record,) = given_up(configuration, Task("lab/a", "5", ("one",)))
    assert record["unit"] == configuration.unit("lab/a", "5", "one")
    assert (record["variant"], record["method"], record["status"]) == ("one", "random", "lost")
    assert record["reason"].startswith("LostWorkerError: Every worker that measured it died.")


def test_what_is_delivered_twice_comes_once():
    twice = Engine(lambda tasks: ((task, []) for task in [*tasks, *tasks]), 1)
    assert [task for task, _ in persistent(twice, TASKS, lambda _task: [])] == TASKS


def test_a_bench_loads_each_model_when_it_is_asked_for(monkeypatch):
    loaded = []

    class Fake:
        def __init__(self, configuration, dataset, model):
            self.model = model
            loaded.append(model)

        def records(self, sample, variants):
            return [{"unit": self.model + sample + "".join(variants)}]

    monkeypatch.setattr(worker, "Worker", Fake)
    bench = engines.Bench(CONFIGURATION, Given([]))
    found = [bench.records(Task(model, "1", ("x", "y"))) for model in "aab"]
    assert found == [[{"unit": "a1xy"}], [{"unit": "a1xy"}], [{"unit": "b1xy"}]]
    assert loaded == ["a", "b"]


@pytest.mark.parametrize(
    ("kind", "address", "match"),
    [("slow", None, "no engine 'slow'; there are local, ray"), ("local", "auto", "'auto' is for the engine ray")],
)
def test_engines_that_there_are_not_are_refused(kind, address, match):
    with pytest.raises(ValueError, match=match), engines.opened(kind, CONFIGURATION, Given([]), None, address):
        pass


def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with (
        pytest.raises(ValueError, match=r"pip install 'dexar-widgets\[ray\]'"),
        engines.opened("ray", CONFIGURATION, Given([]), None, None),
    ):
        pass


@pytest.fixture
def ray(monkeypatch):
    """A cluster's names alone: tests that connect to one want to be the first to import Ray."""
    made = ModuleType("ray")
    made.data = ModuleType("ray.data")
    made.util = SimpleNamespace(get_node_ip_address=lambda: "10.0.0.7")
    made.is_initialized = lambda: False
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setitem(sys.modules, "ray.data", made.data)
    return made


def test_an_address_where_nobody_listens_is_refused_at_once(ray):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(ValueError, match=f"No Ray cluster at 127.0.0.1:{port}"),
        engines.opened("ray", CONFIGURATION, Given([]), None, f"127.0.0.1:{port}"),
    ):
        pass


@pytest.mark.parametrize(
    ("address", "known", "made"), [(None, False, True), (None, True, False), ("auto", False, False)]
)
def test_a_cluster_of_its_own_has_a_token_that_is_in_no_file(ray, monkeypatch, tmp_path, address, known, made):
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, "")  # and undone with whatever is set here
        monkeypatch.delenv(name)
    monkeypatch.setattr(cluster.Path, "home", lambda: tmp_path)
    if known:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray" / "auth_token").write_text("known")
    seen = []

    def init(*_, **__):
        seen.append(len(os.environ.get("RAY_AUTH_TOKEN", "")))
        raise ConnectionError("no")

    ray.init = init
    with pytest.raises(ValueError, match="No Ray cluster"), engines.opened("ray", CONFIGURATION, Given([]), 1, address):
        pass
    assert seen == [64 if made else 0]


def machine(cpus, gpus=0.0, alive=True):
    return {"Alive": alive, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})}


def test_workers_fit_on_machines_and_not_between_them(ray):
    ray.nodes = lambda: [machine(3.0), machine(8.0, 2.0), machine(1.0, 4.0), machine(64.0, 8.0, alive=False)]
    assert cluster.room(1, 0) == 12
    assert cluster.room(2, 0) == 1 + 4
    assert cluster.room(1, 1) == 2 + 1
    with pytest.raises(ValueError, match="has the 16 CPUs and a GPU of a worker; they have 3 CPUs, 0 GPUs; 8 CPUs"):
        cluster.room(16, 1)


def outcome(told, configuration=CONFIGURATION):
    batch = {"task": np.array([pickle.dumps(Task("lab/analytic", "1", ("dexar",)))], object)}
    found = cluster.Measuring(configuration, Given([]), told)(batch)
    assert found.keys() == {"task", "outcome"}
    return pickle.loads(found["outcome"][0])


def test_a_machine_with_other_versions_or_weights_measures_nothing(ray, monkeypatch):
    monkeypatch.setattr(engines.Bench, "records", lambda self, task: [{"unit": task.sample, "value": np.float64(0.1)}])
    told = CONFIGURATION.told
    assert outcome(told) == [{"unit": "1", "value": 0.1}]
    versions = told["versions"] | {"torch": "1.0"}
    assert "On the machine 10.0.0.7 of the cluster torch is" in str(outcome(told | {"versions": versions}))
    other = Configuration({"lab/analytic": "0123"}, "given", {}, CONFIGURATION.variants, ("pointing_game",))
    assert "has other weights than where the run was begun" in str(outcome(other.told, other))


class Fragile(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [(MemoryError("no room"), MemoryError, "no room"), (Fragile("a", "b"), RuntimeError, "Fragile: a b")],
)
def test_errors_come_back_as_results(ray, monkeypatch, error, kind, text):
    def fail(self, task):
        raise error

    monkeypatch.setattr(engines.Bench, "records", fail)
    found = outcome(CONFIGURATION.told)
    assert type(found) is kind
    assert str(found) == text


def test_the_command_line_hands_its_engine_on_and_tells_why_a_run_ended(monkeypatch, tmp_path, capsys):
    asked = {}

    def evaluate(configuration, *_given, **options):
        asked.update(options, **{name: getattr(configuration, name) for name in ("fill", "blur", "upsampling")})
        raise runs.FailingRunError("5 samples in a row gave nothing; the last is 4 (lab/llava).")

    monkeypatch.setattr(runs, "evaluate", evaluate)
    monkeypatch.setattr(cluster, "quiet", lambda: asked.update(quiet=True))
    command = ["evaluate", "--engine", "ray", "--address", "10.0.0.1:6379", "--jobs", "3", "--methods", "random"]
    command += ["--retry-failed", "--fill", "image", "--blur", "3", "--upsampling", "nearest"]
    assert cli.main([*command, "--metrics", "deletion", "--out", str(tmp_path)]) == 1
    assert asked["quiet"]
    assert (asked["engine"], asked["address"], asked["workers"]) == ("ray", "10.0.0.1:6379", 3)
    assert (asked["retry_failed"], asked["fill"], asked["blur"]) == (True, "image", 3.0)
    assert asked["upsampling"] == "nearest"
    assert "4 (lab/llava)" in capsys.readouterr().err
