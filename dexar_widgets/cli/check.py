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
    from dexar_widgets.causal import Check, Checks, Deletion, Knockout
    from dexar_widgets.perturb import Cut

Word = Annotated[str | None, typer.Option("--word", "-w", help="A word of the answer. Default: all.")]
Step = Annotated[int | None, typer.Option(help="A token of the answer, from 0 (negative: from the end).")]
Region = Annotated[str | None, typer.Option(help="left,top,right,bottom in pixels.", show_default=False)]
Mask = Annotated[
    Path | None,
    typer.Option(help="An image of the same size; the region is what is lighter than mid-gray.", show_default=False),
]
How = Annotated[
    Literal["mean", "blur"] | None,
    typer.Option(help="What hidden pixels become: the mean colour (default), or a blur.", show_default=False),
]
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
Randoms = Annotated[
    int | None,
    typer.Option(
        help="Random regions or orders beside it; 0: none. Default: the least with which p can reach .05.",
        min=0,
        show_default=False,
    ),
]
Seed = Annotated[
    int | None, typer.Option(help="Which random regions or orders. Default: 0.", min=0, show_default=False)
]


_GRAY = 128
_MANY = 10
_TOLD = ("drop", "chance", "chance_range", "p", "kept_drop", "kept_chance", "kept_range", "kept_p", "verdict")


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
    how: How = None,
    cut: CutOf = None,
    layers: OfLayers = None,
    window: Window = None,
    randoms: Randoms = None,
    seed: Seed = None,
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
    options = _of_hiding(parts, how=how, randoms=randoms, seed=seed)
    from dexar_widgets.images import open_image

    open_image(image)  # a bad image is told before a model is loaded
    area = choices.box_of(region) if region is not None else None if mask is None else _mask(mask)
    some = choices.layers_of(layers)
    vlm = choices.load(model, device=device, dtype=dtype)
    with ERR.status("answering, and answering again with something taken away …"):
        import dexar_widgets as dx
        from dexar_widgets import causal

        e = dx.explain(vlm, image, prompt, answer=answer, keep="summary")
        found: Checks | Knockout | Deletion
        if area is not None:
            steps = None if which is None else [which]
            found = causal.checks(e, steps=steps, region=area, vlm=vlm, **options)
        elif parts is not None:
            found = causal.knockout(e, step=which, cut=parts, layers=some, window=window, vlm=vlm)
        else:
            found = causal.deletion(e, step=which, layers=some, vlm=vlm, **options)
    notices(e.example.notices)
    if as_json:
        numbers = _record(found, alone=which is not None) | {"answer": e.generation.text}
        typer.echo(json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False))
        return
    line("answer", e.generation.text)
    _tell(found)


def _cut(text: str | None) -> "Cut | None":
    from dexar_widgets.perturb import CUTS

    if text is None:
        return None
    known = {":".join(cut): cut for cut in CUTS}
    name = ":".join(part.strip() for part in text.split(":"))
    if name not in known:
        raise ValueError(f"--cut {text!r} is unknown; accepted, as source:target: {', '.join(known)}.")
    return known[name]


def _require_one_kind(
    word: str | None,
    step: int | None,
    region: str | None,
    mask: Path | None,
    cut: "Cut | None",
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


def _of_hiding(cut: "Cut | None", **options: Any) -> dict[str, Any]:
    """Those that are given."""
    given = {name: value for name, value in options.items() if value is not None}
    if cut is not None and given:
        raise ValueError(f"--cut takes no {', no '.join(f'--{name}' for name in given)}: it hides nothing.")
    return given


def _mask(path: Path) -> np.ndarray:
    from dexar_widgets.images import open_image

    return np.asarray(open_image(path).image.max(axis=2) >= _GRAY)  # JPEG's noise is darker


def _record(found: "Checks | Deletion | Knockout", *, alone: bool) -> dict[str, Any]:
    """Values as JSON has them."""
    from dexar_widgets.causal import Checks, Deletion
    from dexar_widgets.causal.chance import jsonable

    if isinstance(found, Checks):
        rows = jsonable([asdict(one) | {name: getattr(one, name) for name in _TOLD} for one in found])
        return rows[0] if alone else {"checks": rows}
    if isinstance(found, Deletion):
        head: dict[str, Any] = {"method": found.method, "how": found.how, "fractions": found.fractions}
        low, high = found.random_range
        each: dict[str, Any] = {"log_prob": found.curves, "random_low": low, "random_high": high}
        each |= {"auc": found.auc, "random_auc": found.random_auc, "p": found.p, "ties": found.ties}
        each |= {"status": found.status, "verdict": found.verdicts}
    else:
        head = {"cut": found.cut, "depth": found.depth, "windows": found.windows}
        each = {"log_prob": found.log_prob, "total": found.total, "drop": found.drop}
        each |= {} if found.visual is None else {"visual": found.visual}
    each = {"word": found.words, "steps": found.steps} | each
    rows = [{name: values[row] for name, values in each.items()} for row in range(len(found.words))]
    return dict(jsonable(head | {"words": rows}))


def _tell(found: "Checks | Deletion | Knockout") -> None:
    from dexar_widgets.causal import Checks, Deletion

    if isinstance(found, Checks):
        for one in found:
            line("check", str(one))
            line("so", _so(one))
        return
    if isinstance(found, Deletion):
        title = f"nats lost while the top cells of {found.method} are hidden ({found.how}); mean, and in random order"
        heads = [f"{share:.0%}" for share in found.fractions[1:]]
        losses = found.curves[:, :1] - found.curves[:, 1:]
        columns = [*losses.T, found.auc, found.random_auc.mean(-1) if found.random_auc.size else found.auc * np.nan]
        ends = [
            verdict if np.isnan(p) or verdict == "no effect" else f"p {p:.2f}  {verdict}"
            for p, verdict in zip(found.p, found.verdicts, strict=True)
        ]
        _table(title, [*heads, "mean", "random"], found.words, columns, ends)
        return
    title = f"nats lost when the {found.cut[1]} cannot read the {found.cut[0]}, by layers that are cut"
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


def _so(found: "Check") -> str:
    """The verdict, and what the nats mean: ln 10 lost make the word ten times less likely."""
    times = float(np.exp(min(abs(found.drop), 50.0)))
    change = f"{times:,.1f}" if times < _MANY else f"{times:,.0f}"
    return f"{found.verdict} ({change} times {'less' if found.drop >= 0 else 'more'} likely without the region)"
