"""Files of a data set: what is wrong with them is said in a sentence, never by another library's traceback."""

import csv
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped, UInt8
from PIL import Image

from dexar_widgets.evaluation.samples import BrokenSampleError
from dexar_widgets.images import open_image

__all__ = ["BadFilesError", "csv_rows", "first_file", "indices", "json_of", "lines_of", "picture", "rows_of"]
__all__ += ["same_size", "sha256_of", "upright_picture"]

_ORIENTATION = 0x0112
"""The EXIF tag; 1 is upright."""


class BadFilesError(ValueError):
    """A data set whose files are missing or broken; the message says which, and why."""


def first_file(root: Path, names: Sequence[str]) -> Path:
    """The first of these that is there, as a file or a folder."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise BadFilesError(f"{str(root)!r} holds no {' and no '.join(names)}.")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFilesError(f"{str(path)!r} is no text in UTF-8.") from error
    except OSError as error:
        raise BadFilesError(f"{str(path)!r} cannot be read ({error.strerror}).") from error


def lines_of(path: Path) -> list[str]:
    """A text file's lines that are not blank."""
    return [line.strip() for line in _text(path).splitlines() if line.strip()]


def csv_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """A table's rows; each has these columns."""
    try:
        rows = list(csv.DictReader(_text(path).splitlines(), strict=True))
    except csv.Error as error:
        raise BadFilesError(f"{str(path)!r} is no table of comma-separated values ({error}).") from error
    for number, row in enumerate(rows, 2):
        lacking = [column for column in columns if not row.get(column)]
        if lacking:
            raise BadFilesError(f"{str(path)!r}, line {number}, has nothing in the column {lacking[0]!r}.")
    return rows


def json_of(path: Path) -> dict[str, Any]:
    """A JSON file that holds an object."""
    text = _text(path)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFilesError(f"{str(path)!r} is no JSON, or was cut short ({error}).") from error
    if not isinstance(document, dict):
        raise BadFilesError(f"{str(path)!r} holds a {type(document).__name__}; expected an object.")
    return document


def rows_of(path: Path, document: Mapping[str, Any], key: str, kinds: Mapping[str, type]) -> list[dict[str, Any]]:
    """The objects listed under a key of a JSON file; each has these entries, of these kinds."""
    rows = document.get(key)
    if not isinstance(rows, list) or not rows:
        raise BadFilesError(f"{str(path)!r} lists nothing under {key!r}.")
    for number, row in enumerate(rows):
        for name, kind in kinds.items():
            if not isinstance(row, dict) or not isinstance(row.get(name), kind) or isinstance(row[name], bool):
                raise BadFilesError(f"{str(path)!r}: {key}[{number}] has no {name!r} that is {_KINDS[kind]}.")
    return rows


_KINDS = {int: "a whole number", str: "a text"}


def sha256_of(path: Path) -> str:
    """A digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """An image file's pixels, turned as its EXIF data say."""
    try:
        return open_image(path).image
    except (ValueError, OSError) as error:
        raise BrokenSampleError(str(error)) from error


def upright_picture(path: Path) -> UInt8[np.ndarray, "height width 3"]:
    """The pixels of an image that has masks. One that EXIF turns is broken: masks do not say which way up they are."""
    pixels = picture(path)
    with Image.open(path) as image:
        turn = _orientation(image)
    if turn in range(2, 9):
        raise BrokenSampleError(f"{str(path)!r} is to be turned (EXIF orientation {turn}); its masks may not be.")
    return pixels


def _orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(_ORIENTATION)
    except Exception:  # noqa: BLE001 (Pillow raises many kinds on damaged tags; `open_image` does not turn by those)
        return None


def indices(path: Path) -> UInt8[np.ndarray, "height width"]:
    """A palette image's indices, one per pixel, whatever its colours."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or float("inf")):
                raise Image.DecompressionBombError
            if image.mode not in {"P", "L"}:
                raise BrokenSampleError(f"{str(path)!r} holds colours (mode {image.mode}), not a class per pixel.")
            return np.array(image)
    except BrokenSampleError:
        raise
    except FileNotFoundError as error:
        raise BrokenSampleError(f"There is no mask at {str(path)!r}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BrokenSampleError(f"{str(path)!r} is larger than Pillow's limit of pixels.") from error
    except Exception as error:  # Pillow's decoders raise many kinds on broken data
        raise BrokenSampleError(f"{str(path)!r} is damaged or truncated, or no image ({error}).") from error


def same_size(image: UInt8[np.ndarray, "height width 3"], mask: Shaped[np.ndarray, "rows cols"], path: Path) -> None:
    """Raise `BrokenSampleError` unless a mask is as large as its image."""
    if image.shape[:2] != mask.shape:
        (height, width), (rows, cols) = image.shape[:2], mask.shape
        raise BrokenSampleError(f"{str(path)!r} has {width}×{height} pixels and its mask {cols}×{rows}.")
