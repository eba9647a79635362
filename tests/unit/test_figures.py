"""Colours and layout: overlays at the image's size, strips fit for a paper, colours that everyone can tell apart."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dexar_widgets import figures
from dexar_widgets.explanation import Explanation
from dexar_widgets.figures import COLOUR_TABLES, Panel, colours_of, compose, overlay, png_metadata, strip
from dexar_widgets.types import Example, Generation, GradientTensor, Grid, HeatMap, TokenLayout, Word

SEQUENTIAL = ("cividis", "viridis", "inferno", "grey")


def linear(colours: np.ndarray) -> np.ndarray:
    """SRGB to linear light (IEC 61966-2-1)."""
    unit = colours / 255
    return np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def lightness(colours: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB colours."""
    luminance = linear(colours) @ [0.2126, 0.7152, 0.0722]
    return np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)


# Viénot, Brettel and Mollon 1999, in linear RGB
PROTANOPIA = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
DEUTERANOPIA = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def heat(values: list[list[float]], size: tuple[int, int], box: tuple[float, ...] | None = None) -> HeatMap:
    array = np.array(values, np.float32)
    return HeatMap(array, Grid(*array.shape, box or (0, 0, *size), size), "by hand", (0,))


def test_every_table_holds_256_colours() -> None:
    assert all(table.shape == (256, 3) and table.dtype == np.uint8 for table in COLOUR_TABLES.values())


@pytest.mark.parametrize("name", SEQUENTIAL)
def test_a_sequential_table_gets_lighter_from_end_to_end(name: str) -> None:
    lights = lightness(COLOUR_TABLES[name].astype(float))
    assert (np.diff(lights) > -0.35).all()  # rounding to 8 bits moves L* by up to a third
    assert (np.diff(lights[::8]) > 0).all()
    assert lights[-1] - lights[0] > 75


@pytest.mark.parametrize("sight", [PROTANOPIA, DEUTERANOPIA])
def test_the_default_table_keeps_its_order_for_colour_blind_eyes(sight: np.ndarray) -> None:
    seen = linear(COLOUR_TABLES[figures.DEFAULT_COLOURS].astype(float)) @ sight.T
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance[::8]) > 0).all()


def test_the_ends_of_the_default_table_are_those_of_cividis() -> None:
    assert COLOUR_TABLES["cividis"][0].tolist() == [0x00, 0x22, 0x4E]
    assert COLOUR_TABLES["cividis"][255].tolist() == [0xFE, 0xE8, 0x38]


def test_the_diverging_table_is_light_in_its_middle_and_dark_and_apart_at_its_ends() -> None:
    table = COLOUR_TABLES[figures.DIVERGING_COLOURS].astype(float)
    low, middle, high = lightness(table[[0, 128, 255]])
    assert middle > 95
    assert max(low, high) < 40
    assert table[0, 2] > table[0, 0]  # blue below zero
    assert table[255, 0] > table[255, 2]  # red above


def test_a_map_is_coloured_from_its_least_to_its_largest_value() -> None:
    coloured = colours_of(np.array([[2.0, 3.0, 4.0]]), colours="grey")
    assert coloured[0, :, 0].tolist() == [0, 128, 255]


def test_a_signed_map_is_coloured_about_zero() -> None:
    coloured = colours_of(np.array([[-1.0, 0.0, 2.0]]))
    table = COLOUR_TABLES["blue_red"]
    # −1, 0, 2 on a scale from −2 to 2: a quarter, the middle, the end
    assert [pixel.tolist() for pixel in coloured[0]] == [table[i].tolist() for i in (64, 128, 255)]


def test_a_map_whose_least_value_is_the_farthest_from_zero_uses_that_end() -> None:
    coloured = colours_of(np.array([[-2.0, 0.0, 1.0]]))
    assert [pixel.tolist() for pixel in coloured[0]] == [COLOUR_TABLES["blue_red"][i].tolist() for i in (0, 128, 191)]


def test_an_unknown_table_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'jet' is unknown; choose one of cividis"):
        colours_of(np.zeros((2, 2)), colours="jet")


def test_an_overlay_mixes_the_paled_image_and_the_colour_by_its_opacity() -> None:
    image = np.full((2, 4, 3), 100, np.uint8)  # grey stays grey when paled
    shown = overlay(image, heat([[0, 1]], (4, 2)), colours="grey", opacity=0.5)
    # half of 100 and half of black, half of 100 and half of white
    assert shown[0, 0].tolist() == [50, 50, 50]
    assert shown[0, 3].tolist() == [178, 178, 178]
    assert shown.shape == image.shape


def test_an_overlay_of_no_opacity_pales_and_one_of_full_opacity_covers() -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[..., 1] = 200
    covered = overlay(image, heat([[0, 1]], (2, 1)), opacity=1)
    assert covered[0, 1].tolist() == COLOUR_TABLES["cividis"][255].tolist()
    paled = overlay(image, heat([[0, 1]], (2, 1)), opacity=0)
    # a quarter of the colour, three quarters of its luma 0.587 · 200 = 117.4: 88.05, and 50 more in green
    assert paled[0, 0].tolist() == [88, 138, 88]


def test_what_the_model_did_not_see_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
    shown = overlay(image, heat([[0, 1]], (6, 4), (1, 0, 5, 4)))
    np.testing.assert_array_equal(shown[:, [0, 5]], image[:, [0, 5]])
    assert (shown[:, 1:5] != image[:, 1:5]).any()


@pytest.mark.parametrize("status", ["silenced", "constant"])
def test_an_empty_map_fades_the_image_and_shows_no_colour(status: str) -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    empty = replace(heat([[0, 0]], (2, 2)), status=status)  # type: ignore[arg-type]
    assert (overlay(image, empty, opacity=0.6) == 193).all()  # 0.4 · 100 + 0.6 · 255


def test_a_map_of_another_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 2\), this one is \(2, 2\)"):
        overlay(np.zeros((2, 2, 3), np.uint8), heat([[0, 1]], (4, 2)))


@pytest.mark.parametrize("opacity", [-0.1, 1.1, float("nan")])
def test_an_impossible_opacity_is_refused(opacity: float) -> None:
    with pytest.raises(ValueError, match="opacity"):
        overlay(np.zeros((1, 2, 3), np.uint8), heat([[0, 1]], (2, 1)), opacity=opacity)


def explained(width: int, height: int, *, words: int = 3, negative: bool = False) -> Explanation:
    """An image of 2 × 3 cells, one text token, one layer, one head: the map of step t is its gradient."""
    kinds = ("image",) * 6 + ("prompt",)
    cells = np.array([(0, row, col) for row in range(2) for col in range(3)] + [(-1, -1, -1)])
    grid = Grid(2, 3, (0, 0, width, height), (width, height))
    values = np.zeros((words, 1, 1, 7), np.float32)
    for step in range(words - 1):  # the last word is silenced
        values[step, 0, 0, step % 6] = step + 1
    values[..., 6] = 0.5
    image = np.full((height, width, 3), (200, 30, 30), np.uint8)
    pieces = tuple(f" word{step}" for step in range(words))
    return Explanation(
        example=Example(image, "what?", "hand.png"),
        layout=TokenLayout(np.arange(7), ("",) * 6 + ("what?",), kinds, cells, (grid,)),
        generation=Generation(
            np.arange(words),
            np.arange(words),
            pieces,
            np.zeros(words),
            tuple(Word(piece.strip(), (step,)) for step, piece in enumerate(pieces)),
            "".join(pieces).strip(),
        ),
        gradients=GradientTensor(
            -values if negative else values,
            np.ones((words, 1, 7), bool),
            np.arange(words),
            np.arange(1),
            np.arange(7),
        ),
        summary=None,
        preset="paper",
        keep="full",
        provenance={"model": "by hand", "family": "llava"},
    )


def find(sheet: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """(top, left) of every place where a picture stands in a sheet, unchanged."""
    height, width = picture.shape[:2]
    corners = np.argwhere((sheet[: -height + 1 or None, : -width + 1 or None] == picture[0, 0]).all(axis=2))
    return [(top, left) for top, left in corners if (sheet[top : top + height, left : left + width] == picture).all()]


def test_a_strip_holds_the_image_and_every_overlay_pixel_for_pixel() -> None:
    e = explained(120, 80)
    sheet = np.asarray(strip(e))
    assert len(find(sheet, e.example.image)) == 1
    for step in (0, 1):
        assert len(find(sheet, overlay(e.example.image, e.heatmap(step)))) == 1
    whole = overlay(e.example.image, e.sequence_map())
    assert len(find(sheet, whole)) == 1


def test_a_strip_of_a_long_answer_shows_the_heaviest_words_in_their_order() -> None:
    e = explained(120, 80, words=9)
    sheet = np.asarray(strip(e, most_words=2))
    places = [find(sheet, overlay(e.example.image, e.heatmap(step))) for step in range(8)]
    shown = [step for step, found in enumerate(places) if found]
    assert {6, 7} <= set(shown)  # weights grow with the step; the last word weighs nothing
    assert places[6] < places[7]


@pytest.mark.parametrize(("width", "height"), [(1, 1), (6, 6), (4000, 4), (4, 3000), (900, 300)])
def test_a_strip_of_any_shape_is_drawn_within_bounds(width: int, height: int) -> None:
    sheet = strip(explained(width, height))
    assert sheet.width * sheet.height <= 40_000_000
    assert min(sheet.size) > 30  # words have room


def test_a_strip_of_a_huge_image_is_scaled_down_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_MOST_PIXELS", 10_000)
    sheet = strip(explained(300, 200))
    assert 8_000 < sheet.width * sheet.height <= 10_000


def test_titles_are_legible_and_never_run_into_their_neighbour() -> None:
    white = np.full((100, 150, 3), 255, np.uint8)
    short = np.asarray(compose([Panel(white, "cat"), Panel(white, "dog")]))
    long = np.asarray(compose([Panel(white, "w" * 300), Panel(white, "dog")]))
    dark = (short < 128).all(axis=2)
    assert dark.sum() > 50
    assert np.ptp(np.flatnonzero(dark.any(axis=1))) >= 8  # letters of some height
    half = short.shape[1] // 2
    np.testing.assert_array_equal(short[:, half + 4 :], long[:, half + 4 :])


def test_the_options_change_what_a_strip_shows() -> None:
    e = explained(120, 80)
    assert strip(e).tobytes() != strip(e, head_filter="none").tobytes()
    with pytest.raises(ValueError, match="head_filter"):
        strip(e, head_filter="most")  # type: ignore[arg-type]


def test_a_strip_saved_as_png_carries_question_answer_and_provenance(tmp_path: Path) -> None:
    e = explained(60, 40)
    path = tmp_path / "strip.png"
    strip(e).save(path, pnginfo=png_metadata(e, {"layers": [0]}))
    information = Image.open(path).info
    record = json.loads(information["dexar_widgets"])
    assert information["Description"] == "what? → word0 word1 word2"
    assert record["provenance"] == {"model": "by hand", "family": "llava"}
    assert (record["source"], record["choice"]) == ("hand.png", {"layers": [0]})
