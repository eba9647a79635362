"""What an evaluation measures, and how: everything that decides a number, and nothing else.

Two runs whose configurations have the same fingerprint may share a folder; numbers of any other do not mix with them.
How the work is divided (shards, workers, engines) is not in here, for it changes nothing.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from dexar_widgets import plugins
from dexar_widgets.attributions import options_of
from dexar_widgets.checkpoints import clear_errors, hub_is_reachable, locate
from dexar_widgets.evaluation.oracles import ORACLES
from dexar_widgets.evaluation.samples import Dataset
from dexar_widgets.maps import Upsampling
from dexar_widgets.metrics import Need

__all__ = ["CURVES", "Configuration", "CurveKind", "Fill", "Variant", "complete", "configuration_of", "differences"]
__all__ += ["identity", "variants_of"]

CurveKind = Literal["positive", "negative", "insertion"]
CURVES: tuple[CurveKind, ...] = get_args(CurveKind)
"""The perturbation curves that a metric can need."""

Fill = Literal["imagenet", "image", "processor"]
"""The colour of pixels that are taken away: the mean of ImageNet, of the image itself, or the processor's own mean."""
SCHEMA = 2
"""Of the units' files; a change of what a number means counts it up."""
_LATER = {"upsampling": "bilinear"}
"""Settings that came after the first folders of results, and what was done before: those folders stay what they are."""
_DECIDING = ("dexar-widgets", "numpy", "pillow", "torch", "transformers")
_READ = {".safetensors", ".bin", ".json", ".jinja", ".model", ".txt"}
"""Of a model's folder, what loading it reads."""
_SLICE, _SLICES = 2**16, 512


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
    ``upsampling``: how maps come to pixels (`maps.upsample`), to meet masks and to rank pixels; with "nearest" curves
    change whole cells of the grid. ``randomised``: how many samples, from the data set's beginning, the randomisation
    check looks at. Batches of ``batch_size`` form within one unit, and ``threads`` are fixed, so that every run sees
    the same sums. ``device`` counts by its kind ("cuda:1" is "cuda"); `configuration_of` says which where none is
    given. ``dtype`` None is what `load` makes of the weights on that device.
    """

    models: Mapping[str, str]
    data: str
    data_settings: Mapping[str, Any]
    variants: tuple[Variant, ...]
    metrics: tuple[str, ...]
    levels: int = 10
    fill: Fill = "imagenet"
    blur: float = 10.0
    upsampling: Upsampling = "bilinear"
    randomised: int = 20
    seed: int = 0
    batch_size: int = 16
    threads: int = 1
    device: str | None = None
    dtype: str | None = None

    def __post_init__(self) -> None:
        for name, least in (("levels", 2), ("blur", 0), ("randomised", 0), ("batch_size", 1), ("threads", 1)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}; expected at least {least}.")
        for name, known in (("fill", get_args(Fill)), ("upsampling", get_args(Upsampling))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")
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
        """As JSON, with the versions, and the third parties' code, that the numbers depend on."""
        kind = None if self.device is None else self.device.partition(":")[0]
        versions = {name: version(name) for name in _DECIDING} | dict(self._others())
        told = asdict(self) | {"device": kind, "schema": SCHEMA, "versions": versions}
        return dict(json.loads(json.dumps(told)))

    @cached_property
    def fingerprint(self) -> str:
        """A hash of `told`, but for what was done before there was a choice."""
        return _hash({name: value for name, value in self.told.items() if (name, value) not in _LATER.items()})

    def _others(self) -> Iterator[tuple[str, str]]:
        """Third parties' plug-ins and their code; of all families, for which one is in use, loading a model tells."""
        methods = [variant.method for variant in self.methods]
        used = {"families": plugins.names("families"), "methods": methods, "metrics": self.metrics}
        for kind, names in used.items():
            for name in names:
                if (found := plugins.code(kind, name)) is not None:
                    yield f"{kind}/{name}", found

    def unit(self, model: str, sample: str, variant: str) -> str:
        """The id of one unit of work; the same for the same configuration, whoever does it."""
        return _hash([self.fingerprint, model, sample, variant])

    def commit(self, model: str) -> str | None:
        """The commit of the hub that a model is of; None for one that is not of the hub."""
        return self.models[model].partition("@")[2] or None

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


def complete(told: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration as a folder tells it, with the settings that came later as they were then."""
    return dict(told) | {name: value for name, value in _LATER.items() if name not in told}


def differences(told: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names under which two configurations differ."""
    return sorted(name for name in {*told, *other} if told.get(name) != other.get(name))


def identity(model: str, revision: str | None = None) -> str:
    """What a model's weights are: a hash of its folder's files (embedded models: theirs), or its name and commit.

    Of each file it sees the size and 512 slices of 64 KiB, evenly spread: all of a file up to 32 MiB, every 10 MiB of
    5 GB. Whatever is smaller than that and changed alone may stay unseen.

    Raises
    ------
    ValueError
        For a model that there is not, or a folder that is not complete.
    """
    checkpoint = locate(model)
    if checkpoint.in_code:
        return "made in code"
    if checkpoint.on_hub:
        return f"{checkpoint.source}@{_commit(checkpoint.source, revision or 'main')}"
    seen = hashlib.sha256()
    for file in sorted(Path(checkpoint.source).expanduser().iterdir()):
        if file.suffix in _READ:
            seen.update(f"{file.name} {file.stat().st_size}".encode())
            for piece in _slices(file):
                seen.update(piece)
    return seen.hexdigest()[:16]


def _commit(name: str, revision: str) -> str:
    """The commit of a revision: the cache's, which would be loaded offline, too; else the hub's.

    Where neither is to be had, the revision itself: to load the model will fail, and say why.
    """
    from huggingface_hub import model_info, try_to_load_from_cache

    if isinstance(cached := try_to_load_from_cache(name, "config.json", revision=revision), str):
        return Path(cached).parent.name
    if not hub_is_reachable():
        return revision
    with clear_errors(name):
        return model_info(name, revision=revision).sha or revision


def _slices(file: Path) -> Iterator[bytes]:
    step = max(_SLICE, file.stat().st_size // _SLICES)
    with file.open("rb") as opened:
        for start in range(0, file.stat().st_size, step):
            opened.seek(start)
            yield opened.read(_SLICE)


def variants_of(
    methods: Sequence[str], options: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> tuple[Variant, ...]:
    """One variant per method, called like it; ``options`` by method."""
    if stray := sorted(set(options) - set(methods)):
        raise ValueError(f"options are given for {stray[0]!r}, which is not measured; measured: {', '.join(methods)}.")
    return tuple(Variant(name, name, dict(options.get(name, {}))) for name in methods)


def configuration_of(
    dataset: Dataset,
    models: Sequence[str],
    variants: Sequence[Variant | str],
    metrics: Sequence[str],
    *,
    device: str | None = None,
    **more: Any,
) -> Configuration:
    """The configuration of a data set and of models by name, with the weights and the device that they have here.

    A variant may be a method's name. ``device`` None: CUDA where there is one; for embedded models alone, the CPU.
    """
    import torch

    if device is None:
        embedded = all(model.startswith("lab/") for model in models)
        device = "cuda" if torch.cuda.is_available() and not embedded else "cpu"
    weights = {model: identity(model) for model in models}
    settings = dict(dataset.settings)
    named = tuple(Variant(one, one) if isinstance(one, str) else one for one in variants)
    return Configuration(weights, dataset.name, settings, named, tuple(metrics), device=device, **more)
