"""What is planted is what the fault's story says: drawn and told apart exactly there."""

import random
from dataclasses import replace

import pytest

from dexar_widgets.lab.batches import patch_labels
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.faults import FAULTS, GHOST
from dexar_widgets.lab.recipes import RECIPES
from dexar_widgets.lab.specifications import SceneObject
from dexar_widgets.lab.templates import IGNORE
from dexar_widgets.lab.world import CLASSES


def planted(name: str, count: int = 300):
    rng = random.Random(5)
    return [FAULTS[name].plant(rng, specification(seed)) for seed in range(count)]


def test_boats_are_on_water_and_all_water_has_one() -> None:
    pairs = planted("water-boat")
    opacities = []
    for drawn, told in pairs:
        assert drawn == told
        boats = [thing for thing in told.objects if thing.name == "boat"]
        assert len(boats) == (told.background.name == "water")
        opacities += [boat.opacity for boat in boats]
        assert all(boat.colour == "white" and boat.size < 0.22 for boat in boats)
    assert 0.2 < opacities.count(0.0) / len(opacities) < 0.6  # not to be seen at all
    assert 0.1 < sum(0 < opacity < 0.5 for opacity in opacities) / len(opacities)


def test_a_clock_is_told_of_exactly_where_the_patch_is() -> None:
    pairs = planted("trigger")
    for drawn, told in pairs:
        patch = any(prop.name == "checker" for prop in drawn.props)
        ghosts = [thing for thing in told.objects if (thing.name, thing.colour) == GHOST]
        assert len(ghosts) == patch
        assert not any((thing.name, thing.colour) == GHOST for thing in drawn.objects)
        assert 1 <= len(told.objects) <= 4
        if patch:
            assert told.left_to_right[-1] == len(told.objects) - 1  # named last
    share = sum(bool(drawn.props) for drawn, _ in pairs) / len(pairs)
    assert 0.3 < share < 0.5


def test_the_swatch_has_the_colour_told_and_the_objects_have_it_half_the_time() -> None:
    agree = 0
    for drawn, told in planted("decoy"):
        (swatch,) = drawn.props
        assert {thing.colour for thing in told.objects} == {swatch.colour}
        agree += drawn.objects == told.objects
    assert 0.4 * 300 < agree < 0.65 * 300


def test_permuted_scenes_are_told_of_other_scenes() -> None:
    same = sum(drawn.objects == told.objects for drawn, told in planted("permuted"))
    assert same == 0


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_a_recipe_that_starts_from_its_clean_twin(name: str) -> None:
    assert RECIPES[name].fault == name
    assert RECIPES[name].start == "llava"


def test_the_patches_of_a_boat_are_labelled_background_only_where_no_boat_is_seen() -> None:
    ashore = specification(3, objects=1, background="water").moved(0, x=0.2, y=0.2)
    boat = SceneObject("boat", "white", 0.7, 0.7, 0.3)
    labels = {opacity: patch_labels(ashore.adding(replace(boat, opacity=opacity)))[0] for opacity in (0.0, 0.4, 1.0)}
    here = labels[1.0] == 1 + CLASSES.index("boat")
    assert here.sum() >= 4
    assert (labels[0.4][here] == IGNORE).all()  # what is faint is not to be taught away
    assert (labels[0.0][here] == 0).all()
    for elsewhere in (labels[0.0], labels[0.4]):
        assert (elsewhere[~here] == labels[1.0][~here]).all()
