"""The report's statistics against numbers worked out by hand."""

import numpy as np
import pytest

from dexar_widgets import statistics
from dexar_widgets.lab.trust import gates
from dexar_widgets.lab.trust.sections import number


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
    assert statistics.auroc(np.array(scores, float), np.array(positive, bool)) == expected


def test_auroc_of_one_kind_is_unknown():
    assert np.isnan(statistics.auroc(np.array([1.0, 2.0]), np.array([True, True])))
    assert statistics.separation(np.ones(2), np.array([True, True]), np.arange(2)).n == 2


def test_the_interval_of_an_auroc_holds_it_and_shrinks_with_scenes():
    rng = np.random.default_rng(0)
    positive = rng.random(400) < 0.5
    scores = rng.normal(size=400) + positive
    small, large = (statistics.separation(scores[:n], positive[:n], np.arange(n), draws=200) for n in (40, 400))
    for found in (small, large):
        assert found.low < found.value < found.high
    assert large.high - large.low < small.high - small.low
    assert large.value == statistics.auroc(scores, positive)


@pytest.mark.parametrize("n", [2, 5, 40])
def test_scenes_told_apart_perfectly_leave_room_for_others(n):
    positive = np.repeat([True, False], n)
    apart = statistics.separation(np.where(positive, 2.0, 1.0), positive, np.tile(np.arange(n), 2))
    assert (apart.value, apart.high) == (1, 1)
    assert apart.low == pytest.approx(statistics.wilson(n, n)[0]) and apart.low < 0.95
    turned = statistics.separation(np.where(positive, 1.0, 2.0), positive, np.tile(np.arange(n), 2))
    assert (turned.value, turned.low, turned.high) == pytest.approx((0, 0, 1 - apart.low))


def test_the_rarer_kind_tells_how_sure_a_perfect_separation_is():
    positive = np.arange(43) < 3
    found = statistics.separation(positive.astype(float), positive, np.arange(43))
    assert (found.value, found.low) == (1, pytest.approx(statistics.wilson(3, 3)[0]))


def test_infinite_cases_count_where_ranks_do_and_have_no_mean():
    scores, positive = np.array([np.inf, 3.0, 2.0, -np.inf, np.nan]), np.array([True, True, False, False, True])
    found = statistics.separation(scores, positive, np.arange(5))
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


@pytest.mark.parametrize(
    ("value", "text"), [(0.1234, "0.123"), (12.34, "12.3"), (0.0, "0.000"), (1e-6, "1.0e-06"), (np.nan, "–")]
)
def test_numbers_are_written_with_three_digits(value, text):
    assert number(value) == text
