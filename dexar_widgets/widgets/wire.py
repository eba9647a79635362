"""How explanations travel to the browser: a JSON document and one string of numbers, as ``js/src/wire.ts`` reads them.

The document holds one header per explanation (``sources``: the one that is shown, then those to compare
it with), the view's first state and a lesson. Numbers are the named blocks of `parts`: a header's
``blocks`` point into the payload, and what did not come along is asked for part by part, or is missing
from a page without a kernel.
"""

import io
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from dexar_widgets import registers
from dexar_widgets.attribution import Attribution
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Options, Preset
from dexar_widgets.widgets import parts

__all__ = ["VERSION", "document", "image_of", "saved"]

VERSION = 2
OPENING_BYTES = 1_000_000
"""A view opens with the parts that fit into this many bytes, and with ``open`` in any case."""
SAVED_BYTES = 1_500_000
"""What a notebook may grow by: script, document, payload and the picture beside them."""
_PICTURE = 300_000  # at most 448×448 pixels of one byte, as base64, and what else stands in an output
LOSSLESS_PIXELS = 512 * 512  # a larger image travels as JPEG
LONGEST_SIDES = (1600, 1200, 900, 640)  # the largest at which it keeps to its bytes
IMAGE_BYTES = 600_000
"""What the images of a document may take, so that a notebook that saves it stays small."""


def document(
    sources: Sequence[Explanation],
    *,
    view: Mapping[str, Any] | None = None,
    lesson: Sequence[Mapping[str, Any]] = (),
    regions: Sequence[Mapping[str, Any]] = (),
    results: Sequence[Mapping[str, Any]] = (),
    title: str | None = None,
    max_bytes: int = OPENING_BYTES,
) -> tuple[dict[str, Any], bytes]:
    """The document (plain JSON values) and the payload that its sources' ``blocks`` point into.

    Parameters
    ----------
    view
        The Explorer's traits to begin with; what the first source needs to show them travels whatever it takes.
    regions
        Named regions of the first image: ``name``, ``outline`` (box or polygon, or None) and ``coverage`` per cell.
    results
        What was measured or found about the first source's answer (see `dexar_widgets.widgets.results`).
    max_bytes
        Budget of the payload; ``open`` and the methods' maps of every source travel whatever they take.
    """
    everything = parts.Blocks()
    headers = []
    for number, e in enumerate(sources):
        header = _header(e, title, IMAGE_BYTES // len(sources)) | {"regions": list(regions) if number == 0 else []}
        header["opening"] = list(parts.opening(e, max_bytes - everything.size, None if number else view))
        blocks = parts.Blocks()
        for name in header["opening"]:
            blocks.extend(parts.part(e, name))
        header["blocks"] = [spec | {"offset": spec["offset"] + everything.size} for spec in blocks.specs]
        everything.pieces += blocks.pieces
        everything.size += blocks.size
        headers.append(header)
    top = {"format": "dexar_widgets", "version": VERSION, "sources": headers}
    found = {"results": list(results)} if results else {}
    return top | {"view": dict(view or {}), "lesson": list(lesson)} | found, everything.payload


def saved(sources: Sequence[Explanation], script: str, **options: Any) -> tuple[str, bytes]:
    """The document as JSON, and the payload, as a notebook saves them beside the script.

    Numbers too large to be saved are left out, and asked for in parts. ``options`` are those of `document`.
    """
    for max_bytes in (OPENING_BYTES, 0):
        content, payload = document(sources, max_bytes=max_bytes, **options)
        text = _dumped(content)
        # in the notebook's file, texts are JSON once more, and bytes are base64
        if len(_dumped([text, script]).encode()) + len(payload) * 4 // 3 <= SAVED_BYTES - _PICTURE:
            return text, payload
        if len(payload) > OPENING_BYTES:  # it holds no more than it must
            break
    for header in content["sources"]:
        header["blocks"] = []
    return _dumped(content), b""


def _dumped(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _header(e: Explanation, title: str | None, image_bytes: int) -> dict[str, Any]:
    """What was asked of which image and answered, and the axes of the blocks."""
    generation, grid = e.generation, e.layout.grids[0]
    presets: dict[Preset, Options] = {"paper": e.options(preset="paper")}
    if parts.released(e):
        presets["released"] = e.options(preset="released")
    return {
        "title": title or "Which regions drove the answer?",
        "prompt": e.example.prompt,
        "question": e.question,
        "answer": generation.text,
        "notices": list(e.example.notices),
        "image": image_of(e.example.image, image_bytes),
        "grid": {"rows": grid.rows, "cols": grid.cols, "box": list(grid.box)},
        "steps": list(e.steps),
        "layers": list(e.layers),
        "heads": e.heads,
        "pieces": list(generation.pieces),
        "logProbs": [round(float(value), 4) for value in generation.log_probs],
        "words": [{"text": word.text, "steps": list(word.steps)} for word in generation.words],
        "tokens": {
            str(at): [piece, kind]
            for at, (piece, kind) in enumerate(zip(e.layout.pieces, e.layout.kinds, strict=True))
            if kind != "image"
        },
        "textSets": list(parts.text_sets(e)),
        "levels": list(parts.LEVELS),
        "presets": {name: _preset(e, options) for name, options in presets.items()},
        "preset": e.preset if e.preset in presets else "paper",
        "keep": e.keep,
        "attention": e.attention is not None,
        "methods": [_method(found) for found in e.attributions.values()],
        "lensWords": _lens_words(e),
        "outliers": registers.report(e),
        "provenance": dict(_flat(e.provenance)),
    }


def _method(found: Attribution) -> dict[str, Any]:
    """What a method's maps are, and what they took."""
    cost = found.cost
    return {
        "name": found.method,
        "title": found.title,
        "unit": found.unit,
        "control": found.control,
        "whole": found.whole,
        "minmaxed": found.minmaxed,
        "steps": list(found.steps),
        "seconds": round(cost.seconds, 4),
        "own": round(cost.own, 4),
        "peakBytes": cost.peak_bytes,
        "forwards": cost.forwards,
        "backwards": cost.backwards,
    }


def _preset(e: Explanation, options: Options) -> dict[str, Any]:
    entries = [e.layers.index(layer) for layer in (options.layers[0], options.layers[-1])]
    return {"layers": entries, "textSet": options.text_set}


def _lens_words(e: Explanation) -> dict[str, str]:
    """The text of every id among the layers' first words."""
    if e.lens is None:
        return {}
    texts = (word for step in e.lens.top_words for layer in step for word in layer)
    return {str(word): text for word, text in zip(e.lens.top_ids.ravel().tolist(), texts, strict=True)}


def _flat(values: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """Nested plain values as (dotted name, text)."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif values is not None:
        yield name, ", ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)


def image_of(image: UInt8[np.ndarray, "height width 3"], max_bytes: int = IMAGE_BYTES) -> dict[str, Any]:
    """The image as a data URI, as it is where it is small and else a JPEG, and its own size."""
    picture = Image.fromarray(image)
    width, height = picture.size
    small = width * height <= LOSSLESS_PIXELS
    content, kind = _coded(picture, "png", optimize=True) if small else b"", "png"
    for side in LONGEST_SIDES if not 0 < len(content) <= max_bytes else ():
        picture.thumbnail((side, side))
        content, kind = _coded(picture, "jpeg", quality=88), "jpeg"
        if len(content) <= max_bytes:
            break
    return {"src": f"data:image/{kind};base64,{b64encode(content).decode()}", "width": width, "height": height}


def _coded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
