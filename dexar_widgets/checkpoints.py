"""Where a named model is, and why one cannot be loaded, in a sentence."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import constants, get_session
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from safetensors import SafetensorError

from dexar_widgets import plugins
from dexar_widgets.lab.recipes import RECIPES

__all__ = ["BUILT", "LAB", "Checkpoint", "clear_errors", "embedded", "hub_is_reachable", "locate", "supported"]

LAB = Path(__file__).parent / "lab" / "checkpoints"
"""Folder of the embedded models: one folder each, in the layout of ``save_pretrained``."""

BUILT = {"lab/analytic": ("dexar_widgets.lab.analytic", "llava")}
"""Embedded models without files: the module whose ``build()`` makes model and processor, and the ``model_type``."""

# Each line: any one of these files has to be in a model folder.
_FILES = (
    ("config.json",),
    ("processor_config.json", "preprocessor_config.json"),
    ("tokenizer.json", "tokenizer.model", "vocab.json"),
    ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"),
)


@dataclass(frozen=True)
class Checkpoint:
    """A folder, hub name or module to load from, the name to call it by, and sentences the user should read."""

    source: str
    name: str
    on_hub: bool = False
    notices: tuple[str, ...] = ()
    in_code: bool = False


def embedded() -> dict[str, str]:
    """Names of the models shipped with the package, with their ``model_type``; what was planted in comes last."""
    order = {name: place for place, name in enumerate(RECIPES)}
    configs = sorted(LAB.glob("*/config.json"), key=lambda config: (order.get(config.parent.name, -1), config))
    saved = {f"lab/{config.parent.name}": json.loads(config.read_text("utf-8"))["model_type"] for config in configs}
    return saved | {name: kind for name, (_, kind) in BUILT.items()}


def locate(model: str | Path) -> Checkpoint:
    """Find an embedded model, a local folder or a hub name, or raise `ValueError`."""
    name = str(model)
    if name in BUILT:
        return Checkpoint(BUILT[name][0], name, in_code=True)
    if name.startswith("lab/"):
        if name not in embedded():
            raise ValueError(f"There is no embedded model {name!r}; shipped are: {', '.join(embedded()) or 'none'}.")
        return Checkpoint(str(LAB / name.removeprefix("lab/")), name)
    folder = Path(model).expanduser()
    if folder.is_dir():
        _check_files(folder)
        is_embedded = folder.resolve().parent == LAB.resolve()
        return Checkpoint(str(folder), f"lab/{folder.resolve().name}" if is_embedded else name)
    if isinstance(model, Path) or name.startswith((".", "/", "~")) or name.count("/") != 1 or "\\" in name:
        raise ValueError(
            f"{name!r} is neither a folder here nor a name on the hub (such as llava-hf/llava-1.5-7b-hf); dx.models() "
            "lists some."
        )
    for family in plugins.names("families"):
        native = plugins.get("families", family).REDIRECTS.get(name)
        if native is not None:
            notice = (
                f"{name} needs code of its own; loaded {native} instead, the same model in transformers' native form."
            )
            return Checkpoint(native, native, on_hub=True, notices=(notice,))
    return Checkpoint(name, name, on_hub=True)


def _check_files(folder: Path) -> None:
    for alternatives in _FILES:
        if not any((folder / name).is_file() for name in alternatives):
            raise ValueError(
                f"The model folder {str(folder)!r} has no {' or '.join(alternatives)}; expected the layout that "
                "save_pretrained of the model and of its processor writes. Was the download or copy cut short?"
            )
    index = folder / "model.safetensors.index.json"
    if index.is_file() and not (folder / "model.safetensors").is_file():
        shards = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        absent = sorted(shard for shard in shards if not (folder / shard).is_file())
        if absent:
            raise ValueError(
                f"The model folder {str(folder)!r} has no {absent[0]} ({len(absent)} of {len(shards)} missing)."
            )


def hub_is_reachable() -> bool:
    """One quick request: without it, each file of a model would be retried for half a minute when offline."""
    try:
        get_session().head(constants.ENDPOINT, timeout=10)
    except Exception:  # noqa: BLE001 (whatever the transport raises, the cache is what is left)
        return False
    return True


@contextlib.contextmanager
def clear_errors(name: str) -> Iterator[None]:
    """Turn whatever loading raises into a `ValueError` that says why and what to do."""
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

    def caused_by(*kinds: type[BaseException]) -> bool:
        return any(isinstance(one, kinds) for one in chain)

    text = str(error).strip()
    if caused_by(GatedRepoError):
        return (
            f"{name} is gated: accept its terms at https://huggingface.co/{name}, log in with `hf auth login` (or set "
            "HF_TOKEN), and load it again."
        )
    if caused_by(RevisionNotFoundError):
        return f"{name} is on the Hugging Face hub, but not in the revision asked for."
    if caused_by(RepositoryNotFoundError):
        return (
            f"{name} is neither a folder here nor a model on the Hugging Face hub (if it is private: `hf auth login`)."
        )
    if caused_by(LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError) or "couldn't connect" in text:
        return (
            f"{name} is not on this machine and the Hugging Face hub cannot be reached; load it once with a "
            "connection, give a local folder, or use an embedded model: dx.load()."
        )
    if "does not recognize this architecture" in text or "Unrecognized model" in text:
        return f"{name} is of a model type that this version of transformers does not know. {supported()}"
    if caused_by(SafetensorError):
        return f"{name}: a weight file is damaged or cut short ({text})."
    if "ignore_mismatched_sizes" in text:
        return f"{name}: weights do not have the sizes that config.json says; are the files of one checkpoint?"
    if isinstance(error, json.JSONDecodeError):
        return f"{name}: one of its .json files is damaged ({text})."
    kind = "" if isinstance(error, (OSError, ValueError, ImportError)) and text else f"{type(error).__name__} "
    return f"{name} could not be loaded: {kind}{text.splitlines()[0] if text else ''}".strip()


def supported() -> str:
    """What can be explained, and how to add a family."""
    kinds = (kind for name in plugins.names("families") for kind in plugins.get("families", name).MODEL_TYPES)
    return (
        f"Supported model types are {', '.join(kinds)}. To add a family, write one file in dexar_widgets/families/ or "
        "register a module under the entry point group 'dexar_widgets.families'."
    )
