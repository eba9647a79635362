"""What a word depends on, against plain forward passes; and what a perfect, a wrong and a blind map score."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import dexar_widgets as dx
from dexar_widgets.lab.language import Mark
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.trust import localisation, observe, truth, words
from dexar_widgets.maps import coverage
from dexar_widgets.metrics import Case, energy_pointing_game
from dexar_widgets.types import Generation, Grid, Word
from tests.unit.made import explanation_of, layout_of, tensor_of

THINGS = ["red cat", "blue car", "green star"]


@pytest.fixture(scope="module")
def vlm():
    torch.set_num_threads(1)
    return dx.load()


@pytest.fixture(scope="module")
def shown():
    return scene(3, objects=THINGS, size=192, prompt="Describe the image.")


@pytest.fixture(scope="module")
def explained(vlm, shown):
    return truth.explained(vlm, shown, ["random"])


@pytest.fixture(scope="module")
def known(vlm, shown, explained):
    return truth.truth(vlm, explained, shown, seed=5)


def plain(vlm, image, prompt, ids):
    """The log-probability of each of some ids by one forward pass of prompt and answer together."""
    text = vlm.family.prompt(vlm.processor, prompt).text
    inputs = vlm.processor(images=Image.fromarray(image), text=text, return_tensors="pt")
    said = torch.tensor(ids)[None]
    inputs["input_ids"] = torch.cat([inputs["input_ids"], said], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.no_grad():
        logits = vlm.model(**inputs).logits[0, -len(ids) - 1 : -1].log_softmax(-1)
    return logits.gather(-1, said[0][:, None])[:, 0].double().numpy()


def test_effects_are_differences_of_plain_forward_passes(vlm, shown, explained, known):
    ids = explained.generation.ids.tolist()
    whole = plain(vlm, shown.image, shown.prompt, ids)
    assert known.log_probs == pytest.approx(whole, abs=1e-3)
    for place, region in enumerate(known.regions):
        without = plain(vlm, shown.redraw(region.without).image, shown.prompt, ids)
        assert known.effects[:, place] == pytest.approx(whole - without, abs=1e-3)


def test_every_object_is_removed_and_recoloured_and_the_background_swapped(shown):
    regions = truth.regions_of(shown.spec, seed=1)
    assert [(region.kind, region.object) for region in regions] == [
        *(("removed", index) for index in range(3)),
        *(("recoloured", index) for index in range(3)),
        *(("reclassed", index) for index in range(3)),
        ("background", None),
    ]
    for region in regions[3:6]:
        new = region.without.objects[region.object].colour
        assert new not in {thing.colour for thing in shown.spec.objects}
    for region in regions[6:9]:
        new, old = region.without.objects[region.object], shown.spec.objects[region.object]
        assert new.name not in {thing.name for thing in shown.spec.objects}
        assert replace(new, name=old.name) == old
    assert regions[9].without.background.name != shown.spec.background.name
    assert truth.regions_of(shown.spec, seed=1) == regions
    assert any(truth.regions_of(shown.spec, seed=seed) != regions for seed in range(2, 6))


@pytest.mark.parametrize(("name", "partner"), [("football", "footprint"), ("footprint", "football")])
def test_a_word_whose_second_piece_the_image_decides_meets_its_partner(name, partner):
    spec = scene(3, objects=[f"red {name}", f"red {partner}"]).spec
    index = spec.find(name)[0]
    for one in (spec, spec.without(1 - index)):
        (region,) = [
            region
            for region in truth.regions_of(one)
            if region.kind == "reclassed" and one.objects[region.object].name == name
        ]
        assert region.without.objects[region.object].name == partner


def test_a_second_piece_that_only_pixels_decide_is_grounded_and_one_that_follows_is_left_out(vlm):
    shown = scene(3, objects=["red football", "blue suitcase"], prompt="Describe the image.")
    e = truth.explained(vlm, shown)
    pieces = [e.generation.pieces[step].strip() for step in e.steps]
    known = truth.truth(vlm, e, shown, seed=1)
    ball, case = pieces.index("ball"), pieces.index("case")
    assert known.grounded[ball]
    assert not known.grounded[case]
    kept = dict(truth.decided(vlm, e, shown, seed=1))
    assert ball in kept
    assert case not in kept
    marks = truth.marks_of(e, shown.marks)
    found = [truth.follows(mark, piece) for mark, piece in zip(marks, pieces, strict=True)]
    assert [piece for piece, one in zip(pieces, found, strict=True) if one] == ["case"]


def test_words_of_objects_are_grounded_and_the_captions_beginning_is_filler(shown, explained, known):
    marks = truth.marks_of(explained, shown.marks)
    colours = [place for place, mark in enumerate(marks) if mark.role == "colour"]
    assert known.grounded[colours].all()
    assert [mark.word for mark in marks[:3]] == ["The", "image", "shows"]
    assert known.filler[:3].all()
    for place in colours:  # a colour word depends on its object's colour above all others'
        assert known.of("recoloured")[place].argmax() == marks[place].objects[0]


def test_one_nat_is_grounded_and_a_twentieth_is_filler(shown):
    regions = truth.regions_of(shown.spec)[:2]
    effects = np.array([[1.0, -9.0], [0.99, 0.0], [0.05, -0.05], [0.0, -0.06]])
    made = truth.Truth(regions, effects, np.zeros(4))
    assert made.grounded.tolist() == [True, False, False, False]
    assert made.filler.tolist() == [False, False, True, False]


def test_pieces_belong_to_their_word_and_a_lone_space_to_the_word_after_it():
    pieces, steps = (" a", " ", "suit", "case", "."), range(5)
    said = Generation(
        np.arange(5), np.arange(5), pieces, np.zeros(5, np.float32),
        tuple(Word(piece, (step,)) for step, piece in zip(steps, pieces, strict=True)), "a suitcase.",
    )  # fmt: skip
    layout = layout_of(["special", "image"], 1, 1)
    e = explanation_of(tensor_of(np.zeros((5, 1, 1, 2))), layout, generation=said)
    marks = [Mark("a", 0, 1, "structure"), Mark("suitcase", 2, 10, "class", (0,)), Mark(".", 10, 11, "structure")]
    assert [mark.word for mark in truth.marks_of(e, marks)] == ["a", "suitcase", "suitcase", "suitcase", "."]


def test_marks_of_another_answer_are_refused(explained):
    with pytest.raises(ValueError, match="not the marked one"):
        truth.marks_of(explained, scene(4).marks)


def test_energy_is_the_metrics_own(explained, shown):
    heat = explained.attributions["random"].heatmap(4)
    signed = replace(heat, values=heat.values - heat.values.mean())
    for one in (heat, signed):
        found = observe.energy(one.values.astype(float), one.grid, shown.visible)
        for share, mask in zip(found.shares, shown.visible, strict=True):
            assert share == pytest.approx(energy_pointing_game.measure(Case(one, mask)).value, rel=1e-5)
    nothing = observe.energy(np.zeros((12, 12)), heat.grid, shown.visible)
    assert nothing.total == 0
    assert np.isnan(nothing.shares).all()


@pytest.fixture(scope="module")
def seen(explained, shown, known):
    """Rows of methods that are right, wrong, blind and silent, by construction."""
    grid, marks = explained.layout.grids[0], truth.marks_of(explained, shown.marks)
    right = np.stack(
        [coverage(shown.visible[mark.objects[0]], grid) if mark.objects else np.ones((12, 12)) for mark in marks]
    )
    rng = np.random.default_rng(0)
    count, nothing = len(marks), np.full(len(marks), np.nan)
    weights = known.effects.max(1)
    made = {
        "right": observe.Sight(right, weights, nothing),
        "wrong": observe.Sight(1 - right, -weights, nothing),
        "dexar": observe.Sight(rng.random((count, 12, 12)), rng.random(count), rng.random(count)),
        "silent": observe.Sight(np.zeros((count, 12, 12)), np.zeros(count), nothing),
    }
    return observe.judged(explained, shown, known, made, number=0)


def value(table, what, method):
    (row,) = table[(table["what"] == what) & (table["method"] == method)].to_dict("records")
    return row


def test_localisation_ranks_a_right_a_blind_and_a_wrong_map(seen, explained, shown, known):
    found = localisation.localisation(seen)
    assert value(found, "NG", "right")["value"] == pytest.approx(1)
    assert value(found, "NG", "oracle")["verdict"] == "by construction"
    assert value(found, "NG", "dexar")["value"] == pytest.approx(0, abs=0.03)
    assert value(found, "NG", "wrong")["value"] < 0
    assert value(found, "NG", "silent")["value"] == 0
    assert "empty maps count as chance" in value(found, "NG", "silent")["note"]
    assert value(found, "NG, less DEX-AR's", "right")["value"] > 0.9
    named = [mark.role in ("class", "colour") for mark in truth.marks_of(explained, shown.marks)]
    assert value(found, "NG", "right")["n"] == (named & known.grounded & (np.exp(known.log_probs) >= 0.5)).sum() > 3


def test_words_that_the_model_does_not_say_are_left_out_and_told_of(seen):
    found = localisation.localisation(seen.assign(probability=0.4))
    assert value(found, "NG", "right")["verdict"] == "not measured"
    assert value(found, "pieces of named words that are left out", "")["value"] == 1
    left = value(localisation.localisation(seen), "pieces of named words that are left out", "")
    kept = value(localisation.localisation(seen), "NG", "right")["n"]
    assert left["n"] == 6  # a colour and a class of three objects, each one piece
    assert left["value"] == pytest.approx(1 - kept / 6)


def test_a_constant_added_to_a_map_is_taken_off_in_the_second_reading(explained, shown, known):
    marks = truth.marks_of(explained, shown.marks)
    grid = explained.layout.grids[0]
    right = np.stack([coverage(shown.visible[(mark.objects or (0,))[0]], grid) for mark in marks])
    nothing = np.full(len(marks), np.nan)
    rows = observe.judged(explained, shown, known, {"m": observe.Sight(right + 9, nothing, nothing)}, number=0)
    found = localisation.localisation(rows)
    assert value(found, "NG", "m")["value"] < 0.1
    assert value(found, "NG, map less its minimum", "m")["value"] == pytest.approx(1)


def test_agreement_ranks_them_too(seen):
    found = localisation.agreement(seen)
    assert value(found, "agreement", "right")["value"] > 0.5 > -0.5 > value(found, "agreement", "wrong")["value"]
    assert value(found, "agreement", "silent")["value"] == 0


def test_changes_that_are_noise_have_no_order(explained, shown, known):
    """Ranks of the map 3, 2, 1 against 3, 1, 2 is a half; against 3, 1.5, 1.5 it is 1.5 ÷ √(2 · 1.5)."""
    grid, marks = explained.layout.grids[0], truth.marks_of(explained, shown.marks)
    each = [coverage(mask, grid) for mask in shown.visible]
    one = sum(weight * cover / cover.sum() for weight, cover in zip((100, 10, 1), each, strict=True))
    effects = known.effects.copy()
    effects[:, :3] = [2.0, -0.04, 0.01]  # objects removed
    words = [place for place, mark in enumerate(marks) if mark.role in ("class", "colour")]
    effects[words[0], :3] = [0.03, 0.02, 0.01]
    made = truth.Truth(known.regions, effects, np.zeros(len(marks)))
    assert made.grounded[words].all()  # by a change of colour, the first one too
    nothing = np.full(len(marks), np.nan)
    maps = {"m": observe.Sight(np.stack([one] * len(marks)), nothing, nothing)}
    found = localisation.agreement(observe.judged(explained, shown, made, maps, number=0))
    row = value(found, "agreement, changes up to 0.05 nat tied at 0", "m")
    assert (row["value"], row["n"]) == (pytest.approx(1.5 / np.sqrt(2 * 1.5)), 5)
    assert row["note"].startswith("1 words")
    whole = value(found, "agreement", "m")
    assert (whole["value"], whole["n"]) == (pytest.approx((5 * 0.5 + 1) / 6), 6)


def test_a_map_without_an_order_counts_as_chance_and_is_told_of(seen):
    right = seen["method"] == "right"
    found = localisation.agreement(seen.assign(agreement=seen["agreement"].mask(right)))
    row = value(found, "agreement", "right")
    assert row["value"] == 0
    assert row["n"] == value(found, "agreement", "wrong")["n"]
    assert f"{row['n']} maps that are empty or alike" in row["note"]


def test_a_difference_of_few_scenes_has_no_p(seen):
    many = pd.concat([seen.assign(scene=number) for number in range(localisation.FEWEST)])
    assert value(localisation.localisation(many), "NG, less DEX-AR's", "right")["p"] < 0.01
    few = many[many["scene"] > 0]
    assert np.isnan(value(localisation.localisation(few), "NG, less DEX-AR's", "right")["p"])


def test_a_share_of_an_empty_map_counts_as_chance():
    found = observe.over_area(pd.Series([0.4, np.nan]), pd.Series([0.2, 0.2]))
    assert found.tolist() == [2.0, 1.0]


def test_filler_tells_weights_that_follow_the_cause_from_others(seen):
    found = words.filler(seen)
    assert value(found, "AUROC by intervention, weight", "right")["value"] == 1
    assert value(found, "AUROC by intervention, weight", "wrong")["value"] == 0
    assert "are left out" in value(found, "AUROC by intervention, weight", "right")["note"]
    assert len(found[found["what"].str.contains("avg filter less")]) == 1


def test_a_map_on_an_image_of_another_shape_keeps_its_shares():
    grid = Grid(12, 12, (0.0, 0.0, 60.0, 40.0), (60, 40))
    found = observe.energy(np.eye(12), grid, np.ones((1, 40, 60), bool))
    assert found.shares == pytest.approx([1.0])
