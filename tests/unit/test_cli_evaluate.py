"""``dexar report`` and ``dexar reproduce`` from the command line: what they write, and what they say to bad input."""

import json

import pandas as pd
import pytest

from dexar_widgets import cli
from dexar_widgets.evaluation import reproductions
from tests.unit.evaluated import lost, score, write


def run(*words):
    return cli.main([str(word) for word in words])


@pytest.mark.slow
def test_report_writes_three_files_and_says_where(tmp_path, capsys):
    scores = [score(1, "dexar", 0.5), score(1, "random", 0.1), score(2, "random", 0.1), lost(2, "dexar")]
    folder = write(tmp_path / "a", *scores)
    assert run("report", folder) == 0
    said = capsys.readouterr().out
    assert "4, 1 without a result" in said
    assert {path.name for path in folder.glob("report.*")} == {"report.html", "report.md", "report.csv"}
    assert run("report", folder, write(tmp_path / "b", score(1, "tam", 0.2)), "-o", tmp_path / "page", "--json") == 0
    files = json.loads(capsys.readouterr().out)
    assert set(pd.read_csv(files["csv"])["variant"]) == {"dexar", "random", "tam"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["report", "{}"], "holds no results"),
        (["report", "{}/nowhere"], "There is no folder"),
        (["report"], "see dexar report --help"),
        (["report", "{}/a", "-o", "{}/file"], "is a file; give a folder"),
        (["report", "{}/a", "--data", "voc"], "write NAME:FOLDER"),
        (["reproduce", "table9"], "table1, table2, table3, table4, table5, table6, table7, table8"),
        (["reproduce", "table2", "-o", "{}/file"], "is a file; give a folder"),
        (["reproduce", "table2", "-o", "{}/o", "--data", "imagenet:{}"], "does not read 'imagenet'; it reads voc."),
        (["reproduce", "table2", "-o", "{}/o", "--data", "voc:{}"], "VOCdevkit"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, capsys, words, said):
    write(tmp_path / "full" / "a", score(1, "dexar", 0.5))
    place = tmp_path / ("empty" if words[-1] == "{}" else "full")
    place.mkdir(exist_ok=True)
    (tmp_path / "full" / "file").touch()
    assert run(*(word.format(place) for word in words)) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_units_without_a_result_are_told_by_the_exit_status(tmp_path, capsys, monkeypatch):
    asked = []

    class Entry:
        title = "a figure"

        def carry_out(self, request):
            asked.append(request)
            request.tell(1, 2, "half")
            return reproductions.Made({"html": tmp_path / "figure0.html"}, 4, 1)

    monkeypatch.setattr(reproductions, "REPRODUCIBLE", {"figure0": Entry()})
    words = ["reproduce", "figure0", "-o", tmp_path, "--limit", 3, "--model", "a,b", "--data", "lab", "--jobs", 2]
    assert run(*words) == 1
    assert (asked[0].models, asked[0].limit, asked[0].jobs, asked[0].roots) == (["a", "b"], 3, 2, {})
    told = capsys.readouterr()
    assert "4, 1 without a result" in told.out
    assert "1 units have no result" in told.err
    assert run(*words, "--json") == 1
    assert json.loads(capsys.readouterr().out)["without_result"] == 1


@pytest.mark.slow
def test_a_table_is_reproduced_from_end_to_end_and_goes_on_where_it_was(tmp_path, capsys, monkeypatch):
    out = tmp_path / "table5"
    words = ["reproduce", "table5", "--model", "lab/llava", "--out", out, "--json"]
    assert run(*words, "--limit", 1) == 0
    assert json.loads(capsys.readouterr().out)["units"] == 4
    assert run(*words, "--limit", 2) == 0
    files = json.loads(capsys.readouterr().out)
    assert files["units"] == 8
    table = pd.read_csv(files["csv"])
    assert table["row"].tolist() == [
        "ReLU ✗, interm. ✓", "ReLU ✓, interm. ✗", "ReLU ✗, interm. ✗", "ReLU ✓, interm. ✓"
    ]  # fmt: skip
    assert table["published"].tolist() == [31.56, 33.05, 24.54, 36.34]
    assert (table["mean"] > table["floor"]).all()
    assert (table["samples"] == 2).all()
    assert "data:image/png" in (out / "table5.html").read_text()
    assert "## Table 5." in (out / "table5.md").read_text()

    def nothing_is_done_again(*_args, **_kwargs):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("dexar_widgets.evaluation.worker.Worker", nothing_is_done_again)
    assert run(*words, "--limit", 2) == 0
    assert run("report", out, "-o", tmp_path / "page") == 0
