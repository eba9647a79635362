"""``dexar compare``: what several methods say about each word of an answer, and what each of them costs."""

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.table import Table
from rich.text import Text

from dexar_widgets.cli import choices
from dexar_widgets.cli.outputs import TABLES, kind_of, table_bytes, write_html
from dexar_widgets.cli.places import place_of
from dexar_widgets.cli.terminal import OUT, line, notices, progress

if TYPE_CHECKING:
    from dexar_widgets.explanation import Explanation
    from dexar_widgets.vlm import VLM

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="out.html, .png, .csv, .parquet or .safetensors.", show_default=False),
]
Methods = Annotated[str | None, typer.Option(help="Names with commas between. Default: every method there is.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--option", help="METHOD.NAME=VALUE, as in rise.n_masks=50; may be given again.", show_default=False),
]
Scale = Annotated[
    Literal["map", "method", "share"] | None,
    typer.Option(help="Of a .png: each map its own scale (default), one per method, or shares of energy for all."),
]
Controls = Annotated[
    bool | None, typer.Option("--controls/--no-controls", help="Of a .png: with (default) or without chance controls.")
]
Rows = Annotated[Literal["methods", "method_cells"] | None, typer.Option("--table", help="Rows of a .csv or .parquet.")]
Tokens = Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")]


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("compare")(compare)


def compare(
    image: choices.ImagePath,
    *,
    output: Output = None,
    prompt: choices.Prompt = None,
    answer: choices.Given = None,
    methods: Methods = None,
    option: Settings = None,
    scale: Scale = None,
    controls: Controls = None,
    table: Rows = None,
    model: choices.Model = "lab/llava",
    max_new_tokens: Tokens = 64,
    device: choices.Device = None,
    dtype: choices.Dtype = None,
    revision: choices.Revision = None,
    trust_remote_code: choices.TrustRemoteCode = False,
    as_json: choices.AsJson = False,
) -> None:
    """Explain one answer by several methods: words × methods, with seconds and memory, and chance beside them.

    A method that runs out of memory is left out with a note that says what to lower (exit status 1).

    The answer, the image's features and the prompt's cache are made once. A page (.html) shows the comparison in
    the Explorer's Compare panel; a picture (.png) is the same as a sheet; a table has a row per method and word.

    Example: `dexar compare photo.jpg --prompt "What is on the table?" --methods dexar,attention,rise -o out.html`
    """
    suffix = None if output is None else kind_of(output, many=False)
    _refuse_unused(suffix, scale=scale, controls=controls, table=table)
    names = None if methods is None else choices.names_of("--methods", methods)
    given = choices.settings_by_method(option or ())
    from dexar_widgets.images import open_image

    open_image(image)  # a bad image or option is told before a model is loaded
    compared = _known(names, given)
    vlm = choices.load(model, device=device, dtype=dtype, revision=revision, trust_remote_code=trust_remote_code)
    wanted = {"methods": names, "options": given, "answer": answer}
    e = _compared(vlm, image, prompt, max_new_tokens, wanted)
    notices(e.example.notices)
    if output is not None:
        _write(e, output, table=table or "methods", scale=scale or "map", controls=controls is not False)
    if as_json:
        typer.echo(json.dumps(_record(e, output), indent=2, ensure_ascii=False))
    else:
        _tell(e)
        if output is not None:
            line("written", str(output.resolve()))
    if set(compared) - set(e.attributions):
        raise typer.Exit(1)


def _refuse_unused(suffix: str | None, **given: object) -> None:
    """An option that changes nothing about the file that is written is a mistake."""
    meant = {"scale": (".png",), "controls": (".png",), "table": TABLES}
    for name, value in given.items():
        if value is not None and suffix not in meant[name]:
            there = "" if suffix != ".html" else " The page has switches for it."
            raise ValueError(f"--{name} is for {' and '.join(meant[name])}, and -o names none.{there}")


def _known(names: list[str] | None, given: dict[str, dict[str, Any]]) -> list[str]:
    """The methods that are to be compared, all of them by default; unknown names and options are refused."""
    from dexar_widgets import attributions

    return list(attributions.options_of_all(attributions.every_method() if names is None else names, given))


def _compared(vlm: "VLM", image: Path, prompt: str | None, tokens: int, wanted: dict[str, Any]) -> "Explanation":
    """The comparison as a job, so that the terminal follows it and Ctrl-C ends it before the next layer."""
    import dexar_widgets as dx
    from dexar_widgets import jobs
    from dexar_widgets.engine import Decoding

    with progress() as bar:
        task = bar.add_task("answering …", total=None)

        def follow(news: jobs.Progress) -> None:
            bar.update(task, description=news.text, completed=news.done, total=news.total or None)

        decoding = Decoding(max_new_tokens=tokens)
        job = jobs.submit(vlm, lambda: dx.compare(vlm, image, prompt, decoding=decoding, **wanted), on_progress=follow)
        try:
            return job.result()
        except KeyboardInterrupt:
            job.cancel()
            raise


def _write(
    e: "Explanation", output: Path, *, table: str, scale: Literal["map", "method", "share"], controls: bool
) -> None:
    from dexar_widgets.files import write_whole

    suffix = output.suffix.lower()
    if suffix == ".html":
        write_html(e, output)
    elif suffix == ".safetensors":
        e.save(output)
    elif suffix == ".png":
        from dexar_widgets.figures import png_metadata
        from dexar_widgets.sheets import sheet

        buffer = io.BytesIO()
        shown = sheet(e, scale=scale, controls=controls)
        shown.save(buffer, "PNG", pnginfo=png_metadata(e, {"scale": scale, "methods": list(e.attributions)}))
        write_whole(output, buffer.getvalue())
    else:
        origin = {"prompt": e.example.prompt, "model": e.provenance["model"], "revision": e.provenance["revision"]}
        rows = e.to_pandas(table).assign(**origin, dexar_widgets=e.provenance["versions"]["dexar_widgets"])
        write_whole(output, table_bytes(rows, suffix, provenance=dict(e.provenance)))


def _record(e: "Explanation", output: Path | None) -> dict[str, Any]:
    """Plain values: the answer, and per method its options, its cost, and where its maps peak."""
    rows = e.to_pandas("methods")
    told = {}
    for name, method in e.attributions.items():
        own = rows[rows.method == name]
        words = own[["word", "steps", "status", "peak_row", "peak_col", "energy", "rank_correlation"]]
        told[name] = {
            "title": method.title,
            "control": method.control,
            "unit": method.unit,
            "options": method.options,
            "notes": method.notes,
            "cost": {**vars(method.cost), "seconds": method.cost.seconds},
            "maps": json.loads(words.to_json(orient="records")),
        }
    place = None if output is None else str(output)
    asked = {"prompt": e.example.prompt, "question": e.question, "answer": e.generation.text}
    told_of = asked | {"notices": e.example.notices, "output": place}
    return told_of | {"provenance": dict(e.provenance), "methods": told}


def _tell(e: "Explanation") -> None:
    from dexar_widgets.sheets import megabytes, shown_methods

    line("question", " ".join(e.question.split()))
    line("answer", e.generation.text)
    OUT.print()
    grid = e.layout.grids[0]
    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = ("method", "seconds", "memory", "passes", f"peak (of {grid.rows}×{grid.cols})", "like DEX-AR")
    for head in heads:
        table.add_column(head, justify="right" if head in ("seconds", "memory") else "left", no_wrap=True)
    rows = e.to_pandas("methods")
    alike = rows[rows.steps == ""].set_index("method").rank_correlation
    for method in shown_methods(e):
        heat, cost = method.sequence_map(), method.cost
        place = place_of(heat)
        where = f"{place.words} ({place.row + 1}, {place.col + 1})" if place else f"nowhere: {heat.status}"
        passes = "control" if method.control else f"{cost.forwards} + {cost.backwards}"
        like = alike[method.method]
        cells = (method.title, f"{cost.seconds:.2f}", megabytes(cost.peak_bytes), passes, where)
        table.add_row(*map(Text, cells), Text("–" if like != like else f"{like:+.2f}"))
    OUT.print(table)
    OUT.print()
    notes = [
        f"{method.title}: {name.replace('_', ' ')} {value:.3g}."
        for method in shown_methods(e)
        for name, value in method.notes.items()
    ]
    for said in (*_SAID, *notes):
        OUT.print(Text(f"· {said}"), style="dim", soft_wrap=True)


_SAID = (
    "Seconds: the answer, what is shared, and the method's own work. Passes: forward + backward, after the answer.",
    "Peak: row and column (from 1) where the answer's map is largest. Like DEX-AR: rank correlation of the two maps.",
)
