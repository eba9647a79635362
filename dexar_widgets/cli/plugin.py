"""``dexar plugin``: check a family, method or metric that you wrote."""

import json
from dataclasses import asdict
from typing import Annotated, Literal

import typer
from rich.text import Text

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import ERR, OUT

Kind = Literal["families", "methods", "metrics"]


def add(app: typer.Typer) -> None:
    """Register the verbs."""
    verbs = typer.Typer(help="Check a family, method or metric; list what there is.", no_args_is_help=True)
    verbs.command("check")(check)
    verbs.command("list")(names)
    app.add_typer(verbs, name="plugin")


def check(
    module: Annotated[
        str, typer.Argument(metavar="MODULE", help="A dotted name, a .py file, or the name of one that is installed.")
    ],
    *,
    kind: Annotated[Kind | None, typer.Option(help="What it is. Default: what its names say.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE of a method, as in n_masks=4; may be given again.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Hold a plug-in to what the package's own are held to, on tiny models made from configuration.

    Nothing is downloaded. Exit status: 0 if everything holds, 1 if something does not.

    Example: `dexar plugin check my_package/my_method.py`
    """
    options = choices.settings_of(option or ())
    with ERR.status("importing …"):
        from dexar_widgets import conformance

        found = conformance.load(module)
        what = kind or conformance.kind_of(found)
    findings = []
    with ERR.status("") as status:
        for finding in conformance.check(found, what, options):
            findings.append(finding)
            status.update(finding.what)
            if not as_json:
                mark = Text("✓ ", "green") if finding.ok else Text("✗ ", "bold red")
                detail = Text(f"  {finding.detail}" if finding.detail else "", "dim" if finding.ok else "red")
                OUT.print(Text.assemble(mark, finding.what, detail), soft_wrap=True)
    failed = sum(not finding.ok for finding in findings)
    if as_json:
        told = {"module": found.__name__, "kind": what, "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    else:
        held = f"{len(findings) - failed} of {len(findings)} hold"
        OUT.print(f"{found.__name__} ({what}): {held}.", soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def names(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False) -> None:
    """The families, methods and metrics that there are, third parties' included.

    Example: `dexar plugin list`
    """
    from dexar_widgets import plugins

    found = {kind: list(plugins.names(kind)) for kind in ("families", "methods", "metrics")}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for kind, there in found.items():
        OUT.print(Text.assemble((f"{kind:<10}", "bold"), ", ".join(there)), soft_wrap=True)
