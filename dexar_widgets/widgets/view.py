"""What a person has chosen to see, as traits that a notebook reads, sets, observes and links."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets
from traitlets import TraitError

from dexar_widgets.figures import COLOUR_TABLES, DEFAULT_COLOURS
from dexar_widgets.options import TEXT_SETS, Options, accept, fraction_of
from dexar_widgets.widgets import messages
from dexar_widgets.widgets.regions import outline_of

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation

__all__ = ["NAMES", "OF_AN_ANSWER", "View", "defaults", "methods_of", "require_known"]

LAYER_MODES = ("single", "cumulative", "range")
METHODS = ("dexar", "attention")


class _Checked(traitlets.TraitType[Any, Any]):
    """A plain JSON value that a function of the view brings into its one form, or refuses with a `ValueError`."""

    def __init__(self, check: "Callable[[View, Any], Any]", default: Callable[[], Any]) -> None:
        super().__init__()
        self.check = check
        self.make_dynamic_default = default
        self.tag(sync=True, echo_update=False)  # the browser's own: an echo would undo what was dragged on meanwhile

    def validate(self, obj: "View", value: Any) -> Any:
        try:
            return self.check(obj, value)
        except ValueError as error:
            text = str(error)
            raise TraitError(text if text.startswith(f"{self.name}") else f"{self.name}: {text}") from error


class _FirstStep(_Checked):
    """The first of ``steps``; setting it sets those."""

    def __set__(self, obj: "View", value: Any) -> None:  # type: ignore[override]
        obj.steps = [] if value is None else value


def _steps(view: "View", value: Any) -> list[int]:
    nothing = value is None or (not isinstance(value, str | slice) and np.size(value) == 0)
    return [] if nothing else list(view.shown().steps_of(value))


def _step(view: "View", value: Any) -> int | None:
    return next(iter(_steps(view, value)), None)


def _layers(view: "View", value: Any) -> list[int]:
    if value is None and not view.sources:
        return []
    e = view.shown()
    if value is None:
        return _ends(e.options(preset=view.preset).layers)
    if isinstance(value, Sequence) and len(value) == 2:
        first, last = (e.options(layers=[operator.index(layer)]).layers[0] for layer in value)
        if first > last:
            raise ValueError(f"{list(value)} runs backwards; expected [first, last], both included.")
        return [first, last]
    found = e.options(layers=value).layers
    first, last = _ends(found)
    if len(found) != sum(first <= layer <= last for layer in e.layers):
        raise ValueError(
            f"{value!r} leaves layers out; the view shows one run [first, last], both included. Single heads of any "
            "layers are chosen with heads=[(layer, head), …]."
        )
    return [first, last]


def _ends(layers: Sequence[int]) -> list[int]:
    return [layers[0], layers[-1]]


def _heads(view: "View", value: Any) -> list[list[int]] | None:
    if value is None:
        return None
    return [list(pair) for pair in view.shown().options(heads=value).heads or ()]


def _filter(_view: "View", value: Any) -> str | float:
    fraction_of(value, "a filter")
    return value if isinstance(value, str) else float(value)


def _preset(view: "View", value: Any) -> str:
    accept("preset", value, ("paper", "released"))
    if view.sources:
        view.shown().options(preset=value)  # refuses what does not go with the family
    return str(value)


def _method(view: "View", value: Any) -> str:
    known = methods_of(view.shown()) if view.sources else METHODS
    if value == "attention" and value not in known:
        raise ValueError("The attention rows were not kept; explain again with attention=True.")
    accept("method", value, list(dict.fromkeys([*METHODS, *known])))
    return str(value)


def methods_of(e: "Explanation") -> tuple[str, ...]:
    """What a map of this answer can be of: the paper's method, the attention itself, other methods that gave theirs."""
    rows = () if e.attention is None else ("attention",)
    return tuple(dict.fromkeys(["dexar", *rows, *e.attributions]))


def _one_of(accepted: Sequence[str]) -> "Callable[[View, Any], str]":
    def check(_view: "View", value: Any) -> str:
        if not isinstance(value, str) or value not in accepted:
            raise ValueError(f"{value!r} is unknown; accepted: {', '.join(map(repr, accepted))}.")
        return value

    return check


def _flag(_view: "View", value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{value!r} is unknown; accepted: True, False.")
    return bool(value)


def _share(_view: "View", value: Any) -> float:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no share; expected a number from 0 to 1.")
    return float(value)


def _selection(view: "View", value: Any) -> Any:
    if isinstance(value, str):
        view.region_of(value)  # refuses a name that is not known
        return value
    return None if value is None else outline_of(value)


def _notes(_view: "View", value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list | tuple) or not all(isinstance(note, Mapping) for note in value):
        raise ValueError(f"{value!r} are no notes; expected a list of dicts, as `notes` has them.")
    return [_plain(note) for note in value]


def _display(_view: "View", value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no choice of display; expected a dict, as `display` has it.")
    return _plain(value)


def _plain(value: Mapping[Any, Any]) -> dict[str, Any]:
    """A dict of names and plain values: text, numbers, flags, None, and lists of those."""

    def simple(item: Any) -> bool:
        return item is None or isinstance(item, str | bool | int | float)

    for name, item in value.items():
        if not isinstance(name, str) or not all(map(simple, item if isinstance(item, list | tuple) else [item])):
            raise ValueError(f"{name!r}: {item!r} cannot be kept; expected text, numbers, flags or lists of those.")
    return {name: list(item) if isinstance(item, tuple) else item for name, item in value.items()}


class View(anywidget.AnyWidget):
    """The traits of the `Explorer`, each checked against the explanation that is shown."""

    sources: "tuple[Explanation, ...]" = ()
    """The explanation that is shown, then those to compare it with; empty before anything was asked."""

    step = _FirstStep(_step, lambda: None)
    steps = _Checked(_steps, list)
    layers = _Checked(_layers, lambda: None)
    layer_mode = _Checked(_one_of(LAYER_MODES), lambda: "range")
    heads = _Checked(_heads, lambda: None)
    head_filter = _Checked(_filter, lambda: "max")
    filler_filter = _Checked(_filter, lambda: "max")
    text_set = _Checked(_one_of(TEXT_SETS), lambda: "all")
    relu = _Checked(_flag, lambda: True)
    preset = _Checked(_preset, lambda: "paper")
    method = _Checked(_method, lambda: "dexar")
    colormap = _Checked(_one_of(tuple(COLOUR_TABLES)), lambda: DEFAULT_COLOURS)
    opacity = _Checked(_share, lambda: 0.75)
    selection = _Checked(_selection, lambda: None)
    notes = _Checked(_notes, list)
    display = _Checked(_display, dict)

    def shown(self) -> "Explanation":
        """The explanation that is shown."""
        if not self.sources:
            self.require_open()
            raise ValueError("Nothing is explained yet; ask first, in the widget or with ask(…).")
        return self.sources[0]

    def require_open(self) -> None:
        """Raise `ValueError` where the view was closed, which lets go of everything that it showed."""
        if self.comm is None:
            raise ValueError("This Explorer is closed, by close() or because its cell ran again; make another one.")

    def region_of(self, region: Any) -> Any:
        """A region, by its name or outline, as a mask over the image in view."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """The view as plain JSON values, for `from_state`."""
        return {name: getattr(self, name) for name in NAMES}

    def checked_state(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Traits of another state, in their one form where an answer is there to check them against."""
        require_known(given, also=())
        given = {"steps" if name == "step" else name: value for name, value in given.items()}
        known = {name for name in given if self.sources or name not in OF_AN_ANSWER}
        traits = self.traits()
        return {name: traits[name].validate(self, value) if name in known else value for name, value in given.items()}

    def options(self, state: Mapping[str, Any] | None = None) -> Options:
        """The options of `Explanation.heatmap` that the view stands for; ``state``: with these traits changed."""
        e, chosen = self.shown(), self.state() | dict(state or {})
        first, last = chosen["layers"] or _ends(e.layers)
        first = {"single": last, "cumulative": e.layers[0]}.get(chosen["layer_mode"], first)
        layers = [layer for layer in e.layers if first <= layer <= last]
        heads = None if chosen["heads"] is None else [pair for pair in chosen["heads"] if pair[0] in layers]
        if heads == []:
            raise ValueError("None of the chosen heads lies in the chosen layers.")
        return e.options(
            layers=layers,
            heads=heads,
            **{name: chosen[name] for name in ("head_filter", "filler_filter", "relu", "text_set", "preset")},
        )

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take in what the browser sends; what cannot be is answered with a message and what is."""
        data = dict(sync_data)
        linked = "step" in data and "steps" not in data  # by a slider, say, which knows nothing of steps
        try:
            if linked:
                self.step = data.pop("step")
            super().set_state(data)
        except TraitError as error:
            messages.send(self, "error", "", message=str(error))
            self.send_state([name for name in sync_data if name in NAMES])

    @traitlets.observe("steps")
    def _steps_changed(self, change: Any) -> None:
        self.set_trait("step", next(iter(change["new"]), None))

    @traitlets.observe("preset")
    def _preset_changed(self, change: Any) -> None:
        """A preset set in Python brings its text set and run of layers; the browser sends its own with it."""
        if self.comm is not None and not self._property_lock and self.sources:
            for name, value in defaults(self.shown(), change["new"]).items():
                setattr(self, name, value)
            self.layer_mode = "range"


NAMES: tuple[str, ...] = tuple(name for name, trait in vars(View).items() if isinstance(trait, _Checked))
"""The traits that make up a view."""
OF_AN_ANSWER = ("preset", "text_set", "layers", "heads", "step", "steps", "method", "selection")
"""Those that have no meaning before there is an answer; the preset brings the two after it."""
_OUTER = ("layout", "tooltip", "tabbable")  # traits of every ipywidget


def require_known(traits: Mapping[str, Any], *, also: Sequence[str] = _OUTER) -> None:
    """Raise `TypeError` for a name that is no trait of a view, nor one of ``also``."""
    unknown = sorted(set(traits) - {*NAMES, *also})
    if unknown:
        raise TypeError(
            f"Explorer has no {unknown[0]!r}; it takes image and prompt (with a model), regions, lesson, and the "
            f"traits {', '.join(NAMES)}."
        )


def defaults(e: "Explanation", preset: str | None = None) -> dict[str, Any]:
    """What a view of an explanation begins with: all that the preset stands for."""
    try:
        options = e.options(preset=preset)  # type: ignore[arg-type]
    except ValueError as error:
        raise TraitError(str(error)) from error
    return {"preset": options.preset, "text_set": options.text_set, "layers": _ends(options.layers)}
