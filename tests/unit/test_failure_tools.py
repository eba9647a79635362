"""Failure cases where the truth is known by hand: the rules of the verdicts, a scorer that is a formula, the AUROC."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from made import attribution_of

import dexar_widgets as dx
from dexar_widgets import engine, failures, registers
from dexar_widgets.failures import candidates, causes, findings, patches, suspects, tokens, words
from dexar_widgets.lab import Prop, SceneObject
from dexar_widgets.widgets.explorer import Explorer
from dexar_widgets.words import words as words_of
from tests.golden.cases import build, generation, with_attention

NAN = float("nan")


# ---- rules -----------------------------------------------------------------------------------------------------


SPURIOUS = {"said": 1.0, "suspect": 3.0, "p": 0.05, "randoms": 19, "named": 0.5}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "spurious"),
        ({"named": NAN}, "spurious"),  # nothing in the scene is what it names
        ({"named": NAN, "known": False}, "depends"),  # nobody said what it names
        ({"suspect": 1.0}, "spurious"),  # 1 nat is enough
        ({"suspect": 0.99}, "clear"),
        ({"p": 0.051}, "chance"),
        ({"p": 0.051, "known": False}, "chance"),
        ({"named": 3.0}, "named"),
        ({"p": 1 / 19, "randoms": 18}, "chance unknown"),  # so few cannot tell
        ({"p": NAN, "randoms": 0}, "chance unknown"),
        ({"said": 0.05}, "spurious"),
        ({"said": 0.049}, "not said"),
    ],
)
def test_a_word_is_spurious_if_the_suspect_costs_a_nat_more_than_chance_and_than_what_it_names(given, expected):
    assert causes.verdict(**(SPURIOUS | given)) == expected


@pytest.mark.parametrize(
    ("high", "attention", "change", "expected"),
    [
        (True, 9.0, 0.05, "register"),
        (True, NAN, 0.0, "register"),  # no attention is shown
        (True, 9.0, 0.051, "used"),
        (False, 9.0, 0.0, "sink"),
        (True, 2.9, 0.0, "quiet"),
        (False, 9.0, 0.2, "used"),
    ],
)
def test_a_register_has_a_high_norm_draws_attention_and_is_used_by_no_word(high, attention, change, expected):
    assert patches.verdict(high=high, attention=attention, change=change) == expected


@pytest.mark.parametrize(
    ("change", "others", "p", "expected"),
    [
        ([0.02, 0.05], [[0.0] * 19, [0.0] * 19], 1 / 20, "unused"),  # .05 nat is nothing
        ([0.02, 0.06], [[0.0] * 19, [0.05] * 19], 1 / 20, "read"),
        ([0.02, 0.06], [[0.06] + [0.0] * 18, [0.0] * 19], 2 / 20, "chance"),  # another changes another word as much
        ([0.02, 0.06], [[0.0] * 18, [0.0] * 18], 1 / 19, "chance unknown"),
        ([0.02, 0.06], [[], []], NAN, "chance unknown"),
        ([NAN, NAN], [[], []], NAN, "not cut"),
    ],
)
def test_a_token_is_read_if_some_word_changes_without_it_and_seldom_without_another(change, others, p, expected):
    cut = tokens.TokenCut(np.array(change), np.array(others))
    assert (cut.verdict, cut.p) == (expected, pytest.approx(p, nan_ok=True))


SILENT = {"image": 0.0, "image_high": 0.0, "image_answer": 0.0, "lit": False, "content": None, "heavy": False}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "filler"),
        ({"lit": True}, "filler"),
        ({"lit": True, "heavy": True}, "blind"),  # the map says that the image drives it
        ({"lit": True, "heavy": True, "content": False}, "filler"),  # known to be none that the image should drive
        ({"image": 1.0, "image_high": 1.0, "lit": True}, "seen"),
        ({"image": 1.0, "image_high": 1.0}, "silenced"),
        ({"image": 0.06, "image_high": 0.06}, "undecided"),
        ({"image": -0.06, "image_high": -0.06}, "undecided"),
        ({"image_answer": 0.06}, "undecided"),
        ({"content": True, "image": 0.3, "image_high": 0.9}, "blind"),  # whatever its map
        ({"content": True, "image": 0.3, "image_high": 1.0}, "undecided"),  # one scene in eight costs it
        ({"content": True, "image_high": 5.0}, "filler"),  # told by the word before it
    ],
)
def test_a_words_verdict_sets_the_intervention_against_the_map(given, expected):
    assert words.verdict(**(SILENT | given)) == expected


@pytest.mark.parametrize(
    ("answer", "prompt", "relay", "expected"),
    [
        (1.0, 5.0, 5.0, "read by the answer's rows"),
        (0.9, 1.0, 0.0, "relayed through the prompt"),
        (0.0, 0.0, 1.0, "relayed through the prompt"),
        (0.9, 0.9, 0.9, "either way"),
        (NAN, 0.9, 1.0, "relayed through the prompt"),
        (0.9, NAN, 0.9, "a way not known"),
    ],
)
def test_the_way_of_the_image_is_the_cut_that_costs_a_nat(answer, prompt, relay, expected):
    assert words.way(image_answer=answer, image_prompt=prompt, prompt_answer=relay) == expected


def test_the_density_of_an_even_map_is_one_and_negative_values_count_as_nothing():
    cover = np.array([[1.0, 0.5], [0.0, 0.0]])
    assert findings.density(np.ones((2, 2), np.float32), cover) == 1
    # of an energy of 4, 3 lies on the covered cell and half of 1 on the half: 3.5 / 4 ÷ 0.375
    assert findings.density(np.array([[3.0, 1.0], [-9.0, 0.0]]), cover) == pytest.approx(3.5 / 4 / 0.375)
    assert np.isnan(findings.density(-np.ones((2, 2)), cover))
    assert np.isnan(findings.density(np.ones((2, 2)), np.zeros((2, 2))))


def test_the_maps_verdict_is_a_log_ratio_and_below_zero_towards_the_suspect():
    assert causes.map_verdict(2.0, 0.5) == pytest.approx(np.log(4))
    assert causes.map_verdict(0.0, 0.5) == -np.inf
    assert causes.map_verdict(0.5, 0.0) == np.inf
    assert np.isnan(causes.map_verdict(0.0, 0.0)) and np.isnan(causes.map_verdict(NAN, 1.0))


# ---- spurious, with a scorer that is a formula -------------------------------------------------------------------


def explained(image, pieces, *, box=None, **changes):
    height, width, _ = image.shape
    e = build(grid=(6, 6), size=(width, height), pieces=pieces, box=box)
    said = replace(e.generation, words=words_of(pieces))  # punctuation is a word of its own
    return replace(e, example=replace(e.example, image=image), generation=said, **changes)


def scored_by(monkeypatch, module, formula):
    """The model is a formula: the log-probabilities of all steps on one picture. Counts the pictures."""
    seen = []

    def log_probs(_e, _vlm, pictures, *, batch_size):
        seen.append(len(pictures))
        return np.array([formula(picture()) for picture in pictures], float)

    monkeypatch.setattr(module, "log_probs", log_probs)
    return seen


GREY = np.random.default_rng(0).integers(90, 110, (60, 60, 3), dtype=np.uint8)
LEFT, RIGHT, TOP = [0, 20, 10, 30], [50, 20, 60, 30], [20, 0, 30, 10]


def changed(picture, box):
    left, top, right, bottom = box
    return (picture[top:bottom, left:right] != GREY[top:bottom, left:right]).any(-1).mean()


@pytest.fixture
def needs_left(monkeypatch):
    """ " cat" loses 4 nats with the box on the left, " a" nothing."""
    return scored_by(monkeypatch, causes, lambda picture: [-0.1, -0.1 - 4 * changed(picture, LEFT)])


def cat():
    return explained(GREY, [" a", " cat"])


def test_a_word_that_needs_the_suspect_alone_is_spurious_and_its_sentence_says_how_sure_that_is(needs_left):
    e = cat()
    found = failures.spurious(e, LEFT, named=RIGHT, vlm="none")
    assert needs_left == [1 + 1 + 19 + 1]  # as it is, without the suspect, at random, without the named object
    assert found.kind == "spurious" and found.found
    row = found.table.set_index("word").loc["cat"]
    assert row["verdict"] == "spurious"
    assert row["suspect"] == pytest.approx(4, abs=0.3)  # a few pixels have the mean colour already
    assert row["named"] == 0 and row["chance_high"] < 1 and row["p"] == pytest.approx(1 / 20)
    assert found.table.set_index("word").loc["a", "verdict"] == "clear"
    assert "“cat” loses" in found.text and "19 random regions of this shape, p = 0.05" in found.text
    assert str(found) == found.text and found.text in found._repr_html_().replace("&#x27;", "'")
    assert "it comes from the region" in repr(found)


def test_a_suspect_that_costs_nothing_is_clear_and_the_named_object_may_explain_what_it_costs(needs_left):
    assert failures.spurious(cat(), RIGHT, vlm="none").table["verdict"].tolist() == ["clear", "clear"]
    both = [0, 20, 60, 30]  # the suspect holds the named object, whose pixels do not count
    assert failures.spurious(cat(), both, step="cat", named=LEFT, vlm="none").table["verdict"].tolist() == ["clear"]
    near = failures.spurious(cat(), [0, 20, 10, 26], step="cat", named=[0, 26, 10, 30], vlm="none", randoms=0)
    assert near.table["verdict"].tolist() == ["chance unknown"]


def test_what_chance_costs_as_well_is_not_spurious(monkeypatch):
    scored_by(monkeypatch, causes, lambda picture: [-0.1, -0.1 - 200 * (picture != GREY).any(-1).mean()])
    found = failures.spurious(cat(), LEFT, step="cat", vlm="none")
    assert found.table["verdict"].tolist() == ["chance"] and not found.found


def costing(monkeypatch, *costs):
    """The word " cat" loses so many nats: on the image, without the suspect, on each random region, without the named.

    Returns where each picture differs from the image.
    """
    left, differs = iter(costs), []

    def formula(picture):
        differs.append((picture != SPLIT).any(-1))
        return [-0.1, -0.1 - next(left, 0)]

    scored_by(monkeypatch, causes, formula)
    return differs


SPLIT = np.where(np.random.default_rng(1).random((60, 60, 3)) < 0.5, 90, 110).astype(np.uint8)  # no pixel is the mean


def test_fewer_than_19_random_regions_find_nothing_spurious(needs_left):
    found = failures.spurious(cat(), LEFT, step="cat", named=RIGHT, randoms=5, vlm="none")
    assert found.table[["verdict", "randoms"]].to_numpy().tolist() == [["chance unknown", 5]] and not found.found
    assert "fewer than 19 random ones do not tell what chance costs" in found.text


def test_one_random_region_of_19_that_costs_as_much_is_chance(monkeypatch):
    elsewhere = []

    def formula(picture):
        if changed(picture, LEFT) > 0.5:
            return [-0.1, -4.1]
        elsewhere.extend([picture] * int((picture != GREY).any()))
        return [-0.1, -5.1 if len(elsewhere) == 1 else -0.1]

    scored_by(monkeypatch, causes, formula)
    found = failures.spurious(cat(), LEFT, step="cat", named=RIGHT, vlm="none")
    row = found.table.iloc[0]
    assert row["p"] == pytest.approx(2 / 20) and row["verdict"] == "chance" and not found.found
    assert row["chance_high"] < 4  # between the largest two, which decides nothing


def test_on_a_photograph_a_word_of_which_nobody_says_what_it_names_depends_on_the_suspect(needs_left):
    found = failures.spurious(cat(), LEFT, vlm="none")
    assert found.table.set_index("word")["verdict"].to_dict() == {"a": "clear", "cat": "depends"}
    assert not found.found and found.marks["notes"] == []
    assert "“cat” loses" in found.text and "it depends on the region; give named=" in found.text
    assert "None of" not in found.text


@pytest.mark.parametrize("box", [None, (6.0, 12.0, 60.0, 48.0)])
def test_random_regions_are_as_large_as_what_is_hidden_and_miss_what_is_named_and_what_is_cropped(monkeypatch, box):
    differs = costing(monkeypatch, 0, 4)
    suspect, named = [10, 20, 30, 30], [20, 20, 40, 30]  # the right half of the suspect is the named object's
    e = explained(SPLIT, [" a", " cat"], box=box)
    found = failures.spurious(e, suspect, step="cat", named=named, vlm="none")
    assert found.table[["randoms", "wanted", "verdict"]].to_numpy().tolist() == [[19, 19, "spurious"]]
    hidden, regions = differs[1], differs[2:21]
    assert hidden.sum() == 100 and hidden[20:30, 10:20].all()
    assert [region.sum() for region in regions] == [100] * 19 and len({region.tobytes() for region in regions}) == 19
    assert not any(region[20:30, 20:40].any() for region in regions)
    left, top, right, bottom = map(int, box or (0, 0, 60, 60))
    assert all(region[top:bottom, left:right].sum() == 100 for region in regions)


def test_where_the_named_object_lies_under_most_regions_few_are_found_and_it_is_said(monkeypatch):
    costing(monkeypatch, 0, 4)
    e = explained(SPLIT, [" a", " cat"])
    found = failures.spurious(e, [0, 0, 60, 20], step="cat", named=[0, 25, 60, 45], vlm="none")
    row = found.table.iloc[0]
    assert row["randoms"] < 19 == row["wanted"] and row["verdict"] == "chance unknown"
    assert f"no more than {row['randoms']} of 19 were found that miss the named object" in found.text


def test_a_words_chance_does_not_depend_on_the_other_words(monkeypatch):
    scene = at_sea()
    scored_by(monkeypatch, causes, lambda picture: [-9 * (picture != scene.image).any(-1).mean()] * 11)
    e, box = explained(scene.image, CAPTION), [0, 60, 20, 90]
    every = failures.spurious(e, box, scene=scene, vlm="none").table.set_index("word")
    alone = failures.spurious(e, box, step="boat", scene=scene, vlm="none").table.set_index("word")
    pd.testing.assert_series_equal(every.loc["boat"], alone.loc["boat"])


@pytest.mark.parametrize(("first", "said", "expected"), [(-2.0, 0.135, "spurious"), (-3.2, 0.041, "not said")])
def test_a_word_of_two_tokens_is_said_if_each_of_them_is(monkeypatch, first, said, expected):
    scored_by(monkeypatch, causes, lambda picture: [first, -2.0 - 4 * changed(picture, LEFT)])
    found = failures.spurious(explained(GREY, [" uni", "corn"]), LEFT, named=RIGHT, vlm="none").table
    assert found["verdict"].tolist() == [expected] and found["said"].tolist() == pytest.approx([said], abs=1e-3)
    assert found["log_prob"].tolist() == pytest.approx([first - 2])


@pytest.mark.parametrize(
    ("cell", "named", "said"),
    [
        ((2, 0), None, "DEX-AR points to the region (nothing of its map lies on the rest)."),
        ((0, 3), None, "DEX-AR points away from the region (nothing of its map lies on the region)."),
        ((0, 3), RIGHT, "DEX-AR shows nothing here."),
        (slice(None), None, "no more to the region than to the rest (its map is 1 times as dense on the region as on"),
        (slice(None), RIGHT, "DEX-AR points no more to the region than to the named object (its map is 1 times as"),
    ],
)
def test_where_the_map_points_is_said_as_it_is(monkeypatch, needs_left, cell, named, said):
    e = cat()
    towards = np.zeros((6, 6), np.float32)
    towards[cell] = 1
    monkeypatch.setattr(causes, "values_of", lambda *_: {"dexar": towards})
    assert said in failures.spurious(e, LEFT, step="cat", named=named, vlm="none").text


@pytest.mark.parametrize(
    ("times", "named", "said"),
    [
        (2.1, None, "DEX-AR points to the region (its map is 2.1 times as dense on the region as on the rest)."),
        (1.9, None, "points no more to the region than to the rest (its map is 1.9 times as dense on the region as on"),
        (0.6, None, "points no more to the region than to the rest (its map is 0.6 times as dense on the region as on"),
        (0.4, None, "DEX-AR points away from the region (its map is 0.4 times as dense on the region as on the rest)."),
        (3.0, RIGHT, "DEX-AR points to the region (its map is 3 times as dense on the region as on the named object)."),
        (0.25, RIGHT, "DEX-AR points to the named object (its map is 0.25 times as dense on the region as on the"),
    ],
)
def test_a_map_points_to_what_it_is_twice_as_dense_on(monkeypatch, needs_left, times, named, said):
    towards = np.ones((6, 6), np.float32)
    towards[2, 0] = times  # the cell of LEFT
    monkeypatch.setattr(causes, "values_of", lambda *_: {"dexar": towards})
    found = failures.spurious(cat(), LEFT, step="cat", named=named, vlm="none")
    assert said in found.text
    assert found.table["area"].tolist() == pytest.approx([1 / 36])


def test_a_word_that_loses_nothing_is_told_no_p(monkeypatch):
    scored_by(monkeypatch, causes, lambda picture: [-2.0, -1.0])
    found = failures.spurious(cat(), LEFT, step="cat", vlm="none")
    assert "19 random regions of this shape)" in found.text and "p =" not in found.text
    assert found.table["p"].tolist() == [1.0]  # in the table it stays


def test_the_maps_verdict_is_told_for_every_method_and_decides_nothing(needs_left):
    e = cat()
    towards = np.zeros((2, 6, 6), np.float32)
    towards[:, 2, 0], towards[:, 2, 5] = 1, 3  # cells of LEFT and RIGHT
    e = replace(e, attributions={"rise": replace(attribution_of(e, "rise"), maps=towards)})
    found = failures.spurious(e, LEFT, step="cat", named=RIGHT, vlm="none")
    assert found.table["map_rise"].tolist() == pytest.approx([np.log(3)])
    assert found.table["verdict"].tolist() == ["spurious"]
    none_named = failures.spurious(e, LEFT, step="cat", vlm="none")
    assert none_named.table["map_rise"].tolist() == pytest.approx([-np.log(1 / 4 * 36)])


def test_marks_are_plain_and_the_explorer_takes_them(needs_left):
    e = cat()
    marks = failures.spurious(e, LEFT, named=RIGHT, vlm="none").marks
    assert json.loads(json.dumps(marks)) == marks
    assert marks["cells"] == [12] and marks["regions"] == {"the region": LEFT, "the named object": RIGHT}
    (note,) = marks["notes"]
    assert (note["word"], note["steps"], note["tag"]) == ("cat", [1], "spurious")
    w = Explorer(e, regions=marks["regions"], notes=marks["notes"])
    assert w.notes == marks["notes"] and w.region_of("the region").sum() == 100
    w.close()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"mask": [0, 0, 60, 60]}, "covers everything"),
        ({"mask": LEFT, "named": [0, 0, 20, 40]}, "covers all of the suspect"),
        ({"mask": "background"}, "names something in a scene, and needs the scene"),
        ({"mask": LEFT, "named": "cat"}, "names an object in a scene, and needs the scene"),
        ({"mask": LEFT, "step": "dog"}, "'dog' is not in the answer"),
        ({"mask": LEFT, "randoms": -1}, "randoms is -1"),
        ({"mask": LEFT, "how": "scene"}, "how='scene' is unknown"),
        ({"mask": LEFT, "scene": dx.lab.scene(1)}, "not the scene's"),
    ],
)
def test_what_cannot_be_suspected_is_refused(needs_left, given, message):
    with pytest.raises(ValueError, match=message):
        failures.spurious(cat(), **given, vlm="none")


def test_without_a_model_a_finding_says_what_to_load():
    with pytest.raises(ValueError, match="pass it as vlm="):
        failures.spurious(cat(), LEFT)


# ---- scenes ------------------------------------------------------------------------------------------------------


def is_water(picture):
    red, green, blue = np.median(picture.reshape(-1, 3), 0)
    return blue > red + 60 and green < 160  # the sky is as blue, and brighter


BOAT = SceneObject("boat", "white", 0.3, 0.6, 0.3)


def at_sea(**changes):
    scene = dx.lab.scene(5, objects=[BOAT, SceneObject("cat", "red", 0.75, 0.4, 0.25)], background="water", size=96)
    return scene.redraw(replace(scene.spec, **changes)) if changes else scene


CAPTION = ["The", " image", " shows", " a", " white", " boat", " and", " a", " red", " cat", "."]


def test_a_background_is_exchanged_for_others_and_chance_is_another_cut_of_the_same(monkeypatch):
    scene = at_sea()
    assert is_water(scene.image)
    seen = scored_by(
        monkeypatch, causes, lambda picture: [-0.1] * 5 + [-0.1 if is_water(picture) else -6.1] + [-0.1] * 5
    )
    found = failures.spurious(explained(scene.image, CAPTION), "background", scene=scene, vlm="none")
    rows = found.table.set_index("word")
    # what names an object, by the caption's marks, and what tells that one more is named
    assert rows.index.tolist() == ["white", "boat", "and", "red", "cat"]
    boat = rows.loc["boat"]
    assert boat["verdict"] == "spurious" and boat["named_object"] == "the white boat"
    assert (boat["suspect_low"], boat["suspect"], boat["suspect_high"], boat["pictures"]) == (6, 6, 6, 5)
    assert boat["chance_high"] == 0 and boat["named"] == 0
    assert set(rows["verdict"].drop("boat")) == {"clear"}
    assert seen == [1 + 5 + 19 + 2]  # the pictures without the boat and without the cat serve two words each
    assert "19 other cuts of the same background" in found.text
    assert "the background" not in found.marks["regions"] and "the white boat" in found.marks["regions"]


def test_a_word_that_needs_its_object_is_not_spurious_on_the_same_scene(monkeypatch):
    scene = at_sea()
    there = scene.visible[0]

    def formula(picture):
        apart = np.abs(picture[there].astype(float) - scene.image[there]).mean()
        return [-0.1] * 5 + [-0.1 if apart < 20 else -6.1] + [-0.1] * 5

    scored_by(monkeypatch, causes, formula)
    found = failures.spurious(explained(scene.image, CAPTION), "background", scene=scene, step="boat", vlm="none")
    assert found.table["verdict"].tolist() == ["clear"] and found.table["named"].tolist() == pytest.approx([6])


def test_a_prop_is_removed_and_a_word_that_names_nothing_there_is_its(monkeypatch):
    scene = at_sea(props=(Prop("checker", 0.85, 0.85, 0.1),))
    patch = scene.props[0]

    def formula(picture):
        return [-0.1, -0.1 if picture[patch].std() > 60 else -9.1]

    scored_by(monkeypatch, causes, formula)
    e = explained(scene.image, [" a", " clock"])
    found = failures.spurious(e, "checker", scene=scene, vlm="none")
    assert found.table["verdict"].tolist() == ["spurious"] and found.table["named_object"].tolist() == [""]
    assert found.table["suspect"].tolist() == pytest.approx([9])
    with pytest.raises(
        ValueError, match="names nothing in the scene, which has 0 white boat, 1 red cat, checker, back"
    ):
        failures.spurious(e, "swatch", scene=scene, vlm="none")
    with pytest.raises(ValueError, match="is no object of the scene, which has 0 white boat"):
        failures.spurious(e, "checker", scene=scene, named=7, vlm="none")


def test_what_lies_above_the_horizon_is_exchanged_alone():
    scene = dx.lab.story("sheep under sky", 3, size=96)
    e = explained(scene.image, [" sheep"])
    suspect = suspects.suspect_of(e, "above", scene, randoms=2, seed=0)
    below = round(scene.spec.background.horizon * 96) + 1
    pictures = [picture() for picture in (*suspect.removed, *suspect.kept)]
    assert len(suspect.removed) == 5 and len(suspect.kept) == 2
    assert not suspect.mask[below:].any() and suspect.mask[0, 0]
    for picture in pictures:
        assert (picture[below:] == scene.image[below:]).all() and (picture != scene.image).any()


def test_words_name_objects_by_marks_by_name_by_number_and_by_group():
    scene = dx.lab.scene(2, objects=["red cat", "blue cat", "orange dog"], size=96, prompt="Describe the image.")
    names = [f"{thing.colour} {thing.name}" for thing in scene.spec.objects]
    pieces = [mark.word if mark.word in ",." else f" {mark.word}" for mark in scene.marks]
    e = explained(scene.image, pieces)
    for word in suspects.content_of(e, scene):
        marked = suspects.named_by_word(e, scene, word)
        mark = scene.marks[word[-1]]
        assert marked.what == f"the {names[mark.objects[0]]}"  # "cat" names the one of the two that is meant
    orange = pieces.index(" orange")
    assert (orange - 1, orange) in suspects.content_of(e, scene)  # "an" tells it
    other = explained(scene.image, [" and", " the", " cats", " an", " orange", " animals", " a", " boat"])
    words = ((2,), (3, 4), (5,), (7,))
    assert suspects.content_of(other, scene) == words
    named = [suspects.named_by_word(other, scene, word) for word in words]
    for text in ("a red cat", "The red cat", "red cat."):
        assert suspects.named_of(e, text, scene, "mean").what == "the red cat"
    sizes = [0 if thing is None else thing.what.count("the ") for thing in named]
    assert sizes == [2, 1, 3, 0]


def test_whether_one_more_thing_is_named_is_asked_of_what_hides_no_object(monkeypatch):
    scene, (boat, cat) = at_sea(), (0, 1)
    e = explained(scene.image, CAPTION)
    connectives = tuple((step,) for step, piece in enumerate(CAPTION) if piece in (",", " and"))
    assert connectives
    ground = scene.background
    assert suspects.connectives_of(e, scene, ground) == connectives
    other = explained(scene.image, [" a", " boat", " as", " well", " as", " a", " cat", ".", " as", " is"])
    assert suspects.connectives_of(other, scene, ground) == ((2,), (8,))  # of "as well as" the first
    part = scene.visible[boat].copy()
    assert suspects.connectives_of(e, scene, part) == ()
    part[:, np.flatnonzero(part.any(0))[len(np.flatnonzero(part.any(0))) // 4] :] = False
    assert suspects.connectives_of(e, scene, part) == connectives  # a small part of it
    assert suspects.connectives_of(e, scene, scene.visible[cat] | ground) == ()
    scored_by(monkeypatch, causes, lambda _picture: [-0.1] * len(CAPTION))
    found = failures.spurious(e, "red cat", scene=scene, vlm="none")
    assert "and" not in found.table["word"].tolist()


def test_an_answer_that_names_nothing_must_be_given_a_step(needs_left):
    scene = at_sea()
    with pytest.raises(ValueError, match="No word of the answer 'and' names anything"):
        failures.spurious(explained(scene.image, [" and"]), "background", scene=scene, vlm="none")


# ---- registers -----------------------------------------------------------------------------------------------------


def with_register(share=0.5):
    """Cells 0 and 7 have a high norm; cell 0 shows nothing, and draws that share of the attention on the image."""
    e = with_attention()
    rows = e.attention.copy()
    tokens = e.layout.tokens_of(0)
    rows[..., tokens] = (1 - share) / 19
    rows[..., tokens[0]] = share
    return replace(e, attention=rows)


def rescored_by(monkeypatch, pixels, cut=lambda cells: [-0.5] * 4):
    """The model is a formula of the picture, and one of the cells that no other row reads. Counts both."""
    seen = scored_by(monkeypatch, patches, pixels)

    def cut_log_probs(_e, _vlm, sources, target, layers, *, batch_size):
        assert target == "all" and layers.tolist() == [[False] * 3] + [[True] * 3] * (len(layers) - 1)
        seen.append(len(sources))
        return np.array([[-0.5] * 4, *map(cut, sources[1:])], float)

    monkeypatch.setattr(tokens, "cut_log_probs", cut_log_probs)
    monkeypatch.setattr(engine, "cuttable_layers", lambda *_: 3)
    return seen


def test_a_patch_of_high_norm_that_draws_attention_for_nothing_is_a_register(monkeypatch):
    seen = rescored_by(monkeypatch, lambda picture: [-0.5] * 4)
    found = failures.registers(with_register(), swaps=5, randoms=6, vlm="none")
    assert found.found and found.marks["cells"] == [0] and seen == [1 + 5, 1 + 1 + 6]
    row = found.table.iloc[0]
    assert (
        row["attention"] == pytest.approx(0.5 * 20) and row["change"] == 0 and row["norm"] == pytest.approx(6, rel=0.1)
    )
    assert found.table["word"].tolist() == ["a", "red", "suitcase"]
    assert found.text.startswith("1 of 20 patches is a register: row 1, column 1")
    assert "no word needs what it shows; with 5 other plain patches in its place" in found.text
    assert set(found.table["token"]) == {"unused"} and set(found.table["randoms"]) == {6}
    said = (
        "Its token is unused: where no other row reads it, no word changes by more than 0.000 nat (“a”; 6 other plain"
    )
    assert said in found.text


def test_a_patch_that_a_word_needs_is_used_and_only_it_is_replaced(monkeypatch):
    e = with_register()

    def formula(picture):
        different = (picture != e.example.image).any(-1)
        assert not different[10:].any() and not different[:, 10:].any()  # outside cell 0
        return [-0.5, -0.5, -0.5 - 0.2 * different.any(), -0.5]

    rescored_by(monkeypatch, formula)
    found = failures.registers(e, vlm="none")
    assert not found.found and found.marks["cells"] == []
    by_word = found.table.set_index("word")
    assert by_word["change"].tolist() == pytest.approx([0, 0, 0.2]) and set(by_word["verdict"]) == {"used"}
    assert "of 1 candidates 1 used by a word (largest change 0.20 nats, “suitcase”" in found.text
    assert found.text.endswith("Their tokens: 1 unused.")


def test_a_token_that_a_word_reads_is_told_from_its_pixels_and_held_against_others(monkeypatch):
    e, cut = with_register(), []

    def formula(cells):
        cut.append(cells)
        return [-0.5, -2.5, -0.5, -0.5] if cells == (0,) else [-0.5, -0.5, -0.6, -0.6]

    rescored_by(monkeypatch, lambda picture: [-0.5] * 4, formula)
    found = failures.registers(e, randoms=8, seed=3, vlm="none")
    assert found.found and set(found.table["verdict"]) == {"register"}
    by_word = found.table.set_index("word")  # "suitcase" has two tokens
    assert by_word["change"].tolist() == [0, 0, 0] and by_word["token_change"].tolist() == [0, 2, 0]
    for name in ("token_chance", "token_low", "token_high"):
        assert by_word[name].tolist() == pytest.approx([0, 0, 0.2])
    assert by_word["token_p"].tolist() == pytest.approx([1 / 9] * 3) and set(by_word["token"]) == {"chance unknown"}
    assert "no other row reads it, “red” changes by 2.000 nats (8 other plain tokens: 0.000 to 0.000" in found.text
    others = cut[1:]
    plain = registers.detail_of(e) <= np.median(registers.detail_of(e))
    assert len(set(others)) == 8 and all(plain[cell] and cell != 0 for (cell,) in others)


def test_a_model_that_takes_no_cut_leaves_tokens_unknown_and_the_text_says_why(monkeypatch):
    rescored_by(monkeypatch, lambda picture: [-0.5] * 4)

    def flash(*_):
        raise ValueError("Flash attention takes no such mask.")

    monkeypatch.setattr(engine, "cuttable_layers", flash)
    found = failures.registers(with_register(), vlm="none")
    assert found.found and set(found.table["token"]) == {"not cut"} and found.table["token_change"].isna().all()
    assert found.text.endswith("Whether tokens are read is not known: Flash attention takes no such mask.")
    assert "Its token" not in found.text


def test_of_few_other_tokens_each_set_is_drawn_once():
    rng = np.random.default_rng(0)
    assert sorted(tokens._drawn(np.array([3, 5, 7]), 1, 19, rng)) == [(3,), (5,), (7,)]
    assert sorted(tokens._drawn(np.array([3, 5, 7]), 2, 19, rng)) == [(3, 5), (3, 7), (5, 7)]
    assert tokens._drawn(np.array([3, 5, 7]), 4, 19, rng) == tokens._drawn(np.array([3, 5]), 1, 0, rng) == []


def test_attention_alone_makes_a_sink_and_a_norm_alone_a_quiet_patch(monkeypatch):
    rescored_by(monkeypatch, lambda picture: [-0.5] * 4)
    e = with_register()
    low = e.patch_norm.copy()
    low[e.layout.tokens_of(0)[0]] = 10
    assert set(failures.registers(replace(e, patch_norm=low), vlm="none").table["verdict"]) == {"sink"}
    assert set(failures.registers(with_register(0.05), vlm="none").table["verdict"]) == {"quiet"}


def test_several_patches_of_high_norm_are_also_replaced_together(monkeypatch):
    e = with_register()
    norms = e.patch_norm.copy()
    plain = next(cell for cell in np.argsort(registers.detail_of(e)) if cell != 0)
    norms[e.layout.tokens_of(0)[plain]] = 50
    left, top = 10 * (plain % 5), 10 * (plain // 5)

    def formula(picture):
        different = (picture != e.example.image).any(-1)
        both = different[:10, :10].any() and different[top : top + 10, left : left + 10].any()
        return [-0.5 - 2.0 * both, -0.5, -0.5, -0.5]

    pair = tuple(sorted((0, plain)))
    seen = rescored_by(monkeypatch, formula, lambda cells: [-0.5 - 3.0 * (cells == pair), -0.5, -0.5, -0.5])
    found = failures.registers(replace(e, patch_norm=norms), vlm="none")
    table = found.table
    # of 8 other plain cells each alone, and 19 pairs of them
    assert seen[1] == 1 + 3 + 8 + 19
    assert table[table["cell"] == -1][["token", "randoms", "token_p"]].iloc[0].tolist() == ["read", 19, 1 / 20]
    assert "Their tokens together are read: without them “a” changes by 3.00 nats." in found.text
    assert set(table["cell"]) == {0, plain, -1} and set(table[table["cell"] == -1]["verdict"]) == {"used"}
    assert "All patches of high norm together are used: “a” changes by 2.00 nats." in found.text


def test_what_is_put_in_a_patches_place_is_no_candidate_and_all_of_high_norm_are_replaced_together(monkeypatch):
    e = with_register()
    plain = np.argsort(registers.detail_of(e))[:4].tolist()
    norms = e.patch_norm.copy()
    norms[e.layout.tokens_of(0)[plain]] = [70, 69, 68, 67]
    e = replace(e, patch_norm=norms)
    monkeypatch.setattr(candidates, "MOST", 2)
    found = candidates.candidates_of(e)
    assert found.cells == plain[:2] and set(plain) <= set(found.every)
    assert not set(found.plain.tolist()) & set(found.every)
    rescored_by(monkeypatch, lambda _picture: [-0.5] * 4)
    told = failures.registers(e, vlm="none")
    together = told.table[told.table["cell"] == -1]["norm"]
    assert together.tolist() == pytest.approx([found.norm[found.high].mean()] * 3) and found.high.sum() > 2
    assert f"{len(found.every) - 2} more candidates were not examined one by one." in told.text


def test_no_candidate_is_a_finding_too(monkeypatch):
    e = with_register(0.05)
    flat = np.where(np.isnan(e.patch_norm), np.nan, 10).astype(np.float32)
    found = failures.registers(replace(e, patch_norm=flat), vlm="none")
    assert not found.found and found.table.empty and found.marks["cells"] == []
    assert found.text.startswith("None found") and "3 times its area's attention" in found.text


def test_registers_need_a_swap_and_enough_cells():
    with pytest.raises(ValueError, match="swaps is 0"):
        failures.registers(with_register(), swaps=0, vlm="none")
    with pytest.raises(ValueError, match="randoms is -1"):
        failures.registers(with_register(), randoms=-1, vlm="none")
    e = build(grid=(2, 2), size=(20, 20))
    small = replace(
        e,
        patch_norm=np.ones(len(e.layout), np.float32),
        attention=np.ones((len(e.steps), len(e.layers), e.heads, len(e.layout)), np.float32),
    )
    with pytest.raises(ValueError, match="4 patches are too few"):
        failures.registers(small, vlm="none")


# ---- silenced and blind words ----------------------------------------------------------------------------------------


def silent_at(*steps):
    """An explanation whose text wins at some steps, and the image at the others."""

    def change(values, is_image):
        values[..., is_image] = np.abs(values[..., is_image]) + 1
        values[..., ~is_image] = 0.1
        values[list(steps), ..., 0] = 50

    return change


@pytest.fixture
def cut(monkeypatch):
    """Knock-outs that cost " red" 2 nats where the answer's rows read the image, " sky" where the prompt does."""
    costs = {"image_answer": [0, 2, 0, 0], "image_prompt": [0, 0, 0, 2], "prompt_answer": [0, 0, 0, 0]}
    cutting(monkeypatch, costs)


def cutting(monkeypatch, costs=None, why=()):
    """Knock-outs that cost each word so many nats; None: nothing."""
    names = ("image_answer", "image_prompt", "prompt_answer")
    monkeypatch.setattr(
        words,
        "_cuts",
        lambda _e, some, *_: (
            {name: np.array((costs or {}).get(name, [0] * len(some)), float) for name in names},
            list(why),
        ),
    )


def test_silenced_words_are_those_that_the_image_decides_though_the_map_is_empty(monkeypatch, cut):
    pieces = [" a", " red", " thing", " sky"]
    e = build(grid=(3, 4), size=(40, 30), pieces=pieces, change=silent_at(0, 1, 3))

    def formula(picture):
        gone = float(np.ptp(picture) == 0 or (picture == picture[0, 0]).all())
        return [-0.1, -0.1 - 3 * gone, -0.1 - 3 * gone, -0.1 - 4 * gone]

    seen = scored_by(monkeypatch, words, formula)
    found = failures.silenced(e, vlm="none")
    rows = found.table.set_index("word")
    assert seen == [2]
    assert rows["verdict"].to_dict() == {"a": "filler", "red": "silenced", "thing": "seen", "sky": "silenced"}
    assert rows["image"].tolist() == pytest.approx([0, 3, 3, 4])
    assert "'<s>' won in layer" in rows.loc["red", "way"] and rows.loc["red", "way"].startswith("read by the answer's")
    assert rows.loc["sky", "way"] == "relayed through the prompt"
    assert found.found and found.text.startswith("Of 4 words: 1 seen, 1 filler, 2 silenced. “red” loses 3.00 nats")
    assert [(note["word"], note["tag"]) for note in found.marks["notes"]] == [("red", "silenced"), ("sky", "silenced")]
    assert json.loads(json.dumps(found.marks)) == found.marks


def test_words_that_name_objects_and_depend_on_no_scene_are_blind(monkeypatch):
    scene = at_sea()
    e = explained(scene.image, [" a", " white", " boat", " dog"])
    cutting(monkeypatch)

    def formula(picture):
        same = (picture == scene.image).all()
        return [-0.1, -0.1 if same else -3.1, -0.1 if same else -0.6, -0.1 if same else -0.6]

    seen = scored_by(monkeypatch, words, formula)
    found = failures.silenced(e, scene=scene, others=6, vlm="none")
    assert seen == [7]
    verdicts = found.table.set_index("word")["verdict"].to_dict()
    assert verdicts == {"a": "filler", "white": "seen", "boat": "blind", "dog": "blind"}
    assert "0.50 nats on 6 other scenes (0.50 to 0.50)" in found.text
    assert [(note["word"], note["tag"]) for note in found.marks["notes"]] == [("boat", "other"), ("dog", "other")]


def test_a_word_that_one_other_scene_of_eight_costs_a_nat_is_not_blind(monkeypatch):
    scene, seen = at_sea(), []
    cutting(monkeypatch)

    def formula(picture):
        seen.append(picture)
        return [-0.1, -0.1 - 1.05 * (len(seen) == 5) - 0.9 * (len(seen) == 6)]

    scored_by(monkeypatch, words, formula)
    row = failures.silenced(explained(scene.image, [" a", " boat"]), scene=scene, vlm="none").table.iloc[1]
    assert (row["verdict"], row["pictures"]) == ("filler", 8)
    assert row["image_low"] == 0 and row["image_high"] == pytest.approx(1.05)


def test_a_word_of_weight_zero_that_has_a_map_is_seen_and_that_it_does_not_count_is_said(monkeypatch):
    def change(values, is_image):
        silent_at(0)(values, is_image)
        values[1, 0, 0, 0] = 50  # text wins the step by a single head; the others still make a map

    e = build(grid=(3, 4), size=(40, 30), pieces=[" a", " red", " sky"], change=change)
    assert [(one.step, one.empty_map) for one in e.silenced()] == [(0, True), (1, False)]
    cutting(monkeypatch)

    def formula(picture):
        gone = float((picture == picture[0, 0]).all())
        return [-0.1 - 2 * gone, -0.1 - 3 * gone, -0.1 - 3 * gone]

    scored_by(monkeypatch, words, formula)
    found = failures.silenced(e, vlm="none")
    assert found.table["map"].tolist() == ["silent", "weightless", "lit"]
    assert found.table["verdict"].tolist() == ["silenced", "seen", "seen"]
    assert "“a” loses 2.00" in found.text and "“red” loses" not in found.text
    assert "with weight 0: the map does not count in the answer's for “red”." in found.text


def test_cuts_that_cannot_be_made_leave_the_verdict_to_the_image_and_the_text_says_why(monkeypatch):
    e = build(grid=(3, 4), size=(40, 30), pieces=[" a", " red"], change=silent_at(0, 1))
    unknown = {name: [NAN, NAN] for name in ("image_answer", "image_prompt", "prompt_answer")}
    cutting(monkeypatch, unknown, ["Flash attention takes no such mask."])
    scored_by(monkeypatch, words, lambda picture: [-0.1, -0.1 - 3 * float((picture == picture[0, 0]).all())])
    found = failures.silenced(e, vlm="none")
    assert found.table["verdict"].tolist() == ["filler", "silenced"]
    assert "“red” loses 3.00 nats without the image, and has no map: a way not known." in found.text
    assert found.text.endswith("Not every way of the image could be cut: Flash attention takes no such mask.")


def test_a_colour_that_its_article_tells_is_not_blind(monkeypatch):
    scene = dx.lab.scene(3, objects=["orange cat"], size=96)
    e = explained(scene.image, [" an", " orange", " cat"])
    cutting(monkeypatch)
    scored_by(monkeypatch, words, lambda picture: [-0.1 - 9 * (picture != scene.image).any(), -0.1, -0.1])
    verdicts = failures.silenced(e, scene=scene, vlm="none").table.set_index("word")["verdict"]
    assert verdicts["orange"] == "filler" and verdicts["cat"] == "blind"


def test_a_word_of_high_weight_that_needs_no_image_is_blind_without_a_scene(monkeypatch):
    e = build(grid=(3, 4), size=(40, 30), pieces=[" a", " red"], change=silent_at(0))
    cutting(monkeypatch)
    scored_by(monkeypatch, words, lambda picture: [-0.1, -0.1])
    found = failures.silenced(e, vlm="none")
    assert found.table["verdict"].tolist() == ["filler", "blind"]
    assert "it does not depend on the image, though its map lights up" in found.text


def test_what_silenced_cannot_take_is_refused():
    e = build(pieces=[" a"])
    with pytest.raises(ValueError, match="others is 0"):
        failures.silenced(e, others=0, vlm="none")
    with pytest.raises(ValueError, match="how='zero' is unknown"):
        failures.silenced(e, how="zero", vlm="none")
    with pytest.raises(ValueError, match="not the scene's"):
        failures.silenced(e, scene=dx.lab.scene(1), vlm="none")


# ---- how often -------------------------------------------------------------------------------------------------------


def finding(lost, map_dexar, *, found=True, steps=((0,),), verdict=None):
    lost, map_dexar = np.atleast_1d(lost), np.atleast_1d(map_dexar)
    told = [verdict or ("spurious" if one >= 1 else "clear") for one in lost]
    table = pd.DataFrame({"steps": list(steps), "suspect": lost, "map_dexar": map_dexar, "verdict": told})
    return failures.Finding("spurious", found, "", table, {})


def test_the_auroc_counts_the_pairs_in_which_the_planted_map_points_more_to_the_suspect():
    planted = [finding(2.0, -1.0), finding(3.0, 0.5), finding(1.0, -np.inf)]
    clean = [finding(0.0, 1.0), finding(0.1, 0.0), finding(0.2, 0.5)]
    found = failures.map_verdicts(planted, clean)
    # −1 and −∞ are below all three; 0.5 is below 1, above 0 and ties with 0.5: (3 + 3 + 1.5) ÷ 9
    assert found.auroc == pytest.approx(7.5 / 9)
    assert 0 <= found.low <= found.auroc <= found.high <= 1
    assert (found.scenes, found.words, found.unconfirmed, found.empty) == (3, 3, 0, 0)
    assert "AUROC 0.83" in str(found)


def test_words_without_a_confirmed_cause_or_without_a_map_are_left_out_and_counted():
    planted = [finding(2.0, -1.0), finding(0.9, -9.0), finding(3.0, NAN), finding(3.0, -2.0)]
    planted.append(finding(3.0, -9.0, verdict="named"))  # it costs a nat, and is not the cause
    clean = [finding(0.0, 1.0), finding(0.0, 9.0), finding(0.0, 1.0), finding(0.0, NAN), finding(0.0, 9.0)]
    found = failures.map_verdicts(planted, clean)
    assert (found.auroc, found.words, found.unconfirmed, found.empty) == (1.0, 1, 2, 2)


def test_maps_that_tell_three_scenes_apart_are_not_certain_to_tell_others():
    found = failures.map_verdicts([finding(2.0, -1.0)] * 3, [finding(0.0, 1.0)] * 3)
    assert (found.auroc, found.high) == (1, 1)
    assert found.low == pytest.approx(3 / (3 + 1.959964**2))  # Wilson's of 3 in 3
    assert "AUROC 1.00 (0.44 to 1.00)" in str(found)


def test_nothing_to_compare_is_not_a_number_and_other_words_are_refused():
    assert np.isnan(failures.map_verdicts([finding(0.0, 1.0)], [finding(0.0, 1.0)]).auroc)
    with pytest.raises(ValueError, match="not of the same words"):
        failures.map_verdicts([finding(2.0, 1.0)], [finding(2.0, 1.0, steps=((1,),))])
    with pytest.raises(ValueError, match="no 'map_rise'; its maps: map_dexar"):
        failures.map_verdicts([finding(2.0, 1.0)], [finding(2.0, 1.0)], method="rise")


def test_false_alarms_come_with_wilsons_interval():
    found = failures.false_alarms([finding(0, 0, found=False)] * 19 + [finding(0, 0)])
    assert (found.value, found.n) == (0.05, 20)
    assert (found.low, found.high) == pytest.approx((0.0089, 0.2361), abs=1e-4)  # by the formula of Wilson 1927
    assert np.isnan(failures.false_alarms([]).value)


def test_generation_of_the_made_answers_spells_the_caption():
    assert generation(CAPTION).text == at_sea().caption
