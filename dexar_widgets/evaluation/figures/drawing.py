"""A figure on paper: one layout, written as PNG at 300 dots per inch and as SVG whose text is text."""

import io
import unicodedata
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dexar_widgets.evaluation.figures.plates import Figure, Mark, Picture, Pixels, Plate, Row
from dexar_widgets.figures import COLOUR_TABLES, DEFAULT_COLOURS, DIVERGING_COLOURS, fitted, within_limit

__all__ = ["COLOURS", "LEGEND", "Sheet", "laid_out", "png", "svg"]

COLOURS: dict[Mark, tuple[int, int, int]] = {"named": (255, 0, 200), "suspect": (255, 140, 0), "ring": (255, 0, 200)}
"""Of outlines and circles, on maps whose own colours go from blue to yellow."""
LEGEND: dict[Mark, str] = {
    "map": "low to high; each map has a scale of its own: compare places, not brightness",
    "signed": "below and above zero",
    "named": "what the words name",
    "suspect": "what is suspected",
    "ring": "patches of high norm and little detail",
}
_DOTS = 300 / 72  # pixels of a unit; units are points
_TABLES: dict[Mark, str] = {"map": DEFAULT_COLOURS, "signed": DIVERGING_COLOURS}
_SIDE, _GAP, _LEFT, _MARGIN = 72.0, 6.0, 84.0, 10.0
_TITLE, _HEAD, _TEXT = 10.0, 7.0, 6.0  # sizes of letters
_LEADING, _MOST_LINES = 1.25, 7
_INK, _FAINT = (20, 20, 20), (95, 95, 95)
_SPELT = {"×": "x", "−": "-", "–": "-", "—": "-", "÷": "/", "ω": "weight", "→": ">", "’": "'"}
"""Characters that Pillow's own font lacks."""


@dataclass(frozen=True)
class Text:
    """A line of text; ``y`` is its base line."""

    x: float
    y: float
    text: str
    size: float
    colour: tuple[int, int, int] = _INK


@dataclass(frozen=True, eq=False)
class Pasted:
    """Pixels in a box."""

    x: float
    y: float
    width: float
    height: float
    pixels: Pixels


@dataclass(frozen=True)
class Circle:
    """An outline."""

    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Frame:
    """The outline of a square: a legend's sample."""

    x: float
    y: float
    side: float
    colour: tuple[int, int, int]


Drawn = Text | Pasted | Circle | Frame


@dataclass(frozen=True, eq=False)
class Sheet:
    """Everything that is drawn, in points."""

    width: float
    height: float
    drawn: Sequence[Drawn]


def laid_out(figure: Figure) -> Sheet:
    """Title, plates below each other, and the legend."""
    widest = max(len(plate.heads) for plate in figure.plates)
    width = max(2 * _MARGIN + _LEFT + widest * (_SIDE + _GAP), 340.0)
    drawn: list[Drawn] = []
    y = _MARGIN
    for line in wrapped(figure.title, width - 2 * _MARGIN, _TITLE):
        y += _TITLE * _LEADING
        drawn.append(Text(_MARGIN, y, line, _TITLE))
    for plate in figure.plates:
        y = _plate(plate, y + 2 * _GAP, width, drawn)
    y = _legend(figure.marks, y + _GAP, width, drawn)
    return Sheet(width, y + _MARGIN, drawn)


def _plate(plate: Plate, y: float, width: float, drawn: list[Drawn]) -> float:
    for line in wrapped(plate.title, width - 2 * _MARGIN, _HEAD + 1):
        y += (_HEAD + 1) * _LEADING
        drawn.append(Text(_MARGIN, y, line, _HEAD + 1))
    heads = [wrapped(head, _SIDE, _HEAD) for head in plate.heads]
    tall = max(map(len, heads))
    for column, lines in enumerate(heads):
        x = _MARGIN + _LEFT + column * (_SIDE + _GAP)
        for place, line in enumerate(lines, 1):
            drawn.append(Text(x, y + (place + tall - len(lines)) * _HEAD * _LEADING, line, _HEAD))
    y += tall * _HEAD * _LEADING + _GAP / 2
    for row in plate.rows:
        y = _row(row, y, drawn)
    return y


def _row(row: Row, y: float, drawn: list[Drawn]) -> float:
    for place, line in enumerate(wrapped(row.title, _LEFT - _GAP, _HEAD), 1):
        drawn.append(Text(_MARGIN, y + place * _HEAD * _LEADING, line, _HEAD))
    bottom = y + 2 * _HEAD * _LEADING
    for column, picture in enumerate(row.pictures):
        if picture is not None:
            x = _MARGIN + _LEFT + column * (_SIDE + _GAP)
            bottom = max(bottom, _picture(picture, x, y, drawn))
    return bottom + _GAP


def _picture(picture: Picture, x: float, y: float, drawn: list[Drawn]) -> float:
    height, width = picture.pixels.shape[:2]
    scale = _SIDE / max(height, width)
    drawn.append(Pasted(x, y, width * scale, height * scale, picture.pixels))
    bottom = y + height * scale
    for line in (short for long in picture.lines for short in wrapped(long, _SIDE + _GAP / 2, _TEXT)):
        bottom += _TEXT * _LEADING
        drawn.append(Text(x, bottom, line, _TEXT, _FAINT))
    return float(bottom)


def _legend(marks: frozenset[Mark], y: float, width: float, drawn: list[Drawn]) -> float:
    x, y = _MARGIN, y + _HEAD * _LEADING
    for mark in (mark for mark in LEGEND if mark in marks):
        wide = 4 * _HEAD if mark in _TABLES else _HEAD
        room = wide + _GAP + _font(_HEAD).getlength(_spelt(LEGEND[mark])) / _DOTS + 2 * _GAP
        if x + room > width and x > _MARGIN:
            x, y = _MARGIN, y + 1.5 * _HEAD * _LEADING
        drawn.extend(_sample(mark, x, y, wide))
        drawn.append(Text(x + wide + _GAP / 2, y, LEGEND[mark], _HEAD))
        x += room
    return y


def _sample(mark: Mark, x: float, y: float, wide: float) -> Iterator[Drawn]:
    top = y - 0.85 * _HEAD
    if mark in _TABLES:
        yield Pasted(x, top, wide, _HEAD, np.repeat(COLOUR_TABLES[_TABLES[mark]][None], 16, axis=0))
    elif mark == "ring":
        yield Circle(x + _HEAD / 2, top + _HEAD / 2, _HEAD / 2)
    else:
        yield Frame(x, top, _HEAD, COLOURS[mark])


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _DOTS)


def _spelt(text: str) -> str:
    """As Pillow's own font can write it."""
    plain = "".join(_SPELT.get(letter, letter) for letter in text)
    return "".join(one for one in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(one))


def wrapped(text: str, room: float, size: float, most: int = _MOST_LINES) -> list[str]:
    """At most so many lines of at most so many points; a word that is longer is cut."""
    font, lines = _font(size), []
    for part in text.split("\n"):
        line = ""
        for word in part.split():
            longer = f"{line} {word}".strip()
            if line and font.getlength(_spelt(longer)) > room * _DOTS:
                lines.append(line)
                line = word
            else:
                line = longer
            if font.getlength(_spelt(line)) > room * _DOTS:
                line = fitted(line, room * _DOTS, font)
        lines.append(line)
    return lines if len(lines) <= most else [*lines[: most - 1], f"{lines[most - 1]} …"]


def png(sheet: Sheet) -> bytes:
    """The sheet as pixels."""
    page = Image.new("RGB", (round(sheet.width * _DOTS), round(sheet.height * _DOTS)), "white")
    draw = ImageDraw.Draw(page)
    line = round(0.8 * _DOTS)
    for one in sheet.drawn:
        x, y = one.x * _DOTS, one.y * _DOTS
        if isinstance(one, Text):
            draw.text((x, y), _spelt(one.text), one.colour, _font(one.size), anchor="ls")
        elif isinstance(one, Pasted):
            size = max(1, round(one.width * _DOTS)), max(1, round(one.height * _DOTS))
            page.paste(Image.fromarray(one.pixels).resize(size, Image.Resampling.LANCZOS), (round(x), round(y)))
        elif isinstance(one, Circle):
            reach = one.radius * _DOTS
            draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=COLOURS["ring"], width=line)
        else:
            draw.rectangle((x, y, x + one.side * _DOTS, y + one.side * _DOTS), outline=one.colour, width=line)
    buffer = io.BytesIO()
    small = within_limit(page)
    small.save(buffer, "PNG", optimize=True, dpi=(300 * small.width / page.width,) * 2)
    return buffer.getvalue()


def svg(sheet: Sheet) -> bytes:
    """The sheet as vectors: text is text, pictures are PNG within it, and nothing is loaded from elsewhere."""
    size = f"{sheet.width:.1f} {sheet.height:.1f}"
    width, height = size.split()
    body = "\n".join(_element(one) for one in sheet.drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" width="{width}pt" height="{height}pt" '
        f'font-family="Helvetica, Arial, sans-serif">\n<rect width="100%" height="100%" fill="#fff"/>\n{body}\n</svg>\n'
    ).encode()


def _element(one: Drawn) -> str:
    place = f'x="{one.x:.2f}" y="{one.y:.2f}"'
    if isinstance(one, Text):
        return f'<text {place} font-size="{one.size:g}" fill="{_hex(one.colour)}">{_clean(one.text)}</text>'
    if isinstance(one, Pasted):
        return (
            f'<image {place} width="{one.width:.2f}" height="{one.height:.2f}" preserveAspectRatio="none" '
            f'href="data:image/png;base64,{encoded(one.pixels)}"/>'
        )
    if isinstance(one, Circle):
        return (
            f'<circle cx="{one.x:.2f}" cy="{one.y:.2f}" r="{one.radius:.2f}" fill="none" '
            f'stroke="{_hex(COLOURS["ring"])}"/>'
        )
    return f'<rect {place} width="{one.side:g}" height="{one.side:g}" fill="none" stroke="{_hex(one.colour)}"/>'


def _clean(text: str) -> str:
    """Text without what XML does not have."""
    return escape("".join(letter if letter.isprintable() else " " for letter in text))


def _hex(colour: tuple[int, int, int]) -> str:
    return f"#{bytes(colour).hex()}"


def encoded(pixels: Pixels) -> str:
    """A PNG in base64, in few colours: a figure holds dozens."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(128, Image.Quantize.MEDIANCUT).save(buffer, "PNG", optimize=True)
    return b64encode(buffer.getvalue()).decode()
