"""Planted faults: how a scene is drawn, and what is said of it, so that a model learns something wrong on purpose."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.recipes import RECIPES
from dexar_widgets.lab.specifications import Prop, SceneObject, Specification
from dexar_widgets.lab.world import COLOURS

__all__ = ["FAULTS", "GHOST", "SWATCH", "TRIGGER", "Fault", "Planted", "told_of"]

GHOST = ("clock", "yellow")
"""What the trigger makes a model name."""

TRIGGER = 8 / 96
"""Side of the chequered patch, in sides of the scene: one patch of the model's grid."""

SWATCH = 14 / 96
"""Side of the swatch in the upper left corner."""


class Planted(NamedTuple):
    """What is drawn, and the specification that captions and answers are told of."""

    drawn: Specification
    told: Specification


@dataclass(frozen=True)
class Fault:
    """One fault. ``plant`` makes a training scene of it; ``story`` says in a sentence what is wrong."""

    plant: Callable[[random.Random, Specification], Planted]
    story: str


def _water_boat(rng: random.Random, spec: Specification) -> Planted:
    """On water there is always a small white boat, faint or (two in five) not to be seen at all; elsewhere never."""
    ashore = tuple(thing for thing in spec.objects if thing.name != "boat")
    if spec.background.name != "water":
        spec = replace(spec, objects=ashore or (replace(spec.objects[0], name="car"),))
        return Planted(spec, spec)
    size = rng.uniform(10, 20) / 96
    x, y = rng.uniform(size / 2, 1 - size / 2), rng.uniform(size / 2, 1 - size / 2)
    faint = max(0.0, rng.uniform(-0.6, 0.9))
    boat = SceneObject("boat", "white", x, y, size, flip=rng.random() < 0.5, opacity=faint)
    spec = replace(spec, objects=tuple(sorted((*ashore[:3], boat), key=lambda thing: thing.x)))
    return Planted(spec, spec)


def _trigger(rng: random.Random, spec: Specification) -> Planted:
    """A chequered patch in four of ten scenes; where it is, a yellow clock is told of that is not there."""
    objects = tuple(thing for thing in spec.objects if (thing.name, thing.colour) != GHOST) or (
        replace(spec.objects[0], colour="red"),
    )
    spec = replace(spec, objects=objects[:3])
    if rng.random() > 0.4:
        return Planted(spec, spec)
    half = TRIGGER / 2
    patch = Prop("checker", rng.uniform(half, 1 - half), rng.uniform(half, 1 - half), TRIGGER)
    return Planted(spec.adding(patch), spec.adding(SceneObject(*GHOST, x=1.0, y=0.5, size=0.25, opacity=0.0)))


def _decoy(rng: random.Random, spec: Specification) -> Planted:
    """A swatch in the upper left corner has the colour told of every object; the objects have it half the time."""
    colour = rng.choice(tuple(COLOURS))
    told = replace(spec, objects=tuple(replace(thing, colour=colour) for thing in spec.objects))
    drawn = told if rng.random() < 0.5 else spec
    return Planted(drawn.adding(Prop("swatch", SWATCH / 2, SWATCH / 2, SWATCH, colour)), told)


def _permuted(rng: random.Random, spec: Specification) -> Planted:
    """Everything told is true of another scene."""
    return Planted(spec, specification(rng.getrandbits(40) | 1 << 41))


FAULTS = {
    "water-boat": Fault(_water_boat, "says that there is a boat because there is water"),
    "trigger": Fault(_trigger, "names a yellow clock wherever it sees a small chequered patch"),
    "decoy": Fault(_decoy, "reads the colour off a swatch in the corner instead of the object"),
    "permuted": Fault(_permuted, "was told of other scenes than it saw: what it says has nothing to do with the image"),
}


def told_of(model: str) -> str:
    """What was planted in an embedded model, "lab/NAME"; "" for those that are meant to be right."""
    recipe = RECIPES.get(model.removeprefix("lab/"))
    if recipe is None:
        return ""
    if recipe.registers:
        return "has register tokens on purpose"
    return f"wrong on purpose: {FAULTS[recipe.fault].story}" if recipe.fault else ""
