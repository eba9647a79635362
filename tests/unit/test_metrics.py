"""The energy pointing game on paper, and where there is no number."""

import numpy as np
import pytest

from dexar_widgets import plugins
from dexar_widgets.metrics import Score
from dexar_widgets.types import Grid, HeatMap

GAME = plugins.get("metrics", "energy_pointing_game")
GRID = Grid(1, 2, (0.0, 0.0, 2.0, 1.0), (2, 1))  # a cell is a pixel


def heat(*values):
    return HeatMap(np.array([values], np.float32), GRID, "made", (0,))


def test_the_share_of_positive_energy_on_the_mask_beside_what_a_uniform_map_has():
    score = GAME.measure(heat(3, 1), np.array([[True, False]]))
    assert (score.value, score.chance, score.status) == (0.75, 0.5, "ok")
    assert GAME.measure(heat(3, -5), np.array([[True, False]])).value == 1


def test_chance_is_what_a_uniform_map_has_where_the_model_sees_a_part_of_the_image_alone():
    grid = Grid(1, 2, (1.0, 0.0, 3.0, 1.0), (4, 1))  # the middle half
    crop = HeatMap(np.array([[3, 1]], np.float32), grid, "made", (0,))
    score = GAME.measure(crop, np.array([[False, True, False, False]]))
    assert (score.value, score.chance) == (0.75, 0.5)
    assert GAME.measure(crop, np.array([[True, False, False, False]])).chance == 0


@pytest.mark.parametrize(
    ("values", "mask", "status"),
    [
        ((3, np.nan), (True, False), "nan_input"),
        ((3, 1), (False, False), "empty_mask"),
        ((3, 1), (True, True), "full_mask"),
        ((0, 0), (True, False), "zero_mass"),
        ((-3, -1), (True, False), "zero_mass"),
        ((2, 2), (True, False), "constant_map"),
    ],
)
def test_a_map_that_cannot_be_judged_has_a_status_and_no_number(values, mask, status):
    score = GAME.measure(heat(*values), np.array([mask]))
    assert score.status == status
    assert np.isnan(score.value)


def test_a_score_is_either_a_number_or_a_reason():
    with pytest.raises(ValueError, match="a number means ok"):
        Score("mine", 0.0, True, "zero_mass")
    with pytest.raises(ValueError, match="a number means ok"):
        Score("mine", float("nan"), True)
    with pytest.raises(ValueError, match="gave the status 'fine'"):
        Score("mine", 1.0, True, "fine")
