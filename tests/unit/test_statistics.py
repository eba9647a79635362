"""The report's statistics against numbers worked out by hand."""

import math

import numpy as np
import pytest

from dexar_widgets import separation, statistics
from dexar_widgets.lab.trust import gates


def test_an_estimate_is_written_with_its_interval_if_it_has_one():
    found = statistics.Estimate(0.5, 0.375, 0.625, 16)
    assert (str(found), f"{found:.0%}") == ("0.5 (0.375 to 0.625; n = 16)", "50% (38% to 62%; n = 16)")
    assert f"{statistics.Estimate(2.0, math.nan, math.nan, 1):+.1f}" == "+2.0 (n = 1)"


def test_a_mean_leaves_out_what_is_not_known_and_counts_the_rest():
    found = statistics.mean(np.array([1.0, np.nan, 3.0]), np.array([0, 1, 2]))
    assert (found.value, found.n) == (2.0, 2)
    assert 1.0 <= found.low <= found.value <= found.high <= 3.0


def test_the_interval_of_a_mean_is_that_of_scenes_not_of_words():
    # four words of each of 25 scenes, all alike within a scene: as wide as 25 words, not 100
    values = np.repeat(np.random.default_rng(0).normal(size=25), 4)
    scenes = np.repeat(np.arange(25), 4)
    found = statistics.mean(values, scenes)
    expected = 2 * 1.96 * values.std() / np.sqrt(25)
    assert found.high - found.low == pytest.approx(expected, rel=0.1)
    assert found.high - found.low > 1.8 * 2 * 1.96 * values.std() / np.sqrt(100)


def test_without_a_case_there_is_no_number():
    nothing = np.zeros(0)
    for found in (
        statistics.mean(nothing, nothing.astype(int)),
        statistics.median(nothing, nothing.astype(int)),
        statistics.difference(nothing, nothing, nothing.astype(int)),
        statistics.rate([]),
    ):
        assert found.n == 0
        assert np.isnan(found.value)


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    values, scenes = np.random.default_rng(1).random(30), np.arange(30)
    assert statistics.mean(values, scenes, seed=3) == statistics.mean(values, scenes, seed=3)
    assert statistics.mean(values, scenes, seed=3).low != statistics.mean(values, scenes, seed=4).low


def test_copies_of_a_case_make_nothing_surer():
    values, scenes = np.random.default_rng(0).normal(size=(2, 30)), np.arange(30)
    copies = np.tile(values, 5)
    alone, often = (
        statistics.means(some, np.tile(scenes, times))
        + statistics.differences(some[:1], some[1:], np.tile(scenes, times))
        for some, times in ((values, 1), (copies, 5))
    )
    for one, five in zip(alone, often, strict=True):
        assert (five.low, five.high, five.n) == (pytest.approx(one.low), pytest.approx(one.high), 150)
    apart = statistics.mean(copies[0], np.arange(150))
    assert apart.high - apart.low < 0.6 * (alone[0].high - alone[0].low)  # as if they were independent


def test_rows_are_what_each_is_alone_and_share_their_resamples():
    values, scenes = np.random.default_rng(1).normal(size=(3, 24)), np.repeat(np.arange(12), 2)
    values[1, ::2] = np.nan  # half of each scene is left
    values[2, 2:] = np.nan  # and here one scene
    one, half, lonely = statistics.means(values, scenes)
    for found, row in ((one, values[0]), (half, values[1])):
        alone = statistics.mean(row, scenes)
        assert (found.value, found.low, found.high) == pytest.approx((alone.value, alone.low, alone.high))
        assert found.n == alone.n
    assert (lonely.value, lonely.n) == (pytest.approx(values[2, :2].mean()), 2)
    assert np.isnan([lonely.low, lonely.high]).all()
    none = np.full_like(values, np.nan)
    assert [found.n for found in statistics.differences(values, none, scenes)] == [0, 0, 0]


def test_a_scene_that_another_row_alone_has_is_drawn_and_counts_for_nothing():
    values = np.full((2, 40), np.nan)
    values[0], values[1, :20] = np.arange(40), np.arange(20)
    found, alone = statistics.means(values, np.arange(40))[1], statistics.mean(values[1, :20], np.arange(20))
    assert (found.value, found.n) == (alone.value, 20)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.15)  # other draws


def test_an_order_is_that_of_the_means_and_as_sure_as_they_are():
    columns = np.arange(5.0)
    scenes, noise = np.arange(60), np.random.default_rng(0).normal(size=(2, 60, 5))
    sure = statistics.order(columns + 0.1 * noise[0], 2 * columns + 0.1 * noise[1], scenes)
    assert (sure.value, sure.low, sure.high, sure.n) == (pytest.approx(1), pytest.approx(1), pytest.approx(1), 60)
    swapped = np.tile([0.0, 2, 1, 3, 4], (60, 1))
    assert statistics.order(np.tile(columns, (60, 1)), swapped, scenes).value == pytest.approx(0.9)  # 1 − 6·2 ÷ (5·24)
    unsure = statistics.order(columns + 20 * noise[0], columns + 20 * noise[1], scenes)
    assert unsure.low < 0 < unsure.high
    copies = [np.tile(columns + 20 * one, (5, 1)) for one in noise]
    assert statistics.order(*copies, np.tile(scenes, 5)).low == pytest.approx(unsure.low)
    assert statistics.order(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, int)).n == 0


def test_a_difference_is_taken_case_by_case():
    scenes = np.arange(40)
    first = np.random.default_rng(2).normal(0, 10, 40)
    found = statistics.difference(first + 0.5, first, scenes)
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))
    assert found.p == pytest.approx(2 / 2001)
    assert statistics.difference(first, first, scenes).p == 1.0


def test_a_median_lies_in_its_interval():
    found = statistics.median(np.array([0.0, 1.0, 2.0, 3.0, 100.0]), np.arange(5))
    assert found.value == 2.0
    assert found.low <= 2.0 <= found.high <= 100.0
    assert statistics.median(np.full(9, 0.25), np.arange(9)) == statistics.Estimate(0.25, 0.25, 0.25, 9)


def test_a_rate_is_wilsons():
    found = statistics.rate([True] * 8 + [False] * 2)
    # (.8 + z²/20 ± z √(.016 + z²/400)) ÷ (1 + z²/10), z = 1.96
    assert (found.value, found.low, found.high) == pytest.approx((0.8, 0.4902, 0.9433), abs=1e-4)


def test_a_rate_of_words_is_as_sure_as_its_scenes_are_many():
    # four words of each of 25 scenes, all alike within a scene: as wide as 25 words, not 100
    right, scenes = np.repeat(np.arange(25) < 10, 4), np.repeat(np.arange(25), 4)
    found = statistics.rate(right, scenes)
    assert (found.value, found.n) == (0.4, 100)
    assert found.high - found.low == pytest.approx(2 * 1.96 * np.sqrt(0.4 * 0.6 / 25), rel=0.1)
    assert statistics.rate(right, np.arange(100)) == statistics.rate(right)  # a word a scene: Wilson's
    # and as wide as 100 words where those of a scene have nothing to do with each other
    apart = statistics.rate(np.random.default_rng(0).permutation(right), scenes)
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * np.sqrt(0.4 * 0.6 / 100), rel=0.2)
    assert statistics.rate(np.array([1.0, 0.5, 0.0, 0.5])) == statistics.rate([True, True, False, False])  # ties


@pytest.mark.parametrize("scenes", [1, 3, 40])
def test_words_that_all_agree_leave_room_for_other_scenes(scenes):
    place = np.repeat(np.arange(scenes), 4)
    found = statistics.rate(np.ones(4 * scenes, bool), place)
    assert (found.value, found.n, found.high) == (1, 4 * scenes, pytest.approx(1))
    assert found.low == pytest.approx(statistics.wilson(scenes, scenes)[0]) and found.low < 0.95


@pytest.mark.parametrize(
    ("scores", "positive", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1.0),
        ([4, 3, 2, 1], [0, 0, 1, 1], 0.0),
        ([1, 1, 1, 1], [0, 1, 0, 1], 0.5),
        ([1, 3, 2, 4], [0, 0, 1, 1], 0.75),  # of four pairs one is the wrong way round
        ([1, 2, 2, 3], [0, 0, 1, 1], 0.875),  # and here one is a tie
    ],
)
def test_auroc_counts_pairs(scores, positive, expected):
    assert separation.auroc(np.array(scores, float), np.array(positive, bool)) == expected


def test_auroc_of_one_kind_is_unknown():
    assert np.isnan(separation.auroc(np.array([1.0, 2.0]), np.array([True, True])))
    assert separation.separation(np.ones(2), np.array([True, True]), np.arange(2)).n == 2


def test_the_interval_of_an_auroc_holds_it_and_shrinks_with_scenes():
    rng = np.random.default_rng(0)
    positive = rng.random(400) < 0.5
    scores = rng.normal(size=400) + positive
    small, large = (separation.separation(scores[:n], positive[:n], np.arange(n), draws=200) for n in (40, 400))
    for found in (small, large):
        assert found.low < found.value < found.high
    assert large.high - large.low < small.high - small.low
    assert large.value == separation.auroc(scores, positive)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_scenes_told_apart_perfectly_leave_room_for_others(n):
    positive = np.repeat([True, False], n)
    apart = separation.separation(np.where(positive, 2.0, 1.0), positive, np.tile(np.arange(n), 2))
    assert (apart.value, apart.high) == (1, 1)
    assert apart.low == pytest.approx(statistics.wilson(n, n)[0]) and apart.low < 0.95
    turned = separation.separation(np.where(positive, 1.0, 2.0), positive, np.tile(np.arange(n), 2))
    assert (turned.value, turned.low, turned.high) == pytest.approx((0, 0, 1 - apart.low))


def test_the_rarer_kind_tells_how_sure_a_perfect_separation_is():
    positive = np.arange(43) < 3
    found = separation.separation(positive.astype(float), positive, np.arange(43))
    assert (found.value, found.low) == (1, pytest.approx(statistics.wilson(3, 3)[0]))


def test_two_perfect_separations_of_three_scenes_are_not_certain_to_be_equal():
    positive, scenes = np.repeat([True, False], 3), np.tile(np.arange(3), 2)
    scores = positive.astype(float)
    same = separation.separation_less(scores, 2 * scores, positive, scenes)
    z2 = 1.959964**2
    miss = z2 / (3 + z2)  # 1 less Wilson's lower limit of 3 in 3: 0.56
    assert (same.value, same.n) == (0, 6)
    assert (same.low, same.high) == pytest.approx((-miss, miss))  # all that either may be worse
    turned = separation.separation_less(scores, -scores, positive, scenes)
    assert (turned.value, turned.low, turned.high) == pytest.approx((1, 1 - miss * 2**0.5, 1))
    assert turned.low == pytest.approx(0.2059, abs=1e-4)


def test_of_few_scenes_a_difference_of_aurocs_is_no_surer_than_both_separations_together():
    rng = np.random.default_rng(3)
    positive, scenes = np.tile([True, True, False, False], 5), np.repeat(np.arange(5), 4)
    first, second = rng.normal(size=(2, 20)) + positive
    found = separation.separation_less(first, second, positive, scenes)
    one, other = (separation.separation(scores, positive, scenes) for scores in (first, second))
    below = ((one.value - one.low) ** 2 + (other.high - other.value) ** 2) ** 0.5
    above = ((one.high - one.value) ** 2 + (other.value - other.low) ** 2) ** 0.5
    assert found.value == pytest.approx(one.value - other.value)
    assert (found.low, found.high) == pytest.approx((found.value - below, found.value + above))


def test_of_many_scenes_a_difference_of_aurocs_is_paired_and_cases_without_either_are_left_out():
    rng = np.random.default_rng(4)
    positive, scenes = np.tile([True, False], 60), np.repeat(np.arange(60), 2)
    first = rng.normal(size=120) + positive
    second = first + 0.1 * rng.normal(size=120)
    first[0] = second[7] = np.nan
    found = separation.separation_less(first, second, positive, scenes)
    both = ~np.isnan(first + second)
    expected = [separation.auroc(scores[both], positive[both]) for scores in (first, second)]
    assert (found.value, found.n) == (pytest.approx(expected[0] - expected[1]), 118)
    one = separation.separation(first, positive, scenes)
    assert found.low < found.value < found.high
    assert found.high - found.low < (one.high - one.low) / 2  # they err together
    again = separation.separation_less(first[both], second[both], positive[both], scenes[both])
    assert again == found


def test_a_difference_of_aurocs_of_one_scene_or_kind_has_no_interval():
    one = separation.separation_less(
        np.array([2.0, 1.0]), np.array([1.0, 2.0]), np.array([True, False]), np.zeros(2, int)
    )
    assert one.value == 1 and np.isnan([one.low, one.high]).all()
    kind = separation.separation_less(np.arange(3.0), np.arange(3.0), np.ones(3, bool), np.arange(3))
    assert np.isnan([kind.value, kind.low, kind.high]).all() and kind.n == 3


def test_infinite_cases_count_where_ranks_do_and_have_no_mean():
    scores, positive = np.array([np.inf, 3.0, 2.0, -np.inf, np.nan]), np.array([True, True, False, False, True])
    found = separation.separation(scores, positive, np.arange(5))
    assert (found.value, found.n) == (1, 4)
    middle = statistics.median(np.array([1.0, np.inf, 2.0, np.nan, np.inf, np.inf]), np.arange(6))
    assert (middle.value, middle.n, middle.high) == (np.inf, 5, np.inf) and middle.low <= 2
    for broken in (
        lambda: statistics.mean(np.array([1.0, np.inf]), np.arange(2)),
        lambda: statistics.difference(np.array([1.0, np.inf]), np.array([1.0, np.inf]), np.arange(2)),
    ):
        with pytest.raises(ValueError, match="1 of 2 cases are infinite, and have no mean"):
            broken()


def test_spearman_is_that_of_ranks_with_ties_at_their_mean():
    assert statistics.spearman(np.array([1.0, 2.0, 3.0]), np.array([10.0, 100.0, 1000.0])) == pytest.approx(1.0)
    assert statistics.spearman(np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx(-1.0)
    # ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: covariance 4.5 ÷ √(4.5 · 5)
    found = statistics.spearman(np.array([1.0, 2.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert found == pytest.approx(4.5 / np.sqrt(4.5 * 5))
    assert np.isnan(statistics.spearman(np.ones(3), np.arange(3.0)))


def test_holm_adjusts_for_how_many_are_left():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([0.6, np.nan, 0.6])[0] == 1.0
    assert np.isnan(statistics.holm([0.6, np.nan, 0.6])[1])


def test_a_gate_decides_only_where_a_right_answer_is_known():
    row = gates.result("T1", "NG", 0.5, gate="T1 random")
    assert (row["gate"], row["verdict"]) == ("-0.02 … 0.02", "fail")
    assert gates.result("T1", "NG", 0.01, gate="T1 random")["verdict"] == "pass"
    assert gates.result("T2", "agreement", 0.2, gate="T2 dexar")["verdict"] == "finding"
    assert gates.result("T2", "agreement", 0.7, gate="T2 dexar")["verdict"] == "as expected"
    assert gates.result("T2", "agreement", 0.7)["verdict"] == "measured"
    assert gates.result("T2", "agreement", statistics.rate([]), gate="T2 dexar")["verdict"] == "not measured"


def test_only_tests_with_a_known_answer_and_controls_decide():
    deciding = {name for name, gate in gates.gates().items() if gate["decides"]}
    assert {name.split()[0] for name in deciding} == {"T1", "T2", "T6", "T7", "T8", "T11", "T15"}
    assert {name for name in deciding if name.startswith(("T1 ", "T2 "))} == {
        "T1 random", "T1 oracle", "T1 inverted", "T2 random",
    }  # fmt: skip
    known = {"within", "at_least", "at_most", "decides", "sampled", "why"}
    assert all(set(gate) <= known for gate in gates.gates().values())


def test_entropy_is_that_of_a_histogram():
    assert statistics.entropy(np.zeros((2, 2))) == 0
    assert statistics.entropy(np.array([[0.0, 0.0], [1.0, 1.0]])) == pytest.approx(np.log(2))
