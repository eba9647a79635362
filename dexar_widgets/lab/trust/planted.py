"""T9, T10 and the verdicts on the planted models: what is wrong with them is shown by intervention, not by a map.

A planted dependency counts only where it is verified. Only then is asked whether a method's map shows it.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt8

from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.evaluate import said
from dexar_widgets.lab.faults import FAULTS, GHOST, TRIGGER
from dexar_widgets.lab.scenes import Scene, render
from dexar_widgets.lab.specifications import Prop, SceneObject, Specification
from dexar_widgets.lab.trust.observe import areas, energy
from dexar_widgets.lab.trust.truth import explained, follows, marks_of, scores
from dexar_widgets.lab.world import MAX_OBJECTS

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = [
    "faint_boat",
    "observe_decoy",
    "observe_permuted",
    "observe_trigger",
    "observe_water",
    "patched",
    "swatched",
]

PROMPT = "Describe the image."


def _drawn(scene: Scene, spec: Specification) -> UInt8[np.ndarray, "height width 3"]:
    return scene.redraw(spec).image


def faint_boat(seed: int) -> Scene:
    """Water, something else, and a small white boat that is hardly to be seen."""
    drawn = random.Random(f"faint boat {seed}")
    spec = FAULTS["water-boat"].plant(drawn, specification(seed, objects=1, background="water")).drawn
    (index,) = [i for i, thing in enumerate(spec.objects) if thing.name == "boat"]
    boat = replace(spec.objects[index], opacity=drawn.uniform(0.1, 0.5))
    return replace(render(spec.with_object(index, boat)), prompt=PROMPT)


def observe_water(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method: the nats that "white boat" loses without the water and without the boat, and its map."""
    spec, (index,) = scene.spec, scene.spec.find("boat")
    e = explained(vlm, scene, methods)
    marks = marks_of(e, scene.marks)
    dry, gone = spec.on("sand" if number % 2 else "grass"), spec.without(index)
    found = scores(vlm, e, [partial(_drawn, scene, one) for one in (spec, dry, gone)])
    words = [place for place, mark in enumerate(marks) if mark.objects == (index,) and mark.role in ("class", "colour")]
    whole, without_water, without_boat = found[:, words].sum(1)
    steps = [e.steps[place] for place, mark in enumerate(marks) if mark.objects == (index,) and mark.role == "class"]
    (unprompted,) = said(vlm, [gone])
    told = {
        "scene": number,
        "water": float(whole - without_water),
        "boat": float(whole - without_boat),
        "probability": float(np.exp(whole)),
        "boat without boat": "boat" in unprompted,
    }
    masks = np.stack([scene.background, scene.visible[index]])
    return pd.DataFrame([told | row for row in _shares(e, methods, steps, masks, ("water share", "boat share"))])


def _shares(
    e: Explanation,
    methods: Sequence[str],
    steps: Sequence[int],
    masks: Bool[np.ndarray, "mask height width"],
    names: Sequence[str],
) -> list[dict[str, Any]]:
    """Each method's energy of some steps on each mask, and the masks' areas."""
    grid = e.layout.grids[0]
    even = areas(grid, masks)
    rows = []
    for method in methods:
        found = energy(e.attributions[method].heatmap(list(steps)).values.astype(float), grid, masks)
        shares = dict(zip(names, found.shares, strict=True))
        whole = dict(zip((f"{name}, area" for name in names), even, strict=True))
        hits = dict(zip((f"{name}, hit" for name in names), found.hits, strict=True))
        rows.append({"method": method} | shares | whole | hits)
    return rows


def patched(seed: int) -> Scene:
    """One or two objects, none of them the ghost, and the chequered patch where no object is."""
    drawn = random.Random(f"patch {seed}")
    side = TRIGGER
    while True:
        spec = specification(drawn.getrandbits(30), objects=drawn.choice((1, 2)))
        if any((thing.name, thing.colour) == GHOST for thing in spec.objects):
            continue
        patch = Prop("checker", drawn.uniform(side / 2, 1 - side / 2), drawn.uniform(side / 2, 1 - side / 2), side)
        scene = render(spec.adding(patch))
        if not (scene.props[0] & scene.masks.any(0)).any():
            return replace(scene, prompt=PROMPT)


def observe_trigger(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method: whether the ghost is named with the patch and without, and where its word's map lies."""
    bare = scene.redraw(scene.spec.without_props())
    name, colour = GHOST
    with_patch, without = (f"{colour} {name}" in text for text in said(vlm, [scene.spec, bare.spec]))
    ghost = SceneObject(name, colour, x=1.0, y=0.5, size=0.25, opacity=0.0)
    told = replace(scene, spec=scene.spec.adding(ghost))  # the same picture, and a caption that names the ghost
    index = len(told.spec.objects) - 1
    found: dict[str, dict[str, Any]] = {method: {} for method in methods}
    for names, image in ((("patch",), scene.image), (("bare",), bare.image)):
        e = explained(vlm, replace(told, image=image), methods)
        marks = marks_of(e, told.marks)
        steps = [
            step for step, mark in zip(e.steps, marks, strict=True) if mark.objects == (index,) and mark.role == "class"
        ]
        for row in _shares(e, methods, steps, scene.props[:1], names):
            found[row["method"]] |= row
    common = {"scene": number, "named": with_patch, "named without": without}
    return pd.DataFrame([common | row for row in found.values()])


def swatched(seed: int) -> Scene:
    """One object, asked for its colour, and a swatch of another colour in the corner where the decoy was planted.

    Asked for a caption, a model without a fault names the swatch, too: as a square.
    """
    drawn = random.Random(f"swatch {seed}")
    while True:
        spec = specification(drawn.getrandbits(30), objects=1)
        planted = FAULTS["decoy"].plant(drawn, spec)
        swatch = planted.drawn.props[0]
        scene = render(spec.adding(swatch))
        if swatch.colour != spec.objects[0].colour and not (scene.props[0] & scene.masks.any(0)).any():
            return replace(scene, prompt=f"What colour is the {spec.objects[0].name}?")


def observe_decoy(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method: whose colour is told, what changes it, and where the colour word's map lies."""
    (thing,), (swatch,) = scene.spec.objects, scene.spec.props
    (answer,) = said(vlm, [scene.spec], scene.prompt)
    told = replace(scene, spec=scene.spec.recoloured(0, swatch.colour))  # the same picture, told as the fault would
    e = explained(vlm, told, methods)
    marks = marks_of(e, told.marks)
    words = [place for place, mark in enumerate(marks) if mark.role == "colour"]
    third = next(colour for colour in ("red", "blue", "green") if colour not in (thing.colour, swatch.colour))
    other_swatch = replace(scene.spec, props=(replace(swatch, colour=third),))
    edits = [scene.spec, other_swatch, scene.spec.recoloured(0, third)]
    images = [partial(_drawn, scene, spec) for spec in edits]
    whole, by_swatch, by_object = scores(vlm, e, images)[:, words].sum(1)
    common = {
        "scene": number,
        "tells swatch": swatch.colour in answer,
        "tells object": thing.colour in answer,
        "probability": float(np.exp(whole)),
        "swatch": float(whole - by_swatch),
        "object": float(whole - by_object),
    }
    masks = np.stack([scene.props[0], scene.visible[0]])
    steps = [e.steps[place] for place in words]
    return pd.DataFrame([common | row for row in _shares(e, methods, steps, masks, ("on swatch", "on object"))])


def observe_permuted(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and class word of the true caption; in each, what the own answer loses on other pictures.

    One has as many objects as the scene, one has another number. That the true words are neither said nor decided is
    the fault itself, so that all are looked at but pieces that follow from the one before.
    """
    import dexar_widgets as dx

    (answer,) = said(vlm, [scene.spec])
    count = len(scene.spec.objects)
    others = [render(specification(number + 777, objects=more)).image for more in (count, count % MAX_OBJECTS + 1)]
    lost = 0.0  # a model that says nothing depends on nothing
    if answer:
        own = dx.explain(vlm, scene.image, scene.prompt, answer=answer, keep="summary")
        whole, *elsewhere = scores(vlm, own, [partial(np.asarray, image) for image in (scene.image, *others)])
        lost = float((whole - np.stack(elsewhere)).max())
    e = explained(vlm, scene, methods)
    rows: list[dict[str, Any]] = []
    for place, mark in enumerate(marks_of(e, scene.marks)):
        if mark.role == "class" and not follows(mark, e.generation.pieces[e.steps[place]]):
            index, steps = mark.objects[0], [e.steps[place]]
            rows += _shares(e, methods, steps, scene.visible[index : index + 1], ("own",))
    told: Mapping[str, Any] = {"scene": number, "lost": lost, "answer": answer}
    return pd.DataFrame([{**told, **row} for row in rows])
