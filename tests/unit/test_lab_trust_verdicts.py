"""Verdicts on planted models, on randomised ones and on arithmetic: right ones and wrong ones told apart."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import separation
from dexar_widgets.lab.faults import GHOST
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.trust import cascade, numerics, planted, verdicts
from dexar_widgets.randomisation import STAGES, randomised
from tests.unit.made import row_of

SCENES = np.arange(40)


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return dx.load()


def water(lost, share):
    """Scenes that lose so much without the water, and maps with such a share of it."""
    common = {"scene": SCENES, "method": "map", "boat": 1.5, "boat without boat": False, "water share, area": 0.9}
    common |= {"probability": 0.9}
    noise = np.random.default_rng(0).normal(0, 0.01, len(SCENES))
    return pd.DataFrame(common | {"water": lost + noise, "water share": share + noise})


def test_water_counts_as_a_cause_only_where_removing_it_costs_a_nat_and_more_than_the_boat():
    table = verdicts.water({"lab/llava": water(0.0, 0.2), "lab/water-boat": water(5.0, 0.9)})
    what = "without the water"
    assert row_of(table, what, model="lab/water-boat")["verdict"] == "as expected"
    assert row_of(table, what, model="lab/llava")["verdict"] == "as expected"
    assert row_of(table, "AUROC, planted")["value"] == 1
    assert row_of(table, "cause, both models")["value"] > 0.5
    assert row_of(table, "cause, both models")["low"] > 0.3
    assert row_of(table, "cause, the planted model")["value"] == pytest.approx(1)  # the same noise in both
    assert row_of(table, "clean scenes above")["verdict"] == "as expected"
    table = verdicts.water({"lab/llava": water(5.0, 0.5), "lab/water-boat": water(0.7, 0.5)})
    assert row_of(table, "clean scenes above")["verdict"] == "finding"
    assert row_of(table, what, model="lab/water-boat")["verdict"] == "finding"
    assert row_of(table, what, model="lab/llava")["verdict"] == "finding"


def test_maps_of_water_are_judged_where_the_word_is_said_and_needs_something():
    clean, planted_ = water(0.0, 0.2), water(5.0, 0.9)
    planted_["probability"] = np.where(SCENES < 10, 0.1, 0.9)
    planted_.loc[SCENES >= 30, ["water", "boat"]] = 0.3
    planted_.loc[SCENES == 15, "water share"] = np.nan
    table = verdicts.water({"lab/llava": clean, "lab/water-boat": planted_})
    assert row_of(table, "cause, the planted model")["n"] == 20
    assert row_of(table, "AUROC, planted")["n"] == 60
    assert "1 empty maps" in row_of(table, "AUROC, planted")["note"]
    assert row_of(table, "without the water", model="lab/water-boat")["n"] == 40  # of the model, not of its maps


def test_the_models_scenes_are_resampled_together():
    """A share that differs much between scenes and always a little between models: pairs hardly vary."""
    of_scene = np.linspace(0, 0.8, len(SCENES))
    clean, planted_ = water(0.0, of_scene), water(5.0, of_scene + 0.1)
    row = row_of(verdicts.water({"lab/llava": clean, "lab/water-boat": planted_}), "AUROC, planted")
    apart = separation.separation(
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
    for what in ("named with the", "named without", "peaks on", "EPG ÷ area, on", "there without"):
        assert row_of(table, what)["verdict"] == "as expected", what
    assert row_of(table, "there without")["value"] == pytest.approx(1)
    table = verdicts.trigger({"lab/trigger": trigger(0.01, named=np.arange(40) < 20)})
    for what in ("named with the", "peaks on", "EPG ÷ area, on"):
        assert row_of(table, what)["verdict"] == "finding", what
    assert row_of(table, "peaks on")["n"] == 20


def test_of_a_control_nothing_is_expected():
    def of(method, judge, **tables):
        found = judge({f"lab/{name}": seen.assign(method=method) for name, seen in tables.items()})
        return found[found["method"] == method]["verdict"]

    boats = {"llava": water(0.0, 0.5), "water-boat": water(5.0, 0.5)}
    for judge, tables in ((verdicts.water, boats), (verdicts.trigger, {"trigger": trigger(0.01)})):
        assert "finding" in set(of("map", judge, **tables))
        assert set(of("random", judge, **tables)) == {"measured"}


def test_a_decoy_and_a_permuted_model_are_told_by_their_answers():
    shares = {"on swatch": 0.4, "on object": 0.1, "on swatch, area": 0.02, "on object, area": 0.1}
    told = {"scene": SCENES, "method": "map", "tells swatch": True, "tells object": False}
    seen = pd.DataFrame(told | {"swatch": 9.0, "object": 0.0, "probability": 0.9} | shares)
    table = verdicts.decoy({"lab/decoy": seen})
    assert row_of(table, "told is the swatch")["verdict"] == "as expected"
    assert row_of(table, "word, on swatch")["value"] == pytest.approx(20)
    weak = seen.assign(swatch=np.where(SCENES < 30, 9.0, 0.5), probability=np.where(SCENES < 10, 0.1, 0.9))
    assert row_of(verdicts.decoy({"lab/decoy": weak}), "word, on swatch")["n"] == 20
    seen = pd.DataFrame({"scene": SCENES, "method": "map", "lost": 0.1, "own": 0.1, "own, area": 0.1})
    table = verdicts.permuted({"lab/permuted": seen, "lab/llava": seen.assign(lost=3.0)})
    assert row_of(table, "loses ≥ 1 nat", model="lab/permuted")["verdict"] == "as expected"
    assert row_of(table, "loses ≥ 1 nat", model="lab/llava")["value"] == 1
    assert row_of(table, "over chance", model="lab/permuted")["verdict"] == "as expected"


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
def test_the_twin_of_the_planted_models_has_none_of_their_faults(vlm):
    for make, observe, judge, what, share in (
        (planted.faint_boat, planted.observe_water, verdicts.water, "without the water", 0),
        (planted.patched, planted.observe_trigger, verdicts.trigger, "named with the patch", 0),
        (planted.swatched, planted.observe_decoy, verdicts.decoy, "told is the object's", 1),
        (scene, planted.observe_permuted, verdicts.permuted, "loses ≥ 1 nat on another", 1),
    ):
        seen = pd.concat([observe(vlm, make(seed), ["dexar", "random"], number=seed) for seed in (0, 1)])
        table = judge({"lab/llava": seen, "lab/other": seen})
        assert set(seen["scene"]) == {0, 1}
        assert set(table["method"]) == {"", "dexar", "random"}
        assert row_of(table, what, model="lab/llava")["value"] == share


def test_the_cascade_forgets_stage_by_stage_and_leaves_the_model_alone(vlm):
    before = copy.deepcopy(vlm.model.state_dict())
    changed = {}
    for stage, one in randomised(vlm, seed=1):
        changed[stage] = {
            name for name, weight in one.model.state_dict().items() if not torch.equal(weight, before[name])
        }
    assert all(torch.equal(weight, before[name]) for name, weight in vlm.model.state_dict().items())
    assert list(changed) == list(STAGES)
    assert changed["unembedding"] < changed["decoder"] < changed["projector"] < changed["vision"]
    assert not {name for name in changed["projector"] if "vision" in name}
    assert {name for name, weight in vlm.model.named_parameters() if weight.ndim > 1} <= changed["vision"]


def test_a_map_of_the_picture_alone_fails_the_cascade_and_one_of_the_model_passes(vlm):
    shown = scene(3, objects=["red cat"], size=192, prompt="Describe the image.")
    seen = cascade.observe_cascade(vlm, shown, ["edges", "dexar_use"])
    table = cascade.cascade(seen)
    end = "|ρ| after vision"
    assert row_of(table, end, method="edges")["value"] == pytest.approx(1)
    assert row_of(table, end, method="edges")["verdict"] == "by construction"  # the failing control, as it must
    assert row_of(table, end, method="dexar_use")["value"] < 0.7
    assert set(seen["stage"]) == {"trained", "another scene", *STAGES}
    assert 0 < row_of(table, end, method="dexar_use")["chance"] < 0.9


def test_a_map_that_randomisation_empties_counts_neither_as_alike_nor_as_ordered():
    stages = ("another scene", *STAGES)
    rows = [
        {"scene": s, "method": "dexar", "stage": stage, "likeness": 0.1, "rise": 0.2, "own": 0.1, "area": 0.1}
        for s in range(20)
        for stage in stages
    ]
    seen = pd.DataFrame(rows)
    empty = (seen["scene"] < 5) & (seen["stage"] == "vision")
    seen.loc[empty, ["likeness", "rise", "own"]] = np.nan
    table = cascade.cascade(seen)
    for what in ("|ρ| after vision", "rise of entropy"):
        assert (row_of(table, what)["n"], row_of(table, what)["verdict"]) == (15, "pass")
        assert "5 of 20 maps" in row_of(table, what)["note"]
    assert row_of(table, "|ρ| after vision")["chance"] == pytest.approx(0.1)
    assert row_of(table, "less its area")["verdict"] == "pass"
    bright = cascade.cascade(seen.assign(own=0.2 + seen["scene"] / 1000))
    assert row_of(bright, "less its area")["verdict"] == "fail"


def test_arithmetic_that_is_right_passes_and_that_is_not_fails():
    rows = [
        (check, value)
        for check, value in (("completeness", 0.01), ("repeat", 0.0), ("batch", 1e-6), ("bfloat16", 0.99))
    ]
    good = pd.DataFrame(
        [{"method": "m", "check": check, "value": value, "scene": s} for check, value in rows for s in (0, 1)]
    )
    assert set(numerics.numerics(good)["verdict"]) == {"pass"}
    once = good.assign(value=good["value"].where((good["scene"] == 0) | (good["check"] != "completeness"), 0.025))
    row = row_of(numerics.numerics(once), "completeness error, 128")
    assert (row["value"], row["low"], row["high"], row["verdict"]) == (0.025, 0.01, 0.025, "fail")
    table = numerics.numerics(good.assign(value=good["value"].where(good["scene"] == 0, 0.5)))
    assert set(table["verdict"]) == {"fail"}
    told = {"same question twice": 0.5, "two sizes": 0.5, "bfloat16": (0.99 + 0.5) / 2}  # the worst, and the mean
    for what, value in told.items():
        assert row_of(table, what)["value"] == pytest.approx(value)
    blind = numerics.numerics(good.assign(method="edges")).set_index("what")["verdict"]
    assert set(blind) == {"by construction"}


def test_gradients_that_float16_loses_are_counted_among_those_that_there_are(vlm, monkeypatch):
    """Float16's smallest number is 2⁻²⁴, and what is less than half of it becomes 0."""
    exact, small = np.float32([[1.0, 2.0**-26, 0.0, -(2.0**-24)]]), np.float32([[1.0, 2.0**-26, 3.0, 0.0]])
    given = {torch.float32: exact, torch.float16: small}
    monkeypatch.setattr(numerics, "_gradients", lambda vlm, _scene: given[vlm.model.dtype])
    found = list(numerics._underflow(vlm, scene(3, objects=["red cat"], size=96)))
    assert found == [("float16", pytest.approx(1 / 3)), ("float16 kept", pytest.approx(1 / 3))]
    seen = pd.DataFrame([{"method": "dexar", "check": check, "value": value, "scene": 0} for check, value in found])
    assert numerics.numerics(seen)["verdict"].tolist() == ["measured", "measured"]


def test_the_arithmetic_of_a_method_is_checked_on_a_scene(vlm):
    shown = scene(3, objects=["red cat"], size=192, prompt="Describe the image.")
    table = numerics.numerics(numerics.observe_numerics(vlm, shown, ["dexar", "attention"]))
    for what, verdict in (("same question twice", "pass"), ("bfloat16", "pass"), ("float16 model", "measured")):
        assert row_of(table, what, method="dexar")["verdict"] == verdict
    assert row_of(table, "float16 model")["value"] < 1e-3  # the engine scales what would vanish
    assert set(table[table["method"] == "attention"]["verdict"]) == {"pass"}
