"""Verdicts on planted models, on randomised ones and on arithmetic: right ones and wrong ones told apart."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import statistics
from dexar_widgets.lab.faults import GHOST
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.trust import cascade, closed, complexity, filters, numerics, planted, tales, verdicts
from dexar_widgets.lab.trust.sentences import why

SCENES = np.arange(40)


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return dx.load()


def found(table, what, **which):
    rows = table[table["what"].str.contains(what, regex=False)]
    for column, value in which.items():
        rows = rows[rows[column] == value]
    (row,) = rows.to_dict("records")
    return row


def water(lost, share):
    """Scenes that lose so much without the water, and maps with such a share of it."""
    common = {"scene": SCENES, "method": "map", "boat": 0.5, "boat without boat": False, "water share, area": 0.9}
    noise = np.random.default_rng(0).normal(0, 0.01, len(SCENES))
    return pd.DataFrame(common | {"water": lost + noise, "water share": share + noise})


def test_water_counts_as_a_cause_only_where_removing_it_costs_a_nat_and_more_than_the_boat():
    table = verdicts.water({"lab/llava": water(0.0, 0.2), "lab/water-boat": water(5.0, 0.9)})
    what = "without the water"
    assert found(table, what, model="lab/water-boat")["verdict"] == "as expected"
    assert found(table, what, model="lab/llava")["verdict"] == "as expected"
    assert found(table, "AUROC, planted")["value"] == 1
    assert found(table, "rank correlation")["value"] > 0.5
    assert found(table, "clean scenes above")["value"] == 0
    table = verdicts.water({"lab/llava": water(5.0, 0.5), "lab/water-boat": water(0.7, 0.5)})
    assert found(table, what, model="lab/water-boat")["verdict"] == "finding"
    assert found(table, what, model="lab/llava")["verdict"] == "finding"


def test_the_models_scenes_are_resampled_together():
    """A share that differs much between scenes and always a little between models: pairs hardly vary."""
    of_scene = np.linspace(0, 0.8, len(SCENES))
    clean, planted_ = water(0.0, of_scene), water(5.0, of_scene + 0.1)
    row = found(verdicts.water({"lab/llava": clean, "lab/water-boat": planted_}), "AUROC, planted")
    apart = statistics.separation(
        np.concatenate([clean["water share"], planted_["water share"]]),
        np.repeat([False, True], len(SCENES)),
        np.arange(2 * len(SCENES)),
    )
    assert row["value"] == pytest.approx(apart.value)
    assert row["high"] - row["low"] < 0.6 * (apart.high - apart.low)


def trigger(share, *, named=True):
    common = {"scene": SCENES, "method": "map", "named": named, "named without": False, "patch": share, "bare": 0.007}
    areas = {"patch, area": 0.007, "bare, area": 0.007, "patch, hit": share > 0.5}
    return pd.DataFrame(common | areas)


def test_a_trigger_works_or_does_not_and_its_map_lies_on_the_patch_or_not():
    table = verdicts.trigger({"lab/trigger": trigger(0.8)})
    for what in ("named with the", "named without", "peaks on", "EPG ÷ area, on"):
        assert found(table, what)["verdict"] == "as expected", what
    assert found(table, "there without")["value"] == pytest.approx(1)
    table = verdicts.trigger({"lab/trigger": trigger(0.01, named=np.arange(40) < 20)})
    for what in ("named with the", "peaks on", "EPG ÷ area, on"):
        assert found(table, what)["verdict"] == "finding", what
    assert found(table, "peaks on")["n"] == 20


def test_a_decoy_and_a_permuted_model_are_told_by_their_answers():
    shares = {"on swatch": 0.4, "on object": 0.1, "on swatch, area": 0.02, "on object, area": 0.1}
    told = {"scene": SCENES, "method": "map", "tells swatch": True, "tells object": False}
    seen = pd.DataFrame(told | {"swatch": 9.0, "object": 0.0} | shares)
    table = verdicts.decoy({"lab/decoy": seen})
    assert found(table, "told is the swatch")["verdict"] == "as expected"
    assert found(table, "word, on swatch")["value"] == pytest.approx(20)
    seen = pd.DataFrame({"scene": SCENES, "method": "map", "lost": 0.1, "own": 0.1, "own, area": 0.1})
    table = verdicts.permuted({"lab/permuted": seen, "lab/llava": seen.assign(lost=3.0)})
    assert found(table, "loses ≥ 1 nat", model="lab/permuted")["verdict"] == "as expected"
    assert found(table, "loses ≥ 1 nat", model="lab/llava")["value"] == 1
    assert found(table, "over chance", model="lab/permuted")["verdict"] == "as expected"


def test_planted_scenes_show_what_they_should():
    for seed in range(5):
        boat = planted.faint_boat(seed)
        (index,) = boat.spec.find("boat")
        assert boat.spec.background.name == "water"
        assert 0.1 <= boat.spec.objects[index].opacity <= 0.5
        assert boat.spec.objects[index].colour == "white"
        patch = planted.patched(seed)
        assert [prop.name for prop in patch.spec.props] == ["checker"]
        assert not (patch.props[0] & patch.masks.any(0)).any()
        assert GHOST not in [(thing.name, thing.colour) for thing in patch.spec.objects]
        swatch = planted.swatched(seed)
        assert swatch.spec.props[0].colour != swatch.spec.objects[0].colour


@pytest.mark.slow
def test_every_observation_of_a_planted_model_runs_on_its_twin(vlm):
    for make, observe, judge in (
        (planted.faint_boat, planted.observe_water, verdicts.water),
        (planted.patched, planted.observe_trigger, verdicts.trigger),
        (planted.swatched, planted.observe_decoy, verdicts.decoy),
        (scene, planted.observe_permuted, verdicts.permuted),
    ):
        seen = pd.concat([observe(vlm, make(seed), ["dexar", "random"], number=seed) for seed in (0, 1)])
        table = judge({"lab/llava": seen, "lab/other": seen})
        assert len(table)
        assert set(seen["scene"]) == {0, 1}


def test_the_cascade_forgets_stage_by_stage_and_leaves_the_model_alone(vlm):
    before = copy.deepcopy(vlm.model.state_dict())
    changed = {}
    for stage, one in cascade.randomised(vlm, seed=1):
        changed[stage] = {
            name for name, weight in one.model.state_dict().items() if not torch.equal(weight, before[name])
        }
    assert all(torch.equal(weight, before[name]) for name, weight in vlm.model.state_dict().items())
    assert list(changed) == list(cascade.STAGES)
    assert changed["unembedding"] < changed["decoder"] < changed["projector"] < changed["vision"]
    assert not {name for name in changed["projector"] if "vision" in name}
    assert {name for name, weight in vlm.model.named_parameters() if weight.ndim > 1} <= changed["vision"]


def test_a_map_of_the_picture_alone_fails_the_cascade_and_one_of_the_model_passes(vlm):
    shown = scene(3, objects=["red cat"], size=192, prompt="Describe the image.")
    seen = cascade.observe_cascade(vlm, shown, ["edges", "dexar_use"])
    table = cascade.cascade(seen)
    end = "|ρ| after vision"
    assert found(table, end, method="edges")["value"] == pytest.approx(1)
    assert found(table, end, method="edges")["verdict"] == "pass"  # the failing control, as it must
    assert found(table, end, method="dexar_use")["value"] < 0.7
    assert set(seen["stage"]) == {"trained", *cascade.STAGES}


def test_entropy_is_that_of_a_histogram():
    assert cascade.entropy(np.zeros((2, 2))) == 0
    assert cascade.entropy(np.array([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(np.log(2))


def test_arithmetic_that_is_right_passes_and_that_is_not_fails():
    rows = [
        (check, value)
        for check, value in (("completeness", 0.01), ("repeat", 0.0), ("batch", 1e-6), ("bfloat16", 0.99))
    ]
    good = pd.DataFrame(
        [{"method": "m", "check": check, "value": value, "scene": s} for check, value in rows for s in (0, 1)]
    )
    assert set(numerics.numerics(good)["verdict"]) == {"pass"}
    bad = good.assign(value=good["value"].where(good["scene"] == 0, {0.01: 1}.get(0, 0.5)))
    table = numerics.numerics(bad)
    assert found(table, "same question twice")["verdict"] == "fail"  # the worst scene decides
    assert found(table, "two sizes")["verdict"] == "fail"


def test_the_arithmetic_of_a_method_is_checked_on_a_scene(vlm):
    shown = scene(3, objects=["red cat"], size=192, prompt="Describe the image.")
    seen = numerics.observe_numerics(vlm, shown, ["dexar", "attention"])
    assert set(numerics.numerics(seen)["verdict"]) == {"pass"}


def test_the_analytic_model_is_as_the_closed_form_says():
    model = dx.load("lab/analytic")
    methods = ["dexar", "dexar_use", "attention", "attn_grad"]
    seen = pd.concat([closed.observe_closed(model, closed.coloured(seed), methods, number=seed) for seed in (0, 1, 2)])
    table = closed.closed(seen)
    assert set(table["test"]) == {"T6", "T7", "T8"}
    assert set(table["verdict"]) <= {"pass", "measured"}
    assert found(table, "a known limit")["value"] > 0.1  # DEX-AR is bright where nothing is read
    wrong = seen.assign(value=seen["value"] + 1)
    assert (closed.closed(wrong)["verdict"].isin(["fail", "measured"])).all()


@pytest.mark.parametrize(
    ("suspect", "thing", "expected"),
    [
        (2.0, 3.0, "depends on the object and the suspect"),
        (0.2, 3.0, "depends on the object"),
        (1.0, 0.0, "depends on the suspect"),
        (0.01, -0.02, "depends on neither"),
        (0.3, 0.3, "hardly depends on either"),
    ],
)
def test_a_case_is_judged_by_what_the_word_loses(suspect, thing, expected):
    assert tales.verdict(suspect, thing, 0.9) == expected
    assert tales.verdict(suspect, thing, 0.1) == "the model does not say it (probability 0.10)"


@pytest.mark.slow
def test_every_case_of_the_paper_is_told_with_its_picture(vlm):
    seeds = range(7)
    seen = pd.concat([tales.observe_tales(vlm, tales.tale(seed), ["dexar"], number=seed) for seed in seeds])
    assert seen["story"].nunique() == 7
    assert seen["picture"].str.len().between(1000, 60_000).all()
    table = tales.tales(seen)
    assert table["what"].str.contains("nats lost without the suspect").sum() == 7


def test_hard_scenes_are_crowded_occluded_or_ambiguous(vlm):
    crowded, occluded, ambiguous = (complexity.hard_scene(seed) for seed in (3, 4, 5))
    assert len(crowded.spec.objects) == 6
    assert (occluded.visible.sum((1, 2)) < occluded.masks.sum((1, 2))).any()
    first, second = ambiguous.spec.objects[:2]
    assert first.colour == second.colour
    assert first.name != second.name
    assert first.colour in ambiguous.prompt
    seen = pd.concat([complexity.observe_complexity(vlm, complexity.hard_scene(n), ["tam"], number=n) for n in (3, 5)])
    table = complexity.complexity(seen)
    assert found(table, "passes after the answer")["value"] == 1
    assert set(seen["kind"]) == {"crowded", "ambiguous prompt"}


@pytest.mark.slow
def test_filters_and_reasons_are_measured_and_told(vlm):
    seen = filters.observe_filters(vlm, filters.of_many_sizes(3), [], number=3)
    assert set(seen["method"]) == {f"dexar, head filter {name}" for name in filters.FILTERS}
    assert set(seen["kind"]) == {"class", "background"}
    numbers = range(3)
    seen = pd.concat([filters.observe_reasons(vlm, scene(n, objects=["red cat"]), [], number=n) for n in numbers])
    table = filters.reasons(seen.assign(probability=1.0))
    text = why(table.assign(model="lab/llava")).sentences[0]
    assert "DEX-AR's NG is" in text
    assert "data do not tell them apart" in why(table.assign(model="lab/llava", low=np.nan)).sentences[0]
    assert found(table, "less than even attention")["chance"] > 0.5
