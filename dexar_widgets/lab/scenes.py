"""Scenes: an image drawn from a specification, with exact masks. Pure functions of (seed, specification, size)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from io import BytesIO

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from dexar_widgets.lab.backgrounds import background_pixels
from dexar_widgets.lab.language import Answer, Mark, caption
from dexar_widgets.lab.specifications import Background, SceneObject, Specification, specification
from dexar_widgets.lab.sprites import paint, sprite
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["Background", "Scene", "SceneObject", "Specification", "coverage", "draw", "render", "scene"]


@dataclass(frozen=True, eq=False, repr=False)
class Scene:
    """A drawn scene.

    ``masks`` hold every pixel an object touches, as if drawn alone; `visible` leaves out what later
    objects cover. Both follow the order of ``spec.objects``.
    """

    spec: Specification
    image: UInt8[np.ndarray, "height width 3"]
    masks: Bool[np.ndarray, "object height width"]
    prompt: str = "Classify the image."

    def __repr__(self) -> str:
        height, width, _ = self.image.shape
        return f"Scene({self.caption!r}, on {self.spec.background.name}, {width}×{height})"

    @property
    def visible(self) -> Bool[np.ndarray, "object height width"]:
        """The masks without what later objects cover: no pixel belongs to two objects."""
        covered = np.zeros(self.image.shape[:2], bool)
        visible = np.zeros_like(self.masks)
        for index in reversed(range(len(self.masks))):
            visible[index] = self.masks[index] & ~covered
            covered |= self.masks[index]
        return visible

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


def draw(spec: Specification, size: int) -> Image.Image:
    """The scene's pixels."""
    ground = spec.background
    image = background_pixels(
        ground.name, ground.texture, ground.offset, flip=ground.flip, brightness=ground.brightness, size=size
    )
    for thing in spec.objects:
        left, top, right, _ = thing.box(size)
        masks = sprite(thing.name, right - left, flip=thing.flip, outline=outline_width(size))
        image.paste(paint(masks, thing.colour, thing.shade), (left, top), masks.alpha)
    return image


def outline_width(size: int) -> int:
    """Width of an object's dark outline in a scene of that size: one pixel of the model's image."""
    return max(1, round(size / MODEL_SIZE))


def coverage(thing: SceneObject, size: int) -> UInt8[np.ndarray, "height width"]:
    """How far each pixel is covered by the object, 0 … 255."""
    left, top, right, _ = thing.box(size)
    layer = Image.new("L", (size, size), 0)
    layer.paste(sprite(thing.name, right - left, flip=thing.flip, outline=outline_width(size)).alpha, (left, top))
    return np.asarray(layer)


def render(spec: Specification, *, size: int = 384) -> Scene:
    """Draw a specification at ``size`` × ``size`` pixels."""
    if size < MODEL_SIZE // 2:
        raise ValueError(f"A scene of {size} pixels is too small to tell objects apart; use 48 or more.")
    masks = [coverage(thing, size) > 0 for thing in spec.objects]
    stacked = np.stack(masks) if masks else np.zeros((0, size, size), bool)
    return Scene(spec, np.asarray(draw(spec, size)), stacked)


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
