"""What an Explorer was given to show of failure-case tools, and how what was measured is written down."""

import json
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest

import dexar_widgets as dx
from dexar_widgets import causal
from dexar_widgets.options import Options
from dexar_widgets.widgets import results
from tests.golden.cases import build
from tests.unit.browser import Browser

E = build()  # "a red suitcase.": 3 × 4 cells, 40 × 30 pixels
NOTE = {"steps": [2, 3], "word": "suitcase", "tag": "spurious", "text": "“suitcase” loses 3 nats."}


def finding(kind: str = "spurious", text: str = "It comes from the stamp.", **marks: object) -> SimpleNamespace:
    return SimpleNamespace(kind=kind, found=True, text=text, marks=marks)


@pytest.fixture
def explorer():
    widget = dx.Explorer(E)
    yield widget
    widget.close()


def test_a_finding_is_shown_with_all_that_it_marks(explorer):
    browser = Browser(explorer)
    explorer.show(finding(cells=[np.int64(3), 4], regions={"the stamp": (30, 0, 40, 10)}, notes=[NOTE | {"extra": 1}]))
    (result,) = browser.updates[0]["_results"]
    assert result == {
        "kind": "finding",
        "about": {"name": "spurious"},
        "text": "It comes from the stamp.",
        "cells": [3, 4],
        "regions": [{"name": "the stamp", "outline": [30.0, 0.0, 40.0, 10.0]}],
        "notes": [NOTE],
    }
    assert explorer.display["tab"] == "Failures"
    assert explorer.notes == [], "a person's own notes are left alone"


def test_what_is_shown_takes_the_place_of_what_was(explorer):
    explorer._results = [{"kind": "knockout", "about": {"cut": ["image", "answer"]}}]
    explorer.show(finding("register"), finding("silenced"))
    explorer.show(finding("spurious"))
    assert [one["about"].get("name") for one in explorer._results] == [None, "spurious"]
    explorer.display = {"tab": "Flow"}
    explorer.show()
    assert [one["kind"] for one in explorer._results] == ["knockout"]
    assert explorer.display["tab"] == "Flow"


def test_a_word_may_be_named_and_no_step_is_the_whole_answer(explorer):
    explorer.show(finding(notes=[NOTE | {"steps": "red"}, NOTE | {"steps": []}]))
    assert [note["steps"] for note in explorer._results[0]["notes"]] == [[1], []]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("a text", "A finding has a text and marks, as those of dx.failures do; got str"),
        (SimpleNamespace(text="x", marks=None), "has a text and marks"),
        (finding(text=3), "has a text and marks"),
        (finding(cell=[1]), "marks has 'cell'; known: cells, regions, notes"),
        (finding(cells=[12]), "has 12; expected cells of the grid, from 0 to 11"),
        (finding(cells=[True]), "has True; expected cells"),
        (finding(cells=["1"]), "has '1'; expected cells"),
        (finding(regions=[(0, 0, 1, 1)]), "expected names with boxes or polygons"),
        (finding(regions={"x": (5, 5, 1, 1)}), "is empty"),
        (finding(regions={"x": "left"}), "is no outline"),
        (finding(notes=["red"]), "has 'red'; expected a dict of steps, word, tag and text"),
        (finding(notes=[NOTE | {"text": None}]), "expected a dict of steps"),
        (finding(notes=[NOTE | {"steps": [99]}]), "no explained step"),
        (finding(notes=[{name: NOTE[name] for name in ("word", "tag", "text")}]), "is unknown; accepted: an int"),
    ],
)
def test_what_cannot_be_shown_is_refused_and_changes_nothing(explorer, given, said):
    explorer.show(finding("register"))
    with pytest.raises(ValueError, match=re.escape(said)):
        explorer.show(finding(), given)
    assert [one["about"]["name"] for one in explorer._results] == ["register"]


def test_a_page_keeps_what_is_shown(explorer):
    explorer.show(finding(text="</script><b>"))
    page = explorer.to_html()
    document = json.loads(re.search(r'id="document">(.*?)</script>', page).group(1))
    assert document["results"] == explorer._results
    assert "</script><b>" not in page
    assert "results" not in json.loads(explorer._document), "the notebook's own view has them by themselves"


def test_another_answer_comes_without_them(explorer):
    explorer.show(finding())
    explorer._show(build(prompt="and now?"), {})
    assert explorer._results == []


def test_of_one_thing_the_last_result_stays_and_the_oldest_go_first():
    one = [{"kind": "check", "about": {"region": [number]}, "how": "mean"} for number in range(results.MOST)]
    again = {"kind": "check", "about": {"region": [3]}, "how": "blur"}
    found = results.joined(one, [again])
    assert (len(found), found[-1], [r["about"]["region"][0] for r in found[:4]]) == (results.MOST, again, [0, 1, 2, 4])
    found = results.joined(one, [{"kind": "check", "about": {"region": "name"}}])
    assert (len(found), found[0]["about"]) == (results.MOST, {"region": [1]})


def test_a_curve_that_there_is_not_has_no_numbers():
    curves = np.array([[np.nan, np.nan]])
    silenced = causal.Deletion(
        words=("a",),
        steps=((0,),),
        fractions=np.array([0, 0.5]),
        curves=curves,
        random_curves=np.zeros((1, 0, 2)),
        status=("silenced",),
        ties=np.array([np.nan]),
        method="dexar",
        how="mean",
    )
    found = results.of_deletion(silenced, {"method": "dexar"})
    assert found["own"] == found["mean"] == found["low"] == [None, None]
    assert (found["lost"], found["chance"], found["p"], found["randoms"], found["ties"]) == (None, None, None, 0, None)
    json.dumps(found, allow_nan=False)


def test_a_check_without_random_regions_has_no_chance_level():
    check = causal.Check("a", (0,), 0.1, "mean", -1.23456789, -np.inf, -2.0)
    (plain,) = results.of_checks("the cat", [check])["checks"]
    assert (plain["log_prob"], plain["hidden"]) == (-1.23457, -1e6)
    assert (plain["chance"], plain["low"], plain["high"], plain["p"], plain["randoms"]) == (None, None, None, None, 0)
    assert [plain[name] for name in ("kept_chance", "kept_low", "kept_high", "kept_p")] == [None] * 4
    assert plain["verdict"] == "too few random regions"


def test_a_check_tells_what_chance_does_to_what_is_left_and_its_verdict():
    check = causal.Check("a", (0,), 0.1, "mean", -1.0, -4.0, -2.0, (-1.5,) * 19, (-3.0,) * 18 + (-2.0,))
    (plain,) = results.of_checks([0, 0, 1, 1], [check])["checks"]
    numbers = [plain[name] for name in ("kept_chance", "kept_low", "kept_high", "kept_p")]
    assert numbers == pytest.approx([37 / 19, *check.kept_range, 2 / 20], rel=1e-5)
    assert plain["verdict"] == "depends on it"
    json.dumps(plain, allow_nan=False)


def test_results_of_a_cell_and_of_a_job_at_once_are_both_kept(explorer):
    """A finished job writes while a cell's show() is between reading what there is and writing it."""
    job = threading.Thread(target=lambda: explorer._keep(E, {"kind": "knockout", "about": {"cut": ["a", "b"]}}))
    joined = results.joined

    def slow(kept, new):
        if new and new[0]["kind"] == "finding":
            job.start()
            job.join(0.5)  # it has to wait
        return joined(kept, new)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "joined", slow)
        explorer.show(finding())
        job.join(10)
    assert sorted(one["kind"] for one in explorer._results) == ["finding", "knockout"]


def test_the_settings_of_a_map_are_those_of_the_view():
    options: Options = E.options(layers=[0, 1], heads=[(0, 1)])
    assert results.settings("rise", options) == {"method": "rise"}
    assert results.settings("dexar", options) == {
        "method": "dexar",
        "layers": [0, 1],
        "heads": [[0, 1]],
        "head_filter": "max",
        "filler_filter": "max",
        "relu": True,
        "text_set": "all",
        "preset": "paper",
    }
