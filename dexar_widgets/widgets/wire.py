"""How an explanation travels to the browser: a JSON header and one string of numbers, as ``js/src/wire.ts`` reads them.

The numbers are little-endian blocks. Sensitivities are float32; maps are 8-bit with one float32 scale
per step and layer (the largest value is 255); the gradients on the image's cells go with them where
they are few. Block names: ``visual/LEVEL``, ``text/SET/LEVEL``, ``winner/SET`` (step layer head);
``maps/none``, ``maps/SET/LEVEL`` (step layer cell); ``tensor`` (step layer head cell). A name that
begins with ``twice/`` is the last layer (layer axis of length 1) as preset ``released`` reads it.
"""

import io
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from dexar_widgets.explanation import Explanation
from dexar_widgets.maps import visual_tokens
from dexar_widgets.options import READINGS, RELEASED_FAMILIES, TEXT_SETS, Filter, Options, Preset, TextSet

__all__ = ["VERSION", "encode"]

VERSION = 1
EXACT_VALUES = 250_000  # as many gradients travel as they are: 1 MB
COARSE_VALUES = 700_000  # as many with 8 bits: one step of a 32-layer, 32-head model on a 24×24 grid
LOSSLESS_PIXELS = 512 * 512  # a larger image travels as JPEG
LONGEST_SIDE = 1600

Width = Literal["f4", "i1"]
_PEAK = {"u1": 255, "i1": 127}


@dataclass
class _Blocks:
    """Arrays laid one after the other, each beginning at a multiple of 4 bytes."""

    specs: list[dict[str, Any]] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, values: np.ndarray, dtype: str, *, scale: str | None = None) -> None:
        data = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()
        spec = {"name": name, "dtype": dtype, "shape": list(values.shape), "offset": self.size}
        self.specs.append(spec if scale is None else spec | {"scale": scale})
        self.parts.append(data + bytes(-len(data) % 4))
        self.size += len(self.parts[-1])

    def quantise(self, name: str, values: Float[np.ndarray, "*axes cell"], dtype: str) -> None:
        """Integers of ``dtype``, one float32 scale per index of all axes but the last."""
        scale = (np.abs(values).max(-1) / _PEAK[dtype]).astype(np.float32)
        whole = np.rint(values / np.where(scale > 0, scale, 1)[..., None])
        low = 0 if dtype == "u1" else -_PEAK[dtype]
        self.add(name, np.clip(whole, low, _PEAK[dtype]), dtype, scale=f"{name}/scale")
        self.add(f"{name}/scale", scale, "f4")


def encode(explanation: Explanation, *, title: str | None = None) -> tuple[dict[str, Any], bytes]:
    """The header (plain JSON values) and the payload that its ``blocks`` point into."""
    e, blocks = explanation, _Blocks()
    presets: dict[Preset, Options] = {"paper": e.options(preset="paper")}
    if _has_twice(e):
        presets["released"] = e.options(preset="released")
    width = _width(e)
    readings = READINGS if width == "f4" else READINGS[:1]
    text_sets: list[TextSet] = [name for name in TEXT_SETS if width and name != "released"] or ["all"]
    if "released" in presets:
        text_sets.append("released")
    levels = [_level(reading) for reading in readings]
    winners: set[int] = set()
    for preset in presets:
        prefix = "twice/" if preset == "released" else ""
        _add_sensitivities(blocks, e, preset, text_sets, levels, winners, prefix)
        _add_maps(blocks, e, preset, {options.text_set for options in presets.values()}, prefix)
        if width == "i1":
            blocks.quantise(f"{prefix}tensor", _tensor(e, twice=bool(prefix)), width)
        elif width:
            blocks.add(f"{prefix}tensor", _tensor(e, twice=bool(prefix)), width)
    header = _about(e, title) | {
        "tokens": {str(at): [e.layout.pieces[at], e.layout.kinds[at]] for at in sorted(winners) if at >= 0},
        "textSets": text_sets,
        "levels": levels,
        "presets": {name: _preset(e, options) for name, options in presets.items()},
        "preset": e.preset if e.preset in presets else "paper",
        "blocks": blocks.specs,
    }
    return header, b"".join(blocks.parts)


def _level(reading: float) -> Filter:
    if reading == 0:
        return "max"
    return "avg" if reading == 1 else reading


def _has_twice(e: Explanation) -> bool:
    kept = e.gradients if e.summary is None else e.summary
    return kept is not None and kept.twice is not None and e.provenance.get("family") in RELEASED_FAMILIES


def _width(e: Explanation) -> Width | None:
    """How finely the gradients on the image's cells travel; None where they are too many or were not kept."""
    count = len(e.steps) * len(e.layers) * e.heads * len(e.layout.tokens_of(0))
    if e.gradients is None or count > COARSE_VALUES:
        return None
    return "f4" if count <= EXACT_VALUES else "i1"


def _add_sensitivities(
    blocks: _Blocks,
    e: Explanation,
    preset: Preset,
    text_sets: Iterable[TextSet],
    levels: Iterable[Filter],
    winners: set[int],
    prefix: str,
) -> None:
    part = slice(-1, None) if prefix else slice(None)
    for text_set in text_sets:
        options = e.options(preset=preset, text_set=text_set)
        for level in levels:
            read = e.sensitivity(options, level)
            if text_set == "all":  # the image is read alike whatever counts as text
                blocks.add(f"{prefix}visual/{level}", read.visual[:, part], "f4")
            blocks.add(f"{prefix}text/{text_set}/{level}", read.text[:, part], "f4")
            if level == "max":
                blocks.add(f"{prefix}winner/{text_set}", read.text_token[:, part], "i4")
                winners.update(np.unique(read.text_token).tolist())


def _add_maps(blocks: _Blocks, e: Explanation, preset: Preset, text_sets: Iterable[TextSet], prefix: str) -> None:
    part = slice(-1, None) if prefix else slice(None)
    columns = _cells(e)
    plain = e.layer_maps(e.options(preset=preset, layers=e.layers, head_filter="none"))
    blocks.quantise(f"{prefix}maps/none", plain[:, part][..., columns], "u1")
    for text_set in sorted(text_sets):
        filtered = e.layer_maps(e.options(preset=preset, layers=e.layers, text_set=text_set))
        blocks.quantise(f"{prefix}maps/{text_set}/max", filtered[:, part][..., columns], "u1")


def _cells(e: Explanation) -> np.ndarray:
    """Places of the first image's cells among the visual tokens, row-major."""
    return np.searchsorted(visual_tokens(e.layout), e.layout.tokens_of(0))


def _tensor(e: Explanation, *, twice: bool) -> Float[np.ndarray, "step layer head cell"]:
    part = slice(-1, None) if twice else slice(None)
    return np.stack([e.visual_gradients(step, twice=twice)[part][..., _cells(e)] for step in e.steps])


def _preset(e: Explanation, options: Options) -> dict[str, Any]:
    entries = [e.layers.index(layer) for layer in (options.layers[0], options.layers[-1])]
    return {"layers": entries, "textSet": options.text_set}


def _about(e: Explanation, title: str | None) -> dict[str, Any]:
    """What was asked of which image and answered, and the axes of the blocks."""
    generation, grid = e.generation, e.layout.grids[0]
    height, width = e.example.image.shape[:2]
    return {
        "format": "dexar_widgets",
        "version": VERSION,
        "title": title or "Which regions drove the answer?",
        "prompt": e.example.prompt,
        "answer": generation.text,
        "notices": list(e.example.notices),
        "image": {"src": _data_uri(e.example.image), "width": width, "height": height},
        "grid": {"rows": grid.rows, "cols": grid.cols, "box": list(grid.box)},
        "steps": list(e.steps),
        "layers": list(e.layers),
        "heads": e.heads,
        "pieces": list(generation.pieces),
        "words": [{"text": word.text, "steps": list(word.steps)} for word in generation.words],
        "provenance": dict(_flat(e.provenance)),
    }


def _flat(values: Any, name: str = "") -> Iterable[tuple[str, str]]:
    """Nested plain values as (dotted name, text)."""
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _flat(value, f"{name}.{key}" if name else str(key))
    elif values is not None:
        yield name, ", ".join(map(str, values)) if isinstance(values, list | tuple) else str(values)


def _data_uri(image: UInt8[np.ndarray, "height width 3"]) -> str:
    """The image as it is, or as a JPEG of at most `LONGEST_SIDE` pixels where it is large."""
    picture, buffer = Image.fromarray(image), io.BytesIO()
    if picture.width * picture.height <= LOSSLESS_PIXELS:
        picture.save(buffer, "PNG", optimize=True)
        kind = "png"
    else:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        picture.save(buffer, "JPEG", quality=88)
        kind = "jpeg"
    return f"data:image/{kind};base64,{b64encode(buffer.getvalue()).decode()}"
