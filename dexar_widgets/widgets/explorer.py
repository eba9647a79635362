"""The widget: an explanation to look into, or a model to ask."""

import logging
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload
from uuid import uuid4

import numpy as np
import traitlets
from IPython.display import display

from dexar_widgets.attribution import Attribution
from dexar_widgets.explanation import Explanation
from dexar_widgets.files import write_whole
from dexar_widgets.images import ImageSource, open_image
from dexar_widgets.types import HeatMap
from dexar_widgets.widgets import cells, html, lessons, parts, regions, snapshot, view, wire
from dexar_widgets.widgets.measuring import Measuring

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.vlm import VLM

__all__ = ["Explorer"]

_log = logging.getLogger(__name__)

_KEPT_PARTS = 8
_COMPARED = 3  # answers that stay in memory when another one is asked for


class Explorer(Measuring):
    """Look into an explanation, or ask a model: words, layers, heads and filters, linked, in a notebook's cell.

    ``Explorer(e)`` shows an explanation, ``Explorer(e, other)`` compares it with others;
    ``Explorer(vlm, image)`` waits for a question, ``Explorer(vlm, image, prompt)`` asks one.

    Parameters
    ----------
    regions
        Named regions of the image: a mask, a box (left, top, right, bottom) or a polygon [(x, y), …], in pixels.
    lesson
        Captions that lead through views (see `dexar_widgets.widgets.lessons.checked`).
    traits
        What the view begins with: ``step`` or ``steps`` (ints, a slice or a word), ``layers`` (an int, a slice
        or (first, last)), ``heads``, ``head_filter``, … as on `Explanation.heatmap`, and how it is drawn.
        They can be read, set, observed and linked later.
    """

    _esm = traitlets.Unicode().tag(sync=True)
    _id = traitlets.Unicode().tag(sync=True)
    _document = traitlets.Unicode().tag(sync=True, echo_update=False)
    _payload = traitlets.Bytes().tag(sync=True, echo_update=False)
    _driven = traitlets.Bool().tag(sync=True)
    """Whether a widget beside it asks the questions."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Begin with nothing, so that what cannot be built can still be closed."""
        explorer = super().__new__(cls, *args, **options)
        explorer._parts, explorer._regions, explorer._wanted = OrderedDict(), {}, {}
        return explorer

    def __init__(
        self,
        subject: "Explanation | VLM",
        *others: Any,
        image: ImageSource | None = None,
        prompt: str | None = None,
        regions: Mapping[str, Any] | None = None,
        lesson: Sequence[Mapping[str, Any]] = (),
        **traits: Any,
    ) -> None:
        self._own_layout = "layout" not in traits
        view.require_known(traits)
        if isinstance(subject, Explanation):
            self._take(subject, others, asked=image is not None or prompt is not None)
            traits = view.defaults(subject, traits.get("preset")) | traits
        else:
            prompt = self._take_model(subject, others, image, prompt)
            self._wanted = {name: traits.pop(name) for name in view.OF_AN_ANSWER if name in traits}
        if "step" in traits:
            traits.setdefault("steps", traits.pop("step"))
        self._regions = self._named(regions or {})
        self._lesson = lessons.checked(lesson, self.checked_state)
        script = html.script_of("widget.js")
        super().__init__(_esm=script, _id=uuid4().hex, **self._encoded(script), **traits)
        if prompt is not None:
            self.ask(prompt)

    def _take(self, e: Explanation, others: Sequence[Any], *, asked: bool) -> None:
        if asked:
            raise ValueError("image= and prompt= go with a model, Explorer(vlm, image=…); this is an explanation.")
        for other in others:
            if not isinstance(other, Explanation):
                raise ValueError(f"An explanation is compared with explanations; got {type(other).__name__}.")
        self.sources = (e, *others)

    def _take_model(
        self, subject: Any, others: Sequence[Any], image: ImageSource | None, prompt: str | None
    ) -> str | None:
        home = sys.modules.get("dexar_widgets.vlm")  # it needs torch, and whoever has a VLM has loaded it
        if home is None or not isinstance(subject, home.VLM):
            raise ValueError(f"An Explorer shows an explanation or a loaded VLM; got {type(subject).__name__}.")
        given = dict(zip(("image", "prompt"), others, strict=False))
        if len(others) > 2 or (image is not None and "image" in given) or (prompt is not None and "prompt" in given):
            raise ValueError("With a model an Explorer takes one image and one prompt: Explorer(vlm, image, prompt).")
        self._vlm = subject
        image, prompt = given.get("image", image), given.get("prompt", prompt)
        self._opened = None if image is None else open_image(image)
        if prompt is not None and image is None:
            raise ValueError("There is a prompt but no image to ask about; give Explorer(vlm, image, prompt).")
        return prompt

    def _named(self, given: Mapping[str, Any]) -> "dict[str, regions.Region]":
        if given and self.image is None:
            raise ValueError("regions need an image that they are regions of; give it with image=.")
        return regions.named(given, self._size()) if given else {}

    @property
    def explanation(self) -> Explanation:
        """The explanation that is shown."""
        return self.shown()

    @classmethod
    def from_state(
        cls, subject: "Explanation | VLM", state: Mapping[str, Any], *, image: ImageSource | None = None
    ) -> Self:
        """An Explorer with a view that `state` gave, of the same explanation or of another."""
        return cls(subject, image=image, **state)

    def _encoded(self, script: str) -> dict[str, Any]:
        """The two traits that carry the explanation."""
        text, payload = "", b""
        if self.sources:
            text, payload = wire.saved(self.sources, script, lesson=self._lesson, regions=self._on_grid())
        return {"_document": text, "_payload": payload}

    def _on_grid(self) -> list[dict[str, Any]]:
        grid = self.shown().layout.grids[0]
        return [region.on_grid(name, grid) for name, region in self._regions.items()]

    def part(self, source: int, name: str) -> tuple[list[dict[str, Any]], bytes]:
        """One part of a source's numbers (see `dexar_widgets.widgets.parts`): where its blocks begin, and the bytes."""
        key = (source, name)
        with self._lock:  # together, or another answer's part could be taken for this one's
            sources, found = self.sources, self._parts.pop(key, None)
        if not 0 <= source < len(sources):
            raise ValueError(f"There is no source {source}; the view has {len(sources)}.")
        if found is None:
            found = parts.part(sources[source], name)
        with self._lock:
            if self.sources is sources:  # no other answer came meanwhile
                self._parts[key] = found
            while len(self._parts) > _KEPT_PARTS:
                self._parts.popitem(last=False)
        return found.specs, found.payload

    def _show(self, e: Explanation, marked: "Mapping[str, regions.Region]") -> None:
        if self.comm is None:  # closed meanwhile
            return
        before = self.sources[: _COMPARED - 1]
        values = self._view_of(e)
        self._regions = dict(marked) or self._regions
        with self.hold_sync():
            self.notes = self._told_notes()
            with self._lock:
                self.sources = (e, *before)
                self._parts.clear()
            for name, value in values.items():
                try:
                    setattr(self, name, value)
                except traitlets.TraitError as error:  # a state may come from another answer
                    _log.warning("Left out of the view: %s", error)
            self._set_encoded()

    def _add(self, e: Explanation, found: Attribution) -> None:
        if self.comm is None:  # closed meanwhile
            return
        with self._lock:  # by now another answer may be shown, and this one may be gone
            self.sources = tuple(
                replace(source, attributions={**source.attributions, found.method: found})
                if source.generation is e.generation
                else source
                for source in self.sources
            )
            self._parts.clear()
        with self.hold_sync():
            self._set_encoded()

    def _set_encoded(self) -> None:
        for name, value in self._encoded(self._esm).items():
            setattr(self, name, value)

    def _view_of(self, e: Explanation) -> dict[str, Any]:
        """The traits that a new answer changes: what was chosen in the one before stays where it has a meaning."""
        wanted, self._wanted = self._wanted, {}
        if not self.sources:
            return view.defaults(e) | wanted
        before = self.sources[0]
        values: dict[str, Any] = {"steps": [], "_results": []}
        if (before.layers, before.heads) != (e.layers, e.heads):
            values |= view.defaults(e) | {"heads": None}
        if not np.array_equal(before.example.image, e.example.image):
            values |= {"selection": None}
            self._regions = {}
        return values | ({} if self.method in view.methods_of(e) else {"method": "dexar"})

    # What is kept

    def _told_notes(self) -> list[dict[str, Any]]:
        """The notes, each with the question and answer that it is about."""
        if not self.sources:
            return list(self.notes)
        e = self.sources[0]
        about = {"prompt": e.example.prompt, "answer": e.generation.text, "image": e.example.source}
        return [note if "answer" in note else note | about for note in self.notes]

    def notes_table(self) -> "pd.DataFrame":
        """The notes as a table: one row each, with the question, the answer and the image."""
        import pandas as pd  # slow to import

        return pd.DataFrame(self._told_notes())

    def save_notes(self, path: str | Path) -> Path:
        """Write the notes as CSV."""
        return write_whole(path, self.notes_table().to_csv(index=False).encode())

    @overload
    def to_html(self, path: None = None) -> str: ...

    @overload
    def to_html(self, path: str | Path) -> Path: ...

    def to_html(self, path: str | Path | None = None) -> str | Path:
        """One self-contained page with this view: its text, or with a ``path`` the file it was written to."""
        self.shown()
        regions, found = self._on_grid(), self._results
        page = html.page(self.sources, view=self.state(), lesson=self._lesson, regions=regions, results=found)
        return page if path is None else write_whole(path, page.encode())

    def heatmap(self) -> HeatMap:
        """The map in view, raw and on its grid: of these words, layers, heads, filters and this method."""
        return snapshot.heatmap(self)

    def snapshot(self, *, interactive: bool = True) -> None:
        """Display this view once more, as an output that needs neither a kernel nor saved widget state.

        ``interactive``: the whole page in a frame, about 1 MB in the notebook; otherwise a picture.
        """
        data = snapshot.bundle(self)
        if interactive:
            data["text/html"] = snapshot.frame(self.to_html(), data)
        display(data, raw=True)  # type: ignore[no-untyped-call]

    def _repr_mimebundle_(self, **options: Any) -> Any:
        found = super()._repr_mimebundle_(**options)
        if found is None:
            return None
        cells.hold(self)
        data, metadata = found
        return data | snapshot.bundle(self), metadata

    def __repr__(self) -> str:
        answer = repr(self.sources[0].generation.text) if self.sources else "nothing asked yet"
        return f"Explorer({'closed' if self.comm is None else answer})"

    @traitlets.observe("comm")
    def _comm_changed(self, change: Any) -> None:
        """Where there is no notebook's cell to close it, a widget lives as long as it is referred to."""
        super()._comm_changed(change)
        if self.comm is None:
            return
        cells.settle(self)

    def close(self) -> None:
        """Close every view, stop what was asked, and let go of the explanation and the model."""
        self.cancel()
        if self.comm is not None:
            cells.forget(self.model_id)
            if self._own_layout:
                self.layout.close()
        super().close()
        self.sources, self._vlm, self._opened, self.job = (), None, None, None
        self._regions = {}
        self._parts.clear()
        self._document, self._payload, self._results = "", b"", []
