"""Where the image is a drawn scene of the lab, what lies in a region can really be removed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.explanation import Explanation

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene

__all__ = ["Removal", "mask_of", "removal"]

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
        names = _names(self.scene)
        return tuple(names[index] for index in indices)

    def without(self, indices: Sequence[int]) -> perturb.Pixels:
        """The scene drawn again without some objects; what they covered comes to light."""
        spec = self.scene.spec
        for index in sorted(indices, reverse=True):
            spec = spec.without(index)
        return self.scene.redraw(spec).image


def _names(scene: "Scene") -> list[str]:
    return [f"{thing.colour} {thing.name}" for thing in scene.spec.objects]


def mask_of(region: Any, e: Explanation, scene: "Scene | None") -> perturb.Mask:
    """A region of the image as a mask; an object's index or name is what is to be seen of it in the scene."""
    if isinstance(region, str | int | np.integer):
        known = _of(e, scene, f"region={region!r} names an object")
        region = known.visible[_named(known, region)].any(0)
    height, width, _ = e.example.image.shape
    return perturb.mask_of(region, (width, height))


def removal(e: Explanation, scene: "Scene | None", region: Any) -> Removal:
    """The objects that a region names, or of which it covers at least half of what is to be seen.

    Raises
    ------
    ValueError
        If there is no scene, the image that was explained is not the scene's, or no object lies in the region.
    """
    known = _of(e, scene, 'how="scene" removes objects from a drawn scene')
    mask = mask_of(region, e, known)
    if isinstance(region, str | int | np.integer):
        return Removal(known, mask, _named(known, region))
    shares = [(seen & mask).sum() / max(1, seen.sum()) for seen in known.visible]
    inside = [index for index, share in enumerate(shares) if share >= _MOSTLY]
    if not inside:
        there = ", ".join(f"{name} {share:.0%}" for name, share in zip(_names(known), shares, strict=True))
        raise ValueError(
            f"No object lies in the region, which covers of what is to be seen of each: {there or 'there is none'}; an "
            'object is removed from half on. Give a larger region or an object\'s name, or how="mean".'
        )
    return Removal(known, mask, inside)


def _of(e: Explanation, scene: "Scene | None", why: str) -> "Scene":
    if scene is None:
        raise ValueError(f"{why}, and needs the scene that was explained: pass it as scene=dx.lab.scene(…).")
    if not np.array_equal(scene.image, e.example.image):
        raise ValueError(
            "The image that was explained is not the scene's: same seed, options and size? Explain scene.image, or "
            'check with how="mean" and a region of the image.'
        )
    return scene


def _named(scene: "Scene", region: Any) -> list[int]:
    """All objects of a name ("cat", "red cat"), or the one of an index."""
    names = _names(scene)
    if isinstance(region, str):
        wanted = region.casefold().split()
        found = [index for index, name in enumerate(names) if name.split()[-len(wanted) :] == wanted]
    else:
        found = [int(region)] if 0 <= region < len(names) else []
    if not found:
        listed = ", ".join(f"{index} {name}" for index, name in enumerate(names)) or "none"
        raise ValueError(f"region={region!r} names no object of the scene; its objects: {listed}.")
    return found
