"""A loaded vision-language model, and loading one by name, folder or pair."""

import contextlib
import copy
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedModel

from dexar_widgets import plugins
from dexar_widgets.families import Anatomy

__all__ = ["VLM", "load", "models"]

LAB = Path(__file__).parent / "lab" / "checkpoints"
"""Folder of the embedded models: one folder each, in the layout of ``save_pretrained``."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VLM:
    """A model, its processor and the family that knows where things are in it.

    ``lock`` is held by whoever runs the model; ``notices`` are sentences the user should read.
    """

    model: Any
    processor: Any
    family: ModuleType
    name: str
    revision: str | None = None
    notices: tuple[str, ...] = ()
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)  # type: ignore[valid-type]

    def __repr__(self) -> str:
        family = self.family.__name__.rpartition(".")[2]
        size = sum(parameter.numel() for parameter in self.model.parameters()) / 1e6
        return f"VLM({self.name!r}, {family}, {size:,.1f} M parameters, {self.model.dtype}, {self.device})"

    @cached_property
    def anatomy(self) -> Anatomy:
        """Where things are in the model."""
        anatomy: Anatomy = self.family.anatomy(self.model)
        return anatomy

    @property
    def tokenizer(self) -> Any:
        """The processor's tokenizer."""
        return self.processor.tokenizer

    @property
    def device(self) -> torch.device:
        """Where inputs go: the device of the token embeddings, also when their weights are offloaded."""
        embeddings = self.model.get_input_embeddings()
        hook = getattr(embeddings, "_hf_hook", None)
        return torch.device(getattr(hook, "execution_device", None) or embeddings.weight.device)

    @property
    def is_lab(self) -> bool:
        """True for an embedded model, which knows only the lab's scenes."""
        return self.name.startswith("lab/")

    def provenance(self) -> dict[str, Any]:
        """What an explanation records about the model it came from."""
        return {
            "model": self.name,
            "revision": self.revision,
            "family": self.family.__name__.rpartition(".")[2],
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": str(self.device),
            "attention": self.model.config._attn_implementation,
            "quantization": _quantiser(self.model),
            "versions": {
                "dexar_widgets": _own_version(), "torch": torch.__version__, "transformers": transformers.__version__,
            },
        }  # fmt: skip


def load(
    model: str | Path | tuple[Any, Any] = "lab/llava",
    *,
    device: str | torch.device | None = None,
    dtype: str | torch.dtype | None = None,
    device_map: str | dict[str, Any] | None = None,
    offload_folder: str | Path | None = None,
    quantization_config: Any = None,
    attn_implementation: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> VLM:
    """Load a VLM: "lab/…" (embedded), a hub name, a local folder, or a (model, processor) pair.

    ``device`` is CUDA where there is one (embedded models: the CPU). ``dtype`` is the checkpoint's, but float32
    instead of float16 on the CPU. A pair is used as it is; the other options are for names and folders.
    Weights are checked once for NaN and infinity, except those offloaded.
    """
    if isinstance(model, tuple):
        return _from_pair(*model)
    place = _locate(model)
    remote: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    with _clear_errors(place.name):
        config = AutoConfig.from_pretrained(place.source, **remote)
    family = _family_of(config)
    family.verify(config)
    with _clear_errors(place.name):
        processor = AutoProcessor.from_pretrained(place.source, **remote)
    family.repair(processor, config)
    target = torch.device(device) if device is not None else _default_device(lab=place.name.startswith("lab/"))
    placed = device_map is not None or quantization_config is not None
    options = {
        "dtype": _dtype(dtype, config, target, placed=placed),
        "device_map": device_map if device_map is not None else (target if quantization_config is not None else None),
        "offload_folder": offload_folder,
        "quantization_config": quantization_config,
        "attn_implementation": attn_implementation,
    }
    with _clear_errors(place.name):
        loaded, report = AutoModelForImageTextToText.from_pretrained(
            place.source, output_loading_info=True, **remote, **{k: v for k, v in options.items() if v is not None}
        )
    _check_weights(loaded, place.name, missing=report["missing_keys"])
    loaded = loaded.eval() if placed else loaded.eval().to(target)
    commit = getattr(config, "_commit_hash", None) or revision
    for notice in place.notices:
        _log.warning(notice)
    return VLM(loaded, processor, family, place.name, commit, place.notices)


def models() -> dict[str, str]:
    """Names that `load` knows, with their family: embedded ones first, then the families' checkpoints.

    Any other checkpoint of these families, on the hub or in a folder, loads as well.
    """
    known = {f"lab/{name}": name.partition("-")[0] for name in _shipped()}
    for name in plugins.names("families"):
        known |= dict.fromkeys(plugins.get("families", name).CHECKPOINTS, name)
    return known


@dataclass(frozen=True)
class _Place:
    source: str
    name: str
    notices: tuple[str, ...] = ()


def _locate(model: str | Path) -> _Place:
    if isinstance(model, str) and model.startswith("lab/"):
        folder = LAB / model.removeprefix("lab/")
        if not (folder / "config.json").is_file():
            shipped = ", ".join(f"lab/{name}" for name in _shipped()) or "none"
            raise ValueError(f"There is no embedded model {model!r}; shipped are: {shipped}.")
        return _Place(str(folder), model)
    folder = Path(model).expanduser()
    if folder.is_dir():
        _check_folder(folder)
        lab = folder.resolve().parent == LAB.resolve()
        return _Place(str(folder), f"lab/{folder.name}" if lab else str(model))
    name = str(model)
    if isinstance(model, Path) or name.startswith((".", "/", "~", "\\")) or name.count("/") != 1 or "\\" in name:
        raise ValueError(
            f"{name!r} is neither a folder here nor a hub name (like llava-hf/llava-1.5-7b-hf); dx.models() lists names."
        )
    for family in plugins.names("families"):
        native = plugins.get("families", family).REDIRECTS.get(name)
        if native is not None:
            notice = f"{name} holds code of its own; loading {native} instead, the same weights in transformers' native form."
            return _Place(native, native, (notice,))
    return _Place(name, name)


def _shipped() -> list[str]:
    return sorted(config.parent.name for config in LAB.glob("*/config.json"))


# Each line: any one of these files has to be there.
_NEEDED = (
    ("config.json",),
    ("processor_config.json", "preprocessor_config.json"),
    ("tokenizer.json", "tokenizer.model", "vocab.json"),
    ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
)


def _check_folder(folder: Path) -> None:
    for alternatives in _NEEDED:
        if not any((folder / name).is_file() for name in alternatives):
            raise ValueError(
                f"The model folder {str(folder)!r} has no {' or '.join(alternatives)}; expected the layout that "
                "save_pretrained of the model and of its processor writes. Was the download or copy cut short?"
            )


def _family_of(config: Any) -> ModuleType:
    kind = config.model_type
    # A file named like the type comes first, so that other families are not imported for nothing.
    for name in sorted(plugins.names("families"), key=lambda name: name != kind):
        family = plugins.get("families", name)
        if kind in family.MODEL_TYPES:
            return family
    text_only = getattr(config, "vision_config", None) is None
    what = "a text-only model (it has no vision_config)" if text_only else "a family that is not supported"
    raise ValueError(f"model_type {kind!r} is {what}. {_supported()}")


def _from_pair(model: Any, processor: Any) -> VLM:
    if not isinstance(model, PreTrainedModel):
        raise ValueError(
            f"Expected a pair (model, processor) of transformers objects; the model is a {type(model).__name__}."
        )
    family = _family_of(model.config)
    family.verify(model.config)
    if not model.can_generate():
        raise ValueError(
            f"{type(model).__name__} has no language-model head; load it with AutoModelForImageTextToText."
        )
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        raise ValueError(
            f"The processor is a {type(processor).__name__}; expected one with an image processor and a tokenizer."
        )
    processor = copy.copy(processor)  # the caller's own stays as it is when a field is completed
    family.repair(processor, model.config)
    _check_weights(model, type(model).__name__)
    name = model.config._name_or_path or type(model).__name__
    return VLM(model, processor, family, name, getattr(model.config, "_commit_hash", None))


def _check_weights(model: Any, name: str, *, missing: Any = ()) -> None:
    if missing:
        shown = ", ".join(sorted(missing)[:3])
        raise ValueError(
            f"{name}: the weights lack {len(missing)} tensors ({shown}, …); is a file of the checkpoint missing?"
        )
    for key, weight in model.named_parameters():
        # min and max carry NaN and infinity, in one read of the weights and without a copy.
        if weight.is_floating_point() and not weight.is_meta and weight.numel():
            if not all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(weight.detach())):
                raise ValueError(
                    f"{name}: the weight {key} holds NaN or infinity; the file is damaged, or training diverged."
                )


def _default_device(*, lab: bool) -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() and not lab else "cpu")


def _dtype(dtype: str | torch.dtype | None, config: Any, device: torch.device, *, placed: bool) -> str | torch.dtype:
    if isinstance(dtype, str) and dtype != "auto":
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise ValueError(f"dtype is {dtype!r}; expected 'float32', 'bfloat16', 'float16', 'float64' or 'auto'.")
        return found
    stored = config.dtype if config.dtype is not None else getattr(config.text_config, "dtype", None)
    if dtype is None and device.type == "cpu" and not placed and stored in {torch.float16, "float16"}:
        return torch.float32  # float16 arithmetic is slow and overflows on CPUs
    return dtype if dtype is not None else "auto"


def _quantiser(model: Any) -> str | None:
    method = getattr(getattr(model.config, "quantization_config", None), "quant_method", None)
    return None if method is None else str(getattr(method, "value", method))


def _own_version() -> str:
    try:
        return version("dexar-widgets")
    except PackageNotFoundError:
        return "unknown"


@contextlib.contextmanager
def _clear_errors(name: str) -> Iterator[None]:
    """Say in one sentence why a checkpoint did not load, and what to do."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise ValueError(_reason(name, error)) from error


def _reason(name: str, error: BaseException) -> str:
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    text = str(error)
    if any(isinstance(one, GatedRepoError) for one in chain):
        return (
            f"{name} is gated: accept its terms at https://huggingface.co/{name}, log in with `hf auth login` (or set "
            "HF_TOKEN), and load it again."
        )
    if any(isinstance(one, RevisionNotFoundError) for one in chain):
        return f"{name} exists on the Hugging Face hub, but not the revision asked for."
    if any(isinstance(one, RepositoryNotFoundError) for one in chain):
        return (
            f"{name} is neither a folder here nor a model on the Hugging Face hub (or it is private: `hf auth login`)."
        )
    if any(isinstance(one, (LocalEntryNotFoundError, OfflineModeIsEnabled)) for one in chain) or "connect" in text:
        return (
            f"{name} is not on this machine and the Hugging Face hub cannot be reached; load it once with a connection, give "
            "a local folder, or use an embedded model (dx.load())."
        )
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return f"{name}: transformers {transformers.__version__} knows no such model type. {_supported()}"
    return f"{name} could not be loaded: {text.strip().splitlines()[0] if text.strip() else type(error).__name__}"


def _supported() -> str:
    kinds = ", ".join(kind for name in plugins.names("families") for kind in plugins.get("families", name).MODEL_TYPES)
    return (
        f"Supported are {kinds}. To add a family, write one file in dexar_widgets/families/ or register a module under the "
        "entry point group 'dexar_widgets.families'."
    )
