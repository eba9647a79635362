"""Equations 4 and 6 on numbers worked out by hand."""

import numpy as np
import pytest

from dexar_widgets.filters import head_weights, measure, sensitivity, step_weights, tail, text_mask, with_tail
from tests.unit.made import layout_of, tensor_of

KINDS = ["special", "system", "image", "image", "system", "prompt", "special", "answer"]
LAYOUT = layout_of(KINDS, 1, 2)


def one(values, allowed=None):
    """A tensor of one step, one layer and one head."""
    return tensor_of([[[values]]], None if allowed is None else [[allowed]])


def test_the_sensitivities_are_the_largest_positive_gradients_on_image_and_text():
    read = sensitivity(one([0.5, -9, 2, 3, 1.5, 0.25, 0, 1]), LAYOUT)
    assert (read.visual.item(), read.text.item()) == (3.0, 1.5)
    assert (read.visual_token.item(), read.text_token.item()) == (3, 4)


def test_magnitude_reads_absolute_gradients():
    read = sensitivity(one([0.5, -9, 2, -3, 1.5, 0, 0, 1]), LAYOUT, magnitude=True)
    assert (read.visual.item(), read.text.item()) == (3.0, 9.0)
    assert (read.visual_token.item(), read.text_token.item()) == (3, 1)


def test_a_forbidden_cell_never_wins_even_where_it_holds_a_number():
    allowed = [True, True, True, False, True, False, True, True]
    read = sensitivity(one([0, 0, 2, 99, 1, 99, 0, 0], allowed), LAYOUT)
    assert (read.visual.item(), read.text.item()) == (2.0, 1.0)


def test_all_negative_gradients_read_zero_and_still_name_a_token():
    read = sensitivity(one([-1, -1, -2, -3, -1, -1, -1, -1]), LAYOUT)
    assert (read.visual.item(), read.text.item()) == (0.0, 0.0)
    assert (read.visual_token.item(), read.text_token.item()) == (2, 0)


def test_the_maximum_over_an_empty_text_is_zero_and_names_no_token():
    layout = layout_of(["image", "image"], 1, 2)
    read = sensitivity(one([1, 2]), layout)
    assert (read.visual.item(), read.text.item(), read.text_token.item()) == (2.0, 0.0, -1)
    hidden = sensitivity(one([5, 5, 1, 2, 5, 5, 5, 5], [False, False, True, True] + [False] * 4), LAYOUT, reading=1.0)
    assert (hidden.visual.item(), hidden.text.item(), hidden.text_token.item()) == (1.5, 0.0, -1)


def test_a_pooled_image_token_counts_in_the_visual_sensitivity():
    layout = layout_of(["image", "image", "image", "prompt"], 1, 2, pooled=1)
    read = sensitivity(one([7, 1, 2, 3]), layout)
    assert (read.visual.item(), read.visual_token.item(), read.text.item()) == (7.0, 0, 3.0)


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        (0.0, 10.0),  # max: the mean of the top one
        (0.05, 10.0),  # ⌈0.5⌉ = 1
        (0.1, 10.0),  # ⌈1⌉ = 1, not 2
        (0.11, 9.5),  # ⌈1.1⌉ = 2
        (0.3, 9.0),  # ⌈3⌉ = 3: 0.3 × 10 is 3, not 4
        (0.7, 7.0),  # ⌈7⌉ = 7: 10 … 4
        (0.95, 5.5),  # ⌈9.5⌉ = 10
        (1.0, 5.5),
    ],
)
def test_a_fraction_is_the_mean_of_the_top_ceiling_of_the_set(fraction, expected):
    cells = np.array([[[3, 10, 1, 8, 2, 9, 4, 7, 5, 6]]], np.float32)
    read, winner = measure(cells, np.ones((1, 10), bool), np.arange(10), (fraction,))
    assert read.item() == pytest.approx(expected, rel=1e-6)
    assert winner.item() == 1


def test_the_ceiling_is_not_misled_by_binary_fractions():
    cells = np.arange(100, dtype=np.float32)[None, None]
    (mean,), _ = measure(cells, np.ones((1, 100), bool), np.arange(100), (0.55,))  # 0.55 × 100 is 55.000000000000007
    assert mean.item() == pytest.approx(np.arange(45, 100).mean())


def test_a_fraction_counts_allowed_cells_only():
    cells = np.array([[[8, 6, 4, 2, 99, 99]]], np.float32)
    allowed = np.array([[True, True, True, True, False, False]])
    read, _ = measure(cells, allowed, np.arange(6), (0.5, 1.0))
    assert read.ravel().tolist() == [7.0, 5.0]


def test_each_layer_has_the_size_of_its_own_window():
    cells = np.array([[[8, 6, 4, 2]], [[8, 6, 4, 2]]], np.float32)
    allowed = np.array([[True, True, True, True], [False, False, True, True]])
    read, winner = measure(cells, allowed, np.arange(4), (0.5,))
    assert read.ravel().tolist() == [7.0, 4.0]
    assert winner.ravel().tolist() == [0, 2]


def test_head_weights_are_the_positive_part_of_the_difference():
    values = np.zeros((1, 1, 3, 8), np.float32)
    values[0, 0, :, 2] = [3, 1, 2]  # image
    values[0, 0, :, 5] = [1, 4, 2]  # text
    read = sensitivity(tensor_of(values), LAYOUT)
    assert head_weights(read, np.ones((1, 3), bool)).ravel().tolist() == [2.0, 0.0, 0.0]
    assert head_weights(read, np.array([[False, True, True]])).ravel().tolist() == [0.0, 0.0, 0.0]
    assert head_weights(read, np.array([[False, True, True]]), "none").ravel().tolist() == [0.0, 1.0, 1.0]


def test_a_difference_in_the_last_bit_is_kept_and_not_rounded_away():
    above = np.nextafter(np.float32(1), np.float32(2))
    read = sensitivity(one([0, 0, above, 0, 1, 0, 0, 0]), LAYOUT)
    assert head_weights(read, np.ones((1, 1), bool)).item() == float(above) - 1.0 > 0
    tied = sensitivity(one([0, 0, 1, 0, 1, 0, 0, 0]), LAYOUT)
    assert head_weights(tied, np.ones((1, 1), bool)).item() == 0.0


def test_gradients_of_any_scale_weigh_alike():
    values = np.array([0.5, 0, 2, 3, 1.5, 0, 0, 1], np.float32)
    big, tiny = (sensitivity(one(values * scale), LAYOUT) for scale in (1, 2.0**-40))
    every = np.ones((1, 1), bool)
    assert head_weights(tiny, every) == head_weights(big, every) * 2.0**-40


def test_step_weights_compare_maxima_that_may_lie_in_different_heads():
    values = np.zeros((1, 2, 1, 8), np.float32)
    values[0, 0, 0, [2, 5]] = [5, 1]
    values[0, 1, 0, [2, 5]] = [0, 3]
    read = sensitivity(tensor_of(values), LAYOUT)
    assert step_weights(read, np.ones((2, 1), bool)).tolist() == [2.0]
    assert step_weights(read, np.ones((2, 1), bool), "none").tolist() == [1.0]


def test_step_weights_look_at_the_selection_alone():
    """Over all four layers the text of layer 0 wins; over the last two the image does."""
    values = np.zeros((1, 4, 1, 8), np.float32)
    values[0, :, 0, 2] = [1, 1, 2, 3]
    values[0, :, 0, 5] = [9, 1, 1, 2]
    read = sensitivity(tensor_of(values), LAYOUT)
    assert step_weights(read, np.ones((4, 1), bool)).tolist() == [0.0]
    assert step_weights(read, np.array([[False], [False], [True], [True]])).tolist() == [1.0]


@pytest.mark.parametrize(
    ("text_set", "expected"),
    [
        ("all", [0, 1, 4, 5, 6, 7]),
        ("no_special", [1, 4, 5, 7]),
        ("content", [5, 7]),
        ("answer", [7]),
        ("released", [0, 1, 5, 6, 7]),
    ],
)
def test_each_text_set_holds_these_tokens(text_set, expected):
    assert np.flatnonzero(text_mask(LAYOUT, text_set)).tolist() == expected


@pytest.mark.parametrize(("kinds", "expected"), [(["prompt", "image"], [0]), (["prompt", "prompt"], [0, 1])])
def test_released_leaves_out_nothing_where_no_text_follows_an_image(kinds, expected):
    layout = layout_of(kinds, 1, 1)
    assert np.flatnonzero(text_mask(layout, "released")).tolist() == expected


def test_text_cannot_be_read_from_the_visual_columns_alone():
    tensor = tensor_of(np.ones((1, 1, 1, 2)))
    with pytest.raises(ValueError, match="holds 2 of 8 tokens"):
        sensitivity(tensor, LAYOUT)


def test_the_tail_replaces_the_last_layer_alone():
    values, twice = np.zeros((1, 2, 1, 8)), np.zeros((1, 1, 8))
    values[0, :, 0, 2], twice[0, 0, 2] = [3, 4], 5
    tensor = tensor_of(values, twice=twice)
    merged = with_tail(sensitivity(tensor, LAYOUT), sensitivity(tail(tensor), LAYOUT))
    assert merged.visual.ravel().tolist() == [3.0, 5.0]


def test_released_without_its_gradients_says_so():
    with pytest.raises(ValueError, match="twice applied norm"):
        tail(one(np.ones(8)))
