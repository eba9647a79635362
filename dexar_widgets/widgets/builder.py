"""A drawn scene to change by hand, and to ask a model about."""

import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, replace
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from PIL import Image

from dexar_widgets.explanation import Explanation
from dexar_widgets.jobs import Job
from dexar_widgets.lab import language
from dexar_widgets.lab.scenes import Prop, Scene, SceneObject, Specification, cutout, draw
from dexar_widgets.lab.scenes import scene as scene_of
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, CROWD, MAX_OBJECTS, PROPS
from dexar_widgets.widgets import cells, html
from dexar_widgets.widgets.explorer import Explorer

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["SceneBuilder"]

_log = logging.getLogger(__name__)

_WORLD = {
    "objects": CLASSES,
    "props": PROPS,
    "colours": {name: f"rgb({red} {green} {blue})" for name, (red, green, blue) in COLOURS.items()},
    "backgrounds": BACKGROUNDS,
    "trained": MAX_OBJECTS,
    "most": CROWD,
}
_PROMPT = "What do you see?"


class SceneBuilder(anywidget.AnyWidget):
    """Choose objects, colours and a background, move them, and ask the model again; `explorer` shows what it says.

    >>> builder = dx.SceneBuilder(vlm)
    >>> display(builder, builder.explorer)

    Parameters
    ----------
    vlm
        The model that is asked; without one a scene can be built but not asked about.
    scene
        A `Scene` to begin with, or the seed of one.
    prompt
        The question to begin with.
    traits
        What the `Explorer` begins with: ``head_filter="none"``, ``method="attention"``, …

    The scene as it stands is `scene`. Setting it, or the traits ``things`` and ``background``, changes the view.
    """

    explorer: Explorer | None = None
    """It shows what the model says; None without a model."""

    _esm = traitlets.Unicode().tag(sync=True)
    _world = traitlets.Dict().tag(sync=True)
    _pictures = traitlets.Bytes().tag(sync=True)
    """The empty background, then each thing by itself: PNGs, end to end."""
    _drawn = traitlets.Dict().tag(sync=True)
    """What the pictures show: ``things``, and where each picture ends."""
    truths = traitlets.Dict().tag(sync=True)
    """Questions that the lab's models know, each with the scene's true answer."""
    things: Any = traitlets.List().tag(sync=True, echo_update=False)
    """What stands in the scene: dicts with the fields of `SceneObject`, or of `Prop`, later ones drawn over earlier."""
    background = traitlets.Enum(BACKGROUNDS, BACKGROUNDS[0]).tag(sync=True)
    """What it stands on."""
    prompt = traitlets.Unicode(_PROMPT).tag(sync=True)
    """The question."""

    def __init__(
        self, vlm: "VLM | None" = None, scene: Scene | int = 7, *, prompt: str = _PROMPT, **traits: Any
    ) -> None:
        self._first = scene_of(scene) if isinstance(scene, int) else scene
        self._spec = self._first.spec
        if vlm is None and traits:
            raise ValueError(f"{next(iter(traits))!r} is for the Explorer, which needs a model: SceneBuilder(vlm, …).")
        if vlm is not None:
            self.explorer = Explorer(vlm, self._first.image, **traits)
            self.explorer._driven = True
        world = _WORLD | {"model": "" if vlm is None else vlm.name}
        super().__init__(
            _esm=html.script_of("builder.js"), _world=world, prompt=prompt, **_traits_of(self._spec), **self._shown()
        )
        self.on_msg(_receive)

    @property
    def scene(self) -> Scene:
        """The scene as it stands."""
        return self._first.redraw(self._spec)

    @scene.setter
    def scene(self, scene: Scene | int) -> None:
        self._first = scene_of(scene) if isinstance(scene, int) else scene
        self._take(self._first.spec)

    def ask(self, prompt: str | None = None) -> Job[Explanation]:
        """Ask the model about the scene as it stands; the `explorer` shows the answer, with the objects as regions.

        ``.result()`` of what is returned waits for the `Explanation`.
        """
        if self.explorer is None:
            raise ValueError("There is no model to ask: SceneBuilder(vlm) brings one.")
        if prompt is not None:
            self.prompt = prompt
        scene = self.scene
        return self.explorer.ask(self.prompt, scene.image, regions=_regions_of(scene))

    def _take(self, spec: Specification) -> None:
        self._spec = spec
        self._set(_traits_of(spec) | self._shown())

    def _set(self, values: Mapping[str, Any]) -> None:
        """All at once, for the browser and for what observes them here."""
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in values.items():
                setattr(self, name, value)

    @traitlets.validate("things")
    def _check_things(self, proposal: Any) -> list[dict[str, Any]]:
        try:
            things = [_thing_of(told) for told in proposal["value"]]
        except (TypeError, ValueError) as error:
            raise traitlets.TraitError(f"things: {error}") from error
        objects = sum(isinstance(thing, SceneObject) for thing in things)
        if objects > CROWD:
            raise traitlets.TraitError(f"things: a scene holds at most {CROWD} objects; got {objects}.")
        return [_told(thing) for thing in things]

    @traitlets.observe("things", "background")
    def _changed(self, _change: Any) -> None:
        things = [_thing_of(told) for told in self.things]
        ground = self._spec.background
        spec = Specification(
            ground if ground.name == self.background else self._spec.on(self.background).background,
            tuple(thing for thing in things if isinstance(thing, SceneObject)),
            tuple(thing for thing in things if isinstance(thing, Prop)),
        )
        if spec != self._spec:
            self._spec = spec
            self._set(self._shown())

    def _shown(self) -> dict[str, Any]:
        """The traits that show the scene."""
        size = self._first.image.shape[0]
        things: tuple[SceneObject | Prop, ...] = (*self._spec.objects, *self._spec.props)
        pictures = [_ground(replace(self._spec, objects=(), props=()), size), *(_alone(one, size) for one in things)]
        ends, total = [], 0
        for picture in pictures:
            ends.append(total := total + len(picture))
        drawn = {"things": [_told(thing) for thing in things], "ends": ends}
        return {"_pictures": b"".join(pictures), "_drawn": drawn, "truths": _truths(self._spec)}

    @traitlets.observe("comm")
    def _comm_changed(self, change: Any) -> None:
        super()._comm_changed(change)
        if self.comm is not None:
            cells.settle(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        found = super()._repr_mimebundle_(**options)
        if found is None:
            return None
        cells.hold(self)
        data, metadata = found
        return data | {"image/png": self.scene._repr_png_(), "text/plain": repr(self)}, metadata

    def close(self) -> None:
        """Close every view, and the Explorer."""
        if self.comm is not None:
            cells.forget(self.model_id)
        super().close()
        if self.explorer is not None:
            self.explorer.close()

    def __repr__(self) -> str:
        return f"SceneBuilder({language.caption(self._spec, self.prompt).text!r}, on {self.background})"


def _thing_of(told: Mapping[str, Any]) -> SceneObject | Prop:
    kind: Any = Prop if told.get("name") in PROPS else SceneObject
    known = [field.name for field in fields(kind)]
    needed = [field.name for field in fields(kind) if field.default is MISSING]
    if stray := [*(name for name in told if name not in known), *(name for name in needed if name not in told)]:
        raise ValueError(f"{dict(told)} has a wrong or no {stray[0]!r}; a thing has {', '.join(known)}.")
    thing: SceneObject | Prop = kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in told.items()})
    return thing


def _told(thing: SceneObject | Prop) -> dict[str, Any]:
    """As JSON has it, so that what the browser sends is what it gets."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(thing).items()}


def _traits_of(spec: Specification) -> dict[str, Any]:
    things: tuple[SceneObject | Prop, ...] = (*spec.objects, *spec.props)
    return {"things": [_told(thing) for thing in things], "background": spec.background.name}


def _truths(spec: Specification) -> dict[str, str]:
    """Questions of every kind, where the scene has an answer to them."""
    rng = random.Random(0)
    found = {_PROMPT: language.caption(spec, _PROMPT).text} if spec.objects else {}
    turns = [language.ask(rng, spec, kind) for kind in language.KINDS] if spec.objects else []
    return found | {turn.question: turn.answer.text for turn in turns if turn is not None}


def _regions_of(scene: Scene) -> dict[str, Any]:
    """What can be seen of each object, by its name; two of one name get a number."""
    found: dict[str, Any] = {}
    for thing, mask in zip(scene.spec.objects, scene.visible, strict=True):
        name = f"{thing.colour} {thing.name}"
        names = [name, *(f"{name} {count}" for count in range(2, CROWD + 1))]
        if mask.any():
            found[next(one for one in names if one not in found)] = mask
    return found


@lru_cache(maxsize=64)
def _ground(spec: Specification, size: int) -> bytes:
    return _png(draw(spec, size))


@lru_cache(maxsize=512)
def _alone(thing: SceneObject | Prop, size: int) -> bytes:
    return _png(cutout(replace(thing, x=0.5, y=0.5), size))


def _png(picture: Image.Image) -> bytes:
    buffer = BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _receive(builder: SceneBuilder, content: object, _buffers: Sequence[Any]) -> None:
    """Do what the browser asks for, and say so: ask the model, another scene, or the first one again."""
    kind = content.get("kind") if isinstance(content, Mapping) else None
    try:
        if kind == "ask":
            builder.ask()
        elif kind == "another":
            builder.scene = scene_of(random.randrange(10**6), size=builder._first.image.shape[0])
        elif kind == "first":
            builder._take(builder._first.spec)
        else:
            raise ValueError(f"Messages of kind {str(kind)[:40]!r} are unknown; known: ask, another, first.")
        builder.send({"kind": "done", "of": kind})
    except Exception as error:  # noqa: BLE001 (an exception here would reach nobody)
        if not isinstance(error, ValueError):
            _log.exception("A message of the browser could not be answered.")
        builder.send({"kind": "error", "of": kind, "message": str(error) or type(error).__name__})
