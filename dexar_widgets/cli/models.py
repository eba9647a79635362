"""``dexar models``: what can be loaded."""

import json

import typer

from dexar_widgets.cli.terminal import OUT


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("models")(models)


def models(*, as_json: bool = typer.Option(False, "--json", help="Print JSON instead of a table.")) -> None:
    """List the embedded models and the checkpoints that the families were written for.

    Any other checkpoint of these families loads as well, from the hub or a folder.

    Example: `dexar models --json`
    """
    from dexar_widgets import vlm
    from dexar_widgets.lab.faults import told_of

    known = [(name, family, *_size(name), told_of(name)) for name, family in vlm.models().items()]
    if as_json:
        keys = ("name", "family", "parameters", "exact", "planted")
        typer.echo(json.dumps([dict(zip(keys, one, strict=True)) for one in known], indent=2))
        return
    width = max((len(name) for name, *_ in known), default=0)
    for name, family, size, exact, planted in known:
        where = "ships with the package" if name.startswith("lab/") else "Hugging Face hub"
        where += f"; {planted}" if planted else ""
        count = "size unknown" if size is None else f"{'' if exact else 'about '}{_millions(size)}"
        OUT.print(f"[bold]{name:<{width}}[/bold]  {family:<10}  {count:<24}  {where}", soft_wrap=True)


def _millions(parameters: int) -> str:
    return f"{parameters / 1e9:.2f} B parameters" if parameters >= 1e8 else f"{parameters / 1e6:.2f} M parameters"


def _size(name: str) -> tuple[int | None, bool]:
    from dexar_widgets import doctor

    if name.startswith("lab/"):
        return doctor.need(name).parameters, True
    return doctor.about(name), False
