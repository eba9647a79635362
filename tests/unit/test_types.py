"""The data types refuse what cannot be, and compare by value."""

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.types import Example, Generation, GradientTensor, Grid, HeatMap, TokenLayout, Word, minmax
from tests.unit.made import generation_of, layout_of, random_parts, tensor_of

GRID = Grid(2, 2, (0.0, 0.0, 8.0, 6.0), (8, 6))


def test_minmax_shifts_and_scales_to_the_unit_interval():
    assert minmax(np.array([2.0, 6.0, 4.0])).tolist() == [0.0, 1.0, 0.5]


def test_minmax_of_a_constant_is_zero_and_never_nan():
    assert minmax(np.array([[3.5]])).tolist() == [[0.0]]


def test_minmax_of_tiny_values_adds_no_epsilon():
    assert minmax(np.array([0.0, 1e-30, 5e-31])).tolist() == [0.0, 1.0, 0.5]


def test_visual_tokens_come_in_row_major_order_whatever_their_positions():
    cells = np.array([[0, 1, 1], [0, 0, 1], [-1, -1, -1], [0, 1, 0], [0, 0, 0]])
    layout = TokenLayout(np.arange(5), tuple("vwxyz"), ("image", "image", "prompt", "image", "image"), cells, (GRID,))
    assert layout.tokens_of(0).tolist() == [4, 1, 3, 0]


def test_a_pooled_token_is_visual_but_belongs_to_no_cell():
    layout = layout_of(["image", "image", "image", "prompt"], 1, 2, pooled=1)
    assert layout.is_image.tolist() == [True, True, True, False]
    assert layout.tokens_of(0).tolist() == [1, 2]


def test_a_grid_that_does_not_match_its_tokens_is_refused_with_both_sizes():
    layout = layout_of(["image"] * 4, 2, 2)
    with pytest.raises(ValueError, match="2×3 grid but 4 visual tokens"):
        replace(layout, grids=(replace(GRID, cols=3),))


def test_two_tokens_on_one_cell_are_refused():
    layout = layout_of(["image"] * 4, 2, 2)
    cells = layout.cells.copy()
    cells[3] = cells[0]
    with pytest.raises(ValueError, match="3 distinct"):
        replace(layout, cells=cells)


def test_words_must_cover_every_step_once():
    with pytest.raises(ValueError, match="cover every step once"):
        generation_of(3, (Word("ab", (0, 1)), Word("b", (1, 2))))


def test_a_step_knows_its_word():
    assert generation_of(3, (Word("ab", (0, 1)), Word("c", (2,)))).word_of(1).text == "ab"


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="NaN or infinity"):
        tensor_of([[[[0.0, bad]]]])


@pytest.mark.usefixtures("unchecked_shapes")
def test_gradients_whose_axes_disagree_are_refused():
    tensor, _ = random_parts(0)
    with pytest.raises(ValueError, match="names"):
        replace(tensor, layers=tensor.layers[:-1], values=tensor.values)
    with pytest.raises(ValueError, match="allowed"):
        replace(tensor, allowed=tensor.allowed[:, :, :-1])


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_image_must_be_rgb_bytes():
    with pytest.raises(ValueError, match="expected uint8"):
        Example(np.zeros((4, 4), np.uint8), "?")


def test_a_map_of_another_size_than_its_grid_is_refused():
    with pytest.raises(ValueError, match=r"HeatMap is 3×2 but the layout has a 2×2 grid \(image 8×6\)"):
        HeatMap(np.zeros((3, 2), np.float32), GRID, "dexar", (0,))


def test_the_peak_is_the_first_largest_cell_in_reading_order():
    values = np.array([[0, 5], [5, 1]], np.float32)
    assert HeatMap(values, GRID, "dexar", (0,)).peak == (0, 1)


def test_normalising_a_map_leaves_the_raw_one_as_it_was():
    raw = HeatMap(np.array([[1, 5], [3, 1]], np.float32), GRID, "dexar", (0,))
    assert raw.normalised().values.tolist() == [[0, 1], [0.5, 0]]
    assert raw.values.max() == 5


def picture_in(shown):
    (source,) = re.findall(r"data:image/png;base64,([^\"]+)", shown)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))


def test_a_map_shows_its_cells_in_colour_and_says_what_it_is_of():
    heat = HeatMap(np.array([[0, 1], [2, 3]], np.float32), GRID, "dexar", (0,), word="<cat>")
    shown = heat._repr_html_()
    pixels = picture_in(shown)
    assert pixels.shape == (216, 288, 3)  # the image is 8 × 6
    assert pixels[0, 0].tolist() == pixels[107, 143].tolist() == [0, 34, 78]  # cividis, from its first colour
    assert pixels[215, 287].tolist() == pixels[108, 144].tolist() == [254, 232, 56]  # to its last
    told = "Map of “&lt;cat&gt;” by dexar: 2×2 cells, 0 to 3, largest in row 2, column 2; status ok."
    assert f"<figcaption>{told}</figcaption>" in shown
    assert "border:1px solid" in shown and "<span>0</span>" in shown and "<span>3</span>" in shown


def test_a_signed_map_has_a_scale_about_zero():
    shown = HeatMap(np.array([[-1, 0], [0, 4]], np.float32), GRID, "dexar", (0, 2))._repr_html_()
    assert picture_in(shown)[0, -1] == pytest.approx([247, 247, 247], abs=1)  # 0: the middle of the diverging table
    assert "<span>-4</span>" in shown and "<span>4</span>" in shown
    assert "Map of steps 0, 2 by dexar: 2×2 cells, -1 to 4," in shown


@pytest.mark.parametrize(("status", "why"), [("silenced", "every weight was zero"), ("constant", "no cell stands out")])
def test_a_map_without_anything_says_so_and_shows_nothing(status, why):
    shown = HeatMap(np.zeros((2, 2), np.float32), GRID, "dexar", (1,), status=status, word="a")._repr_html_()
    assert shown == f"<p>Map of “a” by dexar: 2×2 cells, {status}: {why}.</p>"


def test_a_map_is_equal_whatever_its_steps_say():
    heat = HeatMap(np.zeros((2, 2), np.float32), GRID, "dexar", (1,))
    assert heat == replace(heat, word="a") and heat != replace(heat, steps=(0,))


def test_a_maps_line_counts_rows_and_columns_from_one():
    heat = HeatMap(np.array([[0, 1], [2, 3]], np.float32), GRID, "dexar", (0,))
    assert repr(heat) == "HeatMap(2×2, steps [0], peak 3 at row 2, column 2, ok)"
    assert heat.peak == (1, 1)


def test_equality_is_by_value_and_sees_dtype_and_every_number():
    tensor, layout = random_parts(1)
    assert tensor == replace(tensor, values=tensor.values.copy())
    changed = tensor.values.copy()
    changed[0, 0, 0, 0] += 1
    assert tensor != replace(tensor, values=changed)
    assert tensor != replace(tensor, steps=tensor.steps.astype(np.int32))
    assert tensor != replace(tensor, twice=None)
    assert tensor != layout
    assert layout == replace(layout, ids=layout.ids.copy())


def test_equality_of_the_answer_sees_its_words():
    one = generation_of(2)
    assert one == generation_of(2)
    assert one != replace(one, words=(Word("ab", (0, 1)),))
    assert isinstance(one, Generation)


def test_data_types_cannot_be_hashed_by_identity():
    with pytest.raises(TypeError):
        hash(random_parts(0)[0])
    assert GradientTensor.__hash__ is None
