"""What the browser asks of the kernel, and how it is answered: ``js/src/kernel.ts`` is the other side.

Every message is ``{dexar: 2, id, kind, …}``, and every answer carries the id of its question. Bulk data
travel beside a message as one buffer of bytes. What is asked wrongly is answered with an ``error``.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from dexar_widgets import plugins
from dexar_widgets.widgets import wire

if TYPE_CHECKING:
    from dexar_widgets.widgets.explorer import Explorer

__all__ = ["Message", "receive", "send"]

_log = logging.getLogger(__name__)
Value = TypeVar("Value")


@dataclass(frozen=True)
class Message:
    """A question of the browser, its envelope checked; `get` checks each field."""

    id: str
    kind: str
    content: Mapping[str, Any]
    buffers: Sequence[bytes] = field(repr=False)

    def get(self, name: str, kind: type[Value], default: Value | None = None) -> Value:
        """A field of the given type; one without a default must be there."""
        value = self.content.get(name, default)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ValueError(f"A message of kind {self.kind!r} needs {name!r}, of type {kind.__name__}; got {value!r}.")
        return value

    def words(self) -> list[tuple[int, ...]]:
        """Several words' steps, or one word's."""
        words = self.content.get("words", [self.content.get("steps")])
        if not isinstance(words, list) or not words or not all(_is_word(word) for word in words):
            raise ValueError(f"A check needs the steps of each word, [[0, 1], [3]]; got {words!r}.")
        return [tuple(word) for word in words]

    def steps(self) -> tuple[int, ...]:
        """One word's steps; none of them for the whole answer."""
        word = self.content.get("steps")
        if word != [] and not _is_word(word):
            raise ValueError(f"A message of kind {self.kind!r} needs the steps of a word, [1, 2]; got {word!r}.")
        return tuple(word)


def _is_word(word: object) -> TypeGuard[list[int]]:
    return (
        isinstance(word, list)
        and len(word) > 0
        and all(isinstance(step, int) and not isinstance(step, bool) for step in word)
    )


def send(explorer: "Explorer", kind: str, id: str, buffer: bytes | None = None, **content: Any) -> None:
    """Send one message to every view of an Explorer; one that is closed has none."""
    explorer.send({"dexar": wire.VERSION, "id": id, "kind": kind, **content}, None if buffer is None else [buffer])


def receive(explorer: "Explorer", content: object, buffers: Sequence[Any]) -> None:
    """Answer one message, whatever it is; may be called from any thread."""
    id = str(content.get("id", "")) if isinstance(content, Mapping) else ""
    try:
        message = _read(content, buffers)
        ANSWERS[message.kind](explorer, message)
    except Exception as error:  # noqa: BLE001 (an exception here would reach nobody)
        if not isinstance(error, ValueError | OSError):
            _log.exception("A message of the browser could not be answered.")
        send(explorer, "error", id, message=str(error) or type(error).__name__)


def _read(content: object, buffers: Sequence[Any]) -> Message:
    if not isinstance(content, Mapping) or content.get("dexar") != wire.VERSION:
        raise ValueError(
            f"This is no message of version {wire.VERSION}: {str(content)[:80]!r}. Was the package updated while the "
            "notebook was open? Restart the kernel and reload the page."
        )
    id, kind = content.get("id"), content.get("kind")
    if not isinstance(id, str) or not id:
        raise ValueError(f"A message needs an id, a text; got {id!r}.")
    if not isinstance(kind, str) or kind not in ANSWERS:
        raise ValueError(f"Messages of kind {str(kind)[:40]!r} are unknown; known: {', '.join(ANSWERS)}.")
    return Message(id, kind, content, [bytes(buffer) for buffer in buffers])


def _hello(explorer: "Explorer", message: Message) -> None:
    vlm, image = explorer.vlm, explorer.image
    picture = None if image is None or explorer.sources else wire.image_of(image)
    job = explorer.job
    send(
        explorer,
        "hello",
        message.id,
        model=vlm is not None,
        name="" if vlm is None else vlm.name,
        methods=[] if vlm is None else list(plugins.names("methods")),
        image=picture,
        job=job.id if job is not None and job.state in {"queued", "running"} else None,
    )


def _part(explorer: "Explorer", message: Message) -> None:
    source, name = message.get("source", int), message.get("name", str)
    specs, payload = explorer.part(source, name)
    send(explorer, "part", message.id, payload, source=source, name=name, blocks=specs)


def _ask(explorer: "Explorer", message: Message) -> None:
    tokens = message.get("max_new_tokens", int, 64)
    answer = message.get("answer", str) if message.content.get("answer") is not None else None
    explorer.ask(message.get("prompt", str), answer=answer, max_new_tokens=tokens, id=message.id)


def _image(explorer: "Explorer", message: Message) -> None:
    name = message.get("name", str)
    if len(message.buffers) != 1:
        raise ValueError(f"An image comes as one buffer with the file's bytes; got {len(message.buffers)} buffers.")
    opened = explorer.load(message.buffers[0], name=name)
    send(explorer, "image", message.id, image=wire.image_of(opened.image), notices=list(opened.notices))


def _check(explorer: "Explorer", message: Message) -> None:
    how: Any = message.get("how", str, "mean")
    explorer.check(message.words(), message.content.get("region"), how=how, id=message.id)


def _deletion(explorer: "Explorer", message: Message) -> None:
    how: Any = message.get("how", str, "mean")
    state = {"layer_mode": "range", **message.get("view", dict, {})}
    explorer.deletion(message.steps(), how=how, state=state, id=message.id)


def _knockout(explorer: "Explorer", message: Message) -> None:
    cut: Any = message.get("cut", list)
    window = None if message.content.get("window") is None else message.get("window", int)
    explorer.knockout(cut, window=window, id=message.id)


def _attribute(explorer: "Explorer", message: Message) -> None:
    explorer.attribute(message.get("method", str), id=message.id)


def _cancel(explorer: "Explorer", message: Message) -> None:
    explorer.cancel(message.get("job", str))
    send(explorer, "done", message.id)


def _html(explorer: "Explorer", message: Message) -> None:
    send(explorer, "html", message.id, explorer.to_html().encode(), name="explanation.html")


ANSWERS: Mapping[str, Callable[["Explorer", Message], None]] = {
    "hello": _hello,
    "part": _part,
    "ask": _ask,
    "image": _image,
    "check": _check,
    "deletion": _deletion,
    "knockout": _knockout,
    "attribute": _attribute,
    "cancel": _cancel,
    "html": _html,
}
