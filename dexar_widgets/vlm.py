"""A loaded vision-language model, and loading one by name, folder or pair."""

import contextlib
import copy
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedModel
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from dexar_widgets import plugins
from dexar_widgets.checkpoints import Checkpoint, clear_errors, embedded, hub_is_reachable, locate, supported
from dexar_widgets.families import Anatomy

__all__ = ["VLM", "load", "models"]

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
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

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
    instead of float16 on the CPU. A pair is used as it is: the options are for names and folders. Weights are
    checked once for NaN and infinity, except those offloaded or quantised.
    """
    options: dict[str, Any] = {
        "device_map": device_map,
        "offload_folder": offload_folder,
        "quantization_config": quantization_config,
        "attn_implementation": attn_implementation,
    }
    if isinstance(model, tuple):
        if any(option is not None for option in (device, dtype, revision, *options.values())):
            raise ValueError(
                "A (model, processor) pair is used as it is; give device, dtype and the like to its loader."
            )
        return _from_pair(*model)
    if not isinstance(model, (str, Path)):
        raise ValueError(f"Expected a name, a folder or a pair (model, processor); got a {type(model).__name__}.")
    checkpoint = locate(model)
    if checkpoint.in_code:
        return _built(checkpoint, device, {"dtype": dtype, "revision": revision, **options})
    where: dict[str, Any] = {"revision": revision, "trust_remote_code": trust_remote_code}
    where["local_files_only"] = not (checkpoint.on_hub and hub_is_reachable())
    target = _device(device, lab=checkpoint.name.startswith("lab/"))
    config, family, processor = _read(checkpoint, where)
    if quantization_config is not None and device_map is None:
        options["device_map"] = {"": target}
    placed = options["device_map"] is not None
    options["dtype"] = _dtype(dtype, config, on_cpu=target.type == "cpu" and not placed)
    weights = _read_weights(checkpoint, where | {name: value for name, value in options.items() if value is not None})
    if not placed:
        weights.to(target)
    notices = (*checkpoint.notices, *_untested(weights))
    for notice in notices:
        _log.warning(notice)
    commit = getattr(config, "_commit_hash", None) or revision
    return VLM(weights.eval(), processor, family, checkpoint.name, commit, notices)


def models() -> dict[str, str]:
    """Names that `load` knows, with their family: embedded models first, then the families' checkpoints.

    Any other checkpoint of these families, on the hub or in a folder, loads as well.
    """
    known = embedded()
    for name in plugins.names("families"):
        known |= dict.fromkeys(plugins.get("families", name).CHECKPOINTS, name)
    return known


def _built(checkpoint: Checkpoint, device: str | torch.device | None, options: Mapping[str, Any]) -> VLM:
    """An embedded model that is made in code: what says how to read files is refused."""
    given = [
        name for name, value in options.items() if value is not None and name not in ("dtype", "attn_implementation")
    ]
    if given:
        raise ValueError(f"{checkpoint.name} is made in code, not read from files: {given[0]}= does not apply to it.")
    model, processor = import_module(checkpoint.source).build()
    model.to(_device(device, lab=True))
    if options["dtype"] not in (None, "auto"):
        model.to(_dtype(options["dtype"], model.config, on_cpu=False))
    if options["attn_implementation"] is not None:
        model.set_attn_implementation(options["attn_implementation"])
    return replace(_from_pair(model, processor), name=checkpoint.name)


def _read(checkpoint: Checkpoint, where: Mapping[str, Any]) -> tuple[Any, ModuleType, Any]:
    """Configuration, family and processor, checked: before the weights, which may be large, are read."""
    with clear_errors(checkpoint.name):
        config = AutoConfig.from_pretrained(checkpoint.source, **where)
    family = _family_of(config)
    family.verify(config)
    with clear_errors(checkpoint.name):
        processor: Any = AutoProcessor.from_pretrained(checkpoint.source, **where)
    _check_processor(processor)
    family.repair(processor, config)
    return config, family, processor


def _read_weights(checkpoint: Checkpoint, options: Mapping[str, Any]) -> Any:
    with clear_errors(checkpoint.name), _no_progress_bar(lab=checkpoint.name.startswith("lab/")):
        read: Any = AutoModelForImageTextToText.from_pretrained(checkpoint.source, output_loading_info=True, **options)
    model, report = read
    _check_weights(model, checkpoint.name, missing=sorted(report["missing_keys"]))
    return model


def _family_of(config: Any) -> ModuleType:
    kind = config.model_type
    # A file named like the type comes first, so that other families are not imported for nothing.
    for name in sorted(plugins.names("families"), key=lambda name: name != kind):
        family = plugins.get("families", name)
        if kind in family.MODEL_TYPES:
            return family
    text_only = getattr(config, "vision_config", None) is None
    what = "a text-only model (it has no vision_config)" if text_only else "not supported"
    raise ValueError(f"Model type {kind!r} is {what}. {supported()}")


def _from_pair(model: Any, processor: Any) -> VLM:
    kind = type(model).__name__
    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"Expected a pair (model, processor) of transformers objects; the model is a {kind}.")
    family = _family_of(model.config)
    family.verify(model.config)
    if model.get_output_embeddings() is None:
        raise ValueError(f"{kind} has no language-model head; load the model with AutoModelForImageTextToText.")
    _check_processor(processor)
    processor = copy.copy(processor)  # the caller's own stays as it is when a field is completed
    family.repair(processor, model.config)
    _check_weights(model, kind)
    name, commit = model.config._name_or_path or kind, getattr(model.config, "_commit_hash", None)
    return VLM(model, processor, family, name, commit, _untested(model))


def _check_processor(processor: Any) -> None:
    if not hasattr(processor, "image_processor") or not hasattr(processor, "tokenizer"):
        kind = type(processor).__name__
        raise ValueError(f"The processor is a {kind}; expected one with an image processor and a tokenizer.")


def _check_weights(model: Any, name: str, *, missing: Sequence[str] = ()) -> None:
    if missing:
        shown = ", ".join(missing[:3])
        raise ValueError(f"{name}: the files lack {len(missing)} weights ({shown} …); is the checkpoint complete?")
    for key, weight in model.named_parameters():
        # min and max carry NaN and infinity: one read of the weights, no copy. Subclasses are quantised weights.
        plain = type(weight.data) is torch.Tensor and weight.is_floating_point() and weight.itemsize > 1
        if plain and not weight.is_meta and weight.numel() and not _finite(weight.detach()):
            raise ValueError(
                f"{name}: the weight {key} holds NaN or infinity; the file is damaged, or training diverged."
            )


def _finite(weight: torch.Tensor) -> bool:
    low, high = torch.aminmax(weight)
    return bool(torch.isfinite(low) & torch.isfinite(high))


def _device(device: str | torch.device | None, *, lab: bool) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() and not lab else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(
            f"device is {str(device)!r}, which cannot be used here: {str(error).splitlines()[0]}"
        ) from error


def _dtype(dtype: str | torch.dtype | None, config: Any, *, on_cpu: bool) -> str | torch.dtype:
    if isinstance(dtype, str) and dtype != "auto":
        found = getattr(torch, dtype, None)
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise ValueError(f"dtype is {dtype!r}; expected 'float32', 'bfloat16', 'float16', 'float64' or 'auto'.")
        return found
    stored = config.dtype if config.dtype is not None else config.text_config.dtype
    if dtype is None and on_cpu and stored in {torch.float16, "float16"}:
        return torch.float32  # float16 arithmetic is slow on CPUs, and overflows
    return dtype or "auto"


@contextlib.contextmanager
def _no_progress_bar(*, lab: bool) -> Iterator[None]:
    """The embedded models load in a fraction of a second: no progress bar."""
    shown = lab and is_progress_bar_enabled()
    if shown:
        disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            enable_progress_bar()


def _quantiser(model: Any) -> str | None:
    method = getattr(getattr(model.config, "quantization_config", None), "quant_method", None)
    return None if method is None else str(getattr(method, "value", method))


def _untested(model: Any) -> tuple[str, ...]:
    """A notice if the weights are quantised by what no test of the engine ran with."""
    method = _quantiser(model)
    if method in {None, "quanto"}:
        return ()
    return (f"The weights are quantised by {method}, which the engine was not tested with (tested: quanto).",)


def _own_version() -> str:
    try:
        return version("dexar-widgets")
    except PackageNotFoundError:
        return "unknown"
