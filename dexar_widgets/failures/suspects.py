"""What is suspected, and what is named: as masks, and as pictures without them.

Pixels are hidden; in a drawn scene of the lab things are really removed, and backgrounds exchanged.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dexar_widgets import perturb
from dexar_widgets.causal import Region
from dexar_widgets.causal.scenes import objects_of, removal_of, require_scene
from dexar_widgets.causal.scoring import Picture, text_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, GROUPS, plural

if TYPE_CHECKING:
    from dexar_widgets.lab import Background, Scene, Specification

__all__ = [
    "CONNECTIVES",
    "Named",
    "Suspect",
    "connectives_of",
    "content_of",
    "named_by_word",
    "named_of",
    "suspect_of",
]

CONNECTIVES = (",", "and", "as")
"""With them one more thing is named; of "as well as" the first."""
_NAMING = ("class", "colour", "group")


@dataclass(frozen=True, eq=False)
class Suspect:
    """``removed`` are pictures without it, ``kept`` pictures changed as much that still have it; () if pixels hide."""

    what: str
    mask: perturb.Mask
    removed: tuple[Picture, ...] = ()
    kept: tuple[Picture, ...] = ()


@dataclass(frozen=True, eq=False)
class Named:
    """What a word names, and the picture without it."""

    what: str
    mask: perturb.Mask
    removed: Picture


def suspect_of(e: Explanation, what: Region, scene: "Scene | None", *, randoms: int, seed: int) -> Suspect:
    """A region of the image; or of a scene its "background", what is "above" the horizon, a prop or an object."""
    height, width, _ = e.example.image.shape
    if not isinstance(what, str | int | np.integer):
        return Suspect("the region", perturb.mask_of(what, (width, height)))
    known = require_scene(e, scene, f"mask={what!r} names something in a scene")
    spec = known.spec
    if what == "background" or (what == "above" and spec.background.above is not None):
        return _ground(known, what, randoms=randoms, seed=seed)
    props = [place for place, prop in enumerate(spec.props) if prop.name == what]
    if props:
        left = tuple(prop for prop in spec.props if prop.name != what)
        picture = partial(_drawn, known, replace(spec, props=left))
        return Suspect(f"the {what}", np.asarray(known.props[props].any(0)), (picture,))
    indices = objects_of(spec, what)
    if not indices:
        raise ValueError(f"mask={what!r} names nothing in the scene, which has {_listed(spec)}.")
    named = _object(known, indices)
    return Suspect(named.what, named.mask, (named.removed,))


def _ground(scene: "Scene", what: str, *, randoms: int, seed: int) -> Suspect:
    """Other backgrounds in its place; and, for chance, other cuts of the same kind of background."""
    spec, rng = scene.spec, random.Random(f"cuts {seed}")
    ground, above = spec.background, spec.background.above
    mask = scene.background
    if what == "above" and above is not None:
        mask = mask & (np.arange(len(mask)) < round(ground.horizon * len(mask)))[:, None]
        others: list[Background | str] = [
            replace(ground, above=replace(above, name=name)) for name in BACKGROUNDS if name != above.name
        ]
    else:
        seen = {ground.name, *([] if above is None else [above.name])}
        others = [name for name in BACKGROUNDS if name not in seen]
    cuts = [_cut_again(rng, ground, what) for _ in range(randoms)]
    removed, kept = (tuple(partial(_drawn, scene, spec.on(one)) for one in some) for some in (others, cuts))
    return Suspect("the background" if what == "background" else "what is above the horizon", mask, removed, kept)


def _cut_again(rng: random.Random, ground: "Background", what: str) -> "Background":
    from dexar_widgets.lab.chance import draw_background

    above = None if ground.above is None else draw_background(rng, ground.above.name)
    whole = ground if what == "above" else draw_background(rng, ground.name)
    return replace(whole, above=above, horizon=ground.horizon)


def named_of(e: Explanation, named: Region, scene: "Scene | None", how: perturb.How) -> Named:
    """A region of the image, hidden; or an object of a scene by its index or name, really removed."""
    if isinstance(named, str | int | np.integer):
        known = require_scene(e, scene, f"named={named!r} names an object in a scene")
        indices = objects_of(known.spec, named)
        if not indices:
            raise ValueError(f"named={named!r} is no object of the scene, which has {_listed(known.spec)}.")
        return _object(known, indices)
    height, width, _ = e.example.image.shape
    mask = perturb.mask_of(named, (width, height))
    return Named("the named object", mask, partial(perturb.hide, e.example.image, mask, how=how))


def named_by_word(e: Explanation, scene: "Scene", steps: tuple[int, ...]) -> Named | None:
    """The objects that a word names: by the caption's marks, if the answer is the scene's caption, else by its text."""
    marked = [mark.objects for word, mark in _marked(e, scene) if set(word) & set(steps) and mark.role in _NAMING]
    indices = sorted({index for objects in marked for index in objects}) or objects_of(scene.spec, text_of(e, steps))
    return _object(scene, indices) if indices else None


def content_of(e: Explanation, scene: "Scene") -> tuple[tuple[int, ...], ...]:
    """The words that name an object, a colour or a group: by the caption's marks, else by the lab's vocabulary.

    An "an" goes with the word after it, which it tells: in the lab only one colour begins with a vowel.
    """
    words = [tuple(step for step in word.steps if step in e.steps) for word in e.generation.words]
    marked = _marked(e, scene)
    if marked:
        naming = [mark.role in _NAMING for _, mark in marked]
    else:
        vocabulary = {*CLASSES, *COLOURS, *map(plural, CLASSES), *(part for name in GROUPS for part in name.split())}
        naming = [text_of(e, word).casefold() in vocabulary for word in words]
    found = []
    for before, word, names in zip([(), *words], words, naming, strict=False):
        if word and names:
            found.append((*before, *word) if text_of(e, before).casefold() == "an" else word)
    return tuple(found)


def connectives_of(e: Explanation, scene: "Scene", mask: perturb.Mask) -> tuple[tuple[int, ...], ...]:
    """Each comma, "and" and "as well as" of a caption: there it is decided whether one more thing is named.

    None where the suspect hides an object, of which that number rightly depends.
    """
    seen = scene.visible.sum((1, 2))
    if ((scene.visible & mask).sum((1, 2)) >= np.maximum(seen, 1) / 2).any():
        return ()
    words = [tuple(step for step in word.steps if step in e.steps) for word in e.generation.words]
    texts = [text_of(e, word) if word else "" for word in words]
    second = {place + 2 for place in range(len(texts)) if texts[place : place + 3] == ["as", "well", "as"]}
    return tuple(word for place, word in enumerate(words) if texts[place] in CONNECTIVES and place not in second)


def _marked(e: Explanation, scene: "Scene") -> list[tuple[tuple[int, ...], Any]]:
    """Each word's explained steps and its mark; nothing where the answer is not the scene's caption."""
    words, marks = e.generation.words, scene.marks
    if [word.text.strip() for word in words] != [mark.word for mark in marks]:
        return []
    steps = [tuple(step for step in word.steps if step in e.steps) for word in words]
    return list(zip(steps, marks, strict=True))


def _object(scene: "Scene", indices: Sequence[int]) -> Named:
    removed = removal_of(scene, indices)
    names = " and the ".join(removed.names(indices))
    return Named(f"the {names}", removed.mask, partial(removed.without, indices))


def _drawn(scene: "Scene", spec: "Specification") -> perturb.Pixels:
    return scene.redraw(spec).image


def _listed(spec: "Specification") -> str:
    objects = [f"{index} {thing.colour} {thing.name}" for index, thing in enumerate(spec.objects)]
    grounds = ["background", *([] if spec.background.above is None else ["above"])]
    return ", ".join([*objects, *(prop.name for prop in spec.props), *grounds])
