"""A table of the paper, measured in parts: what is measured of whom, and what of it all stands on the page."""

import json

import numpy as np
import pytest
from PIL import Image

from dexar_widgets import cli
from dexar_widgets.evaluation import report, results, runs
from dexar_widgets.evaluation.comparison import comparison
from dexar_widgets.evaluation.layouts import DREW
from dexar_widgets.evaluation.presets import PRESETS
from dexar_widgets.evaluation.reproductions import REPRODUCIBLE, Request, together
from dexar_widgets.evaluation.runs import Plan
from dexar_widgets.evaluation.spending import Estimate
from tests.unit.evaluated import score, write

TABLE = REPRODUCIBLE["table2"]


def measured(folder, model, count=3):
    """A folder of results as table 2 has them."""
    values = {"dexar": 0.4, "attention": 0.3, "random": 0.1}
    rows = [score(n, name, value + n / 100, model=model) for name, value in values.items() for n in range(count)]
    return write(folder, *rows)


@pytest.fixture
def evaluated(monkeypatch):
    """`runs.evaluate` without a model: it writes three samples, and keeps what it was asked for."""
    asked = []

    def evaluate(configuration, dataset, out, **how):
        (model,) = configuration.models
        asked.append((out.name, model, [variant.name for variant in configuration.variants], how))
        if model in evaluate.broken:
            raise runs.FailingRunError(f"5 samples in a row gave nothing of {model}.")
        measured(out, model)

    evaluate.broken = ()
    monkeypatch.setattr(runs, "evaluate", evaluate)
    return asked, evaluate


@pytest.mark.slow
def test_runs_of_one_model_each_end_in_one_page(tmp_path, evaluated):
    for model in ("lab/llava", "lab/paligemma"):
        made = TABLE.carry_out(Request(out=tmp_path, models=(model,)))
    assert (made.units, made.without_result, made.lost, made.notes) == (18, 0, (), ())
    text = made.files["md"].read_text()
    assert "lab/llava beside the paper’s LLaVA-1.5" in text
    assert "lab/paligemma beside the paper’s PaliGemma" in text
    assert "The paper also has BakLLaVA, Florence-2, which were not measured." in text


def test_what_a_run_could_not_do_keeps_nobody_from_the_next_and_is_told(tmp_path, evaluated, capsys):
    asked, evaluate = evaluated
    evaluate.broken = ("lab/llava",)
    words = ["reproduce", "table2", "--model", "lab/llava,lab/bakllava", "-o", str(tmp_path)]
    assert cli.main(words) == 1
    assert [model for _, model, *_ in asked] == ["lab/llava", "lab/bakllava"]
    told = capsys.readouterr()
    assert "9, 0 without a result" in told.out
    assert "PascalVOC: 5 samples in a row gave nothing of lab/llava." in " ".join(told.err.split())
    assert "gave nothing of lab/llava." in (tmp_path / "table2.md").read_text()
    evaluate.broken = ("lab/llava", "lab/bakllava")
    nothing = TABLE.carry_out(Request(out=tmp_path / "b", models=evaluate.broken))
    assert (nothing.files, nothing.units, len(nothing.lost)) == ({}, 0, 2)


@pytest.mark.slow
def test_a_folder_that_is_being_measured_is_named_and_one_of_another_table_is_not_read(tmp_path, evaluated):
    measured(tmp_path / "voc-lab-florence2", "lab/florence2").joinpath("units.parquet").unlink()
    measured(tmp_path / "voc_qa-lab-llava", "lab/llava")
    made = TABLE.carry_out(Request(out=tmp_path, models=("lab/llava",)))
    assert made.units == 9
    (note,) = made.notes
    assert note.startswith("voc-lab-florence2 is not in the page")
    assert note in made.files["md"].read_text()


def test_workers_shards_and_clusters_are_handed_on(tmp_path, evaluated, capsys):
    asked, _ = evaluated
    words = ["reproduce", "table2", "--model", "lab/llava", "--limit", "7", "-o", str(tmp_path), "--shard", "1/3"]
    assert cli.main([*words, "--engine", "ray", "--address", "here:1", "--jobs", "2", "--retry-failed"]) == 0
    how = asked[0][-1]
    del how["tell"]
    assert how == {
        "limit": 7, "shard": runs.Shard(1, 3), "retry_failed": True, "engine": "ray", "workers": 2, "address": "here:1"
    }  # fmt: skip
    assert cli.main([*words[:-1], "3/3"]) == 2
    assert "no shard 3/3" in capsys.readouterr().err


@pytest.mark.slow
def test_a_plan_measures_nothing_and_is_of_all_data_and_models(tmp_path, capsys):
    words = ["reproduce", "table1", "--model", "lab/llava,lab/paligemma", "--limit", "3", "-o", str(tmp_path / "o")]
    assert cli.main([*words, "--dry-run", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)
    assert list(plans) == [f"{data}-lab-{model}" for data in ("imagenet", "vqav2") for model in ("llava", "paligemma")]
    variants = len(PRESETS["table1"].variants)
    assert [plan["units"] for plan in plans.values()] == [3 * variants, 3 * (variants - 1)] * 2
    assert cli.main([*words, "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert f"{12 * variants - 6}, of which 0 are done" in told
    assert "--probe 2 measures two of each model first" in " ".join(told.split())
    assert not (tmp_path / "o").exists()
    assert cli.main([*words, "--probe", "2"]) == 2
    assert cli.main(["reproduce", "figure8", "--dry-run"]) == 2
    assert "made anew" in capsys.readouterr().err


def test_plans_are_added_up_and_what_one_does_not_know_nobody_knows():
    some = Plan(2, 6, 1, 100, 1, Estimate(10.0, 50, 1, 0), 1)
    other = Plan(3, 9, 0, 200, 3, Estimate(20.0, 70, 0, 2, unchecked=True))
    assert together([some, other]) == Plan(5, 15, 1, 300, 4, Estimate(30.0, 120, 1, 2, unchecked=True), 1)
    unknown = Plan(3, 9, 0, 200, 3, Estimate(None, None, 0, 0, ("m",)))
    assert together([some, unknown]).estimate == Estimate(None, None, 1, 0, ("m",))


# what is measured


def test_the_authors_own_settings_are_measured_of_the_models_that_their_code_is_for():
    for name in ("table1", "table2", "table6", "table7"):
        preset = PRESETS[name]
        (row,) = [row for row in preset.rows if row.variant and row.variant.options == {"preset": "released"}]
        for model in ("lab/llava", "llava-hf/llava-1.5-7b-hf", "SkunkworksAI/BakLLaVA-1"):
            assert preset.variants_of(model) == preset.variants
        others = tuple(variant for variant in preset.variants if variant != row.variant)
        for model in ("lab/paligemma", "microsoft/Florence-2-base", "./mine"):
            assert preset.variants_of(model) == others


@pytest.mark.slow
def test_the_authors_own_settings_have_a_row_beside_the_papers(tmp_path):
    released = {"options": '{"preset": "released"}'}
    rows = [score(n, name, v, **more) for n in range(3) for name, v, more in (
        ("dexar", 0.4, {}), ("dexar released", 0.5, released)
    )]  # fmt: skip
    table = comparison(PRESETS["table2"], results.read([write(tmp_path, *rows)]), lab=True)
    means = table[table["column"] == "IoU ↑, %"].set_index("row")["mean"].dropna()
    assert means.round(6).to_dict() == {"DEX-AR": 40, "DEX-AR, released": 50}


def test_no_scene_of_a_stand_in_is_asked_two_questions():
    source = PRESETS["table1"].sources[1]
    ids = source.open(None).ids
    assert len({id_.partition("/")[2] for id_ in ids}) == len(ids) == 2500


def images(root, classes=3, each=2):
    for number in range(classes):
        folder = root / "val" / f"n{number:08d}"
        folder.mkdir(parents=True)
        for file in range(each):
            Image.fromarray(np.full((8, 8, 3), 40 * number + file, np.uint8)).save(folder / f"{number}_{file}.png")
    root.joinpath("synset_words.txt").write_text("".join(f"n{n:08d} thing {n}\n" for n in range(classes)))
    return root


def test_of_fewer_samples_than_the_paper_has_all_are_taken_and_of_more_as_many(tmp_path, monkeypatch):
    root = images(tmp_path)
    source = PRESETS["table1"].sources[0]
    assert len(source.open(root).ids) == 6
    assert len(PRESETS["table8"].sources[0].open(root).ids) == 6  # corrupted
    monkeypatch.setitem(DREW, "imagenet", 3)
    few = source.open(root).ids
    assert len({id_.partition("_")[0] for id_ in few}) == len(few) == 3


@pytest.mark.slow
def test_the_page_says_how_many_samples_there_were_where_the_paper_has_others(tmp_path):
    names = {"dexar": 2.0, "attention": 1.5}
    rows = [
        score(n, name, value, metric="positive_perplexity", data="imagenet")
        for name, value in names.items() for n in range(6)
    ]  # fmt: skip
    files = report.write(results.read([write(tmp_path / "imagenet", *rows)]), tmp_path, presets=(PRESETS["table1"],))
    assert "ImageNet: 6 samples were measured; the paper drew 5,000." in files["md"].read_text()
