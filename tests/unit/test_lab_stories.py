"""Scenes beyond training: the paper's stories, and crowds."""

import numpy as np
import pytest

from dexar_widgets import lab
from dexar_widgets.lab.language import ask
from dexar_widgets.lab.stories import STORIES


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_a_function_of_its_seed_and_shows_what_its_word_names(name: str) -> None:
    first, again, other = (lab.story(name, seed, size=96) for seed in (3, 3, 4))
    assert first.image.tobytes() == again.image.tobytes() != other.image.tobytes()
    assert first.spec == lab.story(name, 3).spec
    told = STORIES[name]
    if told.word == "old things":
        import random

        turn = ask(random.Random(0), first.spec, "group")
        assert told.word in turn.answer.text
        assert len(first.spec.objects) > 1
    else:
        assert first.spec.find(told.word)
    suspect = (
        first.background
        if told.suspect == "background"
        else first.props[[prop.name for prop in first.spec.props].index(told.suspect)]
    )
    assert suspect.any()


def test_the_stories_are_those_of_the_paper() -> None:
    boat, sheep, sofa = (
        lab.story(name).spec.background for name in ("boat on water", "sheep under sky", "sofa at a wall")
    )
    assert (boat.name, boat.above.name) == ("water", "sky")
    assert (sheep.name, sheep.above.name) == ("grass", "sky")
    assert sofa.above.name == "wall"
    assert lab.story("atypical bird").spec.objects[0].look == "penguin"
    assert [prop.name for prop in lab.story("train on tracks").spec.props] == ["tracks"]


def test_an_unknown_story_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="there are boat on water, train on tracks"):
        lab.story("boat")


@pytest.mark.parametrize("overlap", [0.0, 0.3, 0.6])
def test_a_crowd_hides_no_more_than_allowed(overlap: float) -> None:
    for seed in range(8):
        drawn = lab.crowd(seed, overlap=overlap, size=192)
        assert len(drawn.spec.objects) == 8
        sides = [thing.size for thing in drawn.spec.objects]
        assert min(sides) >= 0.1 - 1e-9
        assert max(sides) <= 0.6
        for index, thing in enumerate(drawn.spec.objects):
            left, top, right, bottom = thing.box(192)
            hidden = drawn.masks[index] & ~drawn.visible[index]
            assert hidden[max(0, top) : bottom, max(0, left) : right].sum() <= overlap * (right - left) ** 2 + 4 * (
                right - left
            )


def test_a_crowd_has_one_order_from_left_to_right_and_no_two_alike() -> None:
    for objects, apart in ((2, 12 / 96), (3, 0.12), (8, 0.045)):
        for seed in range(12):
            things = lab.crowd(seed, objects=objects, size=96).spec.objects
            assert len({(thing.name, thing.colour) for thing in things}) == objects
            assert np.diff(sorted(thing.x for thing in things)).min() >= apart - 1e-9


def test_a_crowd_overlaps_where_it_may() -> None:
    hidden = [
        (drawn.masks & ~drawn.visible).sum() / drawn.masks.sum()
        for drawn in (lab.crowd(seed, overlap=0.6, size=96) for seed in range(8))
    ]
    assert np.mean(hidden) > 0.02


@pytest.mark.parametrize("options", [{"objects": 9}, {"overlap": 0.9}, {"sizes": (0.5, 0.1)}])
def test_a_crowd_that_cannot_be_is_refused(options: dict) -> None:
    with pytest.raises(ValueError, match="A crowd has 1 to 8 objects"):
        lab.crowd(0, **options)


def test_a_crowd_without_room_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match="ask for fewer or smaller objects, or more overlap"):
        lab.crowd(0, objects=8, overlap=0.0, sizes=(0.4, 0.6))
