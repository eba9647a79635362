"""What an evaluation measures, and how: everything that decides a number, and nothing else.

Two runs whose configurations have the same fingerprint may share a folder; numbers of any other do not mix with them.
How the work is divided (shards, workers, engines) is not in here, for it changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, get_args

from dexar_widgets import plugins
from dexar_widgets.attributions import options_of
from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.metrics import Need

__all__ = ["CURVES", "Configuration", "CurveKind", "Fill", "Variant", "configuration_of", "differences", "identity"]
__all__ += ["variants_of"]

CurveKind = Literal["positive", "negative", "insertion"]
CURVES: tuple[CurveKind, ...] = get_args(CurveKind)
"""The perturbation curves that a metric can need."""

Fill = Literal["imagenet", "image", "processor"]
"""The colour of pixels that are taken away: the mean of ImageNet, of the image itself, or the processor's own mean."""
SCHEMA = 1
"""Of the units' files; a change of what a number means counts it up."""
_DECIDING = ("dexar-widgets", "numpy", "pillow", "torch", "transformers")


@dataclass(frozen=True)
class Variant:
    """A method and its options, under the name by which the tables call it."""

    name: str
    method: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Configuration:
    """Models × variants × samples, and how each is measured.

    ``models`` map each name to what its weights are (`identity`). ``levels``: steps of the perturbation curves from
    nothing to everything. ``blur``: deviation of the blur that insertion begins with, in pixels of a 224-pixel image.
    ``randomised``: how many samples, from the data set's beginning, the randomisation check looks at. Batches of
    ``batch_size`` form within one unit, and ``threads`` are fixed, so that every run sees the same sums.
    """

    models: Mapping[str, str]
    data: str
    data_settings: Mapping[str, Any]
    variants: tuple[Variant, ...]
    metrics: tuple[str, ...]
    levels: int = 10
    fill: Fill = "imagenet"
    blur: float = 10.0
    randomised: int = 20
    seed: int = 0
    batch_size: int = 16
    threads: int = 1
    device: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("levels", 2), ("randomised", 0), ("batch_size", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least}.")
        if self.fill not in get_args(Fill):
            raise ValueError(f"fill is {self.fill!r}; expected one of {', '.join(get_args(Fill))}.")
        if not (self.models and self.variants and self.metrics):
            raise ValueError("An evaluation needs a model, a method and a metric.")
        named = [variant.name for variant in self.variants]
        if len(set(named)) < len(named):
            raise ValueError(f"Two methods are called {max(named, key=named.count)!r}; give them names of their own.")
        for variant in self.methods:
            options_of(variant.method, variant.options)
        for metric in self.metrics:
            plugins.get("metrics", metric)

    @cached_property
    def told(self) -> dict[str, Any]:
        """As JSON, with the versions that the numbers depend on."""
        told = asdict(self) | {"schema": SCHEMA, "versions": {name: version(name) for name in _DECIDING}}
        return dict(json.loads(json.dumps(told)))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of `told`."""
        return _hash(self.told)

    def unit(self, model: str, sample: str, variant: str) -> str:
        """The id of one unit of work; the same for the same configuration, whoever does it."""
        return _hash([self.fingerprint, model, sample, variant])

    @property
    def methods(self) -> tuple[Variant, ...]:
        """The variants that look at the model; the others are made of the masks."""
        return tuple(variant for variant in self.variants if variant.method not in ORACLES)

    @property
    def needs(self) -> frozenset[Need]:
        """What the metrics read beside the maps."""
        return frozenset().union(*(plugins.get("metrics", name).NEEDS for name in self.metrics))

    @property
    def curves(self) -> tuple[CurveKind, ...]:
        """The curves among that."""
        return tuple(kind for kind in CURVES if kind in self.needs)


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()


def differences(told: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names under which two configurations differ."""
    return sorted(name for name in {*told, *other} if told.get(name) != other.get(name))


def identity(model: str, revision: str | None = None) -> str:
    """What a model's weights are: a hash of an embedded model's file or of a folder's headers, else hub and revision.

    A header names every tensor of a file and its place, and a folder's sizes come with it; 14 GB are not read.
    """
    from dexar_widgets.lab import CHECKPOINTS

    folder = CHECKPOINTS / model.removeprefix("lab/") if model.startswith("lab/") else Path(model)
    files = sorted(folder.glob("*.safetensors")) if folder.is_dir() else []
    if not files:
        return f"{model}@{revision or 'main'}" if not model.startswith("lab/") else "made in code"
    seen = hashlib.sha256()
    for file in [*files, *sorted(folder.glob("*.json"))]:
        seen.update(f"{file.name} {file.stat().st_size}".encode())
        seen.update(_beginning(file))
    return seen.hexdigest()[:16]


def _beginning(file: Path) -> bytes:
    """A safetensors file's header and the weights' first megabyte; another file whole."""
    if file.suffix != ".safetensors":
        return file.read_bytes()
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        return opened.read(length + 2**20)


def variants_of(methods: Sequence[str], options: Mapping[str, Mapping[str, Any]]) -> tuple[Variant, ...]:
    """One variant per method, called like it."""
    stray = sorted(set(options) - set(methods))
    if stray:
        raise ValueError(f"options are given for {stray[0]!r}, which is not measured; measured: {', '.join(methods)}.")
    return tuple(Variant(name, name, dict(options.get(name, {}))) for name in methods)


def configuration_of(
    dataset: Dataset, models: Sequence[str], variants: Sequence[Variant], metrics: Sequence[str], **more: Any
) -> Configuration:
    """The configuration of a data set and of models by name."""
    told = {model: identity(model) for model in models}
    return Configuration(told, dataset.name, dict(dataset.settings), tuple(variants), tuple(metrics), **more)
