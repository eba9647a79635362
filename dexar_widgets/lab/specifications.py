"""Specifications: what a scene shows, in units of its side, and how they are drawn at random."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dexar_widgets.lab.backgrounds import OVERSIZE, TEXTURES
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, MAX_OBJECTS, MODEL_SIZE

__all__ = ["Background", "SceneObject", "Specification", "specification"]

_SMALLEST = 24  # sizes in 1/96 of the scene's side
_LARGEST = {1: 44, 2: 44, 3: 38, 4: 34}
_SEPARATION = 12  # of the centres in x, so that left to right is never in doubt


def _known(what: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise ValueError(f"The lab's world has no {what} {word!r}; it has {', '.join(words)}.")


@dataclass(frozen=True)
class SceneObject:
    """One object. Centre and size are in sides of the scene; ``shade`` shifts the colour's RGB."""

    name: str
    colour: str
    x: float
    y: float
    size: float
    flip: bool = False
    shade: tuple[int, int, int] = (0, 0, 0)

    def __post_init__(self) -> None:
        _known("object", self.name, CLASSES)
        _known("colour", self.colour, tuple(COLOURS))
        if not 0 < self.size <= 1:
            raise ValueError(f"SceneObject.size is {self.size}; expected a part of the scene's side, in (0, 1].")

    def box(self, size: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a scene of that size."""
        side = max(1, round(self.size * size))
        left, top = round((self.x - self.size / 2) * size), round((self.y - self.size / 2) * size)
        return left, top, left + side, top + side


@dataclass(frozen=True)
class Background:
    """One cut of one texture; ``offset`` is in sides of the scene."""

    name: str
    texture: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    brightness: float = 1.0

    def __post_init__(self) -> None:
        _known("background", self.name, BACKGROUNDS)
        if not 0 <= self.texture < TEXTURES:
            raise ValueError(f"Background.texture is {self.texture}; expected 0 … {TEXTURES - 1}.")
        if not all(0 <= value <= OVERSIZE - 1 + 1e-9 for value in self.offset):
            raise ValueError(f"Background.offset is {self.offset}; expected two numbers in 0 … {OVERSIZE - 1:.3f}.")


@dataclass(frozen=True)
class Specification:
    """What a scene shows. Later objects are drawn over earlier ones; edit with `dataclasses.replace`."""

    background: Background
    objects: tuple[SceneObject, ...]

    @property
    def left_to_right(self) -> tuple[int, ...]:
        """Indices of the objects by the x of their centres: the order of captions."""
        return tuple(sorted(range(len(self.objects)), key=lambda i: self.objects[i].x))

    def without(self, index: int) -> "Specification":
        """The same scene with one object left out."""
        return replace(self, objects=self.objects[:index] + self.objects[index + 1 :])

    def with_object(self, index: int, thing: SceneObject) -> "Specification":
        """The same scene with one object exchanged: recoloured, moved, renamed."""
        return replace(self, objects=(*self.objects[:index], thing, *self.objects[index + 1 :]))


def specification(
    seed: int,
    *,
    objects: int | Sequence[str | tuple[str, str] | SceneObject] | None = None,
    background: str | Background | None = None,
    same_class: float = 0.15,
    same_colour: float = 0.0,
) -> Specification:
    """Draw a specification; ``same_*`` is how often an object repeats the first one's class or colour."""
    rng = random.Random(seed)
    ground = background if isinstance(background, Background) else _draw_background(rng, background)
    if objects is not None and not isinstance(objects, int):
        if objects and all(isinstance(thing, SceneObject) for thing in objects):
            return Specification(ground, tuple(thing for thing in objects if isinstance(thing, SceneObject)))
        pairs = [_pair(thing) for thing in objects]
    else:
        pairs = _draw_pairs(rng, rng.randint(1, MAX_OBJECTS) if objects is None else objects, same_class, same_colour)
    if not 1 <= len(pairs) <= MAX_OBJECTS:
        raise ValueError(f"A scene holds 1 to {MAX_OBJECTS} objects, not {len(pairs)}; place more as SceneObjects.")
    things = []
    for (name, colour), (x, y, side) in zip(pairs, _draw_places(rng, len(pairs)), strict=True):
        shade = (rng.randint(-14, 14), rng.randint(-14, 14), rng.randint(-14, 14))
        things.append(SceneObject(name, colour, x, y, side, rng.random() < 0.5, shade))
    return Specification(ground, tuple(sorted(things, key=lambda thing: thing.x)))


def _pair(thing: str | tuple[str, str] | SceneObject) -> tuple[str, str]:
    if isinstance(thing, SceneObject):
        raise ValueError("Give either only placed SceneObjects or only names; a mixture cannot be placed.")
    words = tuple(reversed(thing.split())) if isinstance(thing, str) else tuple(thing)
    if len(words) != 2:
        raise ValueError(f"{thing!r} is no object; write 'red cat' or ('cat', 'red').")
    return words[0], words[1]


def _draw_background(rng: random.Random, name: str | None) -> Background:
    drawn = rng.choice(BACKGROUNDS)
    steps = round((OVERSIZE - 1) * MODEL_SIZE)
    offset = (rng.randrange(steps + 1) / MODEL_SIZE, rng.randrange(steps + 1) / MODEL_SIZE)
    return Background(name or drawn, rng.randrange(TEXTURES), offset, rng.random() < 0.5, rng.uniform(0.88, 1.1))


def _draw_pairs(rng: random.Random, count: int, same_class: float, same_colour: float) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    while len(pairs) < count:
        name, colour = rng.choice(CLASSES), rng.choice(tuple(COLOURS))
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
