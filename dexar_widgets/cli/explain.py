"""``dexar explain``: one image to a page, picture, table or file; many images to a table."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.text import Text

from dexar_widgets.cli import choices, report
from dexar_widgets.cli.inputs import Item, is_many, items_of
from dexar_widgets.cli.outputs import kind_of, tidy, write
from dexar_widgets.cli.terminal import ERR, OUT, line, notices, progress

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.cli.batch import Outcome
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.vlm import VLM

Source = Annotated[
    Path, typer.Argument(metavar="IMAGE|FOLDER|LIST.csv", help="An image, a folder, or a CSV: image,prompt[,answer].")
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="out.html, .png, .csv, .parquet or .safetensors.", show_default=False),
]
Layers = Annotated[str | None, typer.Option(help="3, 0-9, 0,4,10-12 or 10- (0-based). Default: the preset's.")]
HeadFilter = Annotated[str | None, typer.Option(help="max, none, avg, or a fraction such as 0.1.")]
FillerFilter = Annotated[str | None, typer.Option(help="max, none, avg, or a fraction such as 0.1.")]
Keep = Annotated[str, typer.Option(help="auto, full, visual or summary: what is kept of the gradients.")]
Table = Annotated[
    Literal["steps", "flow", "heads", "cells"], typer.Option(help="Rows of a .csv or .parquet: one per step, or finer.")
]
Tokens = Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")]
Lens = Annotated[bool, typer.Option("--lens", help="Also each layer's logit, rank and words (logit lens).")]
Attention = Annotated[bool, typer.Option("--attention", help="Also the raw attention rows.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Many images: begin anew instead of going on.")]


@dataclass(frozen=True)
class _Options:
    """What `dx.explain` and the views are called with."""

    passing: dict[str, Any]
    choice: dict[str, Any]
    tokens: int
    table: str


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("explain")(explain)


def explain(
    source: Source,
    *,
    output: Output = None,
    prompt: choices.Prompt = None,
    answer: choices.Given = None,
    model: choices.Model = "lab/llava",
    preset: Annotated[Literal["paper", "released"], typer.Option(help="The defaults of every view.")] = "paper",
    layers: Layers = None,
    head_filter: HeadFilter = None,
    filler_filter: FillerFilter = None,
    keep: Keep = "auto",
    lens: Lens = False,
    attention: Attention = False,
    max_new_tokens: Tokens = 64,
    table: Table = "steps",
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    revision: choices.Revision = None,
    trust_remote_code: choices.TrustRemoteCode = False,
    overwrite: Overwrite = False,
    as_json: choices.AsJson = False,
) -> None:
    """Let a model answer about an image and show which regions drove each word.

    One image goes to a page (.html), a strip of overlays (.png), a table (.csv, .parquet) or a file
    that Python reads back (.safetensors). A folder or a list goes to a table, streamed: an interrupted
    job goes on where it stopped when the same command is given again, and an image that cannot be
    explained becomes a row with its reason (exit status 1).

    Example: `dexar explain photo.jpg --prompt "What is on the table?" -o answer.html`
    """
    many = is_many(source)
    if many and output is None:
        raise ValueError("Many images need an output: -o rows.csv or -o rows.parquet.")
    if output is not None:
        kind_of(output, many=many)
    given = {"layers": choices.layers_of(layers), "head_filter": choices.filter_of(head_filter)}
    given |= {"filler_filter": choices.filter_of(filler_filter)}
    options = _Options(
        passing={"preset": preset, "keep": keep, "lens": lens, "attention": attention},
        choice={name: value for name, value in given.items() if value is not None},
        tokens=max_new_tokens,
        table=table,
    )
    items = items_of(source, prompt=prompt, answer=answer)
    if not many:
        from dexar_widgets.images import open_image

        open_image(items[0].image)  # a bad image is told before a model is loaded
    settings = {"model": model, "revision": revision, "dtype": dtype, "table": table, "max_new_tokens": max_new_tokens}
    settings |= options.passing | {name: str(value) for name, value in options.choice.items()}
    if many and output is not None and not overwrite:
        from dexar_widgets.cli import batch

        earlier = batch.finished(items, output, settings)  # told before a model is loaded
        if earlier is not None:
            return _tell_outcome(earlier, output, as_json=as_json)
    vlm = choices.load(model, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
    if many and output is not None:
        return _many(vlm, items, output, options, settings=settings, overwrite=overwrite, as_json=as_json)
    return _one(vlm, items[0], output, options, as_json=as_json)


def _explained(vlm: "VLM", item: Item, options: _Options) -> "Explanation":
    import dexar_widgets as dx
    from dexar_widgets.engine import Decoding

    decoding = Decoding(max_new_tokens=options.tokens)
    return dx.explain(vlm, item.image, item.prompt, answer=item.answer, decoding=decoding, **options.passing)


def _one(vlm: "VLM", item: Item, output: Path | None, options: _Options, *, as_json: bool) -> None:
    with ERR.status("answering and explaining …"):
        e = _explained(vlm, item, options)
    notices(e.example.notices)
    told = report.record(e, options.choice) | {"source": item.image, "output": None if output is None else str(output)}
    if output is not None:
        with ERR.status(f"writing {output} …"):
            write(e, output, choice=options.choice, table=options.table, sample=item.sample)
    if as_json:
        typer.echo(json.dumps(told | {"notices": e.example.notices}, indent=2, ensure_ascii=False))
        return
    grid = e.layout.grids[0]
    report.tell(told, grid=(grid.rows, grid.cols))
    if output is not None:
        line("written", str(output.resolve()))


def _many(
    vlm: "VLM",
    items: list[Item],
    output: Path,
    options: _Options,
    *,
    settings: dict[str, Any],
    overwrite: bool,
    as_json: bool,
) -> None:
    import torch

    from dexar_widgets.cli import batch

    said: set[str] = set()

    def rows_of(item: Item) -> "pd.DataFrame":
        e = _explained(vlm, item, options)
        notices([sentence for sentence in e.example.notices if sentence not in said])
        said.update(e.example.notices)
        return tidy(e, choice=options.choice, table=options.table, sample=item.sample)

    with progress() as bar:
        task = bar.add_task("explaining", total=len(items))
        try:
            outcome = batch.run(
                items,
                rows_of,
                output,
                settings=settings,
                provenance=vlm.provenance(),
                overwrite=overwrite,
                on_item=lambda count: bar.update(task, completed=count),
                errors=(ValueError, OSError, torch.OutOfMemoryError),
            )
        except KeyboardInterrupt:
            notices(["the rows so far are kept; the same command goes on from here."])
            raise
    _tell_outcome(outcome, output, as_json=as_json)


def _tell_outcome(outcome: "Outcome", output: Path, *, as_json: bool) -> None:
    if as_json:
        failed = [{"sample": sample, "error": reason} for sample, reason in outcome.failed]
        told = {"output": str(output), "done": outcome.done, "earlier": outcome.earlier, "failed": failed}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        _tell_counts(outcome)
        line("written", str(output.resolve()))
    if outcome.failed:
        raise typer.Exit(1)


def _tell_counts(outcome: "Outcome") -> None:
    done = f"{outcome.done} images done now" if outcome.done else f"All {outcome.earlier} images are done"
    earlier = f", {outcome.earlier} by an earlier run" if outcome.done and outcome.earlier else ""
    again = "" if outcome.done else "; --overwrite begins anew"
    OUT.print(f"{done}{earlier}; {len(outcome.failed)} failed{again}.")
    for sample, reason in outcome.failed[:10]:
        OUT.print(Text(f"· {sample}: {reason}"), soft_wrap=True)
