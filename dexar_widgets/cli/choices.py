"""Options that several verbs share, and how their values are read."""

import ast
import contextlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from dexar_widgets.cli.terminal import ERR

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = [
    "AsJson",
    "Device",
    "Dtype",
    "Given",
    "ImagePath",
    "Model",
    "Prompt",
    "Revision",
    "TrustRemoteCode",
    "box_of",
    "filter_of",
    "layers_of",
    "load",
    "names_of",
    "settings_by_method",
    "settings_of",
]

Model: TypeAlias = Annotated[str, typer.Option("--model", "-m", help="lab/NAME, a hub name, or a local folder.")]
Prompt: TypeAlias = Annotated[str | None, typer.Option("--prompt", "-p", help="The question. Default: the family's.")]
Given: TypeAlias = Annotated[
    str | None, typer.Option("--answer", help="Explain this answer instead of generating one.")
]
ImagePath: TypeAlias = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.", show_default=False)]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Device: TypeAlias = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1, mps. Default: CUDA where there is one.")
]
Dtype: TypeAlias = Annotated[str | None, typer.Option(help="float32, bfloat16, float16. Default: the checkpoint's.")]
Revision: TypeAlias = Annotated[str | None, typer.Option(help="Branch, tag or commit on the hub.")]
TrustRemoteCode: TypeAlias = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run code that the checkpoint brings.")
]


def layers_of(text: str | None) -> list[int] | slice | None:
    """``3``, ``-1``, ``0-9``, ``0,4,10-12`` (ends included) or ``10-`` (to the last); None and ``all``: all layers."""
    if text is None or text == "all":
        return None
    if re.fullmatch(r"\d+-", text):
        return slice(int(text[:-1]), None)
    layers: list[int] = []
    for part in text.split(","):
        found = re.fullmatch(r"\s*(-?\d+)(?:-(\d+))?\s*", part)
        if not found:
            raise ValueError(f"--layers {text!r} is not understood; write 3, 0-9, 0,4,10-12 or 10-.")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"--layers {text!r}: {part.strip()} runs backwards.")
        layers += range(first, last + 1)
    return layers


def filter_of(text: str | None) -> str | float | None:
    """``max``, ``none``, ``avg`` or a fraction; the library says what it accepts."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def box_of(text: str) -> tuple[float, float, float, float]:
    """``left,top,right,bottom`` in pixels."""
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--region {text!r} is not understood; write left,top,right,bottom in pixels.") from None
    if not (left < right and top < bottom):
        raise ValueError(f"--region {text!r} is empty; write left,top,right,bottom with left < right and top < bottom.")
    return left, top, right, bottom


def settings_of(given: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` each; values are JSON or Python (``null`` and ``None``) where they can be read so, else text."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (equals and name.strip()):
            raise ValueError(f"--option {text!r} is not understood; write NAME=VALUE.")
        found[name.strip()] = _value(value.strip())
    return found


def _value(text: str) -> Any:
    for reads in (json.loads, ast.literal_eval):
        with contextlib.suppress(ValueError, SyntaxError):
            return reads(text)
    return text


def settings_by_method(given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``rise.n_masks=50`` as the option of a method."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in settings_of(given).items():
        method, dot, option = name.partition(".")
        if not (dot and method and option):
            raise ValueError(f"--option {name!r} names no method; write METHOD.NAME=VALUE, as in rise.n_masks=50.")
        found.setdefault(method, {})[option] = value
    return found


def names_of(option: str, text: str) -> list[str]:
    """Names with commas between, each once."""
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names:
        raise ValueError(f"{option} names no {option.strip('-s')}; write names with commas between.")
    return names


def load(
    model: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> "VLM":
    """Load a model while a spinner turns."""
    with ERR.status(f"loading {model} …"):
        import transformers

        from dexar_widgets import vlm

        transformers.utils.logging.disable_progress_bar()
        return vlm.load(model, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
