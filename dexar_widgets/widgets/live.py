"""What a view has a model do, as jobs: answer and explain, and give other methods' maps."""

import io
import sys
import threading
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import numpy as np
from jaxtyping import UInt8

from dexar_widgets import jobs, perturb, plugins
from dexar_widgets.attribution import Attribution
from dexar_widgets.explanation import Explanation
from dexar_widgets.images import ImageSource, Opened, open_image
from dexar_widgets.options import accept
from dexar_widgets.widgets import messages, view
from dexar_widgets.widgets import regions as outlines

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Live"]


class Live(view.View):
    """A view that may have a model behind it, and an image to ask about."""

    job: jobs.Job[Any] | None = None
    """What was asked for last."""

    _vlm: "VLM | None" = None
    _opened: Opened | None = None
    _marked: "dict[str, outlines.Region]"
    """The regions of the image to ask about."""
    _regions: "dict[str, outlines.Region]"

    def __new__(cls, *args: Any, **options: Any) -> Self:
        """Listen before there is a connection, so that the first message is heard."""
        live: Self = super().__new__(cls, *args, **options)
        live._lock = threading.RLock()  # guards the jobs and the parts; never held while foreign code runs
        live._results_lock = threading.RLock()  # from reading the results to writing them
        live._running = {}
        live._regions, live._marked = {}, {}
        live.on_msg(messages.receive)
        return live

    @property
    def vlm(self) -> "VLM | None":
        """The model that can be asked, if there is one in memory."""
        if self._vlm is not None or not self.sources:
            return self._vlm
        reference = self.sources[0].vlm
        return None if reference is None else reference()

    @property
    def image(self) -> UInt8[np.ndarray, "height width 3"] | None:
        """The image that the next question is about."""
        if self._opened is not None:
            return self._opened.image
        return self.sources[0].example.image if self.sources else None

    @property
    def region(self) -> perturb.Mask | None:
        """The selection as a mask over the image; None without one."""
        return None if self.selection is None else self.region_of(self.selection)

    def region_of(self, region: Any) -> perturb.Mask:
        """A mask, box or polygon, or the name of a given region, as a mask over the image in view."""
        if isinstance(region, str):
            if region not in self._regions:
                known = ", ".join(map(repr, self._regions)) or "none"
                raise ValueError(f"There is no region named {region!r}; named regions: {known}.")
            return self._regions[region].mask
        return perturb.mask_of(region if isinstance(region, np.ndarray) else outlines.outline_of(region), self._size())

    def _size(self) -> tuple[int, int]:
        """Width and height of the image in view: the one that was explained, or the one to ask about."""
        image = self.sources[0].example.image if self.sources else self.image
        if image is None:
            raise ValueError("There is no image yet; load(…) one.")
        return image.shape[1], image.shape[0]

    def ask(
        self,
        prompt: str | None = None,
        image: ImageSource | None = None,
        *,
        answer: str | None = None,
        max_new_tokens: int = 64,
        regions: Mapping[str, Any] | None = None,
        id: str | None = None,
    ) -> jobs.Job[Explanation]:
        """Ask about the image, or have a given answer explained, and show that; `wait` waits for it.

        The view shows the words as they come. ``regions`` are named ones of the given image. ``id`` names the job in
        messages.
        """
        vlm = self._model()
        if prompt is not None and not prompt.strip():
            raise ValueError("The question is empty; write one, or leave it out to ask for a description.")
        if image is not None:
            self.load(image, regions=regions)
        elif regions:
            raise ValueError("regions go with an image that they are regions of: ask(prompt, image, regions=…).")
        if self._opened is None and self.sources:
            self._opened = Opened(self.sources[0].example.image, self.sources[0].example.source or "")
        if self._opened is None:
            raise ValueError("There is no image to ask about; give ask(prompt, image), or load one in the widget.")
        opened, marked = self._opened, self._marked
        id = id or uuid4().hex

        def work() -> Explanation:
            e = _explained(
                vlm,
                opened,
                prompt,
                answer=answer,
                max_new_tokens=max_new_tokens,
                on_word=lambda word: messages.send(self, "word", id, text=word),
            )
            jobs.check()
            self._show(e, marked)
            return e

        return self._submit(vlm, work, id)

    def attribute(self, method: str, *, id: str | None = None, **options: Any) -> jobs.Job[Attribution]:
        """Have another method (`dexar_widgets.plugins.names("methods")`) give its maps of the answer in view.

        The view shows them beside what is there; `wait` waits for them. ``options`` are the method's own.
        """
        vlm, e = self._model(), self.shown()
        accept("method", method, plugins.names("methods"))

        def work() -> Attribution:
            from dexar_widgets import verbs  # it needs torch

            found = verbs.attribute(replace(e, vlm=weakref.ref(vlm)), method=method, **options)
            jobs.check()
            self._add(e, found)
            return found

        return self._submit(vlm, work, id)

    def _model(self) -> "VLM":
        self.require_open()
        vlm = self.vlm
        if vlm is None:
            raise ValueError("There is no model in memory to ask; make an Explorer of one: Explorer(vlm, image).")
        return vlm

    def _submit(self, vlm: "VLM", work: Callable[[], Any], id: str | None) -> jobs.Job[Any]:
        """Queue work on the model and tell the browser how it goes: reports, then one last message."""
        id = id or uuid4().hex

        def on_done(job: jobs.Job[Any]) -> None:
            with self._lock:
                self._running.pop(id, None)
            if job.state == "failed":
                messages.send(self, "error", id, message=str(job.error) or type(job.error).__name__)
                return
            messages.send(self, job.state, id)

        def on_progress(news: jobs.Progress) -> None:
            messages.send(self, "progress", id, done=news.done, total=news.total, text=news.text)

        with self._lock:
            if id in self._running:
                raise ValueError(f"A job {id!r} is running already.")
            job = jobs.submit(vlm, work, id=id, on_progress=on_progress, on_done=on_done, thread=_thread())
            if job.state in {"queued", "running"}:
                self._running[id] = job
        self.job = job
        return job

    def cancel(self, id: str | None = None) -> None:
        """Stop the job of this id, or everything that was asked."""
        with self._lock:
            found = [job for name, job in self._running.items() if id in (None, name)]
        if id is not None and not found:
            raise ValueError(f"No job {id!r} is running; it may have ended.")
        for job in found:
            job.cancel()

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for what was asked for last: an `Explanation`, an `Attribution`, or what a test found."""
        if self.job is None:
            raise ValueError("Nothing was asked yet; ask(…) first.")
        try:
            return self.job.result(timeout)
        except KeyboardInterrupt:
            self.job.cancel()
            raise

    def _show(self, e: Explanation, marked: "Mapping[str, outlines.Region]") -> None:
        """Show a new answer, and the named regions of its image; answers before stay beside it, to be compared with."""
        raise NotImplementedError

    def _add(self, e: Explanation, found: Attribution) -> None:
        """Put a method's maps beside the answer that they are of, if it is still here; nothing else changes."""
        raise NotImplementedError

    def load(self, image: ImageSource, *, name: str | None = None, regions: Mapping[str, Any] | None = None) -> Opened:
        """Take an image for the next question; ``name`` is that of the file whose bytes are given.

        ``regions``: named regions of it, as an `Explorer` takes them.
        """
        if name is not None and isinstance(image, bytes | bytearray | memoryview):
            image = io.BytesIO(image)
            image.name = name  # what `open_image` calls it, also where it cannot be read
        opened = open_image(image)
        self._marked = outlines.named(regions or {}, (opened.image.shape[1], opened.image.shape[0]))
        self._opened = opened
        return opened


_NO_ROWS = (
    "Attention rows were left out: flash attention does not show them. Load the model with "
    'attn_implementation="sdpa" to see attention beside the map.'
)


def _explained(
    vlm: "VLM",
    opened: Opened,
    prompt: str | None,
    *,
    answer: str | None,
    max_new_tokens: int,
    on_word: Callable[[str], None],
) -> Explanation:
    """Ask and explain, with attention rows (where the model can give them), logit lens and patch norms."""
    from dexar_widgets import engine, verbs  # they need torch

    rows = engine.shows_attention(vlm)
    e = verbs.explain(
        vlm,
        opened.image,
        prompt,
        answer=answer,
        attention=rows,
        lens=True,
        patch_norm=True,
        on_word=on_word,
        decoding=engine.Decoding(max_new_tokens=max_new_tokens),
    )
    notices = (*opened.notices, *e.example.notices, *(() if rows else (_NO_ROWS,)))
    return replace(e, example=replace(e.example, source=opened.source, notices=notices))


def _thread() -> Callable[..., threading.Thread]:
    """What makes a job's thread: in marimo its own kind, since others do not reach its front end."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        kind: Callable[..., threading.Thread] = marimo.Thread
        return kind
    return threading.Thread
