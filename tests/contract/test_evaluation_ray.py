"""A worker and then a whole machine are killed in mid-run, on a real Ray cluster of two; a process, in a pool."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.cluster import quiet
from dexar_widgets.evaluation.configuration import configuration_of, variants_of
from dexar_widgets.evaluation.runs import evaluate
from dexar_widgets.evaluation.store import Store

pytestmark = pytest.mark.slow

COUNT = 8
PATIENCE = 150
HEAD, OTHER = "127.0.0.2", "127.0.0.3"  # of the loopback; Ray takes 127.0.0.1 for the machine's outer address
RAY_START = [sys.executable, "-c", "import sys; from ray.scripts.scripts import main; sys.exit(main())", "start"]
RAY_START += ["--block", "--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000"]
RAY_START += ["--include-log-monitor=false"]
SOON_MISSED = '{"health_check_period_ms": 1000, "health_check_failure_threshold": 4}'


class Watched:
    """Notes every process that reads a sample, and lets none begin before so many do."""

    def __init__(self, dataset, notes, together):
        self._dataset, self._notes, self._together = dataset, notes, together
        self.name, self.settings, self.ids = dataset.name, dataset.settings, tuple(dataset.ids)

    def load(self, id_):
        import ray

        machine = ray.util.get_node_ip_address() if ray.is_initialized() else "here"
        (self._notes / f"{machine} {os.getpid()} {os.getppid()}").touch()
        deadline = time.monotonic() + PATIENCE / 2
        while len(readers(self._notes)) < self._together and time.monotonic() < deadline:
            time.sleep(0.05)
        return self._dataset.load(id_)


def readers(notes):
    """Machine, process and its parent."""
    named = [file.name.split() for file in notes.iterdir()]
    return [(machine, int(pid), int(parent)) for machine, pid, parent in named]


def configured(dataset):
    metrics = ["energy_pointing_game", "deletion"]
    return configuration_of(dataset, ["lab/llava"], variants_of(["dexar", "random"], {}), metrics, levels=3)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    dataset = data.open("lab", count=COUNT)
    evaluate(configured(dataset), dataset, folder, workers=0)
    return contents(folder)


def contents(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("results", "units")]


@pytest.fixture(scope="module")
def cluster():
    """The address of a cluster of two machines, with one CPU each, that answers only to who knows its token."""
    folder = Path(tempfile.mkdtemp(prefix="ray"))  # a short name: sockets lie below it
    with socket.socket() as free:
        free.bind((HEAD, 0))
        address = f"{HEAD}:{free.getsockname()[1]}"
    first = ["--head", "--no-monitor", "--include-dashboard=false", f"--port={address.split(':')[1]}"]
    first += [f"--temp-dir={folder}", f"--system-config={SOON_MISSED}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
        started = {}
        try:
            for machine, more in ((HEAD, first), (OTHER, [f"--address={address}"])):
                with (folder / f"{machine}.txt").open("w") as log:
                    started[machine] = subprocess.Popen(
                        [*RAY_START, *more, f"--node-ip-address={machine}"],
                        stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                    )  # fmt: skip
            deadline = time.monotonic() + 120
            for machine, process in started.items():
                while "runtime started" not in (told := (folder / f"{machine}.txt").read_text()):
                    assert process.poll() is None, told
                    assert time.monotonic() < deadline, told
                    time.sleep(0.1)
            yield address
        finally:
            for process in started.values():
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            shutil.rmtree(folder, ignore_errors=True)


def test_a_worker_and_then_a_whole_machine_are_killed_and_the_tables_are_the_same(cluster, expected, tmp_path):
    notes, out = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    command = [sys.executable, __file__, cluster, str(notes), str(out)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.split() == [str(number) for number in range(COUNT + 1)]  # each sample once, and not a word of Ray
    assert len(readers(notes)) > 2  # somebody took over
    assert contents(out) == expected
    # what comes twice counts once
    for part in Store.files(out):
        shutil.copy(part, part.with_stem(f"{part.stem}-again"))
    (out / "results.parquet").unlink()
    dataset = data.open("lab", count=COUNT)
    evaluate(configured(dataset), dataset, out, workers=0)
    assert contents(out) == expected


def killing(address, notes, out):
    """A run that kills a worker after two samples, and the other's whole machine after five."""
    notes = Path(notes)

    def tell(number, _every, _text):
        print(number, flush=True)
        if number == 2:
            os.kill(next(pid for machine, pid, _ in readers(notes) if machine == HEAD), signal.SIGKILL)
        if number == 5:
            os.kill(next(raylet for machine, _, raylet in readers(notes) if machine == OTHER), signal.SIGKILL)

    dataset = Watched(data.open("lab", count=COUNT), notes, 2)
    quiet()
    evaluate(configured(dataset), dataset, Path(out), engine="ray", address=address, tell=tell)


def test_a_process_of_a_pool_is_killed_and_the_tables_are_the_same(expected, tmp_path, patience):
    notes = tmp_path / "notes"
    notes.mkdir()
    told = []

    def tell(number, _every, _text):
        told.append(number)
        if number == 2:
            os.kill(readers(notes)[0][1], signal.SIGKILL)

    dataset = Watched(data.open("lab", count=COUNT), notes, 1)
    evaluate(configured(dataset), dataset, tmp_path / "out", workers=1, tell=tell)
    assert told == list(range(COUNT + 1))
    assert len(readers(notes)) == 2
    assert contents(tmp_path / "out") == expected


@pytest.fixture
def patience():
    """A pool that hangs fails its test."""

    def stop(_signal, _frame):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(PATIENCE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def test_the_job_script_takes_its_shard_from_slurm(tmp_path):
    script = tmp_path / "evaluate.sh"
    dexar = tmp_path / "dexar"
    dexar.write_text('#!/bin/sh\necho "$@"\n')
    dexar.chmod(0o755)
    run = subprocess.run(
        [sys.executable, "-c", "from dexar_widgets.cli import main; main()", "evaluate", "--slurm"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    script.write_text(run.stdout)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "8"}
    ran = subprocess.run(["bash", str(script), "--out", "a b"], env=env, capture_output=True, text=True, check=True)
    assert ran.stdout == "evaluate --shard 3/8 --out a b\n"


if __name__ == "__main__":  # apart from the tests: it can be ended, and Ray reads the token when it is first imported
    killing(*sys.argv[1:])
