"""``dexar check``: hide a region, and see what that does to a word."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import ERR, line, notices

if TYPE_CHECKING:
    from dexar_widgets.causal import Check

Word = Annotated[str | None, typer.Option("--word", "-w", help="A word of the answer.", show_default=False)]
Step = Annotated[int | None, typer.Option(help="A token of the answer, from 0 (negative: from the end).")]
Region = Annotated[str | None, typer.Option(help="left,top,right,bottom in pixels.", show_default=False)]
Mask = Annotated[
    Path | None, typer.Option(help="An image of the same size; not black is the region.", show_default=False)
]
How = Annotated[Literal["mean", "blur"], typer.Option(help="What hidden pixels become: the mean colour, or a blur.")]


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
    model: choices.Model = "lab/llava",
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    as_json: choices.AsJson = False,
) -> None:
    """Hide a region, and all but the region: how much does a word's log-probability fall?

    Example: `dexar check photo.jpg --prompt "What is on the table?" --word cup --region 40,60,160,190`
    """
    which = word if step is None else step
    if which is None or (word is not None and step is not None):
        raise ValueError("Give either --word or --step: which part of the answer is checked.")
    if (region is None) == (mask is None):
        raise ValueError("Give either --region left,top,right,bottom or --mask FILE: what is hidden.")
    from dexar_widgets.images import open_image

    open_image(image)  # a bad image is told before a model is loaded
    area = choices.box_of(region) if region is not None else _mask(mask)
    vlm = choices.load(model, device=device, dtype=dtype)
    with ERR.status("answering, and answering again with the region hidden …"):
        import dexar_widgets as dx

        e = dx.explain(vlm, image, prompt, answer=answer, keep="summary")
        found = dx.check(e, step=which, region=area, how=how, vlm=vlm)
    notices(e.example.notices)
    if as_json:
        numbers = asdict(found) | {"drop": found.drop, "answer": e.generation.text}
        typer.echo(json.dumps(numbers, indent=2, ensure_ascii=False))
        return
    line("answer", e.generation.text)
    line("check", str(found))
    line("so", _verdict(found))


def _mask(path: Path | None) -> np.ndarray:
    from dexar_widgets.images import open_image

    return np.asarray(open_image(path or "").image.any(axis=2))


def _verdict(found: "Check") -> str:
    """In words: a loss of ln 10 makes the word ten times less likely."""
    times = float(np.exp(min(abs(found.drop), 50.0)))
    if found.drop >= np.log(2):
        return f"without the region the word is {times:,.0f} times less likely: it depends on what is there."
    if found.drop <= -np.log(2):
        return f"without the region the word is {times:,.0f} times more likely: what is there speaks against it."
    return "hiding the region changes the word's probability by less than a factor of 2: it hardly depends on it."
