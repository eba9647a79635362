"""The arithmetic of the causal check, by hand: what chance gives, areas and verdicts, what lies in a region."""

import re
from dataclasses import replace

import numpy as np
import pytest
from made import attribution_of, explanation_of, layout_of, tensor_of

import dexar_widgets as dx
from dexar_widgets import causal
from dexar_widgets.causal import chance, deletions, knockouts, scenes, scoring
from dexar_widgets.types import Example, Grid, HeatMap, Word

CHECK = causal.Check("cat", (1, 2), 0.25, "mean", -1.0, -4.0, -2.0, (-1.5, -1.0, -4.0, -0.5), (-3.0, -3.5, -2.5, -3.0))


@pytest.mark.parametrize(
    ("seen", "random", "more", "less"),
    [
        (3.0, [0.5, 0.0, 3.0, -0.5], 2 / 5, 5 / 5),  # 3.0 ties
        (3.5, [0.5, 0.0, 3.0, -0.5], 1 / 5, 5 / 5),
        (-1.0, [0.5, 0.0, 3.0, -0.5], 5 / 5, 1 / 5),
        (1.0, [0.0] * 19, 1 / 20, 20 / 20),
    ],
)
def test_p_counts_the_random_numbers_that_reach_what_was_seen_and_that_itself(seen, random, more, less):
    assert chance.p_value(np.array(seen), np.array(random)) == pytest.approx(more)
    assert chance.p_value(np.array(seen), np.array(random), "less") == pytest.approx(less)


def test_p_of_nothing_random_or_nothing_seen_is_not_a_number():
    assert np.isnan(chance.p_value(np.array([1.0]), np.zeros((1, 0)))).all()
    assert np.isnan(chance.p_value(np.array([np.nan]), np.zeros((1, 3)))).all()
    assert np.isnan(chance.range_of(np.zeros((2, 0)))).all()


def test_a_check_says_what_its_region_loses_beside_chance():
    assert CHECK.drop == 3.0
    assert CHECK.random_drops.tolist() == [0.5, 0.0, 3.0, -0.5]
    assert CHECK.chance == 0.75
    assert CHECK.p == pytest.approx(2 / 5)
    assert CHECK.chance_range == pytest.approx((-0.5 + 0.075 * 0.5, 0.5 + 0.925 * 2.5))  # between the sorted numbers
    assert "By chance 0.75 nats (-0.46 to 2.81) are lost, with 4 random regions of this shape: p = 0.4;" in str(CHECK)
    assert CHECK._repr_html_() == f"<p>{CHECK}</p>" and repr(CHECK) == str(CHECK)


def test_all_but_the_region_is_held_against_random_regions_too_which_must_lose_less():
    assert CHECK.kept_drop == 1.0
    assert CHECK.random_kept_drops.tolist() == [2.0, 2.5, 1.5, 2.0]
    assert (CHECK.kept_chance, CHECK.kept_p) == (2.0, 1 / 5)  # none loses as little
    assert CHECK.kept_range == pytest.approx((1.5 + 0.075 * 0.5, 2.0 + 0.925 * 0.5))
    assert "with only such a region left 2.00 nats (1.54 to 2.46) instead of 1.00: p = 0.2." in str(CHECK)
    assert CHECK.to_pandas()["kept_drop"].tolist() == [1.0, 2.0, 2.5, 1.5, 2.0]


@pytest.mark.parametrize(
    ("hidden", "random", "how", "said"),
    [
        (-3.0, [-1.0] * 19, "mean", "depends on it"),
        (-3.0, [-1.0] * 18 + [-3.5], "mean", "no more than chance"),  # p = .1
        (-3.0, [-1.0] * 18, "mean", "too few random regions"),
        (-3.0, [], "mean", "too few random regions"),
        (-1.9, [-1.0] * 19, "mean", "hardly depends on it"),  # p = .05, and less than a nat
        (-0.1, [-1.0] * 19, "mean", "hardly depends on it"),
        (0.5, [-1.0] * 19, "blur", "what is there speaks against it"),
        (0.5, [1.0] * 19, "blur", "no more than chance"),
        (-np.inf, [-1.0] * 19, "mean", "depends on it"),
        (-3.0, [], "scene", "depends on it"),
        (0.5, [], "scene", "what is there speaks against it"),
    ],
)
def test_a_verdict_needs_a_nat_and_what_chance_does_not_do(hidden, random, how, said):
    found = causal.Check("cat", (1,), 0.25, how, -1.0, hidden, -2.0, tuple(random), tuple(random))
    assert found.verdict == said


def test_no_p_is_told_of_what_loses_nothing():
    """Any 19 numbers have a smallest one; p = 0.05 of 0.04 nats says nothing."""
    unmoved = causal.Check("the", (0,), 0.25, "mean", -1.0, -1.04, -1.04, (-1.0,) * 19, (-1.04,) * 18 + (-1.03,))
    assert (unmoved.p, unmoved.kept_p) == (1 / 20, 1.0)
    assert "p =" not in str(unmoved) and "p =" not in repr(causal.Checks([unmoved]))
    assert "p =" not in causal.Checks([unmoved])._repr_html_()
    needed = replace(unmoved, random_kept=(-1.0,) * 18 + (-4.0,))  # alone it loses nothing, but a random one does
    assert str(needed).count("p =") == 1 and "instead of 0.04: p = 0.95." in str(needed)
    moved = replace(unmoved, hidden=-1.06)
    assert str(moved).count("p =") == 1 and "of this shape: p = 0.05;" in str(moved)


def test_checks_are_a_tuple_that_tells_a_line_each():
    bare = causal.Check("sat", (3,), 0.25, "mean", -1.0, -1.5, -2.0, (-1.0,) * 4, (-2.0,) * 4)
    both = causal.Checks([CHECK, bare])
    assert both == (CHECK, bare) and both[1] is bare and list(both) == [CHECK, bare]
    assert repr(both).split("\n") == [
        "Nats lost with the region hidden (25% of the image, mean), by chance with 4 random regions of this shape:",
        "“cat”: 3.00 (0.75 by chance, p = 0.4): too few random regions.",
        "“sat”: 0.50 (0.00 by chance, p = 0.2): hardly depends on it.",
    ]
    assert repr(causal.Checks()) == "No word was checked."


def test_checks_show_a_row_each_in_a_cell():
    shown = causal.Checks([replace(CHECK, word="<b>")])._repr_html_()
    (row,) = re.findall(r"<tr><th style.*?</tr>", shown)
    assert re.findall(r">([^<>]+)</t[hd]>", row) == [
        "&lt;b&gt;",
        "3.00",
        "0.75 (-0.46 to 2.81), p = 0.4",
        "1.00",
        "2.00 (1.54 to 2.46), p = 0.2",
        "too few random regions",
    ]
    assert shown.count("<th>by chance</th>") == 2


def test_checks_of_a_scene_have_a_column_for_each_other_object():
    others = {"others": ("gray cup",), "other_hidden": (-1.5,), "other_kept": (-5.0,)}
    found = causal.Checks([causal.Check("cat", (1,), 0.06, "scene", -1.0, -4.0, -2.0, objects=("red cat",), **others)])
    assert repr(found).split("\n") == [
        "Nats lost without the red cat (6% of the image, scene):",
        "“cat”: 3.00 (0.50 without the gray cup): depends on it.",
    ]
    heads = re.findall(r"<th>(.*?)</th>", found._repr_html_())
    assert heads == ["", "lost", "without the gray cup", "with no other object", ""]
    assert found.to_pandas()["p"].isna().all()


def test_checks_have_a_table_with_a_row_per_word():
    table = causal.Checks([CHECK, replace(CHECK, word="sat", hidden=-1.0)]).to_pandas()
    assert table["word"].tolist() == ["cat", "sat"] and table["steps"].tolist() == [(1, 2)] * 2
    assert table["drop"].tolist() == [3.0, 0.0] and table["chance"].tolist() == [0.75, 0.75]
    assert table["p"].tolist() == pytest.approx([2 / 5, 4 / 5])  # 0.5, 0 and 3 are as large as 0
    assert table["chance_low"].tolist() == pytest.approx([-0.5 + 0.075 * 0.5] * 2)
    assert table["kept_drop"].tolist() == [1.0, 1.0] and table["verdict"].tolist()[1] == "hardly depends on it"


def test_numbers_become_what_json_has():
    found = chance.jsonable({"a": (np.float32(0.5), np.nan), "b": np.array([[1, 2]]), "c": -np.inf, "d": [None, "x"]})
    assert found == {"a": [0.5, None], "b": [[1, 2]], "c": -1e6, "d": [None, "x"]}


def test_a_check_without_random_regions_knows_no_chance():
    bare = causal.Check("cat", (1,), 0.25, "mean", -1.0, -4.0, -2.0)
    assert (bare.chance, bare.chance_range, bare.p) == (None, None, None)
    assert (bare.kept_chance, bare.kept_range, bare.kept_p) == (None, None, None)
    assert "chance" not in str(bare)
    assert len(bare.to_pandas()) == 1


def test_a_checks_table_has_a_row_per_region():
    table = CHECK.to_pandas()
    assert table["region"].tolist() == ["the region", "random 1", "random 2", "random 3", "random 4"]
    assert table["drop"].tolist() == [3.0, 0.5, 0.0, 3.0, -0.5]
    assert table["kept"].tolist() == [-2.0, -3.0, -3.5, -2.5, -3.0]
    assert set(table["word"]) == {"cat"}


def test_a_removed_object_is_named_and_other_objects_are_no_chance():
    others = {"others": ("gray cup", "green star"), "other_hidden": (-1.5, -1.0), "other_kept": (-5.0, -6.0)}
    found = causal.Check("cat", (1,), 0.06, "scene", -1.0, -4.0, -2.0, objects=("red cat", "blue dog"), **others)
    assert "-4.00 without the red cat and the blue dog (3.00 nats lost), -2.00 with no other object" in str(found)
    assert "Nats lost without each other object alone: 0.50 (gray cup), 0.00 (green star)." in str(found)
    assert (found.p, found.chance, found.kept_p) == (None, None, None)
    assert "chance" not in str(found) and "p =" not in str(found)
    table = found.to_pandas()
    assert table["region"].tolist() == ["red cat and blue dog", "gray cup", "green star"]
    assert table["drop"].tolist() == [3.0, 0.5, 0.0] and table["kept"].tolist() == [-2.0, -5.0, -6.0]


def curve(*rows, random=(), status=None, fractions=(0.0, 0.1, 0.5), ties=None):
    curves = np.array(rows, float)
    randoms = np.array(random, float) if len(random) else np.zeros((len(rows), 0, curves.shape[1]))
    return causal.Deletion(
        words=tuple("abcdef"[: len(rows)]),
        steps=tuple((step,) for step in range(len(rows))),
        fractions=np.array(fractions),
        curves=curves,
        random_curves=randoms,
        status=status or ("ok",) * len(rows),
        ties=np.zeros(len(rows)) if ties is None else np.array(ties),
        method="dexar",
        how="mean",
    )


def test_the_area_is_the_mean_loss_over_the_shares_that_were_hidden():
    found = curve([-1.0, -2.0, -6.0], random=[[[-1.0, -1.0, -2.0], [-1.0, -3.0, -6.0]]])
    assert found.auc == pytest.approx([(0.1 * (0 + 1) / 2 + 0.4 * (1 + 5) / 2) / 0.5])  # 2.5
    assert found.random_auc == pytest.approx(np.array([[0.4, (0.1 + 0.4 * 3.5) / 0.5]]))  # 0.4 and 3.0
    assert found.p == pytest.approx([2 / 3])
    low, high = found.random_range
    assert low[0] == pytest.approx([-1.0, -2.95, -5.9]) and high[0] == pytest.approx([-1.0, -1.05, -2.1])


def test_a_verdict_weighs_the_area_against_random_orders_and_names_what_has_none():
    lose = np.linspace(0.1, 1.0, 19)
    random = [[[-1.0, -1.0 - nats, -1.0 - nats] for nats in lose]] * 6
    nothing = [[-1.0, -1.01, -1.0]] * 19
    random[3] = nothing
    found = curve(
        [-1.0, -3.0, -4.0],  # loses more than all
        [-1.0, -1.5, -1.5],  # as the middle one
        [-1.0, -0.9, -0.5],  # gains
        [-1.0, -1.02, -1.04],
        [np.nan] * 3,
        [-1.0, -1.0, -1.04],  # hardly anything, but random cells do
        random=random,
        status=("ok",) * 4 + ("silenced", "ok"),
    )
    assert found.verdicts == ("above chance", "at chance", "below chance", "no effect", "silenced", "below chance")
    assert ["p =" in line for line in str(found).split("\n")] == [False, True, True, True, False, False, True]
    assert found.p[0] == pytest.approx(1 / 20) and np.isnan(found.p[4])
    assert "“e”: its map is silenced, so it has no top cells." in str(found)
    assert str(found) == repr(found) and found._repr_html_().count("<li>") == 6
    assert "drawn from equals" not in str(found)
    assert "(40% of the cells were drawn from equals)." in str(curve([-1.0, -3.0, -4.0], ties=[0.4]))
    few = curve([-1.0, -3.0, -4.0], random=[random[0][:18]])
    assert few.verdicts == ("too few random orders",)
    assert curve([-1.0, -3.0, -4.0]).verdicts == ("too few random orders",)


def test_the_table_of_curves_has_a_row_per_word_and_share():
    found = curve([-1.0, -2.0, -6.0], [np.nan] * 3, random=[[[-1.0, -1.0, -2.0], [-1.0, -3.0, -6.0]]] * 2,
                  status=("ok", "constant"))  # fmt: skip
    table = found.to_pandas()
    assert table["word"].tolist() == ["a"] * 3 + ["b"] * 3
    assert table["fraction"].tolist() == [0.0, 0.1, 0.5] * 2
    assert table["log_prob"].tolist()[:3] == [-1.0, -2.0, -6.0]
    assert table["random_mean"].tolist()[:3] == [-1.0, -2.0, -4.0]
    assert table["verdict"].tolist() == ["too few random orders"] * 3 + ["constant"] * 3
    assert len(curve([-1.0, -2.0, -6.0]).to_pandas()) == 3  # without random orders too


def test_shares_become_numbers_of_cells_each_once_and_none_first():
    assert deletions._counts((0.5, 0.02, 0.021, 1.0), 144).tolist() == [0, 3, 72, 144]
    for wrong in ((), (0.0,), (0.001,), (1.5,), (-0.1, 0.5), (np.nan, 0.5)):
        with pytest.raises(ValueError, match="shares of the 144 cells"):
            deletions._counts(wrong, 144)


@pytest.mark.parametrize(
    ("depth", "layers", "window", "expected"),
    [
        (4, None, None, [[0], [1], [2], [3]]),
        (8, None, None, [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 6], [6, 7]]),
        (4, None, 3, [[0, 1, 2], [1, 2, 3]]),
        (4, None, 4, [[0, 1, 2, 3]]),
        (4, [2, 0], None, [[0, 2]]),
        (4, -1, None, [[3]]),
        (4, slice(1, 3), None, [[1, 2]]),
        (1, None, None, [[0]]),
    ],
)
def test_windows_slide_over_the_layers_or_are_the_one_that_was_given(depth, layers, window, expected):
    assert knockouts._windows(depth, layers, window).tolist() == expected


@pytest.mark.parametrize(
    ("options", "words"),
    [((None, 0), "window is 0"), ((None, 5), "expected 1 to 4"), ((9, None), "layer 9"), ((1, 2), "either layers=")],
)
def test_a_window_that_cannot_be_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        knockouts._windows(4, *options)


def test_a_knock_outs_table_and_sentence_say_where_most_is_lost():
    found = causal.Knockout(
        words=("cat", "a cat"),
        steps=((1,), (0, 1)),
        cut=("image", "answer"),
        depth=4,
        windows=np.array([[0, 1], [1, 2], [2, 3]]),
        log_prob=np.array([-0.5, -1.0]),
        drop=np.array([[0.1, 2.0, 0.4], [-0.001, 0.2, 0.3]]),
        total=np.array([3.0, 4.0]),
        visual=np.array([[0.1, 0.5, 0.2, 0.0], [0.1, 0.9, 0.2, 0.3]]),
    )
    assert str(found).startswith("Nats lost when the answer cannot read the image, in all 4 layers")
    assert "“cat”: 3.00; 2.00 in layers 1–2." in str(found) and "“a cat”: 4.00; 0.30 in layers 2–3." in str(found)
    assert "<th>1–2</th>" in found._repr_html_() and "<td>0.00</td>" in found._repr_html_()
    table = found.to_pandas()
    assert table["first_layer"].tolist() == [0, 1, 2] * 2 and table["last_layer"].tolist() == [1, 2, 3] * 2
    assert table["layers"].tolist() == ["0–1", "1–2", "2–3"] * 2
    assert table["drop"].tolist() == [0.1, 2.0, 0.4, -0.001, 0.2, 0.3]
    assert table["visual"].tolist() == [0.5, 0.5, 0.2, 0.9, 0.9, 0.3]
    assert table["total"].tolist() == [3.0] * 3 + [4.0] * 3
    assert set(table["source"]) == {"image"} and set(table["target"]) == {"answer"}


def test_a_knock_out_of_cells_says_which_and_who_cannot_read_them():
    numbers = {"log_prob": np.array([-0.5]), "drop": np.array([[0.2]]), "total": np.array([0.3]), "visual": None}
    found = causal.Knockout(("cat",), ((1,),), ((0, 5), "all"), 4, np.array([[0, 1]]), **numbers)
    said = "Nats lost when no other row can read cells 0, 5 of the image"
    assert str(found).startswith(f"{said}, in all 4 layers") and f"{said}, by window" in found._repr_html_()
    assert found.to_pandas()[["source", "target"]].to_numpy().tolist() == [["cells 0, 5", "all"]]
    one = causal.Knockout(("cat",), ((1,),), ((5,), "prompt"), 4, np.array([[0, 1]]), **numbers)
    assert str(one).startswith("Nats lost when the prompt cannot read cell 5 of the image")


def test_a_window_with_a_gap_is_told_layer_by_layer_and_where_nothing_is_lost_none_is_the_most():
    numbers = {"log_prob": np.array([-0.5]), "drop": np.array([[-0.2]]), "total": np.array([-0.1])}
    found = causal.Knockout(("cat",), ((1,),), ("image", "answer"), 4, np.array([[0, 2]]), visual=None, **numbers)
    assert found.to_pandas()["layers"].tolist() == ["0, 2"]
    assert "“cat”: -0.10; -0.20 at most, in any window." in str(found)


def made(words=None, **changes):
    layout = layout_of(["image"] * 4 + ["prompt", "answer", "answer"], 2, 2)
    e = explanation_of(tensor_of(np.ones((3, 1, 1, 7))), layout, **changes)
    return e


def test_every_word_and_last_the_whole_answer_are_checked_each_once():
    assert scoring.words_of(made(), None) == ((0,), (1,), (2,), (0, 1, 2))
    assert scoring.words_of(made(), "b") == ((1,),)
    generation = made().generation
    one = made(generation=type(generation)(*[*generation.__dict__.values()][:4], (Word("abc", (0, 1, 2)),), "abc"))
    assert scoring.words_of(one, None) == ((0, 1, 2),)


def scene_and(seed=3, objects=("red cat", "blue dog", "red dog")):
    scene = dx.lab.scene(seed, objects=objects)
    e = made(example=Example(scene.image, "what?"))
    return scene, e, [f"{thing.colour} {thing.name}" for thing in scene.spec.objects]


def test_an_object_is_named_by_its_index_its_class_its_colour_its_group_or_both():
    scene, e, names = scene_and()
    said = {"red cat": "red cat", "Dog": "dog", "blue dog": "blue", "the dogs": "dog", "red": "red", "animals": ""}
    for (name, part), expected in zip(said.items(), (1, 2, 1, 2, 2, 3), strict=True):
        removed = scenes.removal(e, scene, name)
        wanted = [index for index, there in enumerate(names) if part in there]
        assert list(removed.indices) == wanted and len(wanted) == expected
        assert (removed.mask == scene.visible[wanted].any(0)).all()
        assert sorted([*removed.indices, *removed.others]) == [0, 1, 2]
    removed = scenes.removal(e, scene, 2)
    assert removed.names(removed.indices) == (names[2],)
    assert removed.names(removed.others) == tuple(names[:2])


def test_what_lies_in_a_region_is_what_it_covers_at_least_half_of():
    scene, e, names = scene_and()
    rows, cols = np.nonzero(scene.visible[0])
    for share, inside in ((0.45, False), (0.55, True)):
        middle = np.quantile(rows, share)
        region = (float(cols.min() - 1), float(rows.min() - 1), float(cols.max() + 2), float(middle))
        covered = scene.visible[0][: int(np.ceil(middle))].sum() / scene.visible[0].sum()
        assert (covered >= 0.5) == inside
        if inside:
            assert list(scenes.removal(e, scene, region).indices) == [0]
        else:
            with pytest.raises(ValueError, match=f"No object lies in the region.*{names[0]} 4"):
                scenes.removal(e, scene, region)


def test_several_objects_are_removed_as_if_one_after_the_other():
    scene, e, _ = scene_and()
    removed = scenes.removal(e, scene, 0)
    assert (removed.without([0, 2]) == scene.redraw(scene.spec.without(2).without(0)).image).all()
    assert (removed.without([]) == scene.image).all()
    assert (removed.without(range(3)) != scene.image).any(-1).sum() >= scene.visible.sum() * 0.9


@pytest.mark.parametrize(
    ("region", "how", "given", "words"),
    [
        ("red cat", "scene", None, r'how="scene" removes .* pass it as scene='),
        ("red cat", "mean", None, "region='red cat' names an object"),
        ("green cat", "scene", "own", "names no object of the scene; its objects: 0 .* 1 .* 2 "),
        (3, "scene", "own", "region=3 names no object"),
        (-1, "mean", "own", "region=-1 names no object"),
        (0, "scene", "other", "is not the scene's"),
        ((0, 0, 2, 2), "scene", "own", 'No object lies in the region.*how="mean"'),
        ((0, 0, 2, 2), "melt", None, "'mean', 'blur', 'scene'"),
    ],
)
def test_a_scene_or_an_object_that_is_not_there_is_refused(region, how, given, words):
    scene, e, _ = scene_and()
    other = dx.lab.scene(4)
    with pytest.raises(ValueError, match=words):
        dx.check(e, region=region, how=how, scene={"own": scene, "other": other, None: None}[given])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"region": (0, 0, 2, 2), "cut": ("image", "answer")}, "with a region takes no cut="),
        ({"region": (0, 0, 2, 2), "layers": 1, "head_filter": "none"}, "no layers=, no head_filter="),
        ({"region": (0, 0, 2, 2), "relu": False, "method": "rise"}, "no relu=, no method="),
        ({"cut": ("image", "answer"), "randoms": 3, "how": "blur"}, "with a cut takes no how=, no randoms="),
        ({"cut": ("image", "answer"), "fractions": (0.1,)}, "no fractions="),
        ({"window": 2}, "neither a region nor a cut takes no window="),
        ({"how": "scene"}, "takes no how="),
        ({"how": "melt"}, "'mean', 'blur'"),
        ({"randoms": -1}, "randoms is -1"),
        ({"region": (0, 0, 2, 2), "randoms": -1}, "randoms is -1"),
        ({"method": "rise"}, r"attributions \(none\).*dx.compare"),
        ({"head_filter": "all"}, "head_filter='all'"),
        ({"fractions": (2.0,)}, "shares of the 4 cells"),
        ({"step": 9}, "no explained step"),
        ({"region": (0, 0, 2, 2), "heads": np.array([[0, 0], [0, 0]])}, "with a region takes no heads="),
        ({"region": "cat", "how": "scene", "randoms": 3}, 'how="scene" takes no randoms='),
        ({"region": "cat", "how": "scene", "seed": 3}, 'how="scene" takes no randoms='),
    ],
)
def test_an_option_of_another_check_or_a_wrong_one_is_refused_before_a_model_is_asked(options, words):
    with pytest.raises(ValueError, match=words):
        dx.check(made(), **options)


def test_options_that_shape_dexars_map_are_refused_with_maps_that_are_made_already():
    e = made()
    e = replace(e, attributions={"attention": attribution_of(e, "attention"), "dexar": attribution_of(e, "dexar")})
    for options in ({"layers": [0]}, {"head_filter": "none"}, {"heads": np.array([[0, 0]])}, {"preset": "released"}):
        with pytest.raises(ValueError, match=f"'attention' are made already and take no {next(iter(options))}="):
            dx.check(e, method="attention", **options)


def test_dexars_map_is_the_explanations_own_also_where_another_is_stored():
    e = made()
    stored = replace(e, attributions={"dexar": attribution_of(e, "dexar")})
    for method in (None, "dexar"):
        one, last = deletions._maps(stored, [(0,)], method, {"head_filter": "none"}, last=True)
        assert np.array_equal(one.values, e.heatmap(0, head_filter="none").values)
        assert np.array_equal(last.values, e.sequence_map(head_filter="none").values)


def test_the_share_of_ties_is_that_of_the_hidden_cells_which_others_equal():
    heat = made().heatmap(0)
    values = np.array([[3, 0, 1], [0, 0, 0]], np.float32)
    heat = HeatMap(values, replace(heat.grid, rows=2, cols=3), "dexar", (0,), {}, "ok")
    shares = [deletions._ties(heat, count) for count in (1, 2, 3, 4, 6)]
    assert shares == pytest.approx([0, 0, 1 / 3, 2 / 4, 0])
    assert np.isnan(deletions._ties(replace(heat, status="silenced"), 2))


CROPPED = Grid(2, 2, (1.0, 0.0, 7.0, 6.0), (8, 6))


def test_a_region_that_the_model_does_not_see_is_refused():
    e = made()
    e = replace(e, layout=replace(e.layout, grids=(CROPPED,)))
    with pytest.raises(ValueError, match=r"outside what the model sees: .* crops the image to \(1, 0, 7, 6\)"):
        dx.check(e, region=(7, 0, 8, 6))
    with pytest.raises(ValueError, match="over all that the model sees"):
        dx.check(e, region=(0, 0, 7, 6))
