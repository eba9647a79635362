"""The renderer: pure in its seed, the same at every size, exact in its masks."""

from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.lab.scenes import Background, SceneObject, Specification, render, scene
from dexar_widgets.lab.specifications import specification
from dexar_widgets.lab.world import CLASSES, COLOURS

SEEDS = range(12)
EMPTY = Background("grass", texture=3)


def differs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first != second).any(-1)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_same_seed_gives_the_same_bytes(seed: int) -> None:
    first, second = scene(seed, size=96), scene(seed, size=96)
    assert first.image.tobytes() == second.image.tobytes()
    assert first.spec == second.spec
    assert first.caption == second.caption


def test_different_seeds_give_different_scenes() -> None:
    assert len({scene(seed, size=96).image.tobytes() for seed in SEEDS}) == len(SEEDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_size_shows_the_same_picture(seed: int) -> None:
    spec = specification(seed)
    small = [
        np.asarray(Image.fromarray(render(spec, size=size).image).resize((96, 96), Image.Resampling.BICUBIC), float)
        for size in (192, 384, 480)
    ]
    for other in small[1:]:  # grain and edges are resampled differently; 3 of 255 levels on average
        assert np.abs(other - small[0]).mean() < 3


@pytest.mark.parametrize("seed", SEEDS)
def test_the_image_differs_from_its_background_inside_the_masks_only(seed: int) -> None:
    drawn = scene(seed, size=192)
    empty = drawn.redraw(replace(drawn.spec, objects=()))
    changed = differs(drawn.image, empty.image)
    touched = drawn.masks.any(0)
    assert not (changed & ~touched).any()
    assert changed[touched].mean() > 0.95  # a pixel may by chance keep its colour


@pytest.mark.parametrize("seed", SEEDS)
def test_dropping_or_recolouring_an_object_changes_its_own_pixels_only(seed: int) -> None:
    drawn = scene(seed, size=192)
    thing = drawn.spec.objects[0]
    other = "red" if thing.colour != "red" else "blue"
    for edited in (drawn.spec.without(0), drawn.spec.with_object(0, replace(thing, colour=other))):
        changed = differs(drawn.image, drawn.redraw(edited).image)
        assert changed.any()
        assert not (changed & ~drawn.masks[0]).any()


def test_a_moved_object_leaves_its_old_place_and_takes_its_new_one() -> None:
    drawn = scene(4, objects=1, size=192)
    moved = drawn.redraw(drawn.spec.with_object(0, replace(drawn.spec.objects[0], x=0.3, y=0.3)))
    changed = differs(drawn.image, moved.image)
    assert not (changed & ~(drawn.masks[0] | moved.masks[0])).any()
    rows, cols = np.nonzero(moved.masks[0])
    assert abs(cols.mean() / 192 - 0.3) < 0.05
    assert abs(rows.mean() / 192 - 0.3) < 0.05


def test_swapping_the_background_leaves_the_inside_of_objects() -> None:
    drawn = scene(0, objects=["red square"], background=EMPTY)
    swapped = drawn.redraw(replace(drawn.spec, background=Background("sky")))
    x, y = (round(value * 384) for value in (drawn.spec.objects[0].x, drawn.spec.objects[0].y))
    assert (drawn.image[y, x] == swapped.image[y, x]).all()
    assert differs(drawn.image, swapped.image)[~drawn.masks[0]].mean() > 0.95


def test_visible_masks_share_no_pixel_and_the_last_object_is_on_top() -> None:
    below = SceneObject("square", "red", 0.5, 0.5, 0.4)
    above = SceneObject("circle", "blue", 0.6, 0.5, 0.3)
    drawn = render(Specification(EMPTY, (below, above)), size=96)
    assert (drawn.masks[0] & drawn.masks[1]).any()
    assert (drawn.visible.sum(0) <= 1).all()
    assert (drawn.visible[1] == drawn.masks[1]).all()


def test_objects_stay_inside_apart_and_in_left_to_right_order() -> None:
    for seed in range(300):
        things = specification(seed).objects
        boxes = [thing.box(96) for thing in things]
        assert all(left >= 0 and top >= 0 and right <= 96 and bottom <= 96 for left, top, right, bottom in boxes)
        centres = [thing.x * 96 for thing in things]
        assert all(b - a >= 12 - 1e-6 for a, b in pairwise(centres))
        for i, (left, top, right, bottom) in enumerate(boxes):
            for other in boxes[i + 1 :]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_every_class_and_colour_is_drawn() -> None:
    things = [thing for seed in range(400) for thing in specification(seed).objects]
    assert {thing.name for thing in things} == set(CLASSES)
    assert {thing.colour for thing in things} == set(COLOURS)


def test_objects_can_be_named() -> None:
    drawn = scene(5, objects=["red cat", ("boat", "blue")], background="water", size=96)
    assert {(thing.name, thing.colour) for thing in drawn.spec.objects} == {("cat", "red"), ("boat", "blue")}
    assert drawn.spec.background.name == "water"


def test_a_scene_shows_itself_in_a_cell() -> None:
    drawn = scene(1, size=96)
    shown = np.asarray(Image.open(BytesIO(drawn._repr_png_())))
    assert (shown == drawn.image).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objects": 5}, "1 to 4 objects, not 5"),
        ({"objects": ["mauve cat"]}, "no colour 'mauve'"),
        ({"objects": ["red unicorn"]}, "no object 'unicorn'"),
        ({"objects": ["cat"]}, "write 'red cat'"),
        ({"background": "moon"}, "no background 'moon'"),
        ({"size": 10}, "too small"),
    ],
)
def test_a_wrong_option_is_refused_with_the_way_out(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scene(0, **options)


def test_a_scene_says_what_it_shows_in_a_line():
    drawn = scene(7, objects=["red cat"], background="sand", size=96)
    assert repr(drawn) == "Scene('The image shows a red cat.', on sand, 96×96)"
