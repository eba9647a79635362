"""Whole cells instead of pixels: which pixels go together, how many a level takes, and what a map then scores."""

from types import SimpleNamespace

import numpy as np
import pytest

from dexar_widgets.evaluation import curves
from dexar_widgets.maps import cell_of, coverage, upsample
from dexar_widgets.metrics import Case, energy_pointing_game, iou
from dexar_widgets.types import Grid, HeatMap

SMALL = Grid(2, 2, (1.0, 0.0, 5.0, 3.0), (5, 3))  # crops the first column; cells of 2×1 and of 2×2 pixels


def heat(values, grid):
    return HeatMap(np.asarray(values, np.float32).reshape(grid.rows, grid.cols), grid, "made", (0,))


def pictures(kind, ranked, levels, size):
    """What is replaced on each picture between the ends: the image is 200, the colour 0, the blurred image 100."""
    image, blank, blurred = (np.full((size[1], size[0], 3), value, np.uint8) for value in (200, 0, 100))
    shared = curves.Ends(image, blank, blurred, np.zeros((3, 1)), (0, 0))
    base = 100 if kind == "insertion" else 200
    return [(one()[..., 0] != base) for one in curves.pictures_of(kind, ranked, levels, shared)]


def test_the_levels_of_four_cells_by_hand():
    ranked = curves.ranking(heat([2, 4, 1, 3], SMALL), "key", "nearest")
    assert ranked.values.tolist() == [4, 3, 2, 1]
    # top right, bottom right, top left, bottom left; the first column is never taken
    assert ranked.ranks.tolist() == [[4, 2, 2, 0, 0], [4, 3, 3, 1, 1], [4, 3, 3, 1, 1]]
    assert ranked.counts(4).tolist() == [0, 1, 2, 3, 4]
    assert ranked.counts(3).tolist() == [0, 1, 3, 4]  # 1⅓ and 2⅔ cells
    first, second = pictures("positive", ranked, 3, (5, 3))
    assert first.astype(int).tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert second.astype(int).tolist() == [[0, 1, 1, 1, 1], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]]
    first, _ = pictures("negative", ranked, 3, (5, 3))
    assert first.astype(int).tolist() == [[0, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0]]
    assert (pictures("insertion", ranked, 3, (5, 3))[1] == second).all()


@pytest.mark.parametrize("box", [(0.0, 0.0, 50.0, 37.0), (6.5, 0.25, 43.25, 37.0), (0.0, -6.5, 50.0, 43.5)])
@pytest.mark.parametrize("kind", ["positive", "negative", "insertion"])
def test_no_cell_is_in_part_changed_at_any_level(box, kind):
    grid = Grid(7, 6, box, (50, 37))
    random = np.random.default_rng(0)
    for values in (random.normal(size=42), np.maximum(random.normal(size=42), 0), np.zeros(42)):
        ranked = curves.ranking(heat(values, grid), "key", "nearest")
        seen, cells = ranked.ranks < len(ranked.values), cell_of(grid)
        counts = ranked.counts(10)
        for count, changed in zip(counts[1:-1], pictures(kind, ranked, 10, (50, 37)), strict=True):
            assert not changed[~seen].any()
            whole = [changed[(cells == cell) & seen] for cell in np.unique(cells[seen])]
            assert all(one.all() or not one.any() for one in whole)
            assert sum(one.all() for one in whole) == count
        assert np.abs(counts / len(ranked.values) - np.linspace(0, 1, 11)).max() <= 0.5 / len(ranked.values)


def test_equal_cells_are_drawn_as_cells_and_by_seed():
    grid = Grid(6, 6, (0.0, 0.0, 60.0, 48.0), (60, 48))
    values = np.where(np.arange(36) < 6, 1.0, 0.0)
    found = [curves.ranking(heat(values, grid), key, "nearest").ranks for key in ("0 a", "0 a", "1 a", "0 b")]
    assert (found[0] == found[1]).all()
    assert not any((found[0] == other).all() for other in found[2:])
    for ranks in found:
        assert set(ranks[:8].ravel()) == set(range(6))  # the row of ones
        blocks = ranks.reshape(6, 8, 6, 10).swapaxes(1, 2).reshape(36, 80)
        assert (blocks == blocks[:, :1]).all()
        assert sorted(blocks[:, 0]) == list(range(36))


def test_a_curve_of_cells_runs_over_the_shares_that_were_changed(monkeypatch):
    """Of a model that loses a nat for each cell of the upper row that is gone, half of one for a part of it."""
    asked = []

    def scored(_, every, batch_size):
        asked.append(len(every))
        return np.array([[-(picture()[0, 1:] == 0).all(1).sum() / 2] for picture in every], float)

    monkeypatch.setattr(curves, "scored", scored)
    image, blank = np.full((3, 5, 3), 200, np.uint8), np.zeros((3, 5, 3), np.uint8)
    shared = curves.Ends(image, blank, image, np.array([[0.0], [-2.0], [0.0]]), (0, 0))
    given = SimpleNamespace(
        levels=3, curves=("positive", "negative"), batch_size=8, needs=frozenset(), upsampling="nearest"
    )
    found = curves.curves(None, heat([2, 4, 1, 3], SMALL), shared, given, "key")
    assert found["positive"].fractions.tolist() == [0, 0.25, 0.75, 1]
    assert found["positive"].nll.tolist() == [0, 1, 2, 2]
    assert found["negative"].nll.tolist() == [0, 0, 1, 2]
    assert (found["positive"].tied, asked) == (0, [4])
    # two equal cells are half of all, and the first cut falls between them: five orders
    tied = curves.curves(None, heat([4, 4, 1, 3], SMALL), shared, given, "key")["positive"]
    assert (tied.tied, asked[1:]) == (0.5, [20])
    assert tied.nll.tolist() == pytest.approx([0, 1, 2, 2])


def test_a_perfect_map_of_cells_has_more_energy_inside_and_a_coarser_outline():
    grid = Grid(12, 12, (0.0, 0.0, 96.0, 96.0), (96, 96))
    rows, cols = np.mgrid[:96, :96] + 0.5
    for centre in ((40.0, 52.0), (30.0, 61.0), (55.0, 44.0)):
        mask = np.hypot(rows - centre[0], cols - centre[1]) < 13
        shares = coverage(mask, grid)
        judged = {how: Case(upsample(heat(shares, grid), how), mask) for how in ("bilinear", "nearest")}
        energy, outline = ({how: one.measure(case).value for how, case in judged.items()}
                           for one in (energy_pointing_game, iou))  # fmt: skip
        # of a cell that the mask covers by s, s of the energy s is inside
        assert energy["nearest"] == pytest.approx((shares**2).sum() / shares.sum(), rel=1e-5)
        assert energy["nearest"] > energy["bilinear"]
        best = [(shares[shares >= one].sum(), (shares >= one).sum()) for one in np.unique(shares)]
        expected = max(inside * 64 / (taken * 64 + mask.sum() - inside * 64) for inside, taken in best)
        assert outline["nearest"] == pytest.approx(expected, rel=1e-5)
        assert outline["nearest"] < outline["bilinear"]
