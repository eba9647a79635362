"""Where a level has to draw among equal pixels: how many there are, and the mean of several draws."""

from types import SimpleNamespace

import numpy as np
import pytest

from dexar_widgets.evaluation import curves
from dexar_widgets.types import Grid, HeatMap

GRID = Grid(8, 8, (0.0, 0.0, 8.0, 8.0), (8, 8))  # a cell is a pixel
IMAGE, BLANK = np.full((8, 8, 3), 200, np.uint8), np.zeros((8, 8, 3), np.uint8)
CONFIGURATION = SimpleNamespace(levels=4, curves=("positive",), batch_size=8, needs=frozenset(), upsampling="bilinear")


def heat(values):
    return HeatMap(np.asarray(values, np.float32).reshape(8, 8), GRID, "made", (0,))


def drawn(monkeypatch, values):
    """The curve of a model that loses a nat for each pixel of the first row that is gone; how often it was asked."""
    asked = []

    def scored(_, pictures, batch_size):
        asked.append(len(pictures))
        return np.array([[-float((picture()[0] == 0).all(1).sum())] for picture in pictures])

    monkeypatch.setattr(curves, "scored", scored)
    shared = curves.Ends(IMAGE, BLANK, IMAGE, np.array([[0.0], [-8.0], [0.0]]), (0, 0))
    return curves.curves(None, heat(values), shared, CONFIGURATION, "key")["positive"], asked


def test_a_map_whose_pixels_all_differ_is_ranked_once(monkeypatch):
    curve, asked = drawn(monkeypatch, np.arange(64.0)[::-1])
    assert (curve.tied, asked) == (0, [3])
    assert curve.nll.tolist() == [0, 8, 8, 8, 8]  # the first row goes first


def test_of_many_equal_pixels_the_perplexities_of_five_orders_are_averaged(monkeypatch):
    curve, asked = drawn(monkeypatch, np.where(np.arange(64) < 48, 0.0, 1.0))
    assert (curve.tied, asked) == (pytest.approx(0.75), [15])  # 16 pixels are above, and the cuts are at 16, 32 and 48
    gone = [
        [(curves.ranking(heat(np.where(np.arange(64) < 48, 0.0, 1.0)), key).ranks[0] < count).sum()
         for count in (16, 32, 48)]
        for key in ("key", *(f"key {draw}" for draw in range(1, 5)))
    ]  # fmt: skip
    assert np.exp(curve.nll[1:-1]) == pytest.approx(np.exp(gone).mean(0))
    assert len({tuple(one) for one in gone}) > 1
