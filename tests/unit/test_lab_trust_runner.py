"""A report that is interrupted, that meets an error, that is asked for again; and the page it becomes."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dexar_widgets import cli
from dexar_widgets.lab.trust import gates, report, runner
from dexar_widgets.lab.trust.parts import FIRST_SEED, PARTS, PLANTED, Part, Plan
from dexar_widgets.statistics import mean

PLAN = Plan(models=("lab/one", "lab/two"), methods=("dexar", "<u>"), tests=("T1", "T2"), scenes=6, slow_scenes=2)


class World:
    """Two parts without a model: which scenes were observed, and on which one it should fail or be interrupted."""

    def __init__(self):
        self.seen, self.broken, self.interrupted = [], None, None

    def observe(self, model, _scene, _methods, *, number):
        if (model, number) == self.interrupted:
            raise KeyboardInterrupt
        if (model, number) == self.broken:
            raise RuntimeError("a <bad> scene")
        self.seen.append((model, number))
        values = np.random.default_rng([number, len(model)]).random(2)
        return pd.DataFrame({"scene": number, "method": PLAN.methods, "value": values, "piece": [" a", ""]})

    def judge(self, test):
        def judged(tables):
            rows = []
            for model, seen in tables.items():
                for method, some in seen.groupby("method"):
                    found = mean(some["value"].to_numpy(float), some["scene"].to_numpy())
                    rows.append(gates.result(test, "NG", found, method=method, model=model, gate=f"{test} random"))
            return gates.table(rows)

        return judged


@pytest.fixture
def world(monkeypatch):
    made = World()
    parts = tuple(
        Part(name, (test,), place, lambda seed: seed, made.observe, made.judge(test), lambda plan: plan.scenes,
             models=lambda _model: True, chunk=2)
        for place, (name, test) in enumerate((("first", "T1"), ("second, part", "T2")))
    )  # fmt: skip
    for module in (runner, report):
        monkeypatch.setattr(module, "PARTS", parts)
    monkeypatch.setattr(runner, "_loaded", lambda model, _device: model)
    return made


def tables(plan, out):
    return {
        (part, model): table for part, models in runner.observed(plan, out).items() for model, table in models.items()
    }


def test_every_unit_is_done_once_and_progress_is_told(world, tmp_path):
    told = []
    runner.run(PLAN, tmp_path, jobs=0, tell=lambda done, every, text: told.append((done, every)))
    assert told == [(done, 12) for done in range(13)]
    assert len(world.seen) == len(set(world.seen)) == 2 * 2 * 6
    runner.run(PLAN, tmp_path, jobs=0)
    assert len(world.seen) == 24


def test_an_interrupted_run_goes_on_and_ends_with_the_same_tables(world, tmp_path):
    runner.run(PLAN, tmp_path / "whole", jobs=0)
    expected, world.seen = tables(PLAN, tmp_path / "whole"), []
    world.interrupted = ("lab/one", FIRST_SEED + 3)
    with pytest.raises(KeyboardInterrupt):
        runner.run(PLAN, tmp_path / "cut", jobs=0)
    assert 0 < len(world.seen) < 24
    world.interrupted, world.seen = None, []
    runner.run(PLAN, tmp_path / "cut", jobs=0)
    assert ("lab/one", FIRST_SEED) not in world.seen  # its unit was whole
    found = tables(PLAN, tmp_path / "cut")
    assert found.keys() == expected.keys()
    for key, table in expected.items():
        pd.testing.assert_frame_equal(found[key], table)
    first, second = (runner.judge(PLAN, tmp_path / name) for name in ("whole", "cut"))
    pd.testing.assert_frame_equal(first, second)


def test_a_unit_that_was_cut_short_is_not_taken_for_done(world, tmp_path):
    runner.run(PLAN, tmp_path, jobs=0)
    unit = runner.units(PLAN)[0]
    unit.path(tmp_path).unlink()  # the side file alone is there: the table is written last
    assert not runner.done(unit, tmp_path)
    world.seen.clear()
    runner.run(PLAN, tmp_path, jobs=0)
    assert len(world.seen) == 2


def test_a_unit_that_fails_is_a_row_with_its_reason_and_is_tried_again(world, tmp_path):
    world.broken = ("lab/two", FIRST_SEED + 1)
    runner.run(PLAN, tmp_path, jobs=0)
    results = runner.judge(PLAN, tmp_path)
    (error,) = results[results["verdict"] == "error"].to_dict("records")
    assert "RuntimeError: a <bad> scene" in error["note"]
    assert error["what"] == "first on lab/two, scenes 1 to 2"
    assert len(results) == 8 + 1
    page = report.write(PLAN, tmp_path, results)["html"].read_text()
    assert "a &lt;bad&gt; scene" in page
    world.broken = None
    runner.run(PLAN, tmp_path, jobs=0)
    assert not (runner.judge(PLAN, tmp_path)["verdict"] == "error").any()


def test_a_part_that_cannot_be_judged_is_a_row_too(world, tmp_path, monkeypatch):
    runner.run(PLAN, tmp_path, jobs=0)

    def broken(_tables):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(runner, "PARTS", (replace(runner.PARTS[0], judge=broken), runner.PARTS[1]))
    results = runner.judge(PLAN, tmp_path)
    assert results["verdict"].tolist().count("error") == 1
    assert len(results) == 5


def test_what_fails_is_told_under_a_test_that_was_asked_for_and_nothing_to_tell_is_no_error(
    world, tmp_path, monkeypatch
):
    first, second = runner.PARTS
    monkeypatch.setattr(runner, "PARTS", (replace(first, tests=("T1", "T2"), judge=lambda _tables: gates.table([])),))
    plan = replace(PLAN, tests=("T2",))
    world.broken = ("lab/two", FIRST_SEED + 1)
    runner.run(plan, tmp_path, jobs=0)
    (row,) = runner.judge(plan, tmp_path).to_dict("records")
    assert (row["test"], row["verdict"]) == ("T2", "error")
    world.broken = None
    runner.run(plan, tmp_path, jobs=0)
    assert not len(runner.judge(plan, tmp_path))

    def broken(_tables):
        raise ZeroDivisionError("no")

    monkeypatch.setattr(runner, "PARTS", (replace(first, tests=("T1", "T2"), judge=broken), second))
    assert "error" in set(runner.judge(plan, tmp_path)["verdict"])


def test_machines_share_the_work_and_the_report_tells_what_each_did_it_with(world, tmp_path, monkeypatch):
    first, second = runner.PARTS
    monkeypatch.setattr(runner, "PARTS", (first, replace(second, needs="dexar")))
    runner.run(PLAN, tmp_path / "here", jobs=0, only="fast")
    assert {part for part, _ in tables(PLAN, tmp_path / "here")} == {"first"}
    monkeypatch.setattr(runner, "_made_by", lambda device: f"torch 9 on {device}")
    runner.run(PLAN, tmp_path / "there", jobs=0, only="slow", device="meta")
    assert {part for part, _ in tables(PLAN, tmp_path / "there")} == {"second, part"}
    shutil.copytree(tmp_path / "there" / "units", tmp_path / "here" / "units", dirs_exist_ok=True)
    seen = len(world.seen)
    runner.run(PLAN, tmp_path / "here", jobs=0)
    assert len(world.seen) == seen == 24
    told = runner.seconds(PLAN, tmp_path / "here").set_index(["part", "model"])["by"]
    assert (told["second, part"] == "torch 9 on meta").all()
    assert told["first", "lab/one"].startswith("numpy ")
    page = report.write(PLAN, tmp_path / "here", runner.judge(PLAN, tmp_path / "here"))["md"].read_text()
    assert "minutes with torch 9 on meta" in page


def test_results_of_other_versions_are_refused(world, tmp_path, monkeypatch):
    runner.run(PLAN, tmp_path, jobs=0)
    monkeypatch.setattr(runner, "version", lambda _name: "0")
    with pytest.raises(ValueError, match="other versions"):
        runner.run(PLAN, tmp_path, jobs=0)


def test_a_folder_of_another_plan_is_refused_and_other_tests_and_models_may_be_added(world, tmp_path):
    runner.run(replace(PLAN, tests=("T1",), models=("lab/one",)), tmp_path, jobs=0)
    for change in ({"scenes": 7}, {"seed": 1}, {"methods": ("dexar",)}):
        with pytest.raises(ValueError, match=f"other {next(iter(change))}"):
            runner.run(replace(PLAN, **change), tmp_path, jobs=0)
    runner.run(PLAN, tmp_path, jobs=0)
    assert len(world.seen) == len(set(world.seen)) == 24
    told = json.loads((tmp_path / "plan.json").read_text())
    assert set(told["weights"]) == {"lab/one", "lab/two"}


def test_results_of_other_gates_are_refused(world, tmp_path, monkeypatch):
    runner.run(PLAN, tmp_path, jobs=0)
    monkeypatch.setattr(gates, "fingerprint", lambda: "other")
    with pytest.raises(ValueError, match="other gates"):
        runner.run(PLAN, tmp_path, jobs=0)


def test_the_page_begins_with_what_did_not_hold_and_loads_nothing(world, tmp_path):
    runner.run(PLAN, tmp_path, jobs=0)
    files = report.write(PLAN, tmp_path, runner.judge(PLAN, tmp_path))
    page, text = files["html"].read_text(), files["md"].read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[0] == "What did not hold"
    assert titles[-1] == "How it was made"
    assert not re.search(r"https?://|<script|<link|@import|src=\"(?!data:)", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "&lt;u&gt;" in page
    assert "<u>" not in page
    for told in (page, text):
        assert gates.fingerprint() in told
        assert f"first from {FIRST_SEED}" in told
        assert "n = 6" in told
        assert "✗ FAIL" in told
    rows = json.loads(files["json"].read_text())
    assert {tuple(sorted(row)) for row in rows} == {tuple(sorted(gates.COLUMNS))}
    assert len(pd.read_csv(files["csv"])) == len(rows) == 8


def test_results_are_judged_once(world, tmp_path, monkeypatch, capsys):
    run, judge, judged = runner.run, runner.judge, []
    monkeypatch.setattr(runner, "run", lambda plan, out, **given: run(plan, out, **given | {"jobs": 0}))
    monkeypatch.setattr(runner, "judge", lambda plan, out: judged.append(judge(plan, out)) or judged[-1])
    status = cli.main(["lab", "report", "--quick", "--models", "lab/llava", "--tests", "T1", "--out", str(tmp_path)])
    (results,) = judged
    assert status == int((results["verdict"] == "fail").any())
    assert report.summary(results) in " ".join(capsys.readouterr().out.split())
    assert len(pd.read_csv(tmp_path / "results.csv")) == len(results) == 2


def test_every_test_of_methods_sees_every_method_slow_ones_on_fewer_of_the_same_scenes():
    from dexar_widgets.lab.trust.observe import SLOW

    plan = replace(PLAN, methods=("dexar", "random", *SLOW), scenes=500, slow_scenes=100)
    for test in (*(f"T{number}" for number in range(1, 12)), "T15", "decoy"):
        parts = [part for part in PARTS if test in part.tests]
        assert {name for part in parts for name in part.methods(plan)} == set(plan.methods), test
        for slow in (part for part in parts if part.needs is not None):
            fast = next(part for part in parts if part.needs is None and part.place == slow.place)
            assert slow.first_seed(plan) == fast.first_seed(plan)
            assert 0 < slow.count(plan) < fast.count(plan)
    (water,) = [part for part in PARTS if part.name == "water, rise"]
    assert water.count(plan) == 40
    assert not water.models("lab/bakllava")


def test_a_slow_methods_part_tells_of_that_method_alone():
    (part,) = [part for part in PARTS if part.name == "decoy, iia"]
    seen = pd.DataFrame(
        [
            {
                "scene": number, "method": method, "probability": 0.9, "tells swatch": True, "tells object": False,
                "swatch": 2.0, "object": 0.1, "on swatch": 0.5, "on swatch, area": 0.1,
                "on object": 0.1, "on object, area": 0.2,
            }
            for number in range(3) for method in ("iia", "dexar")
        ]
    )  # fmt: skip
    found = part.judge({PLANTED["decoy"]: seen})
    assert set(found["method"]) == {"iia"}
    (row,) = found[found["what"].str.endswith("on swatch")].to_dict("records")
    assert (row["value"], row["n"]) == (5.0, 3)
