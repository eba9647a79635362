"""Specifications: what a scene shows, in units of its side, and how they are edited."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dexar_widgets.lab.backgrounds import OVERSIZE, TEXTURES
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, PROPS

__all__ = ["LOOKS", "Background", "Prop", "SceneObject", "Specification"]

LOOKS = {"penguin": "bird"}
"""Other looks of a class, for scenes that no model was trained on."""


def _known(what: str, word: str, words: Sequence[str]) -> None:
    if word not in words:
        raise ValueError(f"The lab's world has no {what} {word!r}; it has {', '.join(words)}.")


def _box(x: float, y: float, side: float, size: int) -> tuple[int, int, int, int]:
    pixels = max(1, round(side * size))
    left, top = round((x - side / 2) * size), round((y - side / 2) * size)
    return left, top, left + pixels, top + pixels


@dataclass(frozen=True)
class SceneObject:
    """One object. Centre and size are in sides of the scene; ``shade`` shifts the colour's RGB.

    ``opacity`` 0 leaves it in the specification, and in the caption, but out of the picture. ``look`` is a name
    of `LOOKS`: a bird drawn as a penguin.
    """

    name: str
    colour: str
    x: float
    y: float
    size: float
    flip: bool = False
    shade: tuple[int, int, int] = (0, 0, 0)
    opacity: float = 1.0
    look: str | None = None

    def __post_init__(self) -> None:
        _known("object", self.name, CLASSES)
        _known("colour", self.colour, tuple(COLOURS))
        if not 0 < self.size <= 1:
            raise ValueError(f"SceneObject.size is {self.size}; expected a part of the scene's side, in (0, 1].")
        if not 0 <= self.opacity <= 1:
            raise ValueError(f"SceneObject.opacity is {self.opacity}; expected 0 … 1.")
        if self.look is not None and LOOKS.get(self.look) != self.name:
            raise ValueError(f"A {self.name} has no look {self.look!r}; there are {LOOKS}.")

    def box(self, size: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a scene of that size."""
        return _box(self.x, self.y, self.size, size)


@dataclass(frozen=True)
class Prop:
    """A thing in the picture that no caption names: rails, a drawing of a face, a chequered or a plain patch.

    Centre and size as in `SceneObject`. ``tracks`` lie under the objects, the others on top of them.
    """

    name: str
    x: float
    y: float
    size: float
    colour: str = "white"

    def __post_init__(self) -> None:
        _known("prop", self.name, PROPS)
        _known("colour", self.colour, tuple(COLOURS))
        if not 0 < self.size <= 2:
            raise ValueError(f"Prop.size is {self.size}; expected a part of the scene's side, in (0, 2].")

    def box(self, size: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a scene of that size."""
        return _box(self.x, self.y, self.size, size)


@dataclass(frozen=True)
class Background:
    """One cut of one texture; ``offset`` is in sides of the scene.

    ``above``: a second background that fills the scene down to ``horizon`` (in sides, from the top).
    """

    name: str
    texture: int = 0
    offset: tuple[float, float] = (0.0, 0.0)
    flip: bool = False
    brightness: float = 1.0
    above: "Background | None" = None
    horizon: float = 0.4

    def __post_init__(self) -> None:
        _known("background", self.name, BACKGROUNDS)
        if not 0 <= self.texture < TEXTURES:
            raise ValueError(f"Background.texture is {self.texture}; expected 0 … {TEXTURES - 1}.")
        if not all(0 <= value <= OVERSIZE - 1 + 1e-9 for value in self.offset):
            raise ValueError(f"Background.offset is {self.offset}; expected two numbers in 0 … {OVERSIZE - 1:.3f}.")
        if not 0 <= self.horizon <= 1:
            raise ValueError(f"Background.horizon is {self.horizon}; expected a part of the scene's side, in 0 … 1.")


@dataclass(frozen=True)
class Specification:
    """What a scene shows. Later objects are drawn over earlier ones.

    Every edit gives a new specification whose picture differs from the old one in exactly that: two scenes that
    differ in a single thing are a counterfactual pair.
    """

    background: Background
    objects: tuple[SceneObject, ...]
    props: tuple[Prop, ...] = ()

    @property
    def left_to_right(self) -> tuple[int, ...]:
        """Indices of the objects by the x of their centres: the order of captions."""
        return tuple(sorted(range(len(self.objects)), key=lambda i: self.objects[i].x))

    def find(self, what: str) -> tuple[int, ...]:
        """Indices of the objects that a description such as "cat", "red" or "red cat" fits."""
        words = what.split()
        return tuple(i for i, thing in enumerate(self.objects) if set(words) <= {thing.name, thing.colour})

    def without(self, *indices: int) -> "Specification":
        """The same scene with objects left out."""
        gone = {range(len(self.objects))[index] for index in indices}
        return replace(self, objects=tuple(thing for i, thing in enumerate(self.objects) if i not in gone))

    def with_object(self, index: int, thing: SceneObject) -> "Specification":
        """The same scene with one object exchanged."""
        index = range(len(self.objects))[index]
        return replace(self, objects=(*self.objects[:index], thing, *self.objects[index + 1 :]))

    def adding(self, thing: SceneObject | Prop) -> "Specification":
        """The same scene with one more thing, drawn last."""
        if isinstance(thing, Prop):
            return replace(self, props=(*self.props, thing))
        return replace(self, objects=(*self.objects, thing))

    def moved(self, index: int, *, x: float, y: float) -> "Specification":
        """The same scene with one object elsewhere; ``x`` and ``y`` are its centre, in sides of the scene."""
        return self.with_object(index, replace(self.objects[index], x=x, y=y))

    def recoloured(self, index: int, colour: str) -> "Specification":
        """The same scene with one object in another colour."""
        return self.with_object(index, replace(self.objects[index], colour=colour))

    def on(self, background: Background | str) -> "Specification":
        """The same things on another background; a name keeps the cut of the texture."""
        ground = replace(self.background, name=background, above=None) if isinstance(background, str) else background
        return replace(self, background=ground)

    def without_props(self) -> "Specification":
        """The same scene without its props."""
        return replace(self, props=())
