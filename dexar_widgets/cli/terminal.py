"""What the verbs print: consoles, progress, and an answer whose words are shaded by their visual weight."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)


def notices(sentences: Sequence[str]) -> None:
    """Sentences the user should read, on stderr, each once."""
    for sentence in dict.fromkeys(sentences):
        ERR.print(Text(f"note: {sentence}"), style="yellow", soft_wrap=True)


def progress(*, quiet: bool = False) -> Progress:
    """A progress bar on stderr; silent where stderr is no terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=ERR,
        transient=True,
        disable=quiet or not ERR.is_terminal,
    )


def shaded(words: Sequence[str], weights: Sequence[float]) -> Text:
    """The words on backgrounds from dark to bright, plain without visual weight; stars where there is no colour."""
    from dexar_widgets.figures import COLOUR_TABLES, DEFAULT_COLOURS

    most = max(weights, default=0.0)
    coloured = _coloured()
    text = Text()
    for index, (word, weight) in enumerate(zip(words, weights, strict=True)):
        share = weight / most if most > 0 else 0.0
        if index and not (coloured and word[:1] in set(".,;:!?")):
            text.append(" ")
        if coloured and share > 0:
            red, green, blue = (int(channel) for channel in COLOUR_TABLES[DEFAULT_COLOURS][round(255 * share)])
            bright = 0.299 * red + 0.587 * green + 0.114 * blue > 128
            text.append(word, style=f"{'rgb(0,0,0)' if bright else 'rgb(255,255,255)'} on rgb({red},{green},{blue})")
        else:
            text.append(word if coloured else _marked(word, share))
    return text


def _coloured() -> bool:
    return OUT.is_terminal and OUT.color_system is not None


def legend() -> str:
    """What the marks of `shaded` mean."""
    if _coloured():
        return "the brighter, the more visual weight; no colour: none"
    return "visual weight: **word** at least two thirds of the largest, *word* a third, (word) none"


def _marked(word: str, share: float) -> str:
    stars = "**" if share >= 2 / 3 else "*" if share >= 1 / 3 else ""
    return f"{stars}{word}{stars}" if share > 0 else f"({word})"


def line(name: str, content: str | Text) -> None:
    """One labelled line, as long as it is."""
    OUT.print(Text.assemble((f"{name:<10}", "bold"), content), soft_wrap=True)


def bar(share: float, width: int = 10) -> str:
    """A bar of blocks, in eighths."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
