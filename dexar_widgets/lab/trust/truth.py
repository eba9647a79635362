"""What each word of an answer depends on, by drawing the scene again without it.

c[t, r] = log p_t(scene) − log p_t(scene without r), in nats, the same words before t in both. Regions are each object
removed, in another colour, and with a look-alike in its place; and another background. A word is **grounded** where
some c is at least 1 nat, and **filler** where no c exceeds 0.05 nat in size; what lies between is excluded, and its
share reported.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float

import dexar_widgets as dx
from dexar_widgets.causal.chance import NEEDS, NOTHING
from dexar_widgets.causal.scoring import log_probs
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.language import Mark
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.specifications import SceneObject, Specification
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, LOOKALIKES, SUBWORDS

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = [
    "FILLER",
    "GROUNDED",
    "OPTIONS",
    "SAID",
    "Region",
    "Truth",
    "decided",
    "explained",
    "follows",
    "marks_of",
    "regions_of",
    "scores",
    "truth",
]

GROUNDED, FILLER = NEEDS, NOTHING
SAID = 0.5
"""Least probability of a word that the model is taken to say; of others a map explains nothing."""
OPTIONS: Mapping[str, Mapping[str, Any]] = {"integrated_gradients": {"target": "step"}, "iia": {"target": "step"}}
"""Methods that by default give one map of the whole answer are asked for one of each word."""
_BATCH = 16

Kind = Literal["removed", "recoloured", "reclassed", "background"]


@dataclass(frozen=True)
class Region:
    """One thing that is taken away; ``object`` is its index, None for the background."""

    kind: Kind
    object: int | None
    without: Specification


@dataclass(frozen=True, eq=False)
class Truth:
    """Nats that each step loses with each region; ``log_probs`` are those of the scene as it is."""

    regions: tuple[Region, ...]
    effects: Float[np.ndarray, "step region"]
    log_probs: Float[np.ndarray, " step"]

    @property
    def grounded(self) -> Bool[np.ndarray, " step"]:
        """Words that the image decides."""
        return np.asarray(self.effects.max(1) >= GROUNDED)

    @property
    def filler(self) -> Bool[np.ndarray, " step"]:
        """Words that the image does not decide."""
        return np.asarray(np.abs(self.effects).max(1) <= FILLER)

    def of(self, kind: Kind) -> Float[np.ndarray, "step region"]:
        """Effects of one kind of region, in the order of objects."""
        return self.effects[:, [region.kind == kind for region in self.regions]]


def regions_of(spec: Specification, *, seed: int = 0) -> tuple[Region, ...]:
    """Every object removed, in a colour that the scene has not, and with a look-alike in its place; the background."""
    drawn = random.Random(f"regions {seed}")
    used = {thing.colour for thing in spec.objects}
    new = [colour for colour in COLOURS if colour not in used]
    elsewhere = drawn.choice([name for name in BACKGROUNDS if name != spec.background.name])
    removed = [Region("removed", i, spec.without(i)) for i in range(len(spec.objects))]
    recoloured = [Region("recoloured", i, spec.recoloured(i, drawn.choice(new))) for i in range(len(spec.objects))]
    reclassed = [Region("reclassed", i, spec.with_object(i, _lookalike(drawn, spec, i))) for i in range(len(removed))]
    return (*removed, *recoloured, *reclassed, Region("background", None, spec.on(elsewhere)))


def _lookalike(drawn: random.Random, spec: Specification, index: int) -> SceneObject:
    """The same thing as a class that the scene has not: one whose word begins alike, else one of a like outline."""
    thing, used = spec.objects[index], {one.name for one in spec.objects}
    first = SUBWORDS.get(thing.name, ("", ""))[0]
    partners = {name for name, (piece, _) in SUBWORDS.items() if piece == first} - {thing.name}
    alike = {name for group in LOOKALIKES if thing.name in group for name in group} - used
    return replace(thing, name=drawn.choice(sorted(partners or alike or set(CLASSES) - used)), look=None)


def explained(
    vlm: "VLM",
    scene: Scene,
    methods: Sequence[str] = ("random",),
    *,
    options: Mapping[str, Mapping[str, Any]] = OPTIONS,
    **more: Any,
) -> Explanation:
    """The true answer to the scene's question, given to the model and attributed by some methods, a map per step."""
    given = {name: dict(options[name]) for name in methods if name in options}
    return dx.compare(
        vlm, scene.image, scene.prompt, answer=scene.caption, methods=list(methods), options=given, **more
    )


def marks_of(e: Explanation, marks: Sequence[Mark]) -> tuple[Mark, ...]:
    """The word that each explained step is part of; a piece that is only a space belongs to the word after it.

    Raises
    ------
    ValueError
        If the answer's pieces do not spell the marked text.
    """
    spelt = "".join(e.generation.pieces)
    skipped = len(spelt) - len(spelt.lstrip())
    text = e.generation.text
    if spelt.strip() != text or any(text[mark.start : mark.stop] != mark.word for mark in marks):
        raise ValueError(f"The answer {text!r} is not the marked one; its pieces spell {spelt!r}.")
    ends = np.cumsum([len(piece) for piece in e.generation.pieces]) - skipped
    found = []
    for step in e.steps:
        piece = e.generation.pieces[step]
        last = int(ends[step]) - (0 if piece.strip() == "" else 1 + len(piece) - len(piece.rstrip()))
        found.append(next(mark for mark in marks if last < mark.stop))
    return tuple(found)


def scores(
    vlm: "VLM", e: Explanation, images: Sequence[Callable[[], np.ndarray]], *, batch_size: int = _BATCH
) -> Float[np.ndarray, "image step"]:
    """The log-probability of each explained step on other images, the answer held fixed."""
    return log_probs(e, vlm, images, batch_size=batch_size)


def truth(vlm: "VLM", e: Explanation, scene: Scene, *, seed: int = 0, batch_size: int = _BATCH) -> Truth:
    """Draw the scene without each region, and score the answer on all of them in a few batched passes."""
    regions = regions_of(scene.spec, seed=seed)

    def drawing(spec: Specification) -> Callable[[], np.ndarray]:
        return lambda: scene.redraw(spec).image

    images = [lambda: scene.image, *(drawing(region.without) for region in regions)]
    whole, *rest = scores(vlm, e, images, batch_size=batch_size)
    return Truth(regions, whole[:, None] - np.stack(rest, 1), whole)


def follows(mark: Mark, piece: str) -> bool:
    """Whether the piece before decides this one: "case" of "suitcase", "fly" of "butterfly"."""
    first, second = SUBWORDS.get(mark.word, ("", ""))
    alone = sum(one == first for one, _ in SUBWORDS.values()) == 1
    return alone and piece.strip() == second


def decided(
    vlm: "VLM", e: Explanation, scene: Scene, *, seed: int = 0, roles: Sequence[str] = ("class", "colour")
) -> list[tuple[int, int]]:
    """Place and object of the pieces that name one object, that the model says and that the image decides.

    A map is judged on these alone: of any other word there is nothing on the image to be shown.
    """
    known = truth(vlm, e, scene, seed=seed)
    judged = known.grounded & (known.log_probs >= np.log(SAID))
    return [
        (place, mark.objects[0])
        for place, mark in enumerate(marks_of(e, scene.marks))
        if mark.role in roles and len(mark.objects) == 1 and judged[place]
    ]
