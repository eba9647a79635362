"""``dexar check``: take something away, and see what that does to the words."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import ERR, OUT, line, notices

if TYPE_CHECKING:
    from dexar_widgets.causal import Check, Deletion, Knockout

Word = Annotated[str | None, typer.Option("--word", "-w", help="A word of the answer. Default: all.")]
Step = Annotated[int | None, typer.Option(help="A token of the answer, from 0 (negative: from the end).")]
Region = Annotated[str | None, typer.Option(help="left,top,right,bottom in pixels.", show_default=False)]
Mask = Annotated[
    Path | None, typer.Option(help="An image of the same size; not black is the region.", show_default=False)
]
How = Annotated[Literal["mean", "blur"], typer.Option(help="What hidden pixels become: the mean colour, or a blur.")]
CutOf = Annotated[
    str | None,
    typer.Option("--cut", help="Knock attention out: image:answer, image:prompt, prompt:answer.", show_default=False),
]
OfLayers = Annotated[
    str | None, typer.Option("--layers", help="Cut in these, 0-3 or 5; without --cut: the map's.", show_default=False)
]
Window = Annotated[
    int | None, typer.Option(help="Layers that are cut at a time. Default: a quarter.", min=1, show_default=False)
]
Randoms = Annotated[int, typer.Option(help="Random regions or orders beside it; 0: none.", min=0)]
Seed = Annotated[int, typer.Option(help="Which random regions or orders.", min=0)]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("check")(check)


def check(
    image: choices.ImagePath,
    *,
    prompt: choices.Prompt = None,
    answer: choices.Given = None,
    word: Word = None,
    step: Step = None,
    region: Region = None,
    mask: Mask = None,
    how: How = "mean",
    cut: CutOf = None,
    layers: OfLayers = None,
    window: Window = None,
    randoms: Randoms = 19,
    seed: Seed = 0,
    model: choices.Model = "lab/llava",
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    as_json: choices.AsJson = False,
) -> None:
    """Take something away: how much do the words' log-probabilities fall?

    With --region or --mask: hide it, and all but it, beside random regions of its shape. With --cut: let one part of
    the sequence no longer attend to another, by windows of layers. With neither: hide each word's own top cells, more
    and more of them, beside random cells.

    Example: `dexar check photo.jpg --prompt "What is on the table?" --word cup --region 40,60,160,190`
    """
    which = word if step is None else step
    parts = _cut(cut)
    _require_one_kind(word, step, region, mask, parts, layers, window)
    from dexar_widgets.images import open_image

    open_image(image)  # a bad image is told before a model is loaded
    area = choices.box_of(region) if region is not None else None if mask is None else _mask(mask)
    some = choices.layers_of(layers)
    vlm = choices.load(model, device=device, dtype=dtype)
    with ERR.status("answering, and answering again with something taken away …"):
        import dexar_widgets as dx
        from dexar_widgets import causal

        e = dx.explain(vlm, image, prompt, answer=answer, keep="summary")
        random: dict[str, Any] = {"randoms": randoms, "seed": seed}
        found: list[Check] | Knockout | Deletion
        if area is not None:
            steps = None if which is None else [which]
            found = causal.checks(e, steps=steps, region=area, how=how, vlm=vlm, **random)
        elif parts is not None:
            found = causal.knockout(e, step=which, cut=parts, layers=some, window=window, vlm=vlm)  # type: ignore[arg-type]
        else:
            found = causal.deletion(e, step=which, how=how, layers=some, vlm=vlm, **random)
    notices(e.example.notices)
    if as_json:
        numbers = _record(found, alone=which is not None) | {"answer": e.generation.text}
        typer.echo(json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False))
        return
    line("answer", e.generation.text)
    _tell(found)


def _cut(text: str | None) -> tuple[str, ...] | None:
    from dexar_widgets.perturb import CUTS

    parts = None if text is None else tuple(part.strip() for part in text.split(":"))
    if parts is not None and parts not in CUTS:
        accepted = ", ".join(":".join(cut) for cut in CUTS)
        raise ValueError(f"--cut {text!r} is unknown; accepted, as source:target: {accepted}.")
    return parts


def _require_one_kind(
    word: str | None,
    step: int | None,
    region: str | None,
    mask: Path | None,
    cut: tuple[str, ...] | None,
    layers: str | None,
    window: int | None,
) -> None:
    if word is not None and step is not None:
        raise ValueError("Give either --word or --step, or neither for every word.")
    if region is not None and mask is not None:
        raise ValueError("Give either --region left,top,right,bottom or --mask FILE: what is hidden.")
    hides = region is not None or mask is not None
    if hides and (cut is not None or layers is not None or window is not None):
        raise ValueError("--cut, --layers and --window belong to a knock-out; drop them, or --region and --mask.")
    if window is not None and (cut is None or layers is not None):
        raise ValueError("--window goes with --cut, and without --layers, which is one window of its own.")


def _mask(path: Path) -> np.ndarray:
    from dexar_widgets.images import open_image

    return np.asarray(open_image(path).image.any(axis=2))


def _record(found: "list[Check] | Deletion | Knockout", *, alone: bool) -> dict[str, Any]:
    """Plain values; None where there is no number."""
    from dexar_widgets.causal import Deletion

    if isinstance(found, list):
        rows = [
            asdict(one) | {"drop": one.drop, "chance": one.chance, "chance_range": one.chance_range, "p": one.p}
            for one in found
        ]
        return rows[0] if alone else {"checks": rows}
    if isinstance(found, Deletion):
        head = {"method": found.method, "how": found.how, "fractions": found.fractions.tolist()}
        low, high = found.random_range
        each = {"log_prob": found.curves, "random_low": low, "random_high": high}
        each |= {"auc": found.auc, "random_auc": found.random_auc, "p": found.p}
        said: dict[str, Sequence[str]] = {"status": found.status, "verdict": found.verdicts}
    else:
        head = {"cut": found.cut, "depth": found.depth, "windows": found.windows.tolist()}
        each = {"log_prob": found.log_prob, "total": found.total, "drop": found.drop}
        each |= {} if found.visual is None else {"visual": found.visual}
        said = {}
    lists: dict[str, Sequence[Any]] = {name: _without_nan(values) for name, values in each.items()}
    lists |= said
    names = enumerate(zip(found.words, found.steps, strict=True))
    rows = [
        {"word": word, "steps": steps} | {name: values[row] for name, values in lists.items()}
        for row, (word, steps) in names
    ]
    return head | {"words": rows}


def _without_nan(values: np.ndarray) -> list[Any]:
    found = values.astype(object)
    found[np.isnan(values)] = None
    return list(found.tolist())


def _tell(found: "list[Check] | Deletion | Knockout") -> None:
    from dexar_widgets.causal import Deletion

    if isinstance(found, list):
        for one in found:
            line("check", str(one))
            line("so", _verdict(one))
        return
    if isinstance(found, Deletion):
        title = f"nats lost while the top cells of {found.method} are hidden ({found.how}); mean, and in random order"
        heads = [f"{share:.0%}" for share in found.fractions[1:]]
        losses = found.curves[:, :1] - found.curves[:, 1:]
        columns = [*losses.T, found.auc, found.random_auc.mean(-1) if found.random_auc.size else found.auc * np.nan]
        ends = [f"p {p:.2f}  {verdict}" for p, verdict in zip(found.p, found.verdicts, strict=True)]
        _table(title, [*heads, "mean", "random"], found.words, columns, ends)
        return
    title = f"nats lost when {found.cut[1]} cannot read {found.cut[0]}, by layers that are cut"
    heads = [_window(window) for window in found.windows.tolist()]
    _table(title, ["all", *heads], found.words, [found.total, *found.drop.T], [""] * len(found.words))


def _window(layers: Sequence[int]) -> str:
    """As ``--layers`` takes it: 2, 0-3 or 0,2."""
    if len(layers) == 1 or layers[-1] - layers[0] + 1 > len(layers):
        return ",".join(map(str, layers))
    return f"{layers[0]}-{layers[-1]}"


def _table(
    title: str, heads: Sequence[str], words: Sequence[str], columns: Sequence[np.ndarray], ends: Sequence[str]
) -> None:
    """A row per word, as long as it is; – where there is no number."""
    from dexar_widgets.causal.chance import plain

    wide = min(24, max(map(len, words)))
    line("check", title)
    OUT.print(" " * wide + "".join(f"{head:>8}" for head in heads), soft_wrap=True, markup=False)
    for row, (word, end) in enumerate(zip(words, ends, strict=True)):
        short = word if len(word) <= wide else f"{word[: wide - 1]}…"
        numbers = "".join(f"{'–' if np.isnan(of[row]) else plain(of[row]):>8}" for of in columns)
        OUT.print(f"{short:<{wide}}{numbers}  {end}".rstrip(), soft_wrap=True, markup=False)


def _verdict(found: "Check") -> str:
    """In words: a loss of ln 10 makes the word ten times less likely."""
    times = float(np.exp(min(abs(found.drop), 50.0)))
    if found.drop >= np.log(2):
        others = int((found.random_drops >= found.drop).sum())
        but = f" ({others} of {len(found.random_hidden)} random regions do as much)" if others else ""
        return f"without the region the word is {times:,.0f} times less likely: it depends on what is there{but}."
    if found.drop <= -np.log(2):
        return f"without the region the word is {times:,.0f} times more likely: what is there speaks against it."
    return "hiding the region changes the word's probability by less than a factor of 2: it hardly depends on it."
