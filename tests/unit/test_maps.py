"""Equations 5 and 6 on small grids by hand, and the way back to the image's pixels."""

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.maps import cell_of, layer_maps, on_grid, sequence_values, status_of, upsample
from dexar_widgets.perturb import cells_mask
from dexar_widgets.types import Grid, HeatMap
from tests.unit.made import layout_of

GRADIENTS = np.array([[[1, -2, 3], [4, 5, -6]]], np.float32)  # one layer, two heads, three visual tokens
WEIGHTS = np.array([[2.0, 0.5]])


def test_a_layers_map_is_the_weighted_sum_of_its_heads_positive_parts():
    assert layer_maps(GRADIENTS, WEIGHTS).tolist() == [[4.0, 2.5, 6.0]]


def test_without_relu_the_signed_gradients_are_summed():
    assert layer_maps(GRADIENTS, WEIGHTS, relu=False).tolist() == [[4.0, -1.5, 3.0]]


def test_the_papers_sequence_map_weighs_maps_that_were_minmaxed_each():
    maps = np.array([[0.0, 1, 2, 4], [30, 10, 10, 20], [5, 5, 5, 5]])
    values = sequence_values(maps, np.array([2.0, 1, 9]), np.ones(4, bool), per_token=True)
    assert values.tolist() == [1.0, 0.5, 1.0, 2.5]  # 2·(0, ¼, ½, 1) + (1, 0, 0, ½) + 9·0


def test_the_released_sequence_map_weighs_raw_maps():
    maps = np.array([[0.0, 1], [30, 10]])
    assert sequence_values(maps, np.array([2.0, 0.1]), np.ones(2, bool), per_token=False).tolist() == [3.0, 3.0]


def test_a_pooled_token_takes_no_part_in_the_minmax():
    maps = np.array([[100.0, 1, 3]])
    values = sequence_values(maps, np.array([1.0]), np.array([False, True, True]), per_token=True)
    assert values.tolist() == [0.0, 0.0, 1.0]


def test_values_stand_on_the_grid_row_by_row():
    layout = layout_of(["prompt", *["image"] * 7, "prompt"], 2, 3, pooled=1)
    assert on_grid(np.arange(7.0), layout).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_each_image_has_its_own_map():
    layout = layout_of(["image"] * 4, 1, 2)
    assert on_grid(np.arange(4.0), layout, 1).tolist() == [[2, 3]]
    with pytest.raises(ValueError, match=r"image=2 is unknown; the example has 2 image\(s\)"):
        on_grid(np.arange(4.0), layout, 2)


@pytest.mark.parametrize(
    ("values", "weighted", "status"),
    [([[1, 2]], True, "ok"), ([[2, 2]], True, "constant"), ([[3]], True, "constant"), ([[0, 0]], False, "silenced")],
)
def test_an_empty_map_says_why(values, weighted, status):
    assert status_of(np.array(values, np.float32), weighted=weighted) == status


def heat(values, box, size):
    values = np.array(values, np.float32)
    return HeatMap(values, Grid(*values.shape, box, size), "dexar", (0,))


def test_upsampling_is_linear_between_cell_centres_and_held_beyond_them():
    # two cells on four pixels: centres at 1 and 3, pixel centres at 0.5, 1.5, 2.5, 3.5
    assert upsample(heat([[0, 4]], (0, 0, 4, 1), (4, 1))).values.tolist() == [[0, 1, 3, 4]]


def test_upsampling_agrees_with_pillows_bilinear_filter():
    values = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    expected = Image.fromarray(values).resize((50, 24), Image.Resampling.BILINEAR)
    ours = upsample(heat(values, (0, 0, 50, 24), (50, 24))).values
    np.testing.assert_allclose(ours, np.asarray(expected), atol=1e-6)  # Pillow works in float32


def test_pixels_outside_the_grids_box_are_zero():
    pixels = upsample(heat([[3]], (1, 0, 3, 2), (4, 3))).values
    assert pixels.tolist() == [[0, 3, 3, 0], [0, 3, 3, 0], [0, 0, 0, 0]]


def test_a_box_larger_than_the_image_shows_its_part():
    # a square of 4 padded around an image of 4 × 2: the grid's middle rows are what the image shows
    pixels = upsample(heat([[1], [2], [3], [4]], (0, -1, 4, 3), (4, 2))).values
    assert pixels[:, 0].tolist() == [2, 3]


def test_a_grid_finer_than_its_image_gives_the_images_size():
    assert upsample(heat(np.eye(24), (0, 0, 1, 1), (1, 1))).values.shape == (1, 1)


def test_nearest_is_the_cell_that_holds_the_pixels_centre():
    # 2×2 cells over all but the first column of an image of 5 × 3: they meet at x = 3 and y = 1.5, a pixel's centre,
    # which belongs to the cell below it
    one = heat([[1, 2], [3, 4]], (1, 0, 5, 3), (5, 3))
    assert upsample(one, "nearest").values.tolist() == [[0, 1, 1, 2, 2], [0, 3, 3, 4, 4], [0, 3, 3, 4, 4]]
    assert cell_of(one.grid).tolist() == [[0, 0, 0, 1, 1], [2, 2, 2, 3, 3], [2, 2, 2, 3, 3]]
    # over the whole image they meet at x = 2.5
    whole = heat([[1, 2], [3, 4]], (0, 0, 5, 3), (5, 3))
    assert upsample(whole, "nearest").values[0].tolist() == [1, 1, 2, 2, 2]
    # by their centres, the first and the last column are outside of this box
    inner = heat([[1, 2], [3, 4]], (0.75, 0, 4.25, 3), (5, 3))
    assert upsample(inner, "nearest").values[0].tolist() == [0, 1, 2, 2, 0]


def test_nearest_agrees_with_pillows_filter_and_padding_is_left_out():
    values = np.random.default_rng(0).random((3, 5)).astype(np.float32)
    expected = Image.fromarray(values).resize((52, 25), Image.Resampling.NEAREST)
    assert (upsample(heat(values, (0, 0, 52, 25), (52, 25)), "nearest").values == np.asarray(expected)).all()
    assert upsample(heat([[1], [2], [3], [4]], (0, -1, 4, 3), (4, 2)), "nearest").values[:, 0].tolist() == [2, 3]


def test_every_pixel_is_of_the_cell_that_has_most_of_it():
    grid = Grid(3, 4, (1.25, 0.5, 11.0, 9.25), (12, 10))  # no edge of a cell halves a pixel
    values = np.arange(1.0, 13.0).reshape(3, 4)
    pixels = upsample(heat(values, grid.box, grid.image_size), "nearest").values
    for cell, value in enumerate(values.ravel()):
        inside = cells_mask(np.arange(12).reshape(3, 4) == cell, grid)
        assert (pixels[inside] == value).sum() == (pixels == value).sum() > 0


def test_another_way_of_upsampling_is_refused():
    with pytest.raises(ValueError, match=r"how is 'cubic'; expected one of bilinear, nearest\."):
        upsample(heat([[0, 4]], (0, 0, 4, 1), (4, 1)), "cubic")


def test_pixels_stay_pixels_when_upsampled_again():
    pixels = upsample(heat([[0, 4]], (0, 0, 4, 1), (4, 1)))
    assert upsample(pixels) == pixels
