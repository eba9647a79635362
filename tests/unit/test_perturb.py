"""Hiding and keeping regions, against pixels worked out by hand."""

import numpy as np
import pytest

from dexar_widgets import perturb


@pytest.fixture
def image() -> np.ndarray:
    """A 2×4 image: left half red 200, right half 0; its mean colour is (100, 0, 0)."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2, 0] = 200
    return pixels


def test_mean_replaces_exactly_the_masked_pixels_by_the_mean_colour(image: np.ndarray) -> None:
    mask = np.zeros((2, 4), bool)
    mask[0, 0] = True
    hidden = perturb.hide(image, mask)
    assert hidden[0, 0].tolist() == [100, 0, 0]
    assert (hidden[~mask] == image[~mask]).all()
    assert hidden.dtype == np.uint8


def test_keep_hides_the_complement(image: np.ndarray) -> None:
    mask = np.zeros((2, 4), bool)
    mask[0, 0] = True
    kept = perturb.keep(image, mask)
    assert kept[0, 0].tolist() == [200, 0, 0]
    assert (kept[~mask] == [100, 0, 0]).all()


def test_blur_removes_an_edge_but_keeps_the_mean_of_a_flat_area() -> None:
    flat = np.full((64, 64, 3), 77, np.uint8)
    mask = np.ones((64, 64), bool)
    assert (perturb.hide(flat, mask, how="blur") == 77).all()
    edge = flat.copy()
    edge[:, 32:] = 177
    blurred = perturb.hide(edge, mask, how="blur").astype(int)
    assert np.abs(np.diff(blurred[32, :, 0])).max() < 15  # it was 100


def test_a_box_covers_every_pixel_it_touches() -> None:
    mask = perturb.mask_of((0.5, 0, 2.1, 1), (4, 2))
    assert mask.tolist() == [[True, True, True, False], [False] * 4]


def test_a_box_is_clipped_to_the_image() -> None:
    assert perturb.mask_of((2, -5, 99, 99), (4, 2)).tolist() == [[False, False, True, True]] * 2


def test_a_polygon_covers_the_pixels_whose_centres_are_inside() -> None:
    triangle = perturb.mask_of([(0, 0), (4, 0), (0, 4)], (5, 5))
    rows, cols = np.mgrid[:5, :5]
    assert (triangle == (rows + 0.5 + cols + 0.5 < 4)).all()
    assert (perturb.mask_of([(0, 4), (0, 0), (4, 0)], (5, 5)) == triangle).all()  # from another corner
    assert (perturb.mask_of([(0, 4), (4, 0), (0, 0)], (5, 5)) == triangle).all()  # the other way round


def test_a_polygon_of_a_boxs_corners_is_the_box_also_beyond_the_image() -> None:
    corners = [(1, -3), (9, -3), (9, 2), (1, 2)]
    assert (perturb.mask_of(corners, (5, 4)) == perturb.mask_of((1, -3, 9, 2), (5, 4))).all()


def test_what_a_polygon_winds_around_twice_is_outside() -> None:
    outer, inner = [(0, 0), (6, 0), (6, 6), (0, 6)], [(2, 2), (4, 2), (4, 4), (2, 4)]
    mask = perturb.mask_of([*outer, outer[0], *inner, inner[0]], (8, 8))
    expected = perturb.mask_of((0, 0, 6, 6), (8, 8)) & ~perturb.mask_of((2, 2, 4, 4), (8, 8))
    assert (mask == expected).all()


def test_a_mask_of_a_narrow_image_is_no_polygon() -> None:
    mask = np.array([[1, 0], [1, 0], [0, 0]])
    assert (perturb.mask_of(mask, (2, 3)) == mask).all()


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (np.zeros((2, 4)), "covers nothing"),
        (np.ones((2, 4)), "covers everything"),
        (np.ones((4, 3)), r"expected a box .* or a mask of shape \(2, 4\)"),
        ((3, 0, 3, 2), "covers nothing"),
        ((np.nan, 0, 3, 2), "not finite"),
        ((1, 2, 3), "expected a box"),
        ([(0, 0), (3, 2)], "at least three points"),
        ([(0, 0), (3, 0), (3, np.nan)], "polygon .* not finite"),
        ([(0, 0), (3, 0), (1, 0)], "covers nothing"),
        ([(-1, -1), (9, -1), (9, 9), (-1, 9)], "covers everything"),
    ],
)
def test_a_region_that_is_none_is_refused(region: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        perturb.mask_of(region, (4, 2))


def test_an_unknown_way_of_hiding_is_refused(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="choose one of mean, blur"):
        perturb.hide(image, np.ones((2, 4), bool), how="inpaint")
