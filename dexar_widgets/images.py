"""Anything a user may call an image, to RGB: from files, bytes, Pillow images and arrays.

Untrusted files are read by Pillow under its decompression-bomb limit. Whatever had to be changed
on the way (a first frame taken, transparency laid on white, …) is said in the notices.
"""

import io
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["SUFFIXES", "BinaryFile", "ImageSource", "Opened", "open_image"]


@runtime_checkable
class BinaryFile(Protocol):
    """A file that was opened in binary mode."""

    def read(self) -> bytes:
        """Everything that is left in it."""


ImageSource = str | Path | Image.Image | np.ndarray | bytes | BinaryFile

SUFFIXES = (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What counts as an image in a folder."""

_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_opening = threading.Lock()  # `warnings.catch_warnings` is not safe across threads


@dataclass(frozen=True)
class Opened:
    """An image as the package works on it, where it came from, and what the user should know about it."""

    image: UInt8[np.ndarray, "height width 3"]
    source: str
    notices: tuple[str, ...] = ()


def open_image(source: ImageSource) -> Opened:
    """Read an image: a path, a Pillow image, an array, encoded bytes or a binary file.

    EXIF rotation is applied. Arrays are (height, width[, 1, 3 or 4]): uint8, uint16, bool, or floats in
    [0, 1]. Raises `FileNotFoundError` for a missing file and `ValueError`, with the reason and the way
    out, for anything else that cannot be read.
    """
    if isinstance(source, Image.Image):
        return _from_pillow(source, getattr(source, "filename", "") or "Pillow image")
    if isinstance(source, np.ndarray):
        name = f"array {'×'.join(map(str, source.shape))}"
        image, notices = _from_array(source, name)
        return Opened(image, name, notices)
    if isinstance(source, str | Path):
        return _from_path(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return _from_bytes(bytes(source), "bytes")
    if hasattr(source, "read"):
        content: object = source.read()
        name = str(getattr(source, "name", "file"))
        if not isinstance(content, bytes):
            raise ValueError(f"{name} gives {type(content).__name__}, not bytes; open it in binary mode ('rb').")
        return _from_bytes(content, name)
    raise ValueError(
        f"Expected an image (path, Pillow image, numpy array, bytes or binary file), got {type(source).__name__}."
    )


def _from_path(source: str | Path) -> Opened:
    text = str(source)
    if text.startswith(("http://", "https://", "data:")):
        raise ValueError(f"{text[:60]!r} is a web address; download the image and give its path.")
    if "\0" in text:
        raise ValueError(f"{text[:60]!r} is not a path: it holds a null character.")
    path = Path(text).expanduser()
    if not path.exists():
        raise FileNotFoundError(f"No image at {text!r} (looked in {Path.cwd()}).")
    if path.is_dir():
        raise ValueError(f"{text!r} is a folder; give one image of it.")
    if not path.is_file():
        raise ValueError(f"{text!r} is not a regular file; read it and pass the bytes.")
    if path.stat().st_size == 0:
        raise ValueError(f"{text!r} is empty (0 bytes).")
    with path.open("rb") as file:
        return _decode(file, text)


def _from_bytes(content: bytes, name: str) -> Opened:
    if not content:
        raise ValueError(f"{name}: empty (0 bytes).")
    return _decode(io.BytesIO(content), name)


def _decode(file: io.BytesIO | io.BufferedReader, name: str) -> Opened:
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(file)
    except _BOMBS as error:
        raise _bomb(name) from error
    except UnidentifiedImageError as error:
        hint = " HEIC needs the package pillow-heif." if name.lower().endswith((".heic", ".heif")) else ""
        raise ValueError(f"{name!r} is not an image that Pillow can read (PNG, JPEG, WebP, TIFF, …).{hint}") from error
    except Exception as error:  # Pillow's plugins raise many kinds on a broken header
        raise _broken(name, error) from error
    if image.format in {"EPS", "WMF"}:  # drawn by an external program: not for untrusted files
        raise ValueError(f"{name!r} is a vector drawing ({image.format}); save it as PNG first.")
    return _from_pillow(image, name)


def _bomb(name: str) -> ValueError:
    return ValueError(
        f"{name!r} is larger than Pillow's limit of {Image.MAX_IMAGE_PIXELS:,} pixels (decompression bomb?); "
        "shrink it, or raise PIL.Image.MAX_IMAGE_PIXELS if you trust it."
    )


def _broken(name: str, error: Exception) -> ValueError:
    detail = " ".join(str(error).split())[:120] or type(error).__name__
    return ValueError(f"{name!r} is damaged or truncated ({detail}); save or download it again.")


def _from_pillow(image: Image.Image, name: str) -> Opened:
    if image.width == 0 or image.height == 0:
        raise ValueError(f"{name!r} has no pixels ({image.width}×{image.height}).")
    try:
        image.load()
        upright, turned = _upright(image)
        array, converted = _pixels(upright)
        frames = _frames(image)
    except _BOMBS as error:
        raise _bomb(name) from error
    except Exception as error:  # Pillow's decoders raise many kinds on broken data
        raise _broken(name, error) from error
    rgb, changed = _from_array(array, name)
    return Opened(rgb, name, frames + turned + converted + changed)


def _upright(image: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    try:
        return ImageOps.exif_transpose(image), ()
    except Exception:  # noqa: BLE001 (the pixels are sound; only the tags are not)
        return image, ("Its EXIF data are damaged: a rotation they may ask for was not applied.",)


def _frames(image: Image.Image) -> tuple[str, ...]:
    """The sentence about frames or pages that are left out; counting may seek, so only after `load`."""
    shown = image.tell() if getattr(image, "is_animated", False) else 0
    count = getattr(image, "n_frames", 1)
    if count < 2 or image.format == "MPO":  # a phone's JPEG: further pictures are depth or gain maps
        return ()
    kind = "page" if image.format == "TIFF" else "frame"
    which = "first" if shown == 0 else f"current (number {shown + 1})"
    return (f"Only the {which} of {count} {kind}s is used.",)


def _pixels(image: Image.Image) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels in a form that `_from_array` knows: deep modes as they are, the others as RGB or RGBA."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        array = np.asarray(image)
        sixteen = image.mode != "I" or image.format == "PNG"  # older Pillow opens 16-bit PNG as 32-bit
        return array.astype(np.uint16) if sixteen and image.mode != "F" else array, ()
    if image.has_transparency_data:
        return np.asarray(image.convert("RGBA")), ()
    notices = ("CMYK colours were converted without their colour profile.",) if image.mode == "CMYK" else ()
    return np.asarray(image.convert("RGB")), notices


def _on_white(rgba: UInt8[np.ndarray, "height width 4"]) -> tuple[np.ndarray, tuple[str, ...]]:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    if alpha.min() == 1:
        return rgba[..., :3].copy(), ()
    composed = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    return composed, ("Transparent parts were laid on white.",)


def _from_array(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in {1, 3, 4}:
        hint = "; channels come last: .transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in {1, 3, 4} else ""
        raise ValueError(f"{name}: expected (height, width), (height, width, 3) or (height, width, 4){hint}.")
    if array.size == 0:
        raise ValueError(f"{name} has no pixels.")
    eight, notices = _eight_bits(array, name)
    if eight.shape[2] == 4:
        image, more = _on_white(eight)
        return image, notices + more
    return np.array(np.broadcast_to(eight, (*eight.shape[:2], 3))), notices


def _eight_bits(array: np.ndarray, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array as uint8: scaled, never clipped."""
    kind: Any = array.dtype.kind
    if array.dtype == np.uint8:
        return array, ()
    if kind == "b":
        return array.astype(np.uint8) * 255, ()
    if kind not in "iuf":
        raise ValueError(f"{name} has dtype {array.dtype}; expected uint8, uint16, bool or floats in [0, 1].")
    if kind == "f" and not np.isfinite(array).all():
        raise ValueError(f"{name} holds NaN or infinity.")
    low, high = array.min(), array.max()
    if array.dtype == np.uint16:
        scaled = np.rint(array / np.float32(257)).astype(np.uint8)
        return scaled, ("16-bit values were scaled to 8 bits (65535 is white).",)
    if kind == "f" and 0 <= low and high <= 1:
        return np.rint(array.astype(np.float32) * 255).astype(np.uint8), ()
    if kind in "iu" and 0 <= low and high <= 255:
        return array.astype(np.uint8), ()
    expected = "floats in [0, 1]" if kind == "f" else "0 … 255"
    raise ValueError(
        f"{name}: {array.dtype} values from {low:g} to {high:g}; expected {expected} "
        "(convert with .astype('uint8') if they are 0 … 255)."
    )
