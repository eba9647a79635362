"""``dexar workshop``: what a class needs, from 30 laptops without internet to machines that have a browser alone."""

from pathlib import Path
from typing import Annotated

import typer

from dexar_widgets.cli import choices
from dexar_widgets.cli.terminal import ERR, line, progress

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The folder to hand out.", show_default=False)]
Platforms = Annotated[str, typer.Option("--platform", help="linux_x86_64, linux_aarch64, macosx_arm64, win_amd64.")]
Pythons = Annotated[str, typer.Option("--python", help="Versions of Python, separated by commas.")]
FindLinks = Annotated[
    list[Path] | None,
    typer.Option(help="A folder with further wheels (may be repeated), such as a build of PyTorch without CUDA."),
]
Pages = Annotated[bool, typer.Option("--pages/--no-pages", help="Also the live pages, about 10 MB.")]


def add(app: typer.Typer) -> None:
    """Register the verbs."""
    help_ = "A class without internet.\n\nExample: `dexar workshop pack handout --platform win_amd64 --python 3.12`"
    workshop = typer.Typer(help=help_, no_args_is_help=True)
    workshop.command("pack")(pack)
    workshop.command("pages")(pages)
    app.add_typer(workshop, name="workshop")


def pack(
    folder: Folder,
    *,
    platform: Platforms = "linux_x86_64,win_amd64,macosx_arm64",
    python: Pythons = "3.11,3.12,3.13",
    find_links: FindLinks = None,
    live_pages: Pages = True,
) -> None:
    """Make the folder from which laptops install without internet: wheels, notebooks, live pages, and a README.

    Needs internet here, and uv (`pip install 'dexar-widgets[workshop]'`). Each platform and Python takes 200 to 400 MB.

    Example: `dexar workshop pack handout --platform linux_x86_64,win_amd64 --python 3.12`
    """
    from dexar_widgets.workshop import pack as packing

    with ERR.status("packing …") as status:
        wheels = packing.pack(
            folder,
            choices.names_of("--platform", platform),
            choices.names_of("--python", python),
            find_links=find_links or (),
            on_target=lambda text: status.update(f"{text} …"),
        )
    if live_pages:
        _write_pages(folder / "pages")
    line("wheels", f"{len(list(wheels.glob('*.whl')))}, {_size(wheels)}")
    line("all", f"{_size(folder)} in {folder.resolve()}")
    line("install", packing.INSTALL)


def pages(folder: Folder) -> None:
    """Write live pages with quizzes, and an index of them: they need a browser, and nothing else.

    Example: `dexar workshop pages handout/pages`
    """
    _write_pages(folder)
    line("open", f"{(folder / 'index.html').resolve()} ({_size(folder)})")


def _write_pages(folder: Path) -> None:
    from dexar_widgets.workshop.pages import CHAPTERS, write

    folder.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        task = bar.add_task("pages", total=sum(chapter.pages for chapter in CHAPTERS))
        write(folder, choices.load, on_page=lambda: bar.advance(task))


def _size(folder: Path) -> str:
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return f"{total / 1e6:,.1f} MB"
