"""Where the image is a drawn scene of the lab, what is named there or lies in a region can really be removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.world import GROUPS, plural

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene, Specification

__all__ = ["Removal", "mask_of", "objects_of", "removal", "removal_of", "require_scene"]

_MOSTLY = 0.5
"""An object lies in a region that covers this share of what is to be seen of it."""


@dataclass(frozen=True)
class Removal:
    """Objects of a scene to be removed, by their place in its specification; ``mask`` is the region they lie in."""

    scene: "Scene"
    mask: perturb.Mask
    indices: Sequence[int]

    @property
    def every(self) -> Sequence[int]:
        """All objects of the scene."""
        return range(len(self.scene.spec.objects))

    @property
    def others(self) -> Sequence[int]:
        """Those that are not to be removed."""
        return [index for index in self.every if index not in self.indices]

    def names(self, indices: Sequence[int]) -> tuple[str, ...]:
        """What some objects are, as in "red cat"."""
        return tuple(_names(self.scene.spec)[index] for index in indices)

    def without(self, indices: Sequence[int]) -> perturb.Pixels:
        """The scene drawn again without some objects; what they covered comes to light."""
        return self.scene.redraw(self.scene.spec.without(*indices)).image


def _names(spec: "Specification") -> list[str]:
    return [f"{thing.colour} {thing.name}" for thing in spec.objects]


def require_scene(e: Explanation, scene: "Scene | None", why: str) -> "Scene":
    """The scene, if it is the one that was explained; else `ValueError`."""
    if scene is None:
        raise ValueError(f"{why}, and needs the scene that was explained: pass it as scene=dx.lab.scene(…).")
    if not np.array_equal(scene.image, e.example.image):
        raise ValueError(
            "The image that was explained is not the scene's: same seed, options and size? Explain scene.image, or "
            "give a region of the image."
        )
    return scene


def objects_of(spec: "Specification", what: str | int) -> list[int]:
    """Objects by their index, or that a text such as "cat", "red", "a red cat", "cats" or "the animals" fits."""
    if not isinstance(what, str):
        return [int(what)] if 0 <= what < len(spec.objects) else []
    text = what.casefold().strip(" .,;:!?")
    article, _, rest = text.partition(" ")
    text = rest if article in ("a", "an", "the") else text
    found = spec.find(text) if text else ()
    if not found:
        names = [
            (plural(thing.name), *(group for group, members in GROUPS.items() if thing.name in members))
            for thing in spec.objects
        ]
        found = tuple(index for index, fits in enumerate(names) if text in fits)
    return list(found)


def mask_of(region: Any, e: Explanation, scene: "Scene | None") -> perturb.Mask:
    """A region of the image as a mask; an object's index or name is what is to be seen of it in the scene."""
    if isinstance(region, str | int | np.integer):
        return _named(require_scene(e, scene, f"region={region!r} names an object"), region).mask
    height, width, _ = e.example.image.shape
    return perturb.mask_of(region, (width, height))


def removal_of(scene: "Scene", indices: Sequence[int]) -> Removal:
    """That of some objects, by their indices; its mask is what is to be seen of them."""
    return Removal(scene, np.asarray(scene.visible[list(indices)].any(0)), indices)


def removal(e: Explanation, scene: "Scene | None", region: Any) -> Removal:
    """The objects that a region names, or of which it covers at least half of what is to be seen.

    Raises
    ------
    ValueError
        If there is no scene, the image that was explained is not the scene's, or no object lies in the region.
    """
    known = require_scene(e, scene, 'how="scene" removes objects from a drawn scene')
    if isinstance(region, str | int | np.integer):
        return _named(known, region)
    mask = mask_of(region, e, known)
    shares = [(seen & mask).sum() / max(1, seen.sum()) for seen in known.visible]
    inside = [index for index, share in enumerate(shares) if share >= _MOSTLY]
    if not inside:
        there = ", ".join(f"{name} {share:.0%}" for name, share in zip(_names(known.spec), shares, strict=True))
        raise ValueError(
            f"No object lies in the region, which covers of what is to be seen of each: {there or 'there is none'}; an "
            'object is removed from half on. Give a larger region or an object\'s name, or how="mean".'
        )
    return Removal(known, mask, inside)


def _named(scene: "Scene", region: Any) -> Removal:
    found = objects_of(scene.spec, region)
    if not found:
        listed = ", ".join(f"{index} {name}" for index, name in enumerate(_names(scene.spec))) or "none"
        raise ValueError(f"region={region!r} names no object of the scene; its objects: {listed}.")
    return removal_of(scene, found)
