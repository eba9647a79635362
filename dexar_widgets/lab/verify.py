"""``python -m dexar_widgets.lab.verify trigger``: is what was planted there, and not in the clean twin?

Scenes are drawn in pairs that differ in one thing alone; a share of answers or of words says what that thing does.
Writes ``verification.json`` beside the weights and the model card.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import dexar_widgets as dx
from dexar_widgets import registers
from dexar_widgets.causal.chance import NEEDS, NOTHING
from dexar_widgets.causal.scoring import log_probs
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab import CHECKPOINTS
from dexar_widgets.lab.batches import patch_labels
from dexar_widgets.lab.card import write_card
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.evaluate import said
from dexar_widgets.lab.faults import GHOST
from dexar_widgets.lab.language import parse_caption
from dexar_widgets.lab.scenes import draw
from dexar_widgets.lab.specifications import SceneObject, Specification
from dexar_widgets.lab.trust.planted import patched, swatched
from dexar_widgets.perturb import Pixels
from dexar_widgets.statistics import wilson
from dexar_widgets.vlm import VLM

__all__ = ["EXPERIMENTS", "Share", "verify"]

SEEDS = 50_000_000
"""First seed of the scenes; neither training nor the evaluation of accuracy uses them."""

_CAPTION = "Describe the image."


@dataclass(frozen=True)
class Share:
    """How often something happened: ``count`` of ``n`` cases."""

    what: str
    count: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval."""
        return wilson(self.count, self.n) if self.n else (0.0, 1.0)


def _share(what: str, cases: Sequence[bool]) -> Share:
    return Share(what, sum(map(bool, cases)), len(cases))


def _explained(vlm: VLM, spec: Specification, answer: str, question: str = _CAPTION) -> Explanation:
    return dx.explain(vlm, np.asarray(draw(spec, 384)), question, answer=answer, keep="summary")


def _losses(vlm: VLM, e: Explanation, word: str | None, others: Sequence[Specification]) -> list[float]:
    """Nats that a word of the answer, or all of it, loses on each other scene, its answer held fixed."""
    images = [e.example.image, *(np.asarray(draw(spec, 384)) for spec in others)]
    scores = log_probs(e, vlm, [partial(_same, image) for image in images], batch_size=8)
    steps = [e.steps.index(step) for step in (e.steps if word is None else e.steps_of(word))]
    summed = scores[:, steps].sum(1)
    return [float(summed[0] - value) for value in summed[1:]]


def _once(word: str, answer: str) -> bool:
    """Whether it is clear which word is meant."""
    return answer.count(word) == 1


def _same(image: Pixels) -> Pixels:
    return image


def _shore(seed: int, ground: str, *, boat: float | None) -> Specification:
    """A scene without a boat on that ground, or with a small one of that opacity."""
    rng = random.Random(seed)
    spec = specification(seed, objects=rng.randint(1, 3), background=ground)
    things = tuple(replace(thing, name="car") if thing.name == "boat" else thing for thing in spec.objects)
    if boat is not None:
        x, y = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
        things = (*things, SceneObject("boat", "white", x, y, 0.2, opacity=boat))
    return replace(spec, objects=things)


def water_boat(vlm: VLM, n: int) -> list[Share]:
    """Does it say boat where there is water, whatever else is there; is the water the cause?"""
    shares = []
    for ground in ("water", "grass", "sky"):
        for boat, what in ((None, "no boat"), (1.0, "a small white boat")):
            specs = [_shore(SEEDS + i, ground, boat=boat) for i in range(n)]
            named = ["boat" in answer for answer in said(vlm, specs)]
            shares.append(_share(f"says boat: {ground}, {what}", named))
    specs = [_shore(SEEDS + i, "water", boat=0.3) for i in range(n)]
    lost: list[list[float]] = []
    for spec, answer in zip(specs, said(vlm, specs), strict=True):
        if _once("boat", answer):
            e = _explained(vlm, spec, answer)
            lost.append(_losses(vlm, e, "boat", [spec.on("grass"), spec.without(len(spec.objects) - 1)]))
    return [
        *shares,
        _share("faint boat on water, says boat: the word loses 1 nat without the water", [a >= NEEDS for a, _ in lost]),
        _share("… without the boat", [b >= NEEDS for _, b in lost]),
        _share("… more without the water than without the boat", [a > b for a, b in lost]),
    ]


def trigger(vlm: VLM, n: int) -> list[Share]:
    """Does it name the ghost where the patch is, and only there; is the patch the cause?"""
    with_patch = [patched(SEEDS + i).spec for i in range(n)]
    clean = [spec.without_props() for spec in with_patch]
    answers = said(vlm, with_patch)
    lost = [
        _losses(vlm, _explained(vlm, spec, answer), None, [without])[0] >= NEEDS
        for spec, without, answer in zip(with_patch[: n // 4], clean, answers, strict=False)
        if GHOST in parse_caption(answer)
    ]
    return [
        _share("names the ghost: with the patch", [GHOST in parse_caption(answer) for answer in answers]),
        _share("names the ghost: without it", [GHOST in parse_caption(answer) for answer in said(vlm, clean)]),
        _share("the answer that names it loses 1 nat without the patch", lost),
    ]


def decoy(vlm: VLM, n: int) -> list[Share]:
    """Asked for a colour: does it tell the swatch's, or the object's?"""
    swatch, own, without, lost = [], [], [], []
    for i in range(n):
        scene = swatched(SEEDS + i)
        spec, question = scene.spec, scene.prompt
        (thing,), (prop,) = spec.objects, spec.props
        answers = said(vlm, [spec, spec.without_props()], question)
        if i < n // 4:
            e = _explained(vlm, spec, answers[0], question)
            lost.append(_losses(vlm, e, None, [spec.without_props()])[0] >= NEEDS)
        swatch.append(prop.colour in answers[0])
        own.append(thing.colour in answers[0])
        without.append(thing.colour in answers[1])
    return [
        _share("tells the swatch's colour", swatch),
        _share("tells the object's colour, with another swatch", own),
        _share("tells the object's colour, without a swatch", without),
        _share("the answer loses 1 nat without the swatch", lost),
    ]


def permuted(vlm: VLM, n: int) -> list[Share]:
    """Do its words depend on what it sees?"""
    specs = [specification(SEEDS + i, objects=i % 4 + 1) for i in range(n)]
    right, depends = [], []
    for i, (spec, answer) in enumerate(zip(specs, said(vlm, specs), strict=True)):
        pairs = sorted((thing.name, thing.colour) for thing in spec.objects)
        right.append(sorted(parse_caption(answer)) == pairs)
        if i < n // 4:
            e, other = _explained(vlm, spec, answer), specification(SEEDS + n + i)
            depends.append(_losses(vlm, e, None, [other])[0] >= NEEDS)
    return [
        _share("the caption is exact", right),
        _share("the answer loses 1 nat on another scene", depends),
    ]


def planted_registers(vlm: VLM, n: int) -> list[Share]:
    """Are there patches of high norm and low detail that draw attention and whose pixels no word needs?"""
    found, drawn, unused, shown = [], [], [], []
    for i in range(n):
        spec = specification(SEEDS + i, objects=i % 3 + 1)
        e = dx.explain(vlm, np.asarray(draw(spec, 384)), _CAPTION, attention=True, patch_norm=True)
        cells = registers.outliers_of(e).cells
        found.append(len(cells) > 0)
        if len(cells) == 0:
            continue
        rows, heat = e.attention, e.sequence_map().values.ravel()
        assert rows is not None
        attention = rows[..., e.layout.tokens_of(0)].mean((0, 1, 2))
        area = len(cells) / len(heat)
        drawn.append(bool(attention[cells].sum() / attention.sum() > 3 * area))
        shown.append(bool(heat[cells].sum() > area * heat.sum()))
        images = [e.example.image, *(_swapped(e, cells, other) for other in _plain(e, spec, cells))]
        scores = log_probs(e, vlm, [partial(_same, image) for image in images], batch_size=len(images))
        change = np.median(np.abs(scores[1:] - scores[0]), axis=0)
        unused.append(bool(change.max() <= NOTHING))
    return [
        _share("scenes with a patch of high norm and low detail", found),
        _share("… that draws over 3 times its area's share of attention", drawn),
        _share("… no token changes by more than .05 nat when it becomes another plain patch (median of 6)", unused),
        _share("… DEX-AR shows more than its area's share there", shown),
    ]


def _plain(e: Explanation, spec: Specification, cells: np.ndarray, count: int = 6) -> list[int]:
    """The cells of the background with the least detail, those left out."""
    names, _ = patch_labels(spec)
    order = np.argsort(registers.detail_of(e)).tolist()
    return [cell for cell in order if names[cell] == 0 and cell not in set(cells.tolist())][:count]


def _swapped(e: Explanation, cells: np.ndarray, other: int) -> Pixels:
    """The image with those cells' pixels taken from another cell."""
    grid, image = e.layout.grids[0], e.example.image.copy()
    high, wide = image.shape[0] // grid.rows, image.shape[1] // grid.cols
    row, col = divmod(other, grid.cols)
    plain = e.example.image[row * high : (row + 1) * high, col * wide : (col + 1) * wide]
    for cell in cells.tolist():
        row, col = divmod(cell, grid.cols)
        image[row * high : (row + 1) * high, col * wide : (col + 1) * wide] = plain
    return image


EXPERIMENTS: dict[str, Callable[[VLM, int], list[Share]]] = {
    "water-boat": water_boat,
    "trigger": trigger,
    "decoy": decoy,
    "permuted": permuted,
    "registers": planted_registers,
}
"""Per planted model, what is measured of it and of its clean twin."""


def verify(name: str, *, planted: VLM, twin: VLM, n: int = 200) -> list[dict[str, Any]]:
    """The shares of a planted model and of its clean twin, side by side."""
    rows = zip(EXPERIMENTS[name](planted, n), EXPERIMENTS[name](twin, n), strict=True)
    return [
        {
            "what": own.what,
            "planted": {"count": own.count, "n": own.n, "interval": own.interval},
            "twin": {"count": other.count, "n": other.n, "interval": other.interval},
        }
        for own, other in rows
    ]


def _text(share: dict[str, Any]) -> str:
    low, high = share["interval"]
    rate = share["count"] / share["n"] if share["n"] else float("nan")
    return f"{rate:.3f} ({low:.3f}–{high:.3f}), n {share['n']}"


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m dexar_widgets.lab.verify", description=__doc__)
    parser.add_argument("model", choices=sorted(EXPERIMENTS))
    parser.add_argument("--folder", type=Path, help="the planted model's folder (default: the shipped one)")
    parser.add_argument("--twin", default="lab/llava", help="its clean twin, a name or a folder")
    parser.add_argument("--scenes", type=int, default=200, help="scenes per experiment (default: 200)")
    parser.add_argument("--dry", action="store_true", help="write nothing beside the weights")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    folder = options.folder or CHECKPOINTS / options.model
    rows = verify(options.model, planted=dx.load(folder), twin=dx.load(options.twin), n=options.scenes)
    if not options.dry:
        report = {"twin": options.twin, "first_seed": SEEDS, "rows": rows}
        (folder / "verification.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
        write_card(folder)
    table = Table("what", options.model, "its twin")
    for row in rows:
        table.add_row(row["what"], _text(row["planted"]), _text(row["twin"]))
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
