"""``dexar doctor``: what is here, and does a model fit."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from dexar_widgets.cli.terminal import OUT

if TYPE_CHECKING:
    from dexar_widgets.doctor import Machine, Need

GIB = 2**30


def add(app: typer.Typer) -> None:
    """Register the verb."""
    app.command("doctor")(doctor)


def doctor(
    model: str | None = typer.Argument(None, metavar="[MODEL]", help="lab/NAME, a folder, or a hub name."),
    *,
    as_json: bool = typer.Option(False, "--json", help="Print JSON instead of text."),
) -> None:
    """Tell versions, devices and memory; for a MODEL its disk and memory, and whether it fits here.

    Exit status 1: the model fits nowhere here.

    Example: `dexar doctor llava-hf/llava-1.5-7b-hf`
    """
    from dexar_widgets import doctor as clinic

    need = clinic.need(model) if model else None
    machine = clinic.machine()
    fitting = clinic.fit(need, machine) if need else {}
    if as_json:
        report: dict[str, object] = {"machine": asdict(machine)}
        if need:
            memory = {precision: need.memory(bits) for precision, bits in clinic.BITS.items()}
            report["model"] = {**asdict(need), "memory": memory, "fits": fitting}
        typer.echo(json.dumps(report, indent=2))
    else:
        _tell_machine(machine)
        if need:
            _tell_need(need, fitting, machine)
    if need and not any(fitting.values()):
        raise typer.Exit(1)


def _size(count: int | None) -> str:
    if count is None:
        return "unknown"
    return f"{count / GIB:,.1f} GiB" if count >= GIB / 10 else f"{count / 2**20:,.1f} MiB"


def _tell_machine(machine: "Machine") -> None:
    versions = ", ".join(f"{name} {found}" if found else f"no {name}" for name, found in machine.versions.items())
    rows = [
        ("system", f"{machine.system}, Python {machine.python}"),
        ("versions", versions),
        ("processor", f"{machine.cores} cores, {_size(machine.memory)} memory ({_size(machine.free)} free)"),
        *(
            ("accelerator", f"{one.device}: {one.name}, {_size(one.memory)} ({_size(one.free)} free)")
            for one in machine.accelerators
        ),
        *([] if machine.accelerators else [("accelerator", "none: models run on the processor")]),
        ("disk", f"{_size(machine.disk)} free where models are kept"),
        ("browser", machine.browser or "no Chrome, Chromium or Edge found: only the browser tests need one"),
        ("Node", "not needed"),
    ]
    _print(rows)


def _tell_need(need: "Need", fitting: dict[str, tuple[str, ...]], machine: "Machine") -> None:
    from dexar_widgets.doctor import BITS

    disk = f"{_size(need.disk)} ({need.stored})"
    if need.here:
        disk += ", already here"
    elif need.disk > machine.disk:
        disk += f": more than the {_size(machine.disk)} that are free"
    rows = [
        ("model", f"{need.name}, {need.parameters / 1e6:,.1f} M parameters ({need.known_from})"),
        ("on disk", disk),
    ]
    for precision, bits in BITS.items():
        devices = ", ".join(fitting[precision])
        wanting = "does not fit" if bits >= 16 or machine.accelerators else "wants an accelerator, and none is here"
        verdict = f"fits: {devices}" if devices else wanting
        rows.append((precision, f"about {_size(need.memory(bits))} of memory: {verdict}"))
    _print(rows)
    if not any(fitting.values()):
        OUT.print("It fits nowhere here. A smaller checkpoint, or dx.load(…, device_map=…, offload_folder=…), may.")


def _print(rows: list[tuple[str, str]]) -> None:
    for name, text in rows:
        OUT.print(f"[bold]{name:>12}[/bold]  ", end="")
        OUT.print(text, markup=False, highlight=False, soft_wrap=True)
