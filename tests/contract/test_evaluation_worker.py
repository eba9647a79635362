"""A whole evaluation on real models: every need of a metric, broken samples, processes that are killed."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import plugins
from dexar_widgets.evaluation.configuration import configuration_of, variants_of
from dexar_widgets.evaluation.runs import evaluate
from dexar_widgets.evaluation.samples import BrokenSampleError, Given, Sample, Target
from dexar_widgets.evaluation.worker import Worker
from dexar_widgets.maps import upsample
from dexar_widgets.metrics import Case, energy_pointing_game
from dexar_widgets.types import Grid, HeatMap

pytestmark = pytest.mark.slow


def sample_of(seed, objects=3):
    scene = dx.lab.scene(31_000_000 + seed, objects=objects, prompt="Describe the image.")
    spec = scene.spec
    targets = tuple(
        Target(
            f"{index} {thing.name}",
            scene.visible[index],
            tuple((mark.start, mark.stop) for mark in scene.marks if mark.objects == (index,) and mark.role == "class"),
        )
        for index, thing in enumerate(spec.objects)
    )
    return Sample(
        f"scene {seed}", scene.image, scene.prompt, scene.caption,
        content=tuple((mark.start, mark.stop) for mark in scene.marks if mark.content),
        targets=targets,
        without=tuple(scene.redraw(spec.without(index)).image for index in range(len(targets))),
        facts={"seed": str(seed)},
    )  # fmt: skip


class Broken(Given):
    """The first sample cannot be read."""

    def load(self, id_):
        if id_ == self.ids[0]:
            raise BrokenSampleError(f"{id_}: the file is cut short.")
        return super().load(id_)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measured")
    data = Broken([sample_of(0), sample_of(1), sample_of(2, objects=1)])
    metrics = ["energy_pointing_game", "positive_perplexity", "token_auroc", "causal_agreement", "randomisation"]
    configuration = configuration_of(
        data,
        ["lab/llava", "lab/florence2"],
        variants_of(["dexar", "attention", "random"], {}),
        metrics,
        levels=3,
        randomised=2,
    )
    joined = evaluate(configuration, data, folder, workers=0)
    return joined, data, {name: pd.read_parquet(path) for name, path in joined.tables.items()}


def test_a_broken_sample_is_a_row_with_its_reason_and_no_other_is_lost(measured):
    joined, _, tables = measured
    assert (joined.units, joined.broken) == (2 * 3 * 3, 2 * 3)
    broken = tables["results"][tables["results"]["status"] == "broken"]
    assert set(broken["sample"]) == {"scene 0"}
    assert broken["reason"].str.contains("cut short").all()


def test_a_map_is_scored_against_each_target_by_word_and_by_answer(measured):
    _, data, tables = measured
    rows = tables["results"]
    found = rows[(rows["metric"] == "energy_pointing_game") & (rows["sample"] == "scene 1")]
    named = {target.name for target in data.load("scene 1").targets}
    for (_, _), some in found.groupby(["model", "variant"]):
        assert set(some[some["view"] == "word"]["target"]) == named
        assert set(some[some["view"] == "answer"]["target"]) == {*named, "every target"}
    # against the public verbs: the same model, answer and map
    sample = data.load("scene 1")
    e = dx.compare(dx.load(), sample.image, sample.prompt, answer=sample.answer, methods=["attention"])
    heat = e.attributions["attention"].sequence_map()
    expected = energy_pointing_game.measure(Case(heat, mask=sample.targets[0].mask)).value
    row = found[(found["model"] == "lab/llava") & (found["variant"] == "attention") & (found["view"] == "answer")]
    assert row.set_index("target")["value"][sample.targets[0].name] == pytest.approx(expected, rel=1e-5)
    unit = tables["units"].query("model == 'lab/llava' and variant == 'attention' and sample == 'scene 1'").iloc[0]
    assert (unit["rows"], unit["cols"], tuple(unit["box"])) == (heat.grid.rows, heat.grid.cols, heat.grid.box)


def test_causal_agreement_and_token_scores_stand_where_they_can(measured):
    _, _, tables = measured
    rows = tables["results"].query("model == 'lab/llava' and status != 'broken'")
    causal = rows[rows["metric"] == "causal_agreement"]
    assert set(causal["sample"]) == {"scene 1"}  # one object has no rank
    assert causal.query("variant == 'dexar'")["value"].mean() > causal.query("variant == 'random'")["value"].mean()
    tokens = rows[rows["metric"] == "token_auroc"].set_index(["sample", "variant"])
    assert (tokens.loc[("scene 1", "dexar"), "value"]) > 0.5
    assert set(rows[rows["metric"] == "randomisation"]["sample"]) == {"scene 1"}  # the second of the first two


@pytest.mark.parametrize("how", ["bilinear", "nearest"])
def test_maps_are_enlarged_as_was_asked_for(tmp_path, how):
    data = Given([sample_of(1)])
    metrics = ["energy_pointing_game"]
    configuration = configuration_of(data, ["lab/llava"], ["dexar", "oracle"], metrics, upsampling=how)
    tables = {
        name: pd.read_parquet(path) for name, path in evaluate(configuration, data, tmp_path, workers=0).tables.items()
    }
    unit = tables["units"].query("variant == 'oracle'").iloc[0]
    grid = Grid(unit["rows"], unit["cols"], tuple(unit["box"]), data.load("scene 1").image.shape[1::-1])
    values = np.reshape(unit["map"], (grid.rows, grid.cols)).astype(np.float32)
    pixels = upsample(HeatMap(values, grid, "oracle", ()), how).values
    scores = tables["results"].query("variant == 'oracle' and view == 'answer'").set_index("target")["value"]
    for target in data.load("scene 1").targets:
        expected = pixels[target.mask].sum() / pixels.sum()
        assert scores[target.name] == pytest.approx(expected, rel=1e-5)
    shares = tables["results"].query("metric == 'energy_pointing_game' and view == 'word' and variant == 'oracle'")
    assert (shares["value"] > 0.5).all()


def test_maps_of_the_masks_bound_every_order(tmp_path):
    data = Given([sample_of(1), sample_of(3)])
    metrics = ["energy_pointing_game", "iou", "perplexity_gap", "token_auroc", "token_energy"]
    variants = variants_of(["oracle", "random", "inverted_oracle"], {})
    joined = evaluate(configuration_of(data, ["lab/llava"], variants, metrics, levels=4), data, tmp_path, workers=0)
    assert joined.broken == 0
    rows = pd.read_parquet(joined.tables["results"])
    means = rows.groupby(["metric", "view", "variant"])["value"].mean().unstack()
    for (metric, _), one in means.iterrows():
        if metric != "token_auroc":  # of equal weights there is none
            assert one["oracle"] > one["random"] > one["inverted_oracle"], metric
    assert means.loc[("token_auroc", "answer"), ["oracle", "inverted_oracle"]].tolist() == pytest.approx([1, 0])
    assert means.loc[("perplexity_gap", "answer"), "inverted_oracle"] < 0


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_a_method_that_fails_on_a_sample_is_a_row_with_its_reason_and_takes_no_other_with_it(
    tmp_path, monkeypatch, kind
):
    def broken(_subject, _options):
        raise kind("attention is NaN")

    monkeypatch.setattr(plugins.get("methods", "attention"), "attribute", broken)
    data = Given([sample_of(1)])
    variants = variants_of(["random", "attention", "dexar"], {})
    joined = evaluate(
        configuration_of(data, ["lab/llava"], variants, ["energy_pointing_game"]), data, tmp_path, workers=0
    )
    units = pd.read_parquet(joined.tables["units"]).set_index("variant")
    assert units["status"].to_dict() == {"random": "ok", "attention": "failed", "dexar": "ok"}
    assert units.loc["attention", "reason"].endswith("attention is NaN")


@pytest.mark.parametrize("model", ["lab/llava", "lab/florence2"])
def test_a_variant_alone_has_the_numbers_that_it_has_beside_the_others(model):
    data = Given([sample_of(1)])
    variants = variants_of(["dexar", "attention", "rollout", "oracle", "random"], {})
    configuration = configuration_of(data, [model], variants, ["iou", "deletion", "token_auroc"], levels=3)
    worker = Worker(configuration, data, model)
    for expected in worker.records("scene 1"):
        (found,) = worker.records("scene 1", [expected["variant"]])
        assert found["status"] == "ok"
        assert repr(found | {"costs": None}) == repr(expected | {"costs": None})  # repr: a NaN is itself


def test_memory_that_runs_out_loses_a_unit_and_nothing_else(monkeypatch):
    def full(*_args):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    data = Given([sample_of(1)])
    configuration = configuration_of(data, ["lab/llava"], variants_of(["dexar", "random"], {}), ["iou"])
    worker = Worker(configuration, data, "lab/llava")
    monkeypatch.setattr(plugins.get("methods", "dexar"), "attribute", full)
    lost, found = worker.records("scene 1")
    assert (lost["status"], found["status"]) == ("lost", "ok")
    monkeypatch.setattr("dexar_widgets.evaluation.worker._scores", full)
    lost = worker.records("scene 1", ["random"])[0]
    assert lost["status"] == "lost"
    assert lost["reason"].startswith("MemoryError: What metrics need ran out of memory: take a smaller batch size")


def test_a_map_of_masks_needs_masks(tmp_path):
    image = dx.lab.scene(5).image
    data = Given([Sample("bare", image, "Describe the image.", "The image shows a red cat.")])
    joined = evaluate(
        configuration_of(data, ["lab/llava"], variants_of(["random", "oracle"], {}), ["energy_pointing_game"]),
        data, tmp_path, workers=0,
    )  # fmt: skip
    units = pd.read_parquet(joined.tables["units"]).set_index("variant")
    assert units["status"].to_dict() == {"random": "ok", "oracle": "failed"}
    assert "no mask" in units.loc["oracle", "reason"]


def test_raw_curves_are_kept_so_that_every_area_can_be_taken_again(measured):
    _, _, tables = measured
    units = tables["units"].query("status == 'ok'")
    scores = tables["results"].query("metric == 'positive_perplexity'").set_index("unit")["value"]
    for unit, curve, levels in zip(units["unit"], units["positive"], units["levels"], strict=True):
        ratio = np.exp(np.array(curve) - curve[0])
        area = float(((ratio[1:] + ratio[:-1]) / 2 * np.diff(levels)).sum())
        assert scores[unit] == pytest.approx(area, rel=1e-9)


def test_costs_tell_seconds_and_passes_apart_from_results(measured):
    _, _, tables = measured
    costs = tables["costs"].merge(tables["units"][["unit", "status"]], on="unit").query("status == 'ok'")
    assert (costs["seconds_curves"] > 0).all()
    assert (costs.query("variant == 'random'")["forwards"] == 2).all()  # between the ends of one curve of three levels
    assert json.loads(costs["by"].iloc[0])["versions"]["torch"]


def test_costs_tell_interventions_and_the_whole_sample(measured):
    _, _, tables = measured
    costs = tables["costs"].query("model == 'lab/llava' and sample != 'scene 0'").set_index("sample")
    for sample, objects, checked in (("scene 1", 3, True), ("scene 2", 1, False)):
        units = costs.loc[sample]
        assert (units["seconds_effects"] > 0).sum() == (objects > 1)  # made once, for the first map that needs it
        assert (units["seconds_randomised"] > 0).sum() == checked
        assert (units["seconds_metrics"] > 0).all()
        own = ["seconds_own", "seconds_curves", "seconds_effects", "seconds_randomised", "seconds_metrics"]
        once = units[["seconds_answer", "seconds_shared"]].max().sum()
        assert units["seconds_sample"].nunique() == 1
        assert units[own].sum().sum() + once < units["seconds_sample"].iloc[0]
        # the answer's pass, the methods', three pictures at the curves' ends, two between for each map; interventions
        interventions = (objects + 1 if objects > 1 else 0) + units["forwards_randomised"].sum()
        assert set(units["forwards_sample"]) == {1 + 1 + 3 + 3 * 2 + interventions}
        assert (units["forwards_randomised"].sum() > 0) == checked


EACH = "import sys; from dexar_widgets.cli import main; from dexar_widgets.evaluation import runs; runs._PER_PART = 1; "
"""Every sample is a part of its own, so that a kill finds some of them written."""


def run(folder, *more, **options):
    command = [sys.executable, "-c", f"{EACH}sys.exit(main())", "evaluate"]
    command += ["--data-option", "count=8", "--methods", "dexar,random", "--metrics", "energy_pointing_game,deletion"]
    command += ["--levels", "3", "--out", str(folder), *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, **options)


def contents(folder):
    return [(folder / f"{name}.parquet").read_bytes() for name in ("results", "units")]


def parts(folder):
    return len([*folder.glob("parts/*.parquet")])


def test_killed_processes_leave_a_run_that_ends_with_the_same_bytes(tmp_path):
    whole = run(tmp_path / "whole")
    assert whole.wait() == 0, whole.stderr.read().decode()
    for some in (1, 3):
        process = run(tmp_path / "cut", "--jobs", "2", start_new_session=True)
        while parts(tmp_path / "cut") < some and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert some <= parts(tmp_path / "cut") < 8  # in mid-run
        assert not (tmp_path / "cut" / "results.parquet").exists()
    last = run(tmp_path / "cut", "--jobs", "2")
    assert last.wait() == 0, last.stderr.read().decode()
    assert contents(tmp_path / "cut") == contents(tmp_path / "whole")
