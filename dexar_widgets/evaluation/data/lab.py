"""Scenes of the lab, by seed: what each shows and where is known exactly.

Differs from photographs in that nothing but the named objects bears on the answer, and that a scene can be drawn again
without one of them (`Sample.without`).
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import cast

import numpy as np

from dexar_widgets.evaluation.data._listed import Listed, settings_of
from dexar_widgets.evaluation.data._options import maybe_text, one_of, whole_number
from dexar_widgets.evaluation.samples import CLUSTER, Dataset, Sample, Target
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.language import KINDS, Kind, Turn, ask, caption
from dexar_widgets.lab.scenes import Scene, draw, render
from dexar_widgets.lab.specifications import Specification
from dexar_widgets.lab.stories import STORIES, crowd, story
from dexar_widgets.lab.world import BACKGROUNDS, CROWD, MAX_OBJECTS, MODEL_SIZE

TITLE = "The lab"
EXPECTS = ""
SOURCE = "Its scenes are drawn from their seeds."

SCENES = ("random", "crowd", *STORIES)
TRAINING = 1 << 36
"""Seeds from here on belong to training and its validation."""
_FAMILIES_OWN = "Classify the image."
"""Every family's own question asks for a caption that begins as this one's does (`lab.language.CAPTIONS`)."""
_RARE = 100
"""Scenes looked at for each that leaves a question one answer, before giving up."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """``count`` scenes from the seed ``first`` on.

    The default lies apart from every seed in use: reports 3 to 10 million, accuracy 10 to 29, planted faults from 50,
    training from 2³⁶ on. ``kind``: ``caption``, or a kind of question (`lab.language.KINDS`); scenes that leave it
    without one answer are passed over. ``scenes``: ``random``, ``crowd`` or a story (`lab.STORIES`). ``objects``: how
    many, in random scenes and crowds. ``prompt`` of a caption; None asks the family's own, which every lab model knows.
    """

    count: int = 100
    first: int = 30_000_000
    objects: int | None = None
    background: str | None = None
    kind: str = "caption"
    scenes: str = "random"
    prompt: str | None = None
    size: int = 384

    def __post_init__(self) -> None:
        whole_number("count", self.count, 1)
        whole_number("first", self.first, 0)
        whole_number("size", self.size, MODEL_SIZE // 2)
        one_of("scenes", self.scenes, SCENES)
        one_of("kind", self.kind, ("caption", *KINDS))
        one_of("background", self.background, (None, *BACKGROUNDS))
        most = {"random": MAX_OBJECTS, "crowd": CROWD}.get(self.scenes, 0)
        one_of("objects", self.objects, (None, *range(1, most + 1)))
        maybe_text("prompt", self.prompt)
        if self.first + self.count > TRAINING:
            raise ValueError(f"first={self.first} is not accepted; seeds from {TRAINING} on were trained on.")
        if self.prompt is not None and self.kind != "caption":
            raise ValueError(
                f"prompt={self.prompt!r} is not accepted with kind={self.kind!r}, whose question is drawn."
            )
        if self.background is not None and self.scenes in STORIES:
            raise ValueError(f"background={self.background!r} is not accepted; the story {self.scenes!r} has its own.")


def read(root: Path, options: Options) -> Dataset:  # noqa: ARG001 (one signature)
    """The scenes whose question has one answer, by their seeds."""
    rows = {str(seed): seed for seed in _seeds(options)}
    special = [word for word in (options.scenes, options.kind) if word not in {"random", "caption"}]
    name = ", ".join(("lab", *special))
    return Listed(name, settings_of(options, list(rows)), rows, partial(_sample, options=options))


def _seeds(options: Options) -> Iterator[int]:
    if options.kind == "caption":
        yield from range(options.first, options.first + options.count)
        return
    looked_at = range(options.first, min(TRAINING, options.first + _RARE * options.count))
    found = list(islice((seed for seed in looked_at if _asks(seed, options)), options.count))
    if len(found) < options.count:
        raise ValueError(
            f"Of {len(looked_at)} scenes, {len(found)} leave a question of the kind {options.kind!r} one answer; ask "
            f"for fewer than count={options.count}, or for other objects or scenes."
        )
    yield from found


def _asks(seed: int, options: Options) -> bool:
    spec = _spec(seed, options) if options.scenes == "random" else _scene(seed, options, MODEL_SIZE // 2).spec
    return _turn(spec, seed, options) is not None


def _spec(seed: int, options: Options) -> Specification:
    same_group = 1.0 if options.kind == "group" else 0.0  # else the question hardly ever arises
    return specification(seed, objects=options.objects, background=options.background, same_group=same_group)


def _scene(seed: int, options: Options, size: int) -> Scene:
    if options.scenes in STORIES:
        return story(options.scenes, seed, size=size)
    if options.scenes == "crowd":
        return crowd(seed, objects=options.objects or CROWD, background=options.background, size=size)
    return render(_spec(seed, options), size=size)


def _turn(spec: Specification, seed: int, options: Options) -> Turn | None:
    if options.kind == "caption":
        return Turn("", caption(spec, options.prompt or _FAMILIES_OWN), "caption")
    return ask(random.Random(f"question {seed}"), spec, cast(Kind, options.kind))


def _sample(id_: str, seed: int, *, options: Options) -> Sample:
    scene = _scene(seed, options, options.size)
    turn = _turn(scene.spec, seed, options)
    assert turn is not None  # or the seed would not be listed
    content = [mark for mark in turn.answer.marks if mark.content]
    named = sorted({index for mark in content for index in mark.objects})
    things = scene.spec.objects
    return Sample(
        id_,
        scene.image,
        prompt=options.prompt if turn.kind == "caption" else turn.question,
        answer=turn.answer.text,
        content=tuple((mark.start, mark.stop) for mark in content),
        targets=tuple(
            Target(
                f"{things[index].colour} {things[index].name}",
                scene.visible[index],
                tuple((mark.start, mark.stop) for mark in content if index in mark.objects),
            )
            for index in named
        ),
        without=tuple(np.asarray(draw(scene.spec.without(index), options.size)) for index in named),
        facts={
            "seed": str(seed),
            CLUSTER: str(seed),
            "objects": str(len(things)),
            "background": scene.spec.background.name,
            "kind": turn.kind,
            "scenes": options.scenes,
        },
    )
