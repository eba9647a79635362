"""A report that is interrupted, that meets an error, that is asked for again; and the page it becomes."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dexar_widgets import cli
from dexar_widgets.lab.trust import gates, localisation, report, runner
from dexar_widgets.lab.trust.parts import FAMILIES, FIRST_SEED, PARTS, PLANTED, TESTS, Part, Plan, offered
from dexar_widgets.statistics import Estimate, mean

PLAN = Plan(models=("lab/one", "lab/two"), methods=("dexar", "<b>"), tests=("T1", "T2"), scenes=6, slow_scenes=2)


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
    monkeypatch.setattr(runner, "_loaded", lambda model: model)
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
    page = report.html(report.contents(PLAN, tmp_path, results))
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


def test_results_of_other_versions_are_refused(world, tmp_path, monkeypatch):
    runner.run(PLAN, tmp_path, jobs=0)
    monkeypatch.setattr(runner, "version", lambda _name: "0")
    with pytest.raises(ValueError, match="other versions"):
        runner.run(PLAN, tmp_path, jobs=0)


def test_p_values_of_all_methods_of_a_model_are_adjusted_together():
    rows = [
        gates.result("T1", "NG, less DEX-AR's", Estimate(0.1, 0.0, 0.2, 50, p), method=method, model=model)
        for model, method, p in (("one", "fast", 0.01), ("one", "slow", 0.02), ("two", "slow", 0.02))
    ]
    rows.append(gates.result("T1", "NG", Estimate(0.1, 0.0, 0.2, 50, 0.03), method="fast", model="one"))
    assert localisation.adjusted(gates.table(rows))["p"].tolist() == [0.02, 0.02, 0.02, 0.03]


def test_a_sampled_gate_fails_only_where_the_whole_interval_misses_it():
    def verdict(value, low, high):
        return gates.result("T1", "NG", Estimate(value, low, high, 50), gate="T1 random")["verdict"]

    assert verdict(0.03, 0.01, 0.05) == "pass"
    assert verdict(0.03, 0.025, 0.05) == "fail"
    assert verdict(0.03, np.nan, np.nan) == "fail"
    worst = gates.result("T15", "repeat", Estimate(0.1, 0.0, 0.1, 3), gate="T15 repeat")
    assert worst["verdict"] == "fail"  # its interval is from the least scene to the worst


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
    files = report.write(PLAN, tmp_path)
    page, text = files["html"].read_text(), files["md"].read_text()
    titles = re.findall(r"<h2>(.*?)</h2>", page)
    assert titles[0] == "What did not hold"
    assert titles[-1] == "How it was made"
    assert not re.search(r"https?://|<script|<link|@import|src=\"(?!data:)", page)
    assert "default-src 'none'" in page
    assert "prefers-color-scheme: dark" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    for told in (page, text):
        assert gates.fingerprint() in told
        assert f"first from {FIRST_SEED}" in told
        assert "n = 6" in told
        assert "✗ FAIL" in told
    rows = json.loads(files["json"].read_text())
    assert {tuple(sorted(row)) for row in rows} == {tuple(sorted(gates.COLUMNS))}
    assert len(pd.read_csv(files["csv"])) == len(rows) == 8


def test_seeds_of_parts_never_meet_and_stay_clear_of_others():
    plan = replace(PLAN, scenes=20_000, slow_scenes=20_000, seed=6)
    ranges = [(part.place, part.first_seed(plan), part.first_seed(plan) + part.count(plan)) for part in PARTS]
    for place, first, last in ranges:
        assert FIRST_SEED <= first < last <= 10_000_000
        for other, begins, ends in ranges:
            assert other == place or last <= begins or ends <= first


def test_every_test_has_an_introduction_and_planted_models_are_judged_beside_their_twin():
    from dexar_widgets.lab.trust.sections import INTRODUCTIONS

    assert set(INTRODUCTIONS) == set(TESTS)
    for name, model in PLANTED.items():
        (part,) = [part for part in PARTS if part.name == name]
        assert [one for one in (*FAMILIES, *PLANTED.values(), "lab/analytic") if part.models(one)] == [
            FAMILIES[0],
            model,
        ]
    assert offered(("lab/trigger", "lab/llava", "lab/analytic")) == ("lab/llava", "lab/trigger", "lab/analytic")


def fails(capsys, *words):
    assert cli.main(["lab", "report", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("dexar: ")
    assert err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--tests", "T99"), "--tests 'T99': 'T99' is none of"),
        (("--models", "lab/none"), "'lab/none' is none of lab/llava"),
        (("--methods", "dexar,nothing"), "'nothing' is none of dexar"),
        (("--tests", " , "), "'nothing' is none of T6"),
        (("--scenes", "0"), "--scenes"),
        (("--seed", "7"), "--seed"),
        (("--jobs", "0"), "--jobs"),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(capsys, tmp_path, words, expected):
    assert expected in fails(capsys, "--out", tmp_path / "r", *words)
    assert not (tmp_path / "r").exists()


def test_a_file_in_the_place_of_the_folder_is_one_line(capsys, tmp_path):
    (tmp_path / "r").write_text("")
    assert "is a file; give a folder" in fails(capsys, "--out", tmp_path / "r")


def test_the_help_of_the_report_holds_an_example(capsys):
    assert cli.main(["lab", "report", "--help"]) == 0
    assert "Example: dexar lab report" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_whole_report_of_two_scenes(tmp_path, capsys):
    """Every part on the clean twin and on the analytic model; exit status 1 only for checks that failed."""
    status = cli.main(
        ["lab", "report", "--out", str(tmp_path), "--scenes", "2", "--slow-scenes", "1", "--models",
         "lab/llava,lab/analytic", "--methods", "dexar,dexar_use,attention,attn_grad,tam,random,edges", "--json"]
    )  # fmt: skip
    rows = pd.DataFrame(json.loads(capsys.readouterr().out))
    assert not (rows["verdict"] == "error").any(), rows[rows["verdict"] == "error"]["note"].tolist()
    assert set(rows["test"]) == set(TESTS)
    assert status == int((rows["verdict"] == "fail").any())
    assert (rows[rows["test"].isin(["T6", "T7", "T8"]) & (rows["model"] == "lab/analytic")]["verdict"] != "fail").all()
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") >= 7


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
