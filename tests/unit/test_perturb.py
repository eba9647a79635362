"""Hiding and keeping regions, against pixels worked out by hand."""

import numpy as np
import pytest

from dexar_widgets import perturb
from dexar_widgets.types import Grid


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


def pieces(shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Regions of a shape: one that has no symmetry, one of scattered pixels, a large one."""
    height, width = shape
    rows, cols = np.mgrid[:height, :width]
    hook = (rows < height // 3) & (cols < width // 4) & ~((rows > 2) & (cols > 2))
    scattered = np.random.default_rng(0).random(shape) < 0.2
    return {"hook": hook, "scattered": scattered, "large": (rows < height * 0.8) & (cols < width * 0.8)}


def same_shape(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether some mirroring and some move around the frame's edges makes one of the other, by trying all."""
    return any(
        np.array_equal(np.roll(one[::up, ::side], (down, right), (0, 1)), other)
        for up in (1, -1)
        for side in (1, -1)
        for down in range(one.shape[0])
        for right in range(one.shape[1])
    )


@pytest.mark.parametrize("name", ["hook", "scattered", "large"])
def test_random_regions_have_the_regions_size_and_shape_and_are_all_different(name: str) -> None:
    mask = pieces((20, 24))[name]
    found = perturb.moved(mask, 9, seed=1)
    assert len(found) == 9
    assert {int(region.sum()) for region in found} == {int(mask.sum())}
    assert all(same_shape(mask, region) for region in found)
    assert len({region.tobytes() for region in [mask, *found]}) == 10


def test_a_region_that_has_room_elsewhere_is_neither_overlapped_nor_cut_by_an_edge() -> None:
    mask = perturb.mask_of((3, 4, 13, 12), (60, 40))
    for region in perturb.moved(mask, 19):
        assert not (region & mask).any()
        rows, cols = np.flatnonzero(region.any(1)), np.flatnonzero(region.any(0))
        assert (np.ptp(rows), np.ptp(cols)) == (7, 9)  # in one piece


def test_a_region_of_most_of_the_image_is_overlapped_as_little_as_can_be() -> None:
    mask = np.zeros((10, 40), bool)
    mask[:, :30] = True  # of 40 columns: at least 20 of the 30 are covered again
    shares = [(region & mask).sum() / mask.sum() for region in perturb.moved(mask, 5)]
    assert min(shares) >= 2 / 3
    assert max(shares) <= 0.7


def test_the_seed_decides_which_regions_are_drawn() -> None:
    mask = perturb.mask_of((3, 4, 13, 12), (60, 40))
    first, again, other = (perturb.moved(mask, 3, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert perturb.moved(mask, 0) == []


def test_where_there_are_fewer_other_places_than_wanted_each_is_given_once() -> None:
    mask = np.array([[True, False, False], [False, False, False]])
    assert sorted(region.tolist() for region in perturb.moved(mask, 9)) == sorted(
        np.roll(mask, move, (0, 1)).tolist() for move in [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    )


def test_a_large_image_is_looked_at_coarsely_and_moved_exactly() -> None:
    mask = perturb.mask_of((101, 33, 402, 334), (1500, 1000))
    found = perturb.moved(mask, 19)
    assert {int(region.sum()) for region in found} == {301 * 301}
    assert not any((region & mask).any() for region in found)


@pytest.mark.parametrize("box", [(0.0, 0.0, 60.0, 40.0), (10.0, 5.0, 50.0, 35.0), (3.3, 2.2, 41.9, 39.1)])
def test_the_pixels_of_some_cells_are_those_whose_centre_lies_in_one(box: tuple[float, ...]) -> None:
    grid = Grid(3, 4, box, (60, 40))
    cells = np.random.default_rng(2).random((3, 4)) < 0.5
    left, top, right, bottom = box
    found, clear = perturb.cells_mask(cells, grid), 0
    for y in range(40):
        for x in range(60):
            place = ((y + 0.5 - top) / (bottom - top) * 3, (x + 0.5 - left) / (right - left) * 4)
            if min(abs(at - round(at)) for at in place) < 0.06:
                continue  # nearer to an edge than half a pixel
            row, col = (int(np.floor(at)) for at in place)
            inside = 0 <= row < 3 and 0 <= col < 4
            assert found[y, x] == (inside and cells[row, col])
            clear += 1
    assert clear > 1500
    assert perturb.cells_mask(np.ones((3, 4), bool), grid).sum() == sum(
        perturb.cells_mask(one.reshape(3, 4), grid).sum() for one in np.eye(12, dtype=bool)
    )


def test_a_cell_smaller_than_a_pixel_leaves_no_pixel_without_a_cell() -> None:
    assert perturb.cells_mask(np.ones((24, 24), bool), Grid(24, 24, (0.0, 0.0, 5.0, 4.0), (5, 4))).all()


WIDE = (39.4, 0.0, 87.4, 48.0)  # what a processor leaves of 128×48 pixels


def test_random_regions_lie_within_what_the_model_sees() -> None:
    mask = perturb.mask_of((30, 5, 60, 20), (128, 48))
    found = perturb.moved(mask, 19, within=WIDE)
    seen = perturb.mask_of((39, 0, 88, 48), (128, 48))
    assert len(found) == 19
    for region in found:
        assert not (region & ~seen).any()
        assert region.sum() == (mask & seen).sum() == 21 * 15
        assert not (region & mask).any()
    assert np.array_equal(found, perturb.moved(mask & seen, 19, within=WIDE))
    assert any((region & ~seen).any() for region in perturb.moved(mask & seen, 19)), "so the lines above can fail"


def test_a_frame_of_the_whole_image_changes_nothing() -> None:
    mask = perturb.mask_of((3, 4, 13, 12), (60, 40))
    assert np.array_equal(perturb.moved(mask, 9, seed=3, within=(0.0, 0.0, 60.0, 40.0)), perturb.moved(mask, 9, seed=3))


@pytest.mark.parametrize(("box", "words"), [((0, 0, 39, 48), "outside what"), ((30, 0, 100, 48), "over all that")])
def test_a_region_of_nothing_or_all_that_is_seen_is_refused(box: tuple[int, ...], words: str) -> None:
    mask = perturb.mask_of(box, (128, 48))
    with pytest.raises(ValueError, match=rf"lies {words} the model sees: .*\(39.4, 0, 87.4, 48\)"):
        perturb.moved(mask, 3, within=WIDE)


def test_a_line_that_is_thinner_than_what_is_looked_at_is_not_overlapped() -> None:
    mask = np.zeros((20, 130), bool)
    mask[3, :128] = True  # every second row is looked at
    for seed in range(5):
        assert not any((region & mask).any() for region in perturb.moved(mask, 9, seed=seed))


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (("image", "answer"), ("image", "answer")),
        (([5, 0, 5], "all"), ((0, 5), "all")),
        ((np.array([3]), "prompt"), ((3,), "prompt")),
        ((range(2), "answer"), ((0, 1), "answer")),
    ],
)
def test_a_cut_is_between_parts_or_of_cells_each_named_once(cut, expected):
    assert perturb.cut_of(cut) == expected == perturb.cut_of(expected)


@pytest.mark.parametrize(
    "cut",
    [
        ("answer", "image"),
        ("image", "all"),  # an image that does not read itself is no cut between parts
        ([], "all"),
        ([0], "image"),
        ([0.5], "all"),
        (3, "all"),
        (np.eye(2, dtype=bool), "all"),
        "image",
        None,
    ],
    ids=str,
)
def test_an_unknown_cut_is_refused_with_those_that_are_known(cut):
    with pytest.raises(ValueError, match=r"is unknown; .*\('image', 'prompt'\).*\[cell, …\], one of 'answer', .*'all'"):
        perturb.cut_of(cut)
