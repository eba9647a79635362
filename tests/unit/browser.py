"""The browser's side of an Explorer's connection, without a browser."""

import json
from typing import Any

from dexar_widgets import Explorer


class Browser:
    """Speaks through the widget's own comm, and writes down what it hears."""

    def __init__(self, explorer: Explorer) -> None:
        self.comm = explorer.comm
        self.heard: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.comm.send = self._hear

    def _hear(self, data: dict[str, Any], buffers: list[bytes] | None = None, **_: Any) -> None:
        json.dumps(data, allow_nan=False)  # what cannot travel raises here
        if data["method"] == "custom":
            self.heard.append(data["content"] | {"buffers": buffers or []})
        elif data["method"] == "update":
            numbers = {path[0]: buffer for path, buffer in zip(data["buffer_paths"], buffers or [], strict=True)}
            self.updates.append(data["state"] | numbers)

    def tell(self, kind: object, *, id: object = "q1", buffers: Any = (), **content: Any) -> dict[str, Any] | None:
        """Send a message; the last answer to it."""
        return self.say({"dexar": 2, "id": id, "kind": kind, **content}, buffers)

    def say(self, content: object, buffers: Any = ()) -> dict[str, Any] | None:
        """Send whatever it is."""
        before = len(self.heard)
        self._deliver({"method": "custom", "content": content}, buffers)
        return self.heard[-1] if len(self.heard) > before else None

    def set(self, **state: Any) -> None:
        """Set traits as the front end does."""
        self._deliver({"method": "update", "state": state, "buffer_paths": []})

    def _deliver(self, data: dict[str, Any], buffers: Any = ()) -> None:
        self.comm.handle_msg({"content": {"data": data}, "buffers": [memoryview(buffer) for buffer in buffers]})

    def kinds(self, id: str) -> list[str]:
        """The kinds of what was heard about one question, repetitions in a row left out."""
        kinds = [message["kind"] for message in self.heard if message["id"] == id]
        return [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
