"""``dexar evaluate`` from the command line: folders, what a plan and a run say, and bad input."""

import json
from pathlib import Path

import pytest

from dexar_widgets import cli, plugins
from dexar_widgets.cli import choices
from dexar_widgets.evaluation import runs

pytestmark = pytest.mark.slow

SMALL = ("--methods", "dexar,random", "--metrics", "iou", "--limit", 1)


def run(*words):
    return cli.main(["evaluate", *(str(word) for word in words)])


@pytest.fixture
def here(monkeypatch):
    """Measured in this process, whatever is asked for."""
    evaluate = runs.evaluate
    monkeypatch.setattr(runs, "evaluate", lambda *of, **how: evaluate(*of, **{**how, "workers": 0}))


@pytest.mark.slow
def test_each_corruption_has_a_folder_and_a_report_shows_the_images_of_all(tmp_path, capsys, here):
    assert run(*SMALL, "--out", tmp_path, "--corruption", "fog:5, pixelate", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert {title: one["units"] for title, one in told.items()} == {"fog-5": 2, "pixelate-5": 2}
    assert Path(told["fog-5"]["tables"]["results"]) == tmp_path / "fog-5" / "results.parquet"
    assert run(*SMALL, "--out", tmp_path) == 0  # and the images as they are, in the folder itself
    assert "images " not in capsys.readouterr().out
    assert cli.main(["report", str(tmp_path)]) == 0
    page = (tmp_path / "report.md").read_text()
    for data in ("lab", "lab/fog-5", "lab/pixelate-5"):
        assert f"{data}: by IoU" in page
    assert "not at hand" not in page


def test_a_plan_is_of_each_corruption(tmp_path, capsys):
    words = (*SMALL, "--limit", 7, "--out", tmp_path, "--dry-run")
    assert run(*words, "--json") == 0
    assert json.loads(capsys.readouterr().out)["units"] == 14
    assert run(*words, "--corruption", "fog:1,fog:5", "--json") == 0
    assert [one["units"] for one in json.loads(capsys.readouterr().out).values()] == [14, 14]
    assert run(*words, "--corruption", "fog:1") == 0
    assert "fog-1" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_without_results_a_plan_says_what_is_not_known_and_how_it_could_be(tmp_path, capsys):
    words = (*SMALL, "--out", tmp_path, "--dry-run")
    assert run(*words) == 0
    said = capsys.readouterr().out
    assert "not known: no image of lab/llava is measured in this folder yet; --probe 2" in said
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["hours"], told["forwards"], told["images"]) == (None, None, 1)
    assert run(*SMALL, "--out", tmp_path, "--probe", 2) == 2
    assert "--probe is for --dry-run" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_tells_what_it_took_and_a_plan_what_is_left_and_by_what(tmp_path, capsys, here):
    words = ("--methods", "dexar,random", "--metrics", "iou,deletion", "--levels", 3, "--out", tmp_path)
    plan = (*words, "--limit", 6, "--dry-run")
    assert run(*plan, "--probe", 2, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    # the given answer's pass, the methods' one, three pictures at the ends of a curve, two between them for each method
    assert (told["forwards"], told["basis"]["probed_images"]) == (6 * (1 + 1 + 3 + 2 * 2), 1)
    assert 0 < told["hours"] < 1
    assert not list(tmp_path.iterdir())
    assert run(*words, "--limit", 2) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "took 9 forwards and" in said
    for stage in ("answer", "shared", "own", "curves", "metrics", "rest"):
        assert f"{stage} " in said.split("(")[1]
    assert run(*plan) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "about 36 for what is left, 9 an image" in said
    assert "with --jobs 1" in said
    assert "by 2 that were measured in this folder" in said
    hours = []
    for jobs in (1, 4):
        assert run(*plan, "--jobs", jobs, "--json") == 0
        hours.append(json.loads(capsys.readouterr().out)["hours"])
    assert hours[0] == pytest.approx(4 * hours[1])
    assert run(*words, "--limit", 2, "--json") == 0
    (costs,) = json.loads(capsys.readouterr().out)["costs"].values()
    assert (costs["images"], costs["forwards_per_image"]) == (2, 9)
    assert sum(costs["seconds_by_stage"].values()) == pytest.approx(costs["seconds_per_image"], rel=0.01)
    assert run(*words, "--limit", 2, "--dry-run") == 0
    assert "nothing is left to do" in capsys.readouterr().out


@pytest.mark.slow
def test_what_failed_is_done_and_what_was_lost_is_left(tmp_path, capsys, here, monkeypatch):
    method = plugins.get("methods", "dexar")
    words = ("--methods", "dexar,random", "--metrics", "iou", "--out", tmp_path, "--limit", 2)
    for error, left, told in (
        (MemoryError("no room"), 2, "The same command tries 2 of these units again."),
        (RuntimeError("attention is NaN"), 0, "--retry-failed tries those again"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(method, "attribute", raising(error))
            assert run(*words) == 1
        assert told in " ".join(capsys.readouterr().err.split())
        assert run(*words, "--dry-run", "--json") == 0
        plan = json.loads(capsys.readouterr().out)
        assert (plan["units"], plan["done"], plan["images"]) == (4, 4 - left, left)
    assert run(*words, "--dry-run") == 0
    assert "4, of which 4 are done (2 without a result)" in " ".join(capsys.readouterr().out.split())
    assert run(*words) == 1
    capsys.readouterr()
    assert run(*words, "--dry-run", "--retry-failed", "--json") == 0
    assert json.loads(capsys.readouterr().out)["done"] == 2
    assert run(*words, "--retry-failed") == 0


def raising(error):
    def attribute(*_args):
        raise error

    return attribute


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("fog:6", "severity=6 is not accepted; choose one of 1, 2, 3, 4, 5."),
        ("fog:strong", "'fog:strong' is not understood; write NAME:SEVERITY, as in fog:5."),
        ("fog:1,smoke:2", "no corruption 'smoke'; there are gaussian_noise, motion_blur"),
        (" ,", "names no corruption; there are gaussian_noise"),
    ],
)
def test_a_corruption_that_there_is_not_is_refused_before_anything_is_written(tmp_path, capsys, given, said):
    assert run(*SMALL, "--out", tmp_path / "out", "--corruption", given) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_values_are_read_as_json_or_as_python_has_them():
    given = ["a=None", "b=null", "c=3", "d=True", "e=text", "f=[1, 2]", "g='3'"]
    assert choices.settings_of(given) == {"a": None, "b": None, "c": 3, "d": True, "e": "text", "f": [1, 2], "g": "3"}
