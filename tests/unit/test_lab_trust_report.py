"""What is asked of a report, what its verdicts count, and one that is made from beginning to end."""

import json

import numpy as np
import pandas as pd
import pytest

from dexar_widgets import cli
from dexar_widgets.lab.trust import chapters, gates, localisation, report
from dexar_widgets.lab.trust.parts import FAMILIES, FIRST_SEED, PARTS, PLANTED, TESTS, Plan, offered
from dexar_widgets.statistics import Estimate


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


def test_controls_that_hold_by_construction_are_counted_apart():
    verdicts = {"pass": 2, "fail": 1, "by construction": 4, "as expected": 3, "finding": 5, "measured": 1200}
    rows = [gates.result("T1", "NG", 0.5) | {"verdict": verdict} for verdict, n in verdicts.items() for _ in range(n)]
    results = gates.table(rows)
    text = chapters.negative(results).sentences[0]
    assert "Of 3 checks with a known right answer 1 failed; of 8 expectations 5 did not hold" in text
    assert "4 controls hold by construction" in text
    assert "0 numbers have no case" in text
    assert report.summary(results) == (
        "1200 measured, 5 finding, 4 by construction, 3 as expected, 2 pass, 1 fail"
    )  # most first


def test_what_holds_by_construction_is_no_pass_and_can_fail():
    def verdict(value, gate):
        return gates.result("T1", "NG", value, gate=gate, by_construction=True)["verdict"]

    assert verdict(1.0, "T1 oracle") == verdict(1.0, "T5 tam raw") == "by construction"
    assert (verdict(0.9, "T1 oracle"), verdict(0.9, "T5 tam raw"), verdict(1.0, None)) == (
        "fail",
        "finding",
        "measured",
    )


def test_seeds_of_parts_never_meet_and_stay_clear_of_others():
    plan = Plan((), (), (), scenes=20_000, slow_scenes=20_000, seed=6)
    ranges = [(part.place, part.first_seed(plan), part.first_seed(plan) + part.count(plan)) for part in PARTS]
    for place, first, last in ranges:
        assert FIRST_SEED <= first < last <= 10_000_000
        for other, begins, ends in ranges:
            assert other == place or last <= begins or ends <= first


def test_every_test_has_an_introduction_and_planted_models_are_judged_beside_their_twin():
    from dexar_widgets.lab.trust.chapters import INTRODUCTIONS

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
    told = rows[rows["verdict"] != "not measured"]
    assert (told["n"] >= 1).all()
    assert told[told["test"] == "T1"]["low"].notna().all()  # of two scenes there is an interval
    bounds = told.dropna(subset="low")
    assert ((bounds["low"] <= bounds["value"] + 1e-9) & (bounds["value"] <= bounds["high"] + 1e-9)).all()
    assert status == int((rows["verdict"] == "fail").any())
    assert (rows[rows["test"].isin(["T6", "T7", "T8"]) & (rows["model"] == "lab/analytic")]["verdict"] != "fail").all()
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") >= 7
