"""Options are checked once, say what they accept, and fill in the preset's."""

import numpy as np
import pytest

from dexar_widgets.options import fraction_of, pick_steps, resolve
from dexar_widgets.types import Word
from tests.unit.made import generation_of


def test_the_paper_reads_all_layers_and_all_text_with_the_maximum():
    options = resolve(range(12), 4)
    assert options.layers == tuple(range(12))
    assert (options.text_set, options.head_filter, options.filler_filter) == ("all", "max", "max")
    assert (options.relu, options.magnitude, options.heads) == (True, False, None)


@pytest.mark.parametrize(("depth", "expected"), [(12, range(2, 12)), (10, range(10)), (4, range(4))])
def test_released_reads_the_last_ten_layers(depth, expected):
    options = resolve(range(depth), 4, preset="released")
    assert options.layers == tuple(expected)
    assert options.text_set == "released"


def test_an_explicit_option_overrides_the_presets():
    options = resolve(range(12), 4, preset="released", layers=[0, 11], text_set="answer")
    assert (options.layers, options.text_set) == ((0, 11), "answer")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (2, (2,)),
        (-1, (5,)),
        (np.int64(3), (3,)),
        ([4, 0, 4], (0, 4)),
        ((-1, -2), (4, 5)),
        (slice(-2, None), (4, 5)),
        (slice(None, None, 2), (0, 2, 4)),
        (np.array([1, 2]), (1, 2)),
        (range(2), (0, 1)),
    ],
)
def test_layers_are_an_int_a_slice_or_a_sequence_of_true_indices(given, expected):
    assert resolve(range(6), 2, layers=given).layers == expected


def test_layer_indices_are_true_ones_where_some_layers_have_no_attention():
    assert resolve([3, 7, 11], 2, layers=-1).layers == (11,)
    assert resolve([3, 7, 11], 2, layers=slice(4, None)).layers == (7, 11)
    with pytest.raises(ValueError, match="layer 4, which the explanation does not have"):
        resolve([3, 7, 11], 2, layers=4)


def test_heads_alone_are_their_own_selection():
    options = resolve(range(12), 2, heads=[(1, 0), (0, 1)], preset="released")
    assert options.layers == (0, 1)
    assert options.selection(np.arange(3), 2).tolist() == [[False, True], [True, False], [False, False]]


def test_heads_outside_the_chosen_layers_contradict_them():
    with pytest.raises(ValueError, match="not among layers"):
        resolve(range(4), 2, layers=[0], heads=[(1, 0)])


def test_a_selection_of_layers_takes_all_their_heads():
    options = resolve([2, 5], 2, layers=5)
    assert options.selection(np.array([2, 5]), 2).tolist() == [[False, False], [True, True]]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"preset": "papers"}, "preset='papers' is unknown; accepted: 'paper', 'released'"),
        ({"text_set": "some"}, "accepted: 'all', 'no_special', 'content', 'answer', 'released'"),
        ({"head_filter": "mean"}, r"head_filter='mean' is unknown; accepted: 'max', 'none', 'avg' or a fraction"),
        ({"head_filter": "a fraction in (0, 1]"}, "is unknown"),
        ({"filler_filter": 0.0}, r"filler_filter=0.0 is unknown; accepted: 'max', 'none', 'avg' or a fraction"),
        ({"head_filter": 1.5}, "a fraction"),
        ({"head_filter": float("nan")}, "a fraction"),
        ({"head_filter": True}, "a fraction"),
        ({"head_filter": None}, "a fraction"),
        ({"relu": "no"}, "relu='no' is unknown; accepted: True, False"),
        ({"magnitude": 1}, "accepted: True, False"),
        ({"layers": 4}, r"layers=4 names layer 4.*layers 0 to 3"),
        ({"layers": -5}, "names layer -1"),
        ({"layers": []}, "selects no layer"),
        ({"layers": slice(9, None)}, "selects no layer"),
        ({"layers": "last"}, "layers='last' is unknown; accepted: an int, a slice or a sequence of ints"),
        ({"layers": 1.5}, "accepted: an int, a slice"),
        ({"heads": []}, "no sequence of"),
        ({"heads": 3}, "no sequence of"),
        ({"heads": [("0", 1)]}, "sequence of ints"),
        ({"heads": [3]}, "no sequence of"),
        ({"heads": [(0, 2)]}, r"\(layer 0, head 2\).*heads 0 to 1"),
        ({"heads": [(4, 0)]}, "layer 4, head 0"),
    ],
)
def test_an_unknown_option_value_is_refused_with_the_accepted_ones(wrong, message):
    with pytest.raises(ValueError, match=message):
        resolve(range(4), 2, **wrong)


def test_max_and_avg_are_the_ends_of_the_fractions():
    assert [fraction_of(name) for name in ("max", "avg", "none", 0.3, 1)] == [0.0, 1.0, None, 0.3, 1.0]


WORDS = (
    Word("A", (0,)),
    Word("tooth", (1, 2)),
    Word("dog,", (3,)),
    Word("a", (4,)),
    Word("Dog", (5,)),
    Word("dog", (6,)),
)


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (2, (2,)),
        (-1, (6,)),
        ([3, 0, 0], (0, 3)),
        (slice(1, 3), (1, 2)),
        (slice(-2, None), (5, 6)),
        ("tooth", (1, 2)),
        (" tooth ", (1, 2)),
        ("Tooth!", (1, 2)),
        ("Dog", (5,)),
        ("dog,", (3,)),
        ("a", (4,)),
        (np.int64(1), (1,)),
    ],
)
def test_a_step_is_an_int_a_slice_a_sequence_or_a_word(step, expected):
    assert pick_steps(generation_of(7, WORDS), range(7), step) == expected


def test_a_word_that_occurs_more_than_once_names_its_steps():
    with pytest.raises(ValueError, match=r"occurs 3 times in the answer; give step=\[3\] or step=\[5\] or step=\[6\]"):
        pick_steps(generation_of(7, WORDS), range(7), "DOG")


def test_an_unknown_word_lists_the_words_of_the_answer():
    with pytest.raises(ValueError, match="'cat' is not in the answer; its words are: A · tooth · dog, · a"):
        pick_steps(generation_of(7, WORDS), range(7), "cat")


@pytest.mark.parametrize("step", [1.5, None])
def test_what_is_no_step_says_what_is(step):
    with pytest.raises(ValueError, match="accepted: an int, a slice or a sequence of ints"):
        pick_steps(generation_of(7, WORDS), range(7), step)


@pytest.mark.parametrize("step", [7, -8, [], slice(7, 9), "tooth", "", "..."])
def test_a_step_that_was_not_explained_is_refused(step):
    with pytest.raises(ValueError, match=r"explained: 0, 5\.|is not in the answer"):
        pick_steps(generation_of(7, WORDS), [0, 5], step)


def test_a_slice_takes_those_of_its_steps_that_were_explained():
    assert pick_steps(generation_of(7, WORDS), [0, 5], slice(None)) == (0, 5)
