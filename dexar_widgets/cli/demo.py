"""``dexar demo``: a question, an answer, and why."""

import json
from pathlib import Path
from typing import Annotated

import typer

from dexar_widgets.cli import choices, report
from dexar_widgets.cli.outputs import refuse_folder, write_html
from dexar_widgets.cli.terminal import ERR, line, notices

SEED = 7


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("demo")(demo)


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where the interactive page goes.")] = Path("demo.html"),
    seed: Annotated[int, typer.Option(help="Which scene: any whole number.")] = SEED,
    question: Annotated[str, typer.Option("--question", "-q", help="What to ask about it.")] = "What do you see?",
    model: choices.Model = "lab/llava",
    as_json: choices.AsJson = False,
) -> None:
    """Answer a question about a scene with the embedded model, explain the answer, write a page to explore.

    Works offline, on a laptop's CPU, in seconds.

    Example: `dexar demo --seed 12 --question "How many objects are there?"`
    """
    refuse_folder(out)
    vlm = choices.load(model)
    with ERR.status("answering and explaining …"):
        import dexar_widgets as dx

        scene = dx.lab.scene(seed, prompt=question)
        e = dx.explain(vlm, scene.image, question, attention=True, lens=True, patch_norm=True)
    notices(e.example.notices)
    told = report.record(e, {}, scene)
    told |= {"page": str(out), "seed": seed, "true_caption": scene.caption}
    write_html(e, out)
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
        return
    grid = e.layout.grids[0]
    report.tell(told, grid=(grid.rows, grid.cols))
    things = ", ".join(f"{thing.colour} {thing.name}" for thing in scene.spec.objects)
    line("in truth", f"{things}; on {scene.spec.background.name}")
    line("explore", str(out.resolve()))
