"""What this machine offers, what a model needs, and whether the two fit. Reads headers only, never weights."""

import json
import math
import os
import platform
import shutil
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["ABOUT", "BITS", "Accelerator", "Machine", "Need", "about", "browser", "fit", "machine", "need"]

GIB = 2**30
_FILES = "read from its files"
PACKAGES = ("dexar-widgets", "torch", "transformers", "numpy", "pillow", "jupyterlab", "anywidget", "pyarrow")

ABOUT: Mapping[str, float] = {
    "llava-hf/llava-1.5-7b-hf": 7.06e9,
    "llava-hf/bakLlava-v1-hf": 7.57e9,
    "google/paligemma-3b-pt-224": 2.92e9,
    "google/paligemma2-3b-pt-224": 3.03e9,
    "florence-community/Florence-2-base": 0.23e9,
    "florence-community/Florence-2-large": 0.77e9,
}
"""Parameters, rounded, for when the checkpoint is neither here nor reachable."""

BITS = {"float32": 32, "bfloat16": 16, "8-bit": 8, "4-bit": 4}
_SAFETENSORS_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U8": 8}

# Beside the weights: Python, torch and the libraries hold about 0.7 GiB; activations, cache and the
# tensor of one explanation stay below a tenth of the weights at the sizes of the paper's models.
_BASE = 0.7 * GIB
_MARGIN = 1.1


@dataclass(frozen=True)
class Accelerator:
    """A device beside the CPU, with its memory in bytes (None: not told)."""

    name: str
    device: str
    memory: int | None
    free: int | None


@dataclass(frozen=True)
class Machine:
    """Versions, devices, memory and disk in bytes (None: not told by the system), and a browser's path."""

    python: str
    system: str
    versions: Mapping[str, str | None]
    cores: int
    memory: int | None
    free: int | None
    disk: int
    accelerators: tuple[Accelerator, ...]
    browser: str | None


@dataclass(frozen=True)
class Need:
    """A model's size: parameters, bytes on disk, the type most weights are stored in, and where that is known from."""

    name: str
    parameters: int
    disk: int
    stored: str
    known_from: str

    @property
    def here(self) -> bool:
        """Whether the weights are on this machine already."""
        return self.known_from == _FILES

    def memory(self, bits: int) -> int:
        """Bytes of memory that an explanation takes, about, with weights of so many bits."""
        return round(self.parameters * bits / 8 * _MARGIN + _BASE)


def machine() -> Machine:
    """Look at this machine (imports torch, to ask it for accelerators)."""
    total, free = _memory()
    return Machine(
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        versions={name: _version(name) for name in PACKAGES},
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory=total,
        free=free,
        disk=shutil.disk_usage(_existing(_cache())).free,
        accelerators=_accelerators(),
        browser=browser(),
    )


def need(model: str) -> Need:
    """What a model takes: from a folder's or the cache's headers, else from the hub's, else from the paper's sizes."""
    from dexar_widgets.checkpoints import BUILT

    if model in BUILT:
        return Need(model, import_module(BUILT[model][0]).build()[0].num_parameters(), 0, "float32", "made in code")
    folder = _folder(model)
    if folder is not None:
        return _need_of_folder(model, folder)
    name = _redirect(model)
    cached = _cached(name)
    return _need_of_hub(name) if cached is None else _need_of_folder(name, cached)


def fit(need: Need, machine: Machine) -> dict[str, tuple[str, ...]]:
    """The devices that hold the model, per precision: {"bfloat16": ("cpu", "cuda:0"), "4-bit": (), …}.

    Low-bit precisions count only on an accelerator: few quantisers run on a CPU.
    """
    devices: dict[str, tuple[str, ...]] = {}
    for precision, bits in BITS.items():
        bytes_needed = need.memory(bits)
        fitting = [a.device for a in machine.accelerators if a.free is not None and a.free >= bytes_needed]
        if bits >= 16 and machine.free is not None and machine.free >= bytes_needed:
            fitting.insert(0, "cpu")
        devices[precision] = tuple(fitting)
    return devices


def about(name: str) -> int | None:
    """The published number of parameters of a known checkpoint, rounded."""
    parameters = ABOUT.get(_redirect(name))
    return None if parameters is None else round(parameters)


def browser() -> str | None:
    """The Chrome, Chromium or Edge the browser tests would use: ``CHROMIUM=…`` first, then installed ones."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        return shutil.which(chosen)
    names = "google-chrome google-chrome-stable chromium chromium-browser chrome microsoft-edge msedge".split()
    places = [
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    ]
    for root in filter(None, (os.environ.get(key) for key in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))):
        places += [f"{root}/Google/Chrome/Application/chrome.exe", f"{root}/Microsoft/Edge/Application/msedge.exe"]
    found = (shutil.which(name) for name in (*names, *places))
    return next((path for path in found if path), None)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _memory() -> tuple[int | None, int | None]:
    """Total and available bytes; a container's limit counts as the total."""
    if sys.platform == "win32":
        return None, None
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None, None
    free: int = total
    information = Path("/proc/meminfo")
    if information.exists():
        lines = dict(line.split(":", 1) for line in information.read_text("utf-8").splitlines() if ":" in line)
        if "MemAvailable" in lines:
            free = int(lines["MemAvailable"].split()[0]) * 1024
    limit, used = _number("/sys/fs/cgroup/memory.max"), _number("/sys/fs/cgroup/memory.current")
    if limit is not None and limit < total:
        total, free = limit, min(free, limit - (used or 0))
    return total, free


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _accelerators() -> tuple[Accelerator, ...]:
    import torch

    found = []
    for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        free, total = torch.cuda.mem_get_info(index)
        found.append(Accelerator(torch.cuda.get_device_name(index), f"cuda:{index}", total, free))
    if torch.backends.mps.is_available():
        total_memory, free_memory = _memory()  # shared with the CPU
        found.append(Accelerator("Apple GPU", "mps", total_memory, free_memory))
    return tuple(found)


def _cache() -> Path:
    from huggingface_hub.constants import HF_HUB_CACHE

    return Path(HF_HUB_CACHE)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())


def _folder(model: str) -> Path | None:
    if model.startswith("lab/"):
        from dexar_widgets.checkpoints import locate

        return Path(locate(model).source)
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if model.startswith((".", "/", "~", "\\")) or model.count("/") != 1:
        raise ValueError(f"{model!r} is neither a folder here nor a hub name (like llava-hf/llava-1.5-7b-hf).")
    return None


def _redirect(name: str) -> str:
    from dexar_widgets import plugins

    for family in plugins.names("families"):
        redirects: Mapping[str, str] = plugins.get("families", family).REDIRECTS
        if name in redirects:
            return redirects[name]
    return name


def _cached(name: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(name, "config.json")
    folder = Path(config).parent if isinstance(config, str) else None
    return folder if folder is not None and any(folder.glob("*.safetensors")) else None


def _need_of_folder(name: str, folder: Path) -> Need:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ValueError(
            f"The folder {str(folder)!r} holds no .safetensors file; is it a model that transformers saved?"
        )
    counts: dict[str, int] = {}
    for file in files:
        for dtype, count in _counts(file).items():
            counts[dtype] = counts.get(dtype, 0) + count
    return _from_counts(name, counts, _FILES)


def _counts(file: Path) -> dict[str, int]:
    """Elements per dtype, from the header of a safetensors file."""
    with file.open("rb") as stream:
        try:
            (length,) = struct.unpack("<Q", stream.read(8))
            if length > 100_000_000:  # the format's own limit
                raise ValueError
            header = json.loads(stream.read(length))
            tensors = [entry for key, entry in header.items() if key != "__metadata__"]
            counts: dict[str, int] = {}
            for entry in tensors:
                counts[entry["dtype"]] = counts.get(entry["dtype"], 0) + math.prod(entry["shape"])
        except (struct.error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{str(file)!r} is no safetensors file, or damaged; download it again.") from error
    return counts


def _from_counts(name: str, counts: Mapping[str, int], known_from: str) -> Need:
    if not counts:
        raise ValueError(f"{name} holds no weights.")
    disk = sum(count * _SAFETENSORS_BITS.get(dtype, 8) // 8 for dtype, count in counts.items())
    stored = max(counts, key=lambda dtype: counts[dtype])
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    return Need(name, sum(counts.values()), disk, names.get(stored, stored), known_from)


def _need_of_hub(name: str) -> Need:
    from huggingface_hub import get_safetensors_metadata
    from huggingface_hub.errors import GatedRepoError, NotASafetensorsRepoError, RepositoryNotFoundError

    try:
        return _from_counts(
            name, {str(k): v for k, v in get_safetensors_metadata(name).parameter_count.items()}, "read from the hub"
        )
    except GatedRepoError as error:
        reason: tuple[str, Exception] = ("is gated (accept its terms on its page, then `hf auth login`)", error)
    except RepositoryNotFoundError as error:
        reason = ("is neither a folder here nor a model on the hub", error)
    except NotASafetensorsRepoError as error:
        reason = ("has no safetensors weights on the hub", error)
    except Exception as error:  # noqa: BLE001 (each version of the hub's client has network errors of its own)
        reason = ("is not on this machine and the hub cannot be reached", error)
    if name in ABOUT:
        parameters = round(ABOUT[name])
        return Need(name, parameters, 2 * parameters, "float16", f"its published size: it {reason[0]}")
    raise ValueError(f"{name} {reason[0]}; its size is not known.") from reason[1]
