"""The failure cases of the paper's appendices I and J: does a word need what its map shows beside the object?

The paper reads spurious correlations off the maps (sky and water for "boat", rails for "train"). Here the suspect is
taken out of the scene, and the object too: a word that loses nothing without the suspect does not depend on it, however
brightly the map shows it.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, UInt8

import dexar_widgets as dx
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.language import Answer, ask
from dexar_widgets.lab.scenes import Scene
from dexar_widgets.lab.specifications import Background, Specification
from dexar_widgets.lab.stories import STORIES, Story, story
from dexar_widgets.lab.trust.gates import by_method, result, table
from dexar_widgets.lab.trust.observe import areas, energy
from dexar_widgets.lab.trust.truth import FILLER, GROUNDED, SAID, marks_of, scores
from dexar_widgets.statistics import mean, rate

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["observe_tales", "tale", "tales", "thumbnail", "verdict"]

SHOWN = ("dexar", "dexar_use")
"""Methods whose maps stand in the table as pictures."""
_NAMES = tuple(STORIES)


def tale(seed: int) -> Scene:
    """The scene of a story: they take turns."""
    return story(_NAMES[seed % len(_NAMES)], seed)


def observe_tales(vlm: "VLM", scene: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method: the map's energy on object and suspect over their areas, and the nats lost without each."""
    name = _NAMES[number % len(_NAMES)]
    told = STORIES[name]
    question, answer = _asked(scene, told, number)
    e = dx.compare(vlm, scene.image, question, methods=list(methods), answer=answer.text)
    words = told.word.split()
    steps = [
        step
        for step, mark in zip(e.steps, marks_of(e, answer.marks), strict=True)
        if mark.word in words and mark.role in ("class", "group")
    ]
    spec, things = scene.spec, range(len(scene.spec.objects))
    edits = [spec, _without_suspect(spec, told, number), spec.without(*things)]
    found = scores(vlm, e, [partial(_drawn, scene, spec) for spec in edits])
    whole, no_suspect, no_object = found[:, [e.steps.index(step) for step in steps]].sum(1)
    common = {
        "scene": number,
        "story": name,
        "word": told.word,
        "probability": float(np.exp(whole)),
        "suspect": float(whole - no_suspect),
        "object": float(whole - no_object),
    }
    masks = np.stack([scene.visible.any(0), _suspect(scene, told)])
    return pd.DataFrame([common | row for row in _shares(e, steps, methods, masks)])


def _drawn(scene: Scene, spec: Specification) -> UInt8[np.ndarray, "height width 3"]:
    return scene.redraw(spec).image


def _asked(scene: Scene, told: Story, number: int) -> tuple[str, Answer]:
    """The question and its true answer: of several objects, what they have in common; else the caption."""
    if len(told.word.split()) > 1:
        turn = ask(random.Random(number), scene.spec, "group")
        assert turn is not None, "the story is made of one group"
        return turn.question, turn.answer
    return scene.prompt, scene.answer


def _suspect(scene: Scene, told: Story) -> Bool[np.ndarray, "height width"]:
    if told.suspect == "background":
        return scene.background
    return np.asarray(scene.props[0] & ~scene.visible.any(0))


def _without_suspect(spec: Specification, told: Story, number: int) -> Specification:
    """Sand in one of two textures, which no story is about, or the scene without its prop."""
    if told.suspect == "background":
        return spec.on(Background("sand", texture=number % 2))
    return spec.without_props()


def _shares(
    e: Explanation, steps: Sequence[int], methods: Sequence[str], masks: Bool[np.ndarray, "mask height width"]
) -> list[dict[str, Any]]:
    grid = e.layout.grids[0]
    even = areas(grid, masks)
    rows = []
    for method in methods:
        heat = e.attributions[method].heatmap(steps)
        on_object, on_suspect = energy(heat.values.astype(float), grid, masks).shares / even
        picture = thumbnail(e, method, steps) if method in SHOWN else ""
        told = {"method": method, "map on object": on_object, "map on suspect": on_suspect, "picture": picture}
        rows.append(told)
    return rows


def thumbnail(e: Explanation, method: str, steps: Sequence[int], side: int = 144) -> str:
    """The map over the scene as a small PNG, in base64."""
    import io
    from base64 import b64encode

    from PIL import Image

    from dexar_widgets.display import overlaid

    large = Image.open(io.BytesIO(overlaid(e.example.image, e.attributions[method].heatmap(list(steps)))))
    buffer = io.BytesIO()
    large.convert("RGB").resize((side, side), Image.Resampling.BILINEAR).quantize(64).save(buffer, "PNG", optimize=True)
    return b64encode(buffer.getvalue()).decode()


def verdict(without_suspect: float, without_object: float, probability: float) -> str:
    """What a word depends on, of two interventions in nats: a loss of 1 counts, one of 0.05 is none.

    Of a word that the model does not say, nothing is concluded.
    """
    if probability < SAID:
        return f"the model does not say it (probability {probability:.2f})"
    needs = [name for name, lost in (("object", without_object), ("suspect", without_suspect)) if lost >= GROUNDED]
    if needs:
        return f"depends on the {' and the '.join(needs)}"
    nothing = max(abs(without_suspect), abs(without_object)) <= FILLER
    return "depends on neither" if nothing else "hardly depends on either"


def tales(seen: pd.DataFrame) -> pd.DataFrame:
    """Per story: nats lost without suspect and object, how often the word needs the suspect, every map's share."""
    rows: list[dict[str, Any]] = []
    for name, cases in seen.groupby("story", sort=False):
        every = cases["scene"].nunique()
        cases = cases[cases["probability"] >= SAID]  # noqa: PLW2901 (what the model does not say, no map explains)
        once = cases.drop_duplicates("scene")
        scenes = once["scene"].to_numpy()
        said = f"of {every} scenes the model says the word on {len(once)}"
        for column in ("suspect", "object"):
            found = mean(once[column].to_numpy(float), scenes)
            rows.append(result("failures", f"{name}: nats lost without the {column}", found, chance=0.0, note=said))
        found = rate((once["suspect"] >= GROUNDED).to_numpy())
        rows.append(result("failures", f"{name}: the word depends on the suspect", found, note=said))
        for method, some in by_method(cases, seen):
            for column in ("map on suspect", "map on object"):
                share = mean(some[column].fillna(1.0).to_numpy(float), some["scene"].to_numpy())
                note = f"{int(some[column].isna().sum())} empty maps count as chance"
                what = f"{name}: {column}, over its area"
                rows.append(result("failures", what, share, method=method, chance=1.0, note=note))
    return table(rows)
