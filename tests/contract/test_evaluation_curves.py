"""Perturbation curves: the right pixels, and what the model says about them, against pictures made by hand."""

import io

import numpy as np
import pytest
from PIL import Image, ImageFilter

import dexar_widgets as dx
from dexar_widgets import engine
from dexar_widgets.asking import ask
from dexar_widgets.evaluation.configuration import Configuration, Variant
from dexar_widgets.evaluation.curves import curves, ends, ranking
from dexar_widgets.maps import upsample
from dexar_widgets.types import Grid, HeatMap

pytestmark = pytest.mark.slow

WANTED = ("positive_perplexity", "negative_perplexity", "insertion", "information_curve")


def configuration(**change):
    given = {"levels": 4, "batch_size": 4} | change
    return Configuration({"lab/llava": ""}, "lab", {}, (Variant("random", "random"),), WANTED, **given)


@pytest.fixture(scope="module")
def asked():
    scene = dx.lab.scene(31_000_005, objects=2, prompt="Describe the image.")
    return ask(
        dx.load(), scene.image, scene.prompt, answer=scene.caption, steps=None, on_word=None, decoding=engine.Decoding()
    )


@pytest.fixture(scope="module")
def heat(asked):
    grid = asked.request.layout.grids[0]
    values = np.random.default_rng(0).random((grid.rows, grid.cols)).astype(np.float32)
    return HeatMap(values, grid, "random", (0,))


def nll(asked, image):
    """By another way: the image explained anew, with the answer given."""
    e = dx.explain(asked.vlm, image, asked.example.prompt, answer=asked.said.generation.text, keep="summary")
    return -float(np.mean(e.generation.log_probs))


def test_each_level_is_the_picture_that_the_definition_says(asked, heat):
    given = configuration()
    found = curves(asked, heat, ends(asked, given), given, "key")
    image, colour = asked.example.image, np.array([124, 116, 104], np.uint8)
    height, width, _ = image.shape
    values = upsample(heat).values
    blurred = np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(10 * height / 224)))
    for level in range(5):
        share = level / 4
        count = round(share * height * width)
        order = np.argsort(-values.ravel(), kind="stable")  # no ties in this map, but for a pixel or two
        high = np.zeros(height * width, bool)
        high[order[:count]] = True
        low = np.zeros(height * width, bool)
        low[order[height * width - count :]] = True
        high, low = high.reshape(height, width, 1), low.reshape(height, width, 1)
        expected = {
            "positive": np.where(high, colour, image),
            "negative": np.where(low, colour, image),
            "insertion": np.where(high, image, blurred),
        }
        for kind, picture in expected.items():
            assert found[kind].fractions[level] == share
            assert found[kind].nll[level] == pytest.approx(nll(asked, picture), abs=2e-3), (kind, level)
        buffer = io.BytesIO()
        Image.fromarray(expected["negative"]).resize((96, 96), Image.Resampling.BOX).save(
            buffer, "WEBP", lossless=True, quality=100
        )
        assert found["negative"].sizes[level] == pytest.approx(buffer.tell(), rel=0.02)


def test_with_nearest_each_level_has_whole_cells(asked, heat):
    given = configuration(upsampling="nearest", levels=5)
    found = curves(asked, heat, ends(asked, given), given, "key")
    image, colour = asked.example.image, np.array([124, 116, 104], np.uint8)
    rows, cols = heat.values.shape
    size = image.shape[0] // rows
    assert image.shape == (rows * size, cols * size, 3)
    order = np.argsort(-heat.values.ravel(), kind="stable")
    for level in (1, 4):
        count = round(level / 5 * rows * cols)
        assert found["positive"].fractions[level] == count / (rows * cols) != level / 5
        for kind, taken in (("positive", order[:count]), ("negative", order[::-1][:count])):
            changed = np.isin(np.arange(rows * cols), taken).reshape(rows, cols)
            picture = np.where(np.kron(changed, np.ones((size, size), bool))[..., None], colour, image)
            assert found[kind].nll[level] == pytest.approx(nll(asked, picture), abs=2e-3), (kind, level)


def test_what_a_unit_gives_does_not_depend_on_what_was_measured_before(asked, heat):
    given = configuration()
    shared = ends(asked, given)
    first = curves(asked, heat, shared, given, "key")
    curves(asked, HeatMap(-heat.values, heat.grid, "random", (0,)), shared, given, "key")
    again = curves(asked, heat, ends(asked, given), given, "key")
    for kind, curve in first.items():
        assert (curve.nll == again[kind].nll).all()


@pytest.mark.parametrize(("fill", "colour"), [("imagenet", (124, 116, 104)), ("processor", (128, 128, 128))])
def test_the_fill_is_the_one_that_was_asked_for(asked, fill, colour):
    blank = ends(asked, configuration(fill=fill)).blank
    assert (blank == np.array(colour)).all()


def test_the_images_own_mean_fills_it(asked):
    blank = ends(asked, configuration(fill="image")).blank
    assert np.abs(blank[0, 0] - asked.example.image.mean((0, 1))).max() <= 0.5


def test_pixels_of_equal_value_stand_in_an_order_drawn_for_the_sample():
    grid = Grid(2, 2, (0.0, 0.0, 40.0, 40.0), (40, 40))
    values = np.zeros((2, 2), np.float32)
    first, again, other = (ranking(HeatMap(values, grid, "m", (0,)), key).ranks for key in ("a", "a", "b"))
    assert (first == again).all()
    assert not (first == other).all()
    assert sorted(first.ravel()) == list(range(1600))
    rows = np.nonzero(first < 400)[0]
    assert 15 < rows.mean() < 24  # no scan-line order
    values[1, 1] = 1
    ranked = ranking(HeatMap(values, grid, "m", (0,)), "a")
    enlarged = upsample(HeatMap(values, grid, "m", (0,))).values.ravel()
    assert (np.diff(enlarged[np.argsort(ranked.ranks.ravel())]) <= 0).all()


def test_pixels_that_the_model_does_not_see_are_neither_ranked_nor_replaced():
    grid = Grid(2, 2, (10.0, 0.0, 30.0, 20.0), (40, 20))
    ranked = ranking(HeatMap(np.eye(2, dtype=np.float32), grid, "m", (0,)), "a")
    assert len(ranked.values) == 400
    assert sorted(ranked.ranks[:, 10:30].ravel()) == list(range(400))
    assert (np.delete(ranked.ranks, range(10, 30), 1) == 400).all()
