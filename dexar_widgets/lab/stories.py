"""Test scenes that go further than training: the paper's stories, and crowds.

Each is a pure function of a seed. No model was trained on such scenes, though on all that they are made of, the
penguin apart.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from dexar_widgets.lab.chance import draw_background
from dexar_widgets.lab.scenes import Scene, render
from dexar_widgets.lab.specifications import Background, Prop, SceneObject, Specification
from dexar_widgets.lab.world import CLASSES, COLOURS, CROWD, GROUPS

__all__ = ["STORIES", "Story", "crowd", "story"]


_APART = 12 / 96
"""Of the centres in x, as in training; less where so many objects of such sizes leave no room for that."""


@dataclass(frozen=True)
class Story:
    """A kind of scene, the word whose map is in question, and what could be mistaken for its cause.

    ``suspect`` is ``background`` (all that is no object) or a prop's name.
    """

    word: str
    suspect: str
    make: Callable[[random.Random], Specification]


def _placed(rng: random.Random, name: str, x: float, y: float, size: float, colour: str | None = None) -> SceneObject:
    shade = (rng.randint(-14, 14), rng.randint(-14, 14), rng.randint(-14, 14))
    return SceneObject(name, colour or rng.choice(tuple(COLOURS)), x, y, size, rng.random() < 0.5, shade)


def _one(rng: random.Random, name: str, ground: str, above: str | None = None, *, y: float = 0.6) -> Specification:
    background = draw_background(rng, ground)
    if above is not None:
        background = replace(background, above=draw_background(rng, above), horizon=rng.uniform(0.35, 0.5))
    thing = _placed(rng, name, rng.uniform(0.3, 0.7), y, rng.uniform(0.28, 0.44))
    return Specification(background, (thing,))


def _train_on_tracks(rng: random.Random) -> Specification:
    spec = _one(rng, "train", "grass")
    train = spec.objects[0]
    return spec.adding(Prop("tracks", 0.5, train.y + 0.36 * train.size, 1.0, "gray"))


def _face_beside_a_person(rng: random.Random) -> Specification:
    left = rng.random() < 0.5
    spec = Specification(draw_background(rng, "wall"), (_placed(rng, "person", 0.28 if left else 0.72, 0.55, 0.4),))
    return spec.adding(Prop("face", 0.72 if left else 0.28, rng.uniform(0.3, 0.7), rng.uniform(0.24, 0.34)))


def _penguin(rng: random.Random) -> Specification:
    spec = _one(rng, "bird", "grass")
    return replace(spec, objects=(replace(spec.objects[0], look="penguin", colour=rng.choice(("black", "blue"))),))


def _old_things(rng: random.Random) -> Specification:
    names = rng.sample(GROUPS["old things"], 3)
    things = [_placed(rng, name, 0.2 + 0.3 * i, rng.uniform(0.3, 0.7), 0.3) for i, name in enumerate(names)]
    return Specification(draw_background(rng, "carpet"), tuple(things))


STORIES: dict[str, Story] = {
    "boat on water": Story("boat", "background", lambda rng: _one(rng, "boat", "water", "sky")),
    "train on tracks": Story("train", "tracks", _train_on_tracks),
    "sofa at a wall": Story("sofa", "background", lambda rng: _one(rng, "sofa", "carpet", "wall")),
    "sheep under sky": Story("sheep", "background", lambda rng: _one(rng, "sheep", "grass", "sky", y=0.66)),
    "face beside a person": Story("person", "face", _face_beside_a_person),
    "atypical bird": Story("bird", "background", _penguin),
    "old things": Story("old things", "background", _old_things),
}
"""The failure cases of the paper's appendices I and J, as scenes of the lab."""


def story(name: str, seed: int = 0, *, size: int = 384, prompt: str = "Classify the image.") -> Scene:
    """A scene of one of the paper's stories (`STORIES`).

    Raises
    ------
    ValueError
        For a story that there is not.
    """
    if name not in STORIES:
        raise ValueError(f"There is no story {name!r}; there are {', '.join(STORIES)}.")
    spec = STORIES[name].make(random.Random(f"{name} {seed}"))
    return replace(render(spec, size=size), prompt=prompt)


def crowd(
    seed: int,
    *,
    objects: int = CROWD,
    overlap: float = 0.3,
    sizes: tuple[float, float] = (0.1, 0.6),
    background: str | Background | None = None,
    names: Sequence[str] = CLASSES,
    size: int = 384,
    prompt: str = "Classify the image.",
) -> Scene:
    """Many objects, some behind others, no two of one class and colour.

    Their centres lie apart in x, so that a caption from left to right has one order.

    Parameters
    ----------
    objects
        How many, 1 … 8.
    overlap
        Most that later objects may hide of an object's box, 0 … 0.6; objects that do not fit so shrink.
    sizes
        Smallest and largest side of an object, in sides of the scene.
    """
    if not 1 <= objects <= CROWD or not 0 <= overlap <= 0.6 or not 0 < sizes[0] <= sizes[1] <= 1:
        raise ValueError(
            f"A crowd has 1 to {CROWD} objects, an overlap of 0 … 0.6 and sizes within 0 … 1; got {objects}, {overlap} "
            f"and {sizes}."
        )
    rng = random.Random(f"crowd {seed}")
    ground = background if isinstance(background, Background) else draw_background(rng, background)
    apart = min(_APART, 0.4 * (1 - sizes[0]) / objects)
    placed: list[SceneObject] = []
    while len(placed) < objects:
        placed.append(_fitting(rng, placed, rng.choice(names), overlap, sizes, apart))
    return replace(render(Specification(ground, tuple(placed)), size=size), prompt=prompt)


def _fitting(
    rng: random.Random,
    placed: Sequence[SceneObject],
    name: str,
    overlap: float,
    sizes: tuple[float, float],
    apart: float,
) -> SceneObject:
    largest = sizes[1]
    for _ in range(40):
        for _ in range(50):
            side = rng.uniform(sizes[0], largest)
            x, y = rng.uniform(side / 2, 1 - side / 2), rng.uniform(side / 2, 1 - side / 2)
            thing = _placed(rng, name, x, y, side)
            if any(_alike(old, thing) or abs(old.x - x) < apart for old in placed):
                continue
            if all(_hidden(old, [*placed[i + 1 :], thing]) <= overlap for i, old in enumerate(placed)):
                return thing
        largest = max(sizes[0], 0.8 * largest)
    raise ValueError(
        f"{len(placed)} objects of sides {sizes[0]} … {sizes[1]} leave no room for another with an overlap of at most "
        f"{overlap}; ask for fewer or smaller objects, or more overlap."
    )


def _alike(first: SceneObject, second: SceneObject) -> bool:
    return (first.name, first.colour) == (second.name, second.colour)


def _hidden(thing: SceneObject, later: Sequence[SceneObject]) -> float:
    """Upper bound of the part of a thing's box that later boxes cover."""
    covered = 0.0
    for other in later:
        reach = (thing.size + other.size) / 2
        across = min(reach - abs(thing.x - other.x), thing.size, other.size)
        down = min(reach - abs(thing.y - other.y), thing.size, other.size)
        covered += max(0.0, across) * max(0.0, down)
    return covered / thing.size**2
