"""The project's pages, and the code that they show."""

import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

__all__ = ["PAGES", "ROOT", "blocks", "commands", "name_of", "text_of"]

ROOT = Path(__file__).parents[1]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "notebooks").rglob("*.md"),
    *(ROOT / "notebooks").rglob("*.ipynb"),
    *(ROOT / "tests").rglob("*.md"),
    *(ROOT / "dexar_widgets").rglob("*.md"),
]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SHORT = re.compile(r"`((?:dexar|make|npm|pip|python|python -m) [^`]*)`")


def name_of(page: Path) -> str:
    """As one would call it."""
    return str(page.relative_to(ROOT))


def text_of(page: Path) -> str:
    """Its Markdown; of a notebook, that between the cells of code."""
    if page.suffix == ".ipynb":
        cells = nbformat.read(page, as_version=4).cells
        return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return page.read_text("utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """What is shown in one language, block by block."""
    return [code for found, code in BLOCK.findall(text_of(page)) if found == language]


def commands(page: Path, *, inline: bool = True) -> Iterator[str]:
    """What one is told to type, line by line, without comments; ``inline``: in the sentences, too."""
    for block in blocks(page, "console"):
        joined = re.sub(r"\s*\\\n\s*", " ", re.sub(r"\s{2,}#.*$", "", block, flags=re.MULTILINE))
        for line in joined.splitlines():
            if line.startswith("$ "):
                yield line.removeprefix("$ ").strip()
    if inline:
        for line in SHORT.findall(BLOCK.sub("", text_of(page))):
            if " | " not in line and "…" not in line:  # which stand for several, or for a part
                yield " ".join(line.split())
