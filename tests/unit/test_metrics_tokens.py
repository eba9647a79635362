"""Tokens, objects and randomised models on paper."""

import numpy as np
import pytest

from dexar_widgets import plugins
from dexar_widgets.metrics import Case, Effects, Steps
from dexar_widgets.types import Grid, HeatMap

GRID = Grid(1, 4, (0.0, 0.0, 4.0, 1.0), (4, 1))  # a cell is a pixel
EACH = np.eye(4)


def heat(*values):
    return HeatMap(np.array([values], np.float32), GRID, "made", (0,))


def tokens(name, energies, content, weights=None):
    energies = np.array(energies, float)
    weights = np.ones(len(energies)) if weights is None else np.array(weights, float)
    return plugins.get("metrics", name).measure(
        Case(heat(1, 2, 3, 4), steps=Steps(weights, energies, np.array(content, bool)))
    )


def test_token_signal_to_noise_by_hand():
    score = tokens("token_snr", [4, 1, 1, 1], [1, 0, 0, 0], weights=[1, 0.5, 0.5, 0.2])
    assert (score.value, score.chance) == (4, 1)
    assert score.parts == pytest.approx({"raw": 4 / 3, "decibel": 6.0206, "weights": 2.5})
    assert "weights" not in tokens("token_snr", [4, 1, 1, 1], [1, 0, 0, 0]).parts  # all alike: they say nothing
    assert tokens("token_snr", [4, 0, 0, 0], [1, 0, 0, 0]).status == "overflow"
    assert tokens("token_snr", [4, -1, 2, 0], [1, 0, 0, 0]).value == 6


def test_token_squared_error_by_hand():
    score = tokens("token_mse", [4, 1, 1, 1], [1, 0, 0, 0], weights=[1, 0.5, 0.5, 0])
    assert (score.value, score.chance) == (3 / 16 / 4, 0.75)
    assert score.parts == {"weights": 0.125}
    assert tokens("token_mse", [2, -4, 0, 0], [1, 0, 0, 0]).value == 0


def test_token_energy_by_hand():
    score = tokens("token_energy", [4, 1, 1, 1], [1, 0, 0, 0], weights=[3, 1, 0, 0])
    assert (score.value, score.chance) == (4 / 7, 0.25)
    assert score.parts == pytest.approx({"over_chance": 16 / 7, "weights": 0.75})
    assert tokens("token_energy", [4, -9, 0, 0], [1, 0, 0, 0]).value == 1


@pytest.mark.parametrize("name", ["token_snr", "token_mse", "token_energy"])
def test_energies_that_are_all_negative_are_nothing(name):
    assert tokens(name, [-4, -1, -2], [1, 0, 0]).status == "zero_mass"


@pytest.mark.parametrize("seed", range(10))
def test_token_auroc_is_that_of_a_plain_loop_over_pairs(seed):
    random = np.random.default_rng(seed)
    weights, energies = random.integers(-3, 4, (2, 15))
    content = random.permutation(15) < 6

    def pairs(values):
        wins = [(a > b) + (a == b) / 2 for a in values[content] for b in values[~content]]
        return np.mean(wins)

    score = tokens("token_auroc", energies, content, weights)
    assert (score.value, score.chance) == (pytest.approx(pairs(weights)), 0.5)
    assert score.parts == pytest.approx({"energies": pairs(energies)})


def agreement(values, nats, masks=EACH, ignored=None):
    masks = np.array(masks, bool)[:, None]
    case = Case(heat(*values), effects=Effects(masks, np.array(nats, float)), ignored=ignored)
    return plugins.get("metrics", "causal_agreement").measure(case)


def test_agreement_is_of_ranks_over_the_objects():
    assert agreement([1, 2, 3, 9], [-1, 0.1, 0.2, 5]).value == pytest.approx(1)
    assert agreement([1, 2, 3, 9], [5, 0.2, 0.1, -1]).value == pytest.approx(-1)
    score = agreement([1, 2, 3, 4], [2, 1, 4, 3])
    assert (score.value, score.chance) == (pytest.approx(0.6), 0)  # 1 − 6 · 4 ÷ (4 · 15)


def test_what_speaks_against_the_word_is_no_energy():
    assert agreement([-5, 0, 3, 9], [1, 1, 2, 3]).value == pytest.approx(1)


def test_a_large_object_has_more_of_any_map():
    masks = [[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    score = agreement([2, 2, 3, 1], [0.5, 1, 0.1], masks)  # shares 4, 3, 1; per pixel 2, 3, 1
    assert score.value == pytest.approx(0.5)
    assert score.parts == pytest.approx({"per_area": 1})


def test_fewer_than_three_objects_have_no_order():
    assert agreement([1, 2, 3, 4], [1, 2], EACH[:2]).status == "too_few"
    assert agreement([1, 2, 3, 4], [1, 2, 3], EACH[:3]).status == "ok"
    hidden = np.array([[True, False, False, False]])
    assert agreement([1, 2, 3, 4], [1, 2, 3], EACH[:3], hidden).status == "too_few"
    assert agreement([1, 2, 3, 4], [np.nan, 2, 3, 1], ignored=hidden).value == pytest.approx(-0.5)


def test_a_map_beside_all_objects_tells_them_not_apart():
    assert agreement([0, 0, 0, 4], [1, 2, 3], EACH[:3]).status == "constant_map"


def randomised(*maps, own=(1, 2, 3, 4)):
    case = Case(heat(*own), randomised=tuple(heat(*one) for one in maps))
    return plugins.get("metrics", "randomisation").measure(case)


def test_likeness_is_of_ranks_and_without_sign():
    score = randomised((1, 2, 3, 4), (10, 20, 30, 31), (4, 3, 2, 1), (2, 1, 4, 3))
    assert score.value == pytest.approx(0.6)
    assert [score.parts[f"after_{stage}"] for stage in range(1, 5)] == pytest.approx([1, 1, 1, 0.6])
    assert not score.higher_is_better


def test_a_stage_without_a_map_is_left_out_and_the_last_must_have_one():
    score = randomised((0, 0, 0, 0), (1, np.nan, 2, 3), (2, 1, 4, 3))
    assert sorted(score.parts)[:1] == ["after_3"]
    assert score.value == score.parts["after_3"]
    assert randomised((2, 1, 4, 3), (5, 5, 5, 5)).status == "constant_map"


def test_entropy_is_that_of_the_histogram_in_nats():
    fall = -0.75 * np.log(0.75) - 0.25 * np.log(0.25) - np.log(4)
    score = randomised((0, 7, 0, 0))
    assert score.parts["entropy_rise"] == pytest.approx(fall)
    assert score.parts["entropy_rise_relative"] == pytest.approx(fall / np.log(4))
    assert randomised((0, 7, 0, 0), own=(0, 0, 1, 1)).parts["entropy_rise"] == pytest.approx(fall + np.log(2))


@pytest.mark.usefixtures("unchecked_shapes")
def test_maps_on_different_grids_are_refused():
    other = HeatMap(np.array([[1, 2]], np.float32), Grid(1, 2, (0.0, 0.0, 4.0, 1.0), (4, 1)), "made", (0,))
    with pytest.raises(ValueError, match="1×4 but that of the randomised model 1×2"):
        plugins.get("metrics", "randomisation").measure(Case(heat(1, 2, 3, 4), randomised=(other,)))
