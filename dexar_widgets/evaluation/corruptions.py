"""Corruptions of ImageNet-C, and any data set under one of them.

Source: Hendrycks and Dietterich (ICLR 2019); the constants are those of github.com/hendrycks/robustness (Apache-2.0),
ImageNet-C/create_c/make_imagenet_c.py, for images of 224 pixels. The six are those of DEX-AR, appendix L.

Differs: lengths are in parts of the shorter side, so that a larger image is as corrupted once a processor has made it
smaller; grains of noise and blocks are never below a pixel. Each sample, corruption and severity has a seed of its own.
Motion goes in steps of whole pixels and repeats the edge, as ImageMagick's; zooms are Pillow's; values are rounded, and
no JPEG compression follows.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8
from PIL import Image

from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.images import open_image
from dexar_widgets.lab.recognise import is_lab_scene, remember

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corrupted", "corrupt", "corruptions_of"]

Pixels = Float32[np.ndarray, "height width 3"]
"""Colours, 0 … 1."""

SEVERITIES = (1, 2, 3, 4, 5)
_SIDE = 224  # of the images that the constants are for
_NOISE = (0.08, 0.12, 0.18, 0.26, 0.38)  # standard deviation
_MOTION = ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))  # radius and sigma
_STEEPEST = 45.0  # degrees of a motion from the horizontal
_ZOOM = ((0.01, 12), (0.01, 16), (0.02, 11), (0.02, 13), (0.03, 11))  # step, and how many from a zoom of 1 on
_FOG = ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4))  # strength, and decay of finer structure
_CLOUD = 256  # side of the fog's pattern, which repeats
_BRIGHTNESS = (0.1, 0.2, 0.3, 0.4, 0.5)  # added to the value of HSV
_BLOCKS = (0.6, 0.5, 0.4, 0.3, 0.25)  # of the side that is left


def _gaussian_noise(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:
    """Noise on every channel, in grains as large as a pixel of a 224-pixel image."""
    height, width, _ = pixels.shape
    grain = max(1.0, _scale(pixels))
    drawn = random.standard_normal((round(height / grain), round(width / grain), 3))
    rows, cols = (np.arange(side) * shape // side for side, shape in zip((height, width), drawn.shape, strict=False))
    return np.asarray(pixels + _NOISE[level] * drawn[rows][:, cols], np.float32)


def _motion_blur(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:
    """The mean along half a Gaussian that begins at the pixel, in a random direction within 45° of the horizontal."""
    scale = _scale(pixels)
    radius, sigma = (length * scale for length in _MOTION[level])
    angle = np.deg2rad(random.uniform(-_STEEPEST, _STEEPEST))
    steps = np.arange(0, 2 * round(radius) + 1, max(1, int(scale / 2)))  # half a pixel of a 224-pixel image, or one
    weights = np.exp(-(steps**2) / (2 * sigma**2))
    weights /= weights.sum()
    down, across = (np.rint(steps * part).astype(int) for part in (np.sin(angle), np.cos(angle)))
    reach = int(steps[-1])
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    height, width, _ = pixels.shape
    blurred = np.zeros_like(pixels)
    for weight, row, col in zip(weights.astype(np.float32), reach + down, reach + across, strict=True):
        blurred += weight * padded[row : row + height, col : col + width]
    return blurred


def _zoom_blur(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:  # noqa: ARG001 (one signature)
    """The mean of the image and of ever larger ones, all with the same centre."""
    step, zooms = _ZOOM[level]
    total = pixels.copy()
    for zoom in range(zooms):
        total += _zoomed(pixels, 1 + step * zoom)
    return np.asarray(total / (zooms + 1), np.float32)


def _zoomed(pixels: Pixels, factor: float) -> Pixels:
    height, width, _ = pixels.shape
    left, top = (width - width / factor) / 2, (height - height / factor) / 2
    box = (left, top, width - left, height - top)
    channels = [
        Image.fromarray(channel).resize((width, height), Image.Resampling.BILINEAR, box)
        for channel in np.moveaxis(pixels, 2, 0)
    ]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def _fog(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:
    """A cloudy pattern added, and the sum brought back to the image's own brightest value."""
    strength, decay = _FOG[level]
    height, width, _ = pixels.shape
    cloud = _sampled(_plasma(random, decay), height, width, _scale(pixels))
    brightest = float(pixels.max())
    return np.asarray((pixels + strength * cloud[..., None]) * (brightest / (brightest + strength)), np.float32)


def _plasma(random: np.random.Generator, decay: float) -> Float[np.ndarray, "row col"]:
    """A diamond–square fractal that repeats without a seam, 0 … 1.

    Noise is divided by the square of ``decay`` from one scale to the next finer one, as the source's is (it multiplies
    its uniform noise, of the amplitude that decays, with that amplitude).
    """
    heights = np.zeros((_CLOUD, _CLOUD))
    step, amplitude = _CLOUD, 1.0

    def around(corners: Sequence[np.ndarray]) -> np.ndarray:
        return np.asarray(sum(corners) / 4 + random.uniform(-amplitude, amplitude, corners[0].shape))

    while step > 1:
        half = step // 2
        corner = heights[::step, ::step]
        rights = np.roll(corner, -1, 1)
        centre = around([corner, rights, np.roll(corner, -1, 0), np.roll(rights, -1, 0)])
        heights[half::step, half::step] = centre
        heights[::step, half::step] = around([corner, rights, centre, np.roll(centre, 1, 0)])
        heights[half::step, ::step] = around([corner, np.roll(corner, -1, 0), centre, np.roll(centre, 1, 1)])
        step, amplitude = half, amplitude / decay**2
    low, high = heights.min(), heights.max()
    return np.asarray((heights - low) / (high - low))


def _sampled(
    cloud: Float[np.ndarray, "row col"], height: int, width: int, scale: float
) -> Float32[np.ndarray, "height width"]:
    """The repeating pattern at the pixels' centres, between its own linearly."""
    sampled = cloud
    for axis, side in enumerate((height, width)):
        places = (np.arange(side) + 0.5) / scale - 0.5
        whole = np.floor(places).astype(int)
        rest = (places - whole).reshape((-1, 1) if axis == 0 else (1, -1))
        before, after = (np.take(sampled, (whole + ahead) % _CLOUD, axis) for ahead in (0, 1))
        sampled = before * (1 - rest) + after * rest
    return sampled.astype(np.float32)


def _brightness(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """The value of HSV raised; hue and saturation stay, so each colour is multiplied (black turns grey)."""
    value = pixels.max(2, keepdims=True)
    raised = np.minimum(value + np.float32(_BRIGHTNESS[level]), 1)
    return np.asarray(np.where(value > 0, pixels / np.maximum(value, 1e-6), 1) * raised, np.float32)


def _pixelate(pixels: Pixels, level: int, random: np.random.Generator) -> Pixels:  # noqa: ARG001
    """Mean colours of blocks."""
    height, width, _ = pixels.shape
    grain = max(1.0, _scale(pixels))
    image = Image.fromarray(_rounded(pixels))
    across, down = (max(1, int(side / grain * _BLOCKS[level])) for side in (width, height))
    small = image.resize((across, down), Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST), np.float32) / 255


def _scale(pixels: Pixels) -> float:
    return float(min(pixels.shape[:2]) / _SIDE)


def _rounded(pixels: Pixels) -> UInt8[np.ndarray, "height width 3"]:
    return np.asarray(np.rint(np.clip(pixels, 0, 1) * 255), np.uint8)


_HOW: dict[str, Callable[[Pixels, int, np.random.Generator], Pixels]] = {
    "gaussian_noise": _gaussian_noise,
    "motion_blur": _motion_blur,
    "zoom_blur": _zoom_blur,
    "fog": _fog,
    "brightness": _brightness,
    "pixelate": _pixelate,
}
CORRUPTIONS = tuple(_HOW)


def corrupt(
    image: UInt8[np.ndarray, "height width 3"], corruption: str, severity: int, *, seed: int = 0, sample: str = ""
) -> UInt8[np.ndarray, "height width 3"]:
    """An image under a corruption of `CORRUPTIONS`, of a severity 1 … 5.

    ``seed`` and ``sample``, the image's id, decide noise, direction and fog.

    Raises
    ------
    ValueError
        If the corruption or the severity is unknown.
    """
    _require_known(corruption, severity)
    lot = hashlib.sha256(f"{seed} {corruption} {severity} {sample}".encode()).digest()
    random = np.random.default_rng(int.from_bytes(lot))
    return _rounded(_HOW[corruption](image.astype(np.float32) / 255, severity - 1, random))


def _require_known(corruption: str, severity: int) -> None:
    if corruption not in _HOW:
        raise ValueError(f"There is no corruption {corruption!r}; there are {', '.join(CORRUPTIONS)}.")
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ValueError(f"severity={severity!r} is not accepted; choose one of {', '.join(map(str, SEVERITIES))}.")


def corruptions_of(text: str) -> list[tuple[str, int]]:
    """Corruptions and their severities from "fog:5,pixelate:3", each once; without a severity it is 5.

    Raises
    ------
    ValueError
        If one cannot be understood, or there is none of that name or severity.
    """
    found: dict[tuple[str, int], None] = {}
    for one in filter(None, map(str.strip, text.split(","))):
        name, colon, severity = (part.strip() for part in one.partition(":"))
        if colon and not severity.isdecimal():
            raise ValueError(f"The corruption {one!r} is not understood; write NAME:SEVERITY, as in fog:5.")
        chosen = name, int(severity) if colon else max(SEVERITIES)
        _require_known(*chosen)
        found[chosen] = None
    if not found:
        raise ValueError(f"{text!r} names no corruption; there are {', '.join(CORRUPTIONS)}.")
    return list(found)


class Corrupted:
    """A data set whose images are corrupted; answers and masks stay, and ids end in the corruption ("…/fog-5")."""

    def __init__(self, dataset: Dataset, corruption: str, severity: int = 5, *, seed: int = 0) -> None:
        _require_known(corruption, severity)
        self._dataset, self._corruption, self._severity, self._seed = dataset, corruption, severity, seed
        self._end = f"/{corruption}-{severity}"
        self.name = f"{dataset.name}{self._end}"
        self.settings: Mapping[str, Any] = {
            "corruption": corruption,
            "severity": severity,
            "seed": seed,
            "of": {"name": dataset.name, **dataset.settings},
        }

    @property
    def ids(self) -> Sequence[str]:
        """In the data set's order."""
        return tuple(f"{id_}{self._end}" for id_ in self._dataset.ids)

    def load(self, id_: str) -> Sample:
        """One sample, its image corrupted, and in the same way its image without each target."""
        if not id_.endswith(self._end):
            raise ValueError(f"{self.name} has no sample {id_!r}; its samples end in {self._end!r}.")
        sample = self._dataset.load(id_.removesuffix(self._end))
        return replace(
            sample,
            id=id_,
            image=self._corrupt(_pixels(sample.image), sample.id),
            without=tuple(self._corrupt(image, sample.id) for image in sample.without),
            facts={**sample.facts, "corruption": self._corruption, "severity": str(self._severity)},
        )

    def _corrupt(self, image: UInt8[np.ndarray, "height width 3"], sample: str) -> UInt8[np.ndarray, "height width 3"]:
        found = corrupt(image, self._corruption, self._severity, seed=self._seed, sample=sample)
        if is_lab_scene(image):  # whatever it looks like now
            remember(found)
        return found


def _pixels(image: Path | UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height width 3"]:
    if isinstance(image, np.ndarray):
        return image
    try:
        return open_image(image).image
    except (ValueError, OSError) as error:
        raise BrokenSampleError(str(error)) from error
