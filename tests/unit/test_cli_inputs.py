"""What the command line makes of its words: layers, boxes, lists and folders; where a map peaks."""

from pathlib import Path

import numpy as np
import pytest

from dexar_widgets import lab
from dexar_widgets.cli.choices import box_of, filter_of, layers_of
from dexar_widgets.cli.inputs import Item, is_many, items_of
from dexar_widgets.cli.places import place_of, thing_at
from dexar_widgets.lab.specifications import Background, SceneObject
from dexar_widgets.types import Grid, HeatMap


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("all", None),
        ("3", [3]),
        ("-1", [-1]),
        ("0-3", [0, 1, 2, 3]),
        ("0,4,10-12", [0, 4, 10, 11, 12]),
        ("10-", slice(10, None)),
    ],
)
def test_layers_are_read_with_both_ends(text: str | None, expected: object) -> None:
    assert layers_of(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1:3", "1,,2", "--3", "4-2"])
def test_layers_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="--layers"):
        layers_of(text)


def test_a_filter_is_a_name_or_a_fraction() -> None:
    assert [filter_of(text) for text in (None, "max", "0.1")] == [None, "max", 0.1]


def test_a_region_is_four_numbers_in_order() -> None:
    assert box_of("1,2,30,40.5") == (1.0, 2.0, 30.0, 40.5)
    for text in ("1,2,3", "a,b,c,d", "5,0,5,9", "0,9,5,3"):
        with pytest.raises(ValueError, match="--region"):
            box_of(text)


def test_a_folder_gives_its_images_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpg", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "c.png").mkdir()
    items = items_of(tmp_path, prompt="why?", answer=None)
    assert items == [
        Item("a.jpg", str(tmp_path / "a.jpg"), "why?"),
        Item("b.PNG", str(tmp_path / "b.PNG"), "why?"),
    ]
    assert is_many(tmp_path)
    assert not is_many(tmp_path / "a.jpg")


def test_a_list_gives_its_lines_with_paths_relative_to_it(tmp_path: Path) -> None:
    source = tmp_path / "list.csv"
    source.write_text('\ufeffimage,prompt,answer\na.png,"What, then?",A cat\n/b.png,,\n', encoding="utf-8")
    assert items_of(source, prompt="default", answer=None) == [
        Item("a.png", str(tmp_path / "a.png"), "What, then?", "A cat"),
        Item("/b.png", "/b.png", "default", None),
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "columns none"),
        (b"image\n", "lists no image"),
        (b"picture,prompt\na,b\n", "columns picture, prompt"),
        (b"image,prompt\na.png,What, then?\n", "line 2: more fields"),
        (b"image,prompt\n,why\n", "line 2: no image"),
        (b"image\n\xff\xfe\n", "not a CSV file in UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_says_where(tmp_path: Path, content: bytes, words: str) -> None:
    source = tmp_path / "list.csv"
    source.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        items_of(source, prompt=None, answer=None)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no image"):
        items_of(tmp_path, prompt=None, answer=None)


def peaking_at(row: int, col: int, grid: Grid, status: str = "ok") -> HeatMap:
    values = np.zeros((grid.rows, grid.cols), np.float32)
    values[row, col] = 1
    return HeatMap(values, grid, "by hand", (0,), status=status)  # type: ignore[arg-type]


def test_a_peak_is_told_in_words_and_pixels() -> None:
    grid = Grid(2, 4, (0, 0, 80, 40), (80, 40))  # cells of 20 × 20 pixels
    place = place_of(peaking_at(1, 3, grid))
    assert place is not None
    assert (place.words, place.row, place.col, place.box) == ("lower right", 1, 3, (60, 20, 80, 40))


def test_a_peak_counts_in_the_whole_image_where_the_model_saw_a_part() -> None:
    grid = Grid(1, 1, (30, 0, 60, 30), (90, 30))  # the middle third
    place = place_of(peaking_at(0, 0, grid))
    assert place is not None
    assert (place.words, place.box) == ("centre", (30, 0, 60, 30))


@pytest.mark.parametrize("status", ["silenced", "constant"])
def test_an_empty_map_peaks_nowhere(status: str) -> None:
    assert place_of(peaking_at(0, 0, Grid(1, 2, (0, 0, 9, 9), (9, 9)), status)) is None


def test_in_a_scene_of_the_lab_the_object_under_the_peak_is_named() -> None:
    square = SceneObject("square", "red", 0.25, 0.25, 0.5)  # the upper left quarter
    scene = lab.scene(0, objects=[square], background=Background("sky"), size=96)
    grid = Grid(4, 4, (0, 0, 96, 96), (96, 96))
    inside, outside = place_of(peaking_at(1, 1, grid)), place_of(peaking_at(3, 3, grid))
    assert inside is not None
    assert outside is not None
    assert thing_at(scene, inside) == "red square"
    assert thing_at(scene, outside) == "background (sky)"
