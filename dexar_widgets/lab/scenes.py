"""Scenes: an image drawn from a specification, with exact masks. Pure functions of (seed, specification, size)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dexar_widgets.lab.backgrounds import background_pixels
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.language import Answer, Mark, caption
from dexar_widgets.lab.recognise import remember
from dexar_widgets.lab.specifications import Background, Prop, SceneObject, Specification
from dexar_widgets.lab.sprites import Sprite, paint, sprite
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["Background", "Prop", "Scene", "SceneObject", "Specification", "coverage", "cutout"]
__all__ += ["draw", "render", "scene"]


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """A drawn scene.

    ``masks`` hold every pixel an object touches, as if drawn alone; `visible` leaves out what later
    objects and props cover. Both follow the order of ``spec.objects``; ``props`` that of ``spec.props``.
    An object of opacity 0 keeps its mask: it is where the object would be.
    """

    spec: Specification
    image: UInt8[np.ndarray, "height width 3"]
    masks: Bool[np.ndarray, "object height width"]
    props: Bool[np.ndarray, "prop height width"]
    prompt: str = "Classify the image."

    def __repr__(self) -> str:
        height, width, _ = self.image.shape
        return f"Scene({self.caption!r}, on {self.spec.background.name}, {width}×{height})"

    @property
    def visible(self) -> Bool[np.ndarray, "object height width"]:
        """The masks without what later objects and props cover: no pixel belongs to two objects."""
        covered = np.zeros(self.image.shape[:2], bool)
        for prop, mask in zip(self.spec.props, self.props, strict=True):
            if prop.name not in _UNDER:
                covered |= mask
        visible = np.zeros_like(self.masks)
        for index in reversed(range(len(self.masks))):
            visible[index] = self.masks[index] & ~covered
            if self.spec.objects[index].opacity > 0:
                covered |= self.masks[index]
        return visible

    @property
    def background(self) -> Bool[np.ndarray, "height width"]:
        """Every pixel that no object and no prop touches."""
        return np.logical_not(np.concatenate([self.masks, self.props]).any(0))

    @cached_property
    def answer(self) -> Answer:
        """The true caption in the words the prompt asks for, with its marks."""
        return caption(self.spec, self.prompt)

    @property
    def caption(self) -> str:
        """The true caption."""
        return self.answer.text

    @property
    def marks(self) -> tuple[Mark, ...]:
        """One `Mark` per word of the caption: its place, its role, its object."""
        return self.answer.marks

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        Image.fromarray(self.image).save(buffer, "PNG")
        return buffer.getvalue()

    def redraw(self, spec: Specification) -> "Scene":
        """Another specification at this scene's size, with this scene's prompt."""
        return replace(render(spec, size=self.image.shape[0]), prompt=self.prompt)


_UNDER = frozenset({"tracks"})
"""Props that lie under the objects."""


def draw(spec: Specification, size: int) -> Image.Image:
    """The scene's pixels."""
    image = _ground(spec.background, size)
    for prop in spec.props:
        if prop.name in _UNDER:
            _paste(image, prop)
    for thing in spec.objects:
        _paste(image, thing)
    for prop in spec.props:
        if prop.name not in _UNDER:
            _paste(image, prop)
    return image


def _ground(ground: Background, size: int) -> Image.Image:
    image = background_pixels(
        ground.name, ground.texture, ground.offset, flip=ground.flip, brightness=ground.brightness, size=size
    )
    if ground.above is not None:
        image.paste(_ground(ground.above, size).crop((0, 0, size, round(ground.horizon * size))), (0, 0))
    return image


def _paste(image: Image.Image, thing: SceneObject | Prop) -> None:
    left, top, *_ = thing.box(image.width)
    cut = cutout(thing, image.width)
    image.paste(cut, (left, top), cut)


def cutout(thing: SceneObject | Prop, size: int) -> Image.Image:
    """A thing by itself (RGBA), as large as it is in a scene of ``size`` pixels."""
    masks = _sprite(thing, size)
    shade, opacity = (thing.shade, thing.opacity) if isinstance(thing, SceneObject) else ((0, 0, 0), 1.0)
    pixels = paint(masks, thing.colour, shade)
    pixels.putalpha(masks.alpha if opacity == 1 else masks.alpha.point([round(x * opacity) for x in range(256)]))
    return pixels


def _sprite(thing: SceneObject | Prop, size: int) -> Sprite:
    left, _, right, _ = thing.box(size)
    if isinstance(thing, Prop):
        return sprite(thing.name, right - left, flip=False, outline=outline_width(size))
    return sprite(thing.look or thing.name, right - left, flip=thing.flip, outline=outline_width(size))


def outline_width(size: int) -> int:
    """Width of an object's dark outline in a scene of that size: one pixel of the model's image."""
    return max(1, round(size / MODEL_SIZE))


def coverage(thing: SceneObject | Prop, size: int) -> UInt8[np.ndarray, "height width"]:
    """How far each pixel is covered by the object, 0 … 255, whatever its opacity."""
    left, top, *_ = thing.box(size)
    layer = Image.new("L", (size, size), 0)
    layer.paste(_sprite(thing, size).alpha, (left, top))
    return np.asarray(layer)


def render(spec: Specification, *, size: int = 384) -> Scene:
    """Draw a specification at ``size`` × ``size`` pixels."""
    if size < MODEL_SIZE // 2:
        raise ValueError(f"A scene of {size} pixels is too small to tell objects apart; use 48 or more.")
    image = np.asarray(draw(spec, size))
    remember(image)
    return Scene(spec, image, _masks(spec.objects, size), _masks(spec.props, size))


def _masks(things: Sequence[SceneObject | Prop], size: int) -> Bool[np.ndarray, "thing height width"]:
    masks = [coverage(thing, size) > 0 for thing in things]
    return np.stack(masks) if masks else np.zeros((0, size, size), bool)


def scene(
    seed: int,
    *,
    objects: int | Sequence[str | tuple[str, str] | SceneObject] | None = None,
    background: str | Background | None = None,
    size: int = 384,
    prompt: str = "Classify the image.",
) -> Scene:
    """A scene of the lab's world.

    Parameters
    ----------
    seed
        Same seed and options, same bytes.
    objects
        How many (1 … 4; None: drawn), or which: ``"red cat"``, ``("cat", "red")`` or placed (`SceneObject`).
    background
        A name, or a `Background`; None: drawn.
    size
        Side in pixels. The picture is the same at every size, up to resampling.
    prompt
        The question `Scene.caption` answers.
    """
    return replace(render(specification(seed, objects=objects, background=background), size=size), prompt=prompt)
