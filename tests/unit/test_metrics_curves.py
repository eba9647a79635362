"""Areas under curves on paper: uneven levels, both ranges, ends that do not differ, and the information curve."""

from dataclasses import replace

import numpy as np
import pytest

from dexar_widgets import plugins
from dexar_widgets.metrics import Case, Curve
from dexar_widgets.types import Grid, HeatMap

HEAT = HeatMap(np.array([[3, 1]], np.float32), Grid(1, 2, (0.0, 0.0, 2.0, 1.0), (2, 1)), "made", (0,))
FLAT = Curve(np.linspace(0, 1, 11), np.full(11, 0.7))


def curve(fractions, perplexities, sizes=None):
    """The curve of an answer of one token."""
    levels = np.log(np.array(perplexities, float)) + 2.0
    return Curve(np.array(fractions, float), levels, None if sizes is None else np.array(sizes))


def measured(name, **curves):
    return plugins.get("metrics", name).measure(Case(HEAT, **curves))


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_trapezoids_over_uneven_fractions_to_both_ends(sign):
    score = measured(f"{sign}_perplexity", **{sign: curve([0, 0.25, 1], [1, 3, 5])})
    to_end = 0.25 * 2 + 0.65 * (3 + (3 + 2 * 0.65 / 0.75)) / 2
    of_logs = 0.25 * np.log(3) / 2 + 0.75 * np.log(15) / 2
    end = np.log(3) + np.log(5 / 3) * 0.65 / 0.75
    assert score.value == pytest.approx(0.25 * 2 + 0.75 * 4)
    assert score.parts == pytest.approx(
        {
            "auc09": to_end,
            "mean09": to_end / 0.9,
            "log_auc01": of_logs,
            "log_auc09": 0.25 * np.log(3) / 2 + 0.65 * (np.log(3) + end) / 2,
        }
    )
    assert np.isnan(score.chance)


@pytest.mark.parametrize("sign", ["positive", "negative"])
def test_a_flat_curve_is_1_and_its_logarithm_0(sign):
    score = measured(f"{sign}_perplexity", **{sign: FLAT})
    assert score.value == pytest.approx(1)
    assert score.parts == pytest.approx({"auc09": 0.9, "mean09": 1, "log_auc01": 0, "log_auc09": 0})


def test_a_level_at_the_end_of_the_range_is_not_counted_twice():
    score = measured("positive_perplexity", positive=curve([0, 0.5, 0.9, 1], [1, 2, 3, 9]))
    assert score.parts["auc09"] == pytest.approx(0.5 * 1.5 + 0.4 * 2.5)
    score = measured("positive_perplexity", positive=curve([0, 0.5, 0.5, 1], [1, 2, 4, 4]))
    assert score.value == pytest.approx(0.5 * 1.5 + 0.5 * 4)


def test_the_gap_is_positive_less_negative_and_changes_sign_with_them():
    high, low = curve([0, 0.5, 1], [1, 4, 4]), curve([0, 0.5, 1], [1, 1, 4])
    score = measured("perplexity_gap", positive=high, negative=low)
    at_end = np.log(4) * 0.8
    assert score.value == pytest.approx(np.log(4) * 0.5)
    assert score.chance == 0
    assert score.parts == pytest.approx(
        {
            "auc09": np.log(4) * (0.25 + 0.4) - 0.4 * at_end / 2,
            "positive": np.log(4) * 0.75,
            "negative": np.log(4) * 0.25,
        }
    )
    assert measured("perplexity_gap", positive=low, negative=high).value == pytest.approx(-score.value)
    assert measured("perplexity_gap", positive=low, negative=low).value == 0


def test_the_gap_of_an_order_by_what_pixels_are_worth_is_positive_of_its_opposite_negative_and_of_others_0():
    random = np.random.default_rng(0)
    worth = random.exponential(size=400)

    def gap(order):
        lost = [np.append(0, np.cumsum(worth[some])) / 100 for some in (order, order[::-1])]
        positive, negative = (Curve(np.linspace(0, 1, 401), levels) for levels in lost)
        return measured("perplexity_gap", positive=positive, negative=negative).value

    right, drawn = np.argsort(-worth), [gap(random.permutation(400)) for _ in range(50)]
    assert gap(right) > 5 * max(map(abs, drawn))
    assert gap(right[::-1]) == pytest.approx(-gap(right))
    assert abs(np.mean(drawn)) < 3 * np.std(drawn) / np.sqrt(50)


def test_deletion_by_hand():
    score = measured("deletion", positive=curve([0, 0.5, 1], [1, 2, 4]))  # 0, 1/3 and 1 of the harm
    assert score.value == pytest.approx(0.5 * (1 / 6) + 0.5 * (2 / 3))
    assert score.parts == pytest.approx({"clipped": score.value, "nll": 0.5})


def test_insertion_by_hand():
    score = measured("insertion", insertion=curve([0, 0.25, 1], [4, 2, 1]))  # 1, 1/3 and 0 of the harm
    assert score.value == pytest.approx(0.25 * (2 / 3) + 0.75 / 6)
    assert score.parts == pytest.approx({"clipped": score.value, "nll": 0.25 * 0.75 + 0.75 * 0.25})


def test_harm_beyond_the_ends_is_kept_and_clipped_beside():
    score = measured("deletion", positive=curve([0, 0.5, 1], [1, 6, 4]))
    assert score.value == pytest.approx(0.5 * (5 / 6) + 0.5 * (4 / 3))
    assert score.parts["clipped"] == pytest.approx(0.75)
    score = measured("deletion", positive=curve([0, 0.5, 1], [2, 1, 4]))
    assert score.value == pytest.approx(0.5 * -0.25 + 0.5 * 0.25)
    assert score.parts["clipped"] == pytest.approx(0.25)


@pytest.mark.parametrize("end", [1.0, 0.5, 1 + 1e-8])
def test_ends_that_do_not_differ_as_they_must_are_no_baseline(end):
    sizes = [900, 500, 100]
    away, back = curve([0, 0.5, 1], [1, 3, end], sizes), curve([0, 0.5, 1], [end, 3, 1])
    for name, given in (
        ("deletion", {"positive": away}),
        ("insertion", {"insertion": back}),
        ("information_curve", {"negative": away}),
    ):
        assert measured(name, **given).status == "bad_baseline"
    assert measured("positive_perplexity", positive=away).status == "ok"


def test_perplexities_beyond_all_numbers():
    far = Curve(np.array([0, 0.5, 1]), np.array([1, 900, 2000.0]), np.array([900, 500, 100]))
    assert measured("positive_perplexity", positive=far).status == "overflow"
    assert measured("negative_perplexity", negative=far).status == "overflow"
    assert measured("deletion", positive=far).status == "overflow"
    assert measured("information_curve", negative=far).status == "overflow"
    assert measured("perplexity_gap", positive=far, negative=far).value == 0
    above = replace(far, nll=np.array([1, 2000, 3.0]))  # nothing is left of the answer halfway
    assert measured("deletion", positive=above).status == "overflow"
    assert measured("information_curve", negative=above).value == pytest.approx(0.25)


def information(fractions, perplexities, sizes):
    return measured("information_curve", negative=curve(fractions, perplexities, sizes))


def test_the_information_curve_by_hand():
    score = information([0, 0.5, 1], [1, 2, 5], [1100, 350, 100])  # half the pixels: ¼ of the bytes, ¾ of the answer
    assert score.value == pytest.approx(0.25 * 0.375 + 0.75 * 0.875)
    assert score.parts == pytest.approx({"without_envelope": score.value})


def test_more_bytes_are_never_worth_less_in_the_envelope():
    score = information([0, 0.25, 0.5, 1], [1, 4, 2, 5], [1100, 600, 350, 100])
    assert score.value == pytest.approx(0.09375 + 0.1875 + 0.4375)
    assert score.parts == pytest.approx({"without_envelope": 0.09375 + 0.125 + 0.3125})


def test_points_stand_in_the_order_of_their_bytes_and_of_equal_ones_the_best_counts():
    score = information([0, 0.3, 0.6, 1], [1, 4, 2, 5], [1100, 350, 600, 100])  # fewer pixels, more bytes
    assert score.value == pytest.approx(0.25 * 0.125 + 0.25 * 0.5 + 0.5 * 0.875)
    score = information([0, 0.3, 0.6, 1], [1, 4, 2, 5], [1100, 350, 350, 100])
    assert score.value == pytest.approx(0.25 * 0.375 + 0.75 * 0.875)


def test_bytes_and_harm_beyond_the_ends_are_clipped():
    score = information([0, 0.3, 0.6, 1], [2, 1, 9, 5], [1100, 2000, 50, 100])
    assert score.value == pytest.approx(0.5)  # (0, 0) and (1, 1) alone are left


@pytest.mark.parametrize("sizes", [[100, 50, 100], [100, 500, 200]])
def test_an_image_without_more_bytes_than_its_mean_colour_has_no_curve(sizes):
    assert information([0, 0.5, 1], [1, 2, 5], sizes).status == "bad_baseline"
