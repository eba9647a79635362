"""Which notebook cell a widget belongs to: it closes when that cell runs again, or is deleted.

A cell's run is known by the front end's id of the cell, and by the id of the request that runs it.
Hosts without such ids (marimo, scripts) leave a widget to ``close()`` and to garbage collection.
"""

import sys
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import ipywidgets  # type: ignore[import-untyped]
from ipywidgets.widgets import widget as registry  # type: ignore[import-untyped]

__all__ = ["forget", "hold", "loosen", "note", "settle"]

_lock = threading.RLock()  # a widget may be collected, and so forgotten, while it is held
_made: dict[str, tuple[weakref.ref[Any], str, str]] = {}  # model id → widget, cell, request


def settle(widget: ipywidgets.Widget) -> None:
    """Have a widget's messages answered beside running cells, and the widget closed with its cell."""
    # ipykernel 7 hands a message to the thread that used the widget last, and there it waits for a running
    # cell. The front end's own choice, a thread beside the cells, stands.
    widget.comm._reply_subshell_for = lambda _data, chosen: chosen
    if not note(widget):
        loosen(widget)


def note(widget: ipywidgets.Widget) -> bool:
    """Remember which run of which cell makes a widget; False where the host does not say."""
    shell = _shell()
    cell, request = _run_of(shell)
    if not cell:
        return False
    with _lock:
        _made[widget.model_id] = (weakref.ref(widget), cell, request)
        shell.events.register("pre_run_cell", _close_earlier)  # once, however often
    return True


def forget(model_id: str) -> None:
    """A widget has closed; with the last one, nothing listens to the shell any more."""
    with _lock:
        last = _made.pop(model_id, None) is not None and not _made
        shell = _shell()
        if last and shell is not None and _close_earlier in shell.events.callbacks["pre_run_cell"]:
            shell.events.unregister("pre_run_cell", _close_earlier)


def loosen(widget: ipywidgets.Widget) -> None:
    """Leave a widget to garbage collection: neither ipywidgets nor its comm keep it alive any more."""
    handle = weakref.WeakMethod(widget._handle_msg)

    def on_message(message: Mapping[str, Any]) -> None:
        found = handle()
        if found is not None:
            found(message)

    widget.comm.on_msg(on_message)
    registry._instances[widget.model_id] = weakref.proxy(widget)  # ipywidgets has no public name for it


def hold(widget: ipywidgets.Widget) -> None:
    """Keep a widget alive until it is closed: a view of it is open, and nothing else may refer to it."""
    if getattr(_shell(), "kernel", None) is not None:
        registry._instances[widget.model_id] = widget


def _shell() -> Any:
    """The IPython shell, if the program runs in one."""
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None else None


def _run_of(shell: Any) -> tuple[str, str]:
    """The cell that runs now and the request that runs it; empty outside a notebook's cell."""
    parent = _parent(shell)
    return str(parent.get("metadata", {}).get("cellId") or ""), str(parent.get("header", {}).get("msg_id") or "")


def _parent(shell: Any) -> Mapping[str, Any]:
    kernel = getattr(shell, "kernel", None)
    found: Mapping[str, Any] = (kernel.get_parent() or {}) if kernel is not None else {}
    return found


def _close_earlier(_info: object = None) -> None:
    """Close what earlier runs of this cell made, and what deleted cells made."""
    shell = _shell()
    cell, request = _run_of(shell)
    deleted = set(_parent(shell).get("metadata", {}).get("deletedCells") or ())
    with _lock:
        stale = [ref for ref, of, by in list(_made.values()) if of in deleted or (of == cell and by != request)]
    for ref in stale:
        widget = ref()
        if widget is not None:
            widget.close()
