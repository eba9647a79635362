"""The numbers of an explanation as named blocks, grouped into the parts that a view asks for.

``twice/…`` names the last layer alone (layer axis of length 1) as preset ``released`` reads it; where
a model has it, it travels with the block it belongs to.

=====================  ==================================================================================
part                   blocks
=====================  ==================================================================================
``open``               ``visual/max``, and ``text/SET/max``, ``winner/SET`` of every text set but
                       ``released`` (step layer head); ``maps/none``, ``maps/all/max`` (step layer cell);
                       ``lens/logit``, ``lens/rank`` (step layer), ``lens/top`` (step layer k)
``level/SET/LEVEL``    ``visual/LEVEL``, ``text/SET/LEVEL``; with ``max`` also ``winner/SET``
``maps/SET/LEVEL``     Σ_h δ·G⁺ for another head filter or text set (step layer cell)
``signed/SET/LEVEL``   Σ_h δ·G likewise; ``signed/none`` without a head filter
``tensor/STEP``        ``tensor/STEP`` (layer head cell): one step's gradients on the image's cells
``attention``          ``attention`` (step layer cell): mean over heads; ``attention/image`` (step layer):
                       its mass on all image tokens
``method/NAME``        ``method/NAME`` (map cell): what another method gave, one map per step or one for all;
                       ``method/NAME/answer`` (1 cell): its map of the whole answer
=====================  ==================================================================================
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dexar_widgets.explanation import Explanation
from dexar_widgets.maps import visual_tokens
from dexar_widgets.options import READINGS, RELEASED_FAMILIES, TEXT_SETS, Filter, Options, TextSet, fraction_of

__all__ = ["LEVELS", "Blocks", "opening", "part", "released", "text_sets"]

EXACT_VALUES = 250_000
"""As many gradients travel as float32 (1 MB); more travel with 8 bits and a scale per layer and head."""
EXACT_CELLS = 50_000
"""As many cells of all other methods' maps travel as float32 (200 kB); more with 8 bits and a scale per map."""
LEVELS: tuple[Filter, ...] = ("max", *(fraction for fraction in READINGS if 0 < fraction < 1), "avg")
"""The readings that the browser offers, and a page takes along."""
_PEAK = {"u1": 255, "i1": 127}


@dataclass
class Blocks:
    """Arrays laid one after the other, each beginning at a multiple of 4 bytes."""

    specs: list[dict[str, Any]] = field(default_factory=list)
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, name: str, values: np.ndarray, dtype: str, *, scale: str | None = None) -> None:
        """Lay down an array as little-endian numbers of ``dtype``."""
        data = np.ascontiguousarray(values, np.dtype(dtype).newbyteorder("<")).tobytes()
        spec = {"name": name, "dtype": dtype, "shape": list(values.shape), "offset": self.size}
        self.specs.append(spec if scale is None else spec | {"scale": scale})
        self.pieces.append(data + bytes(-len(data) % 4))
        self.size += len(self.pieces[-1])

    def quantise(self, name: str, values: Float[np.ndarray, "*axes cell"], dtype: str) -> None:
        """Integers of ``dtype``, one float32 scale per index of all axes but the last."""
        scale = (np.abs(values).max(-1) / _PEAK[dtype]).astype(np.float32)
        whole = np.rint(values / np.where(scale > 0, scale, 1)[..., None])
        low = 0 if dtype == "u1" else -_PEAK[dtype]
        self.add(name, np.clip(whole, low, _PEAK[dtype]), dtype, scale=f"{name}/scale")
        self.add(f"{name}/scale", scale, "f4")

    def extend(self, other: "Blocks") -> None:
        """Lay another's blocks behind one's own, but for names that are already there."""
        known = {spec["name"] for spec in self.specs}
        for spec, piece in zip(other.specs, other.pieces, strict=True):
            if spec["name"] not in known:
                self.specs.append(spec | {"offset": self.size})
                self.pieces.append(piece)
                self.size += len(piece)

    @property
    def payload(self) -> bytes:
        """All numbers in one string of bytes."""
        return b"".join(self.pieces)


def part(e: Explanation, name: str) -> Blocks:
    """The blocks of one part.

    Raises
    ------
    ValueError
        If there is no such part, or the explanation did not keep what it needs.
    """
    kind, _, rest = name.partition("/")
    makers: dict[str, Callable[[Blocks, Explanation, str], None]] = {
        "open": _open,
        "level": _level,
        "maps": _maps,
        "signed": _maps,
        "tensor": _tensor,
        "attention": _attention,
        "method": _method,
    }
    if kind not in makers:
        raise ValueError(f"There is no part {name!r}; parts begin with {', '.join(makers)}.")
    blocks = Blocks()
    makers[kind](blocks, e, name if kind in ("maps", "signed") else rest)
    return blocks


def released(e: Explanation) -> bool:
    """Whether preset ``released`` has its numbers."""
    kept = e.gradients if e.summary is None else e.summary
    return kept is not None and kept.twice is not None and e.provenance.get("family") in RELEASED_FAMILIES


def text_sets(e: Explanation) -> tuple[TextSet, ...]:
    """The text sets that can be asked for."""
    return tuple(name for name in TEXT_SETS if name != "released" or released(e))


def opening(e: Explanation, max_bytes: int, view: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """What a view opens with: ``open``, every method's maps, what its traits need, and what else fits."""
    chosen = ["open", *(f"method/{name}" for name in e.attributions), *(_needed(e, view) if view else [])]
    left = max_bytes - _open_size(e) - sum(_size(e, name) for name in chosen[1:])
    for group in _groups(e):
        more = [name for name in group if name not in chosen]
        size = sum(_size(e, name) for name in more)
        if size <= left:
            chosen += more
            left -= size
    return tuple(chosen)


def _needed(e: Explanation, view: Mapping[str, Any]) -> list[str]:
    """What a view of these traits shows beyond ``open``, as ``js/src/maps.ts`` reckons it."""
    options = e.options(preset=view.get("preset"), text_set=view.get("text_set"))
    text_set, heads = options.text_set, view.get("heads")
    level, filler = (view.get(name, "max") for name in ("head_filter", "filler_filter"))
    readings = dict.fromkeys("max" if reading == "none" else reading for reading in (level, filler))
    found = [f"level/{text_set}/{reading}" for reading in readings if (reading, text_set) not in _opened(e)]
    method = view.get("method", "dexar")
    if method != "dexar":
        return [*found, "attention"] if method == "attention" and e.attention is not None else found
    if heads is not None and e.gradients is not None:
        return [*found, *(f"tensor/{step}" for step in view.get("steps") or e.steps)]
    sums = f"{'maps' if view.get('relu', True) else 'signed'}/{'none' if level == 'none' else f'{text_set}/{level}'}"
    kept = e.gradients is not None or sums == "maps/released/max"  # a summary's sums are those of the presets
    return [*found, sums] if kept and sums not in ("maps/none", "maps/all/max") else found


def _opened(e: Explanation) -> set[tuple[Filter, TextSet]]:
    return {("max", name) for name in text_sets(e) if name != "released"}


def _groups(e: Explanation) -> Iterator[list[str]]:
    """Parts beyond ``open``, those together that are of use together only."""
    if e.attention is not None:
        yield ["attention"]
    if e.gradients is not None:
        yield [f"tensor/{step}" for step in e.steps]
    if released(e):
        yield ["level/released/max", "maps/released/max"]
    for level in LEVELS:
        for name in text_sets(e):
            if level != "max":
                yield [f"level/{name}/{level}"]


def _size(e: Explanation, name: str) -> int:
    """Bytes of a part, near enough to plan with."""
    steps, layers, heads, cells = len(e.steps), len(e.layers), e.heads, len(e.layout.tokens_of(0))
    kind = name.split("/")[0]
    if kind == "level":
        return 10 * steps * (layers + 1) * heads
    if kind == "method":
        maps = len(e.attributions[name.partition("/")[2]].maps) + 1
        return maps * cells * (4 if _few_cells(e) else 1) + 4 * maps
    if kind == "tensor":
        return (layers + 1) * heads * (cells * (4 if _exact(e) else 1) + 4)
    return steps * (layers + 1) * (cells + 4)


def _open_size(e: Explanation) -> int:
    sets = len(TEXT_SETS) - 1
    return 2 * _size(e, "maps/none") + sets * _size(e, "level/all/max") + 40 * len(e.steps) * len(e.layers)


def _exact(e: Explanation) -> bool:
    return len(e.steps) * len(e.layers) * e.heads * len(e.layout.tokens_of(0)) <= EXACT_VALUES


def _few_cells(e: Explanation) -> bool:
    return sum(found.maps.size for found in e.attributions.values()) <= EXACT_CELLS


def _readings(e: Explanation) -> Iterator[tuple[str, slice, str]]:
    """Prefix of the names, part of the layer axis and preset, once or twice."""
    yield "", slice(None), "paper"
    if released(e):
        yield "twice/", slice(-1, None), "released"


def _open(blocks: Blocks, e: Explanation, rest: str) -> None:
    if rest:
        raise ValueError(f"There is no part 'open/{rest}'; it is 'open'.")
    for text_set in TEXT_SETS:
        if text_set != "released":
            blocks.extend(part(e, f"level/{text_set}/max"))
    _maps(blocks, e, "maps/none", "maps/all/max")
    if e.lens is not None:
        blocks.add("lens/logit", e.lens.logit, "f4")
        blocks.add("lens/rank", e.lens.rank, "i4")
        blocks.add("lens/top", e.lens.top_ids, "i4")


def _level(blocks: Blocks, e: Explanation, rest: str) -> None:
    text_set, level = _split(e, rest)
    tokens = "i2" if len(e.layout) < 2**15 else "i4"
    for prefix, layers, preset in _readings(e):
        options = e.options(preset=preset, text_set=text_set)  # type: ignore[arg-type]
        read = e.sensitivity(options, level)
        blocks.add(f"{prefix}visual/{rest.partition('/')[2]}", read.visual[:, layers], "f4")
        blocks.add(f"{prefix}text/{rest}", read.text[:, layers], "f4")
        if level == "max":
            blocks.add(f"{prefix}winner/{text_set}", read.text_token[:, layers], tokens)


def _maps(blocks: Blocks, e: Explanation, *names: str) -> None:
    columns = _columns(e)
    for prefix, layers, preset in _readings(e):
        choices = [_map_options(e, name, preset, e.layers[layers]) for name in names]
        for name, maps in zip(names, e.evidence.all_layer_maps(choices), strict=True):
            blocks.quantise(f"{prefix}{name}", maps[:, layers][..., columns], "u1" if choices[0].relu else "i1")


def _map_options(e: Explanation, name: str, preset: str, layers: tuple[int, ...]) -> Options:
    kind, rest = name.split("/", 1)
    text_set, level = ("all", "none") if rest == "none" else _split(e, rest)
    return e.options(
        preset=preset,  # type: ignore[arg-type]
        layers=layers,
        text_set=text_set,  # type: ignore[arg-type]
        head_filter=level,
        relu=kind == "maps",
    )


def _tensor(blocks: Blocks, e: Explanation, rest: str) -> None:
    if not rest.isdecimal() or int(rest) not in e.steps:
        raise ValueError(f"There is no part 'tensor/{rest}'; explained steps are {list(e.steps)}.")
    columns = _columns(e)
    for prefix, layers, _ in _readings(e):
        values = e.visual_gradients(int(rest), twice=bool(prefix))[layers][..., columns]
        if _exact(e):
            blocks.add(f"{prefix}tensor/{rest}", values, "f4")
        else:
            blocks.quantise(f"{prefix}tensor/{rest}", values, "i1")


def _attention(blocks: Blocks, e: Explanation, rest: str) -> None:
    if rest or e.attention is None:
        raise ValueError("The attention rows were not kept; explain again with attention=True.")
    rows = np.stack([step.mean(1) for step in e.attention])
    blocks.quantise("attention", rows[..., e.layout.tokens_of(0)], "u1")
    blocks.add("attention/image", rows[..., e.layout.is_image].sum(-1), "f4")


def _method(blocks: Blocks, e: Explanation, rest: str) -> None:
    if rest not in e.attributions:
        known = ", ".join(e.attributions) or "none"
        raise ValueError(f"There are no maps of the method {rest!r}; methods that gave theirs: {known}.")
    found = e.attributions[rest]
    for name, maps in ((f"method/{rest}", found.maps), (f"method/{rest}/answer", found.sequence_map().values[None])):
        values = maps.reshape(len(maps), -1)
        if _few_cells(e):
            blocks.add(name, values, "f4")
        else:
            blocks.quantise(name, values, "i1" if values.min() < 0 else "u1")


def _split(e: Explanation, rest: str) -> tuple[str, Filter]:
    """A part's text set and reading, as Python has them: any fraction, for Python can set any."""
    text_set, _, word = rest.partition("/")
    try:
        level = word if word in LEVELS else float(word)
        fraction_of(level)
    except ValueError:
        level = "none"
    if text_set not in text_sets(e) or level == "none":
        raise ValueError(
            f"There are no numbers for {rest!r}; text sets are {', '.join(text_sets(e))}, "
            "readings 'max', 'avg' or a fraction in (0, 1]."
        )
    return text_set, level


def _columns(e: Explanation) -> Int[np.ndarray, " cell"]:
    """Places of the first image's cells among the visual tokens, row-major."""
    return np.searchsorted(visual_tokens(e.layout), e.layout.tokens_of(0))
