"""The analytic model, the paper's cases, hard scenes and head filters: what is observed of them and what is told."""

import numpy as np
import pandas as pd
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.stories import STORIES
from dexar_widgets.lab.trust import closed, complexity, filters, tales
from dexar_widgets.lab.trust.sentences import _parts, why
from tests.unit.made import row_of

SCENES = np.arange(40)


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return dx.load()


def test_the_analytic_model_is_as_the_closed_form_says():
    model = dx.load("lab/analytic")
    methods = ["dexar", "dexar_use", "attention", "attn_grad", "uniform"]
    seen = pd.concat([closed.observe_closed(model, closed.coloured(seed), methods, number=seed) for seed in (0, 1, 2)])
    table = closed.closed(seen)
    known = {
        ("T6", "share of the map on the sink"): {"dexar": "by construction", "dexar_use": "by construction"},
        ("T6", "attention of the sink's head on the sink"): {"attention": "pass"},
        ("T7", "share of the map on what is never attended"): dict.fromkeys(methods[1:4], "by construction"),
        ("T7", "DEX-AR there, relative error to the closed form"): {"dexar": "pass"},
        ("T8", "largest difference from the closed form, relative"): {"dexar": "pass"},
        ("T8", "gradient against the slope of the logit, relative"): {"dexar": "pass"},
    }

    def judged(table):
        rows = table[table["verdict"] != "measured"].groupby(["test", "what"])
        return {key: dict(zip(some["method"], some["verdict"], strict=True)) for key, some in rows}

    assert judged(table) == known
    assert row_of(table, "a known limit")["value"] > 0.1  # DEX-AR is bright where nothing is read
    for what, cells in (("on the sink", 1), ("never attended", 4)):
        row = row_of(table[table["what"].str.startswith("share of the map")], what, method="uniform")
        assert row["value"] == pytest.approx(cells / 144)
        assert row["chance"] == pytest.approx(cells / 144)
    wrong = judged(closed.closed(seen.assign(value=seen["value"] + 1)))
    assert wrong == {key: dict.fromkeys(verdicts, "fail") for key, verdicts in known.items()}


def test_a_colour_that_the_analytic_model_does_not_see_is_left_out_and_told_of():
    model = dx.load("lab/analytic")
    seeds = (0, 82)  # no patch of the second is coloured enough
    seen = pd.concat([closed.observe_closed(model, closed.coloured(seed), ["dexar"], number=seed) for seed in seeds])
    assert seen.dropna(subset="value").shape == seen.shape
    table = closed.closed(seen)
    assert set(table["n"]) == {1}
    assert table["note"].str.contains("1 of 2 scenes left out").all()


def test_a_wrong_gradient_of_the_engine_is_found_by_the_slope(monkeypatch):
    model, shown = dx.load("lab/analytic"), closed.coloured(0)
    right = type(dx.explain(model, shown.image, shown.prompt)).visual_gradients
    monkeypatch.setattr(closed.Explanation, "visual_gradients", lambda self, step: 1.1 * right(self, step))
    table = closed.closed(closed.observe_closed(model, shown, ["dexar"]))
    assert row_of(table, "gradient against the slope")["verdict"] == "fail"


@pytest.mark.parametrize("seed", range(14))
def test_nothing_of_the_suspect_is_left_in_a_case_without_it(seed):
    shown = tales.tale(seed)
    story = STORIES[list(STORIES)[seed % 7]]
    without = tales._without_suspect(shown.spec, story, seed)
    if story.suspect != "background":
        assert without.props == ()
        return
    ground = shown.spec.background
    suspects = {ground.name, *([] if ground.above is None else [ground.above.name])}
    assert without.background.above is None
    assert without.background.name not in suspects
    assert without.background.name == "sand"


def test_a_case_whose_map_is_empty_counts_as_chance():
    common = {"scene": SCENES, "story": "one", "method": "map", "probability": 0.9, "suspect": 0.0, "object": 2.0}
    seen = pd.DataFrame(common | {"map on suspect": np.where(SCENES < 20, np.nan, 3.0), "map on object": 1.0})
    row = row_of(tales.tales(seen), "map on suspect")
    assert (row["value"], row["n"]) == (2.0, 40)
    assert "20 empty maps" in row["note"]


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


@pytest.mark.slow
def test_hard_scenes_are_crowded_occluded_or_ambiguous(vlm):
    occluded, ambiguous = (complexity.hard_scene(seed) for seed in (4, 5))
    assert {len(complexity.hard_scene(seed).spec.objects) for seed in range(0, 60, 3)} == set(range(3, 9))
    for one in (occluded, complexity.hard_scene(7)):
        assert len(one.spec.objects) == 4
        assert ((complexity.hidden(one) >= 0.2) & (complexity.hidden(one) <= 0.6)).any()
    first, second = ambiguous.spec.objects[:2]
    assert first.colour == second.colour
    assert first.name != second.name
    assert first.colour in ambiguous.prompt
    seen = pd.concat([complexity.observe_complexity(vlm, complexity.hard_scene(n), ["tam"], number=n) for n in (3, 5)])
    table = complexity.complexity(seen)
    assert row_of(table, "passes after the answer")["value"] == 1
    assert set(seen["kind"]) == {"crowded", "ambiguous prompt"}


def test_words_of_hard_scenes_are_counted_by_what_is_hidden_and_costs_by_scene():
    rows = [
        {
            "scene": s, "kind": "crowded", "method": "tam", "kept": 0.5, "probability": 0.9, "own": 0.3, "area": 0.1,
            "oracle": 0.5, "empty": word == 2, "first": True, "seen": 4, "objects": 8, "hidden": 0.3 * (word == 1),
            "forwards": 1 + s, "backwards": 0, "seconds": 0.1, "peak_bytes": np.nan,
        }
        for s in range(2)
        for word in range(1 + 2 * s)
    ]  # fmt: skip
    table = complexity.complexity(pd.DataFrame(rows))
    assert row_of(table, "passes after the answer")["value"] == 1.5  # 1 and 2, however many words each scene has
    assert row_of(table, "the brightest, hidden by 20 % and more")["n"] == 1
    row = row_of(table, "the brightest, 7 or 8 objects")
    assert (row["chance"], row["value"]) == (0.25, (3 + 0.25) / 4)
    assert row_of(table, "is said and decided, crowded")["value"] == 0.5


def test_head_filters_are_told_apart_by_size_and_for_words_of_the_background():
    common = {"step": 0, "probability": 0.9, "empty": False, "kept": 0.5}
    kinds = {
        "small": {"kind": "class", "side": 0.1, "area": 0.1, "oracle": 0.6},
        "large": {"kind": "class", "side": 0.5, "area": 0.1, "oracle": 0.6},
        "ground": {"kind": "background", "side": np.nan, "area": 0.8, "oracle": 0.95},
    }
    found = {"small": (0.2, 0.35), "large": (0.35, 0.35), "ground": (0.875, 0.8)}  # no filter, max filter
    rows = [
        common | kinds[kind] | {"scene": s, "method": f"dexar, head filter {name}", "own": own}
        for s in range(2)
        for kind, both in found.items()
        for name, own in zip(("none", "max"), both, strict=True)
    ]
    table = filters.filters(pd.DataFrame([*rows, rows[0] | {"scene": 9, "probability": 0.4, "own": 0.6, "kept": 0.0}]))

    assert row_of(table, "share of objects")["value"] == pytest.approx(1 / 3)
    less = table["what"].str.contains("less that without")
    both = ["dexar, head filter none", "dexar, head filter max"]
    for what, *values in (("NG, small", 0.2, 0.5), ("NG, large", 0.5, 0.5), ("NG, words of the back", 0.5, 0.0)):
        rows = [row_of(table[~less], what, method=name) for name in both]
        assert [row["value"] for row in rows] == pytest.approx(values)
        assert [row["n"] for row in rows] == [2, 2]
        assert row_of(table[less], what, method=both[1])["value"] == pytest.approx(values[1] - values[0])
    assert not table["what"].str.contains("trained").any()  # no object of those sizes, and no row


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
    assert "no filter, A·G⁺" in " ".join(_parts(table))
    assert row_of(table, "less than even attention")["chance"] > 0.5
