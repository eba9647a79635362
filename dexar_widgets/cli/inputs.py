"""What is to be explained: one image, a folder of them, or the lines of a list."""

import csv
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Item", "is_many", "items_of"]

_COLUMNS = ("image", "prompt", "answer")


@dataclass(frozen=True)
class Item:
    """One image and what to ask about it; ``sample`` names it in the rows."""

    sample: str
    image: str
    prompt: str | None
    answer: str | None = None

    def as_dict(self) -> dict[str, str | None]:
        """Plain values."""
        return asdict(self)


def is_many(source: Path) -> bool:
    """Whether the source is a folder or a list rather than an image."""
    return source.is_dir() or source.suffix.lower() == ".csv"


def items_of(source: Path, *, prompt: str | None, answer: str | None) -> list[Item]:
    """The items of a source, in a fixed order: names in a folder, lines in a list."""
    if source.is_dir():
        from dexar_widgets.images import SUFFIXES

        files = sorted(file for file in source.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        if not files:
            raise ValueError(f"The folder {str(source)!r} holds no image ({', '.join(SUFFIXES)}).")
        return [Item(file.name, str(file), prompt, answer) for file in files]
    if source.suffix.lower() == ".csv":
        return _listed(source, prompt, answer)
    return [Item(source.name, str(source), prompt, answer)]


def _listed(source: Path, prompt: str | None, answer: str | None) -> list[Item]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            names = tuple(reader.fieldnames or ())
            if "image" not in names or not set(names) <= set(_COLUMNS):
                found = ", ".join(names) or "none"
                raise ValueError(
                    f"{str(source)!r} has the columns {found}; expected image, prompt and, if wanted, answer."
                )
            lines = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{str(source)!r} is not a CSV file in UTF-8 ({error}).") from error
    items = []
    for number, line in enumerate(lines, start=2):
        if None in line:
            raise ValueError(f"{str(source)!r}, line {number}: more fields than columns; quote a prompt with commas.")
        if not (line["image"] or "").strip():
            raise ValueError(f"{str(source)!r}, line {number}: no image.")
        place = source.parent / Path(line["image"].strip()).expanduser()
        items.append(
            Item(line["image"].strip(), str(place), line.get("prompt") or prompt, line.get("answer") or answer)
        )
    if not items:
        raise ValueError(f"{str(source)!r} lists no image.")
    return items
