"""Specifications drawn at random: the scenes of training and evaluation."""

import random
from collections.abc import Sequence
from dataclasses import replace

from dexar_widgets.lab.backgrounds import OVERSIZE, TEXTURES
from dexar_widgets.lab.specifications import Background, Prop, SceneObject, Specification
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, GROUPS, MAX_OBJECTS, MODEL_SIZE

__all__ = ["draw_background", "specification", "with_props"]

_SMALLEST = 24  # sizes in 1/96 of the scene's side
_LARGEST = {1: 44, 2: 44, 3: 38, 4: 34}
_SEPARATION = 12  # of the centres in x, so that left to right is never in doubt


def specification(
    seed: int,
    *,
    objects: int | Sequence[str | tuple[str, str] | SceneObject] | None = None,
    background: str | Background | None = None,
    same_class: float = 0.15,
    same_colour: float = 0.0,
    same_group: float = 0.0,
) -> Specification:
    """Draw a specification; ``same_*`` is how often an object repeats the first one's class, colour or group."""
    rng = random.Random(seed)
    ground = background if isinstance(background, Background) else draw_background(rng, background)
    if objects is not None and not isinstance(objects, int):
        if objects and all(isinstance(thing, SceneObject) for thing in objects):
            return Specification(ground, tuple(thing for thing in objects if isinstance(thing, SceneObject)))
        pairs = [_pair(thing) for thing in objects]
    else:
        count = rng.randint(1, MAX_OBJECTS) if objects is None else objects
        group = rng.choice(tuple(GROUPS.values())) if rng.random() < same_group else CLASSES
        pairs = _draw_pairs(rng, count, group, same_class, same_colour)
    if not 1 <= len(pairs) <= MAX_OBJECTS:
        raise ValueError(f"A scene holds 1 to {MAX_OBJECTS} objects, not {len(pairs)}; place more as SceneObjects.")
    things = []
    for (name, colour), (x, y, side) in zip(pairs, _draw_places(rng, len(pairs)), strict=True):
        shade = (rng.randint(-14, 14), rng.randint(-14, 14), rng.randint(-14, 14))
        things.append(SceneObject(name, colour, x, y, side, rng.random() < 0.5, shade))
    return Specification(ground, tuple(sorted(things, key=lambda thing: thing.x)))


def with_props(rng: random.Random, spec: Specification) -> Specification:
    """The scene with rails or a drawing of a face now and then, so that neither is strange to a trained model.

    Rails lie under half of the trains and in three of a hundred other scenes: they make a train likelier, as in
    photographs, and half of the trains have to be known without them.
    """
    props = []
    trains = [thing for thing in spec.objects if thing.name == "train"]
    if rng.random() < (0.5 if trains else 0.03):
        y = trains[0].y + 0.36 * trains[0].size if trains else rng.uniform(0.3, 0.8)
        props.append(Prop("tracks", 0.5, y, 1.0, "gray"))
    if rng.random() < 0.04:
        face = Prop("face", rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), rng.uniform(0.12, 0.24))
        if not any(_overlap(face, thing) for thing in spec.objects):
            props.append(face)
    return replace(spec, props=tuple(props))


def _overlap(first: SceneObject | Prop, second: SceneObject | Prop) -> bool:
    reach = (first.size + second.size) / 2
    return max(abs(first.x - second.x), abs(first.y - second.y)) < reach


def _pair(thing: str | tuple[str, str] | SceneObject) -> tuple[str, str]:
    if isinstance(thing, SceneObject):
        raise ValueError("Give either only placed SceneObjects or only names; a mixture cannot be placed.")
    words = tuple(reversed(thing.split())) if isinstance(thing, str) else tuple(thing)
    if len(words) != 2:
        raise ValueError(f"{thing!r} is no object; write 'red cat' or ('cat', 'red').")
    return words[0], words[1]


def draw_background(rng: random.Random, name: str | None) -> Background:
    """A cut of a background, of that name or any."""
    drawn = rng.choice(BACKGROUNDS)
    steps = round((OVERSIZE - 1) * MODEL_SIZE)
    offset = (rng.randrange(steps + 1) / MODEL_SIZE, rng.randrange(steps + 1) / MODEL_SIZE)
    return Background(name or drawn, rng.randrange(TEXTURES), offset, rng.random() < 0.5, rng.uniform(0.88, 1.1))


def _draw_pairs(
    rng: random.Random, count: int, names: Sequence[str], same_class: float, same_colour: float
) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        name, colour = rng.choice(names), rng.choice(tuple(COLOURS))
        if pairs and rng.random() < same_class:
            name = pairs[0][0]
        elif pairs and rng.random() < same_colour:
            colour = pairs[0][1]
        if (name, colour) not in pairs:
            pairs.append((name, colour))
    return pairs


def _draw_places(rng: random.Random, count: int) -> list[tuple[float, float, float]]:
    while True:
        boxes: list[tuple[int, int, int]] = []
        for _ in range(40 * count):
            side = 2 * rng.randint(_SMALLEST // 2, _LARGEST[count] // 2)
            left, top = rng.randint(1, MODEL_SIZE - side - 1), rng.randint(1, MODEL_SIZE - side - 1)
            if all(_apart((left, top, side), box) for box in boxes):
                boxes.append((left, top, side))
            if len(boxes) == count:
                return [
                    ((left + side / 2) / MODEL_SIZE, (top + side / 2) / MODEL_SIZE, side / MODEL_SIZE)
                    for left, top, side in boxes
                ]


def _apart(first: tuple[int, int, int], second: tuple[int, int, int]) -> bool:
    (left, top, side), (other_left, other_top, other_side) = first, second
    overlap = (
        left < other_left + other_side
        and other_left < left + side
        and top < other_top + other_side
        and other_top < top + side
    )
    return not overlap and abs((left + side / 2) - (other_left + other_side / 2)) >= _SEPARATION
