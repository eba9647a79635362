"""The renderer: pure in its seed, the same at every size, exact in its masks."""

import random
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.lab import backgrounds
from dexar_widgets.lab.chance import specification, with_props
from dexar_widgets.lab.scenes import Background, Prop, SceneObject, Specification, render, scene
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS

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


@pytest.mark.parametrize("seed", SEEDS)
def test_every_edit_changes_what_it_names_and_nothing_else(seed: int) -> None:
    drawn = scene(seed, size=192)
    new = SceneObject("star", "pink", 0.5, 0.5, 0.3)
    patch = Prop("checker", 0.2, 0.8, 1 / 12)
    for edited, allowed in (
        (drawn.spec.without(0), drawn.masks[0]),
        (drawn.spec.recoloured(0, "red"), drawn.masks[0]),
        (drawn.spec.moved(0, x=0.5, y=0.5), None),
        (drawn.spec.adding(new), render(Specification(EMPTY, (new,)), size=192).masks[0]),
        (drawn.spec.adding(patch), render(Specification(EMPTY, (), (patch,)), size=192).props[0]),
    ):
        other = drawn.redraw(edited)
        where = drawn.masks[0] | other.masks[0] if allowed is None else allowed
        assert not (differs(drawn.image, other.image) & ~where).any()
    swapped = drawn.redraw(drawn.spec.on("sky" if drawn.spec.background.name != "sky" else "wall"))
    inside = drawn.masks.any(0) & ~differs(drawn.image, swapped.image)
    assert inside.sum() > 0.8 * drawn.masks.any(0).sum()  # soft edges mix with what is behind
    assert (swapped.masks == drawn.masks).all()


def test_an_invisible_object_is_told_and_masked_but_not_drawn() -> None:
    ghost = SceneObject("boat", "white", 0.5, 0.5, 0.3, opacity=0.0)
    drawn = render(Specification(EMPTY, (ghost,)), size=96)
    assert (drawn.image == render(Specification(EMPTY, ()), size=96).image).all()
    assert drawn.caption == "The image shows a white boat."
    assert drawn.masks[0].any()
    faint = drawn.redraw(drawn.spec.with_object(0, replace(ghost, opacity=0.5)))
    full = drawn.redraw(drawn.spec.with_object(0, replace(ghost, opacity=1.0)))
    half = np.abs(faint.image.astype(int) - drawn.image) * 2 - np.abs(full.image.astype(int) - drawn.image)
    assert np.abs(half).max() <= 3  # half way, up to rounding


def test_rails_lie_under_a_train_and_a_drawing_lies_on_top() -> None:
    train = SceneObject("train", "red", 0.5, 0.5, 0.4)
    rails, face = Prop("tracks", 0.5, 0.64, 1.0, "gray"), Prop("face", 0.5, 0.5, 0.2)
    drawn = render(Specification(EMPTY, (train,), (rails, face)), size=192)
    alone = render(Specification(EMPTY, (train,)), size=192)
    body = drawn.visible[0] & (alone.image == drawn.image).all(-1)
    assert (drawn.props[0] & drawn.masks[0] & body).any()
    assert not (drawn.visible[0] & drawn.props[1]).any()
    assert not (drawn.background & (drawn.masks.any(0) | drawn.props.any(0))).any()
    assert drawn.background.sum() + (drawn.masks.any(0) | drawn.props.any(0)).sum() == 192 * 192


def test_textures_that_are_kept_take_less_than_half_of_their_pixels() -> None:
    for name in BACKGROUNDS:
        assert len(backgrounds._master(name, 0)) < backgrounds._MASTER**2 * 3 / 2


def test_a_second_background_fills_the_scene_down_to_the_horizon() -> None:
    ground = replace(EMPTY, above=Background("sky"), horizon=0.25)
    mixed = render(Specification(ground, ()), size=96).image
    assert (mixed[:24] == render(Specification(Background("sky"), ()), size=96).image[:24]).all()
    assert (mixed[24:] == render(Specification(EMPTY, ()), size=96).image[24:]).all()


@pytest.mark.slow
def test_props_of_training_never_cover_an_object_and_come_with_and_without_a_train() -> None:
    rng, seen = random.Random(0), {"train, tracks": 0, "train, none": 0, "other, tracks": 0}
    for seed in range(1000):
        spec = with_props(rng, specification(seed))
        kinds = {prop.name for prop in spec.props}
        train = any(thing.name == "train" for thing in spec.objects)
        key = f"{'train' if train else 'other'}, {'tracks' if 'tracks' in kinds else 'none'}"
        seen[key] = seen.get(key, 0) + 1
        for prop in spec.props:
            if prop.name == "face":
                drawn = render(spec, size=96)
                assert (drawn.visible == drawn.redraw(spec.without_props()).visible).all()
    assert min(seen.values()) > 15


def test_an_object_is_found_by_what_it_is_called() -> None:
    spec = Specification(EMPTY, tuple(SceneObject(n, c, 0.5, 0.5, 0.3) for n, c in (("cat", "red"), ("cat", "blue"))))
    assert spec.find("cat") == (0, 1)
    assert spec.find("red cat") == spec.find("red") == (0,)
    assert spec.find("green cat") == ()


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
        ({"objects": [SceneObject("cat", "red", 0.5, 0.5, 0.3)], "background": "moon"}, "no background 'moon'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_way_out(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scene(0, **options)


def test_a_scene_says_what_it_shows_in_a_line():
    drawn = scene(7, objects=["red cat"], background="sand", size=96)
    assert repr(drawn) == "Scene('The image shows a red cat.', on sand, 96×96)"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SceneObject("cat", "red", 0.5, 0.5, 0.3, opacity=2), "opacity is 2"),
        (lambda: SceneObject("cat", "red", 0.5, 0.5, 0.3, look="penguin"), "no look 'penguin'"),
        (lambda: Prop("rails", 0.5, 0.5, 0.3), "no prop 'rails'"),
        (lambda: Background("sky", horizon=2.0), "horizon is 2"),
    ],
)
def test_a_thing_that_cannot_be_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_an_index_from_the_end_means_the_same_object() -> None:
    spec = specification(2, objects=3)
    assert spec.recoloured(-1, "red") == spec.recoloured(2, "red")
    assert spec.without(-1) == spec.without(2)
