"""What a machine has, what a model needs, and whether the two fit; without weights, network or accelerator."""

import json
import struct
from pathlib import Path

import pytest

from dexar_widgets import cli, doctor
from dexar_widgets.doctor import Accelerator, Machine, Need

GIB = 2**30


def safetensors(path: Path, **tensors: tuple[str, tuple[int, ...]]) -> None:
    """A file with a header alone: the doctor must not look at weights."""
    header = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]} for name, (dtype, shape) in tensors.items()
    }
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def machine(free: float | None, *accelerators: Accelerator) -> Machine:
    memory = None if free is None else round(free * GIB)
    return Machine("3.12", "Linux", {}, 2, memory, memory, 10 * GIB, accelerators, None)


def test_a_folders_size_is_read_from_the_headers_of_all_its_files(tmp_path: Path) -> None:
    safetensors(tmp_path / "model-1.safetensors", a=("BF16", (1000, 2000)), b=("F32", (10,)))
    safetensors(tmp_path / "model-2.safetensors", c=("BF16", (500,)), scalar=("I64", ()))
    need = doctor.need(str(tmp_path))
    assert need.parameters == 2_000_000 + 10 + 500 + 1
    assert need.disk == 2 * 2_000_500 + 4 * 10 + 8
    assert need.stored == "bfloat16"
    assert need.here


def test_memory_grows_with_the_weights_of_a_precision() -> None:
    need = Need("m", 7 * 10**9, 14 * 10**9, "float16", "read from the hub")
    assert need.memory(16) - need.memory(4) == pytest.approx(7e9 * 12 / 8, rel=0.2)
    assert need.memory(16) > 14e9
    assert not need.here


def test_a_model_fits_where_its_memory_is_free() -> None:
    need = Need("m", 7 * 10**9, 14 * 10**9, "float16", "read from the hub")
    small, large = Accelerator("small", "cuda:0", 8 * GIB, 6 * GIB), Accelerator("large", "cuda:1", 48 * GIB, 40 * GIB)
    fits = doctor.fit(need, machine(20, small, large))
    assert fits == {
        "float32": ("cuda:1",),  # 28 GB
        "bfloat16": ("cpu", "cuda:1"),  # 14 GB
        "8-bit": ("cuda:1",),  # 7 GB
        "4-bit": ("cuda:0", "cuda:1"),  # 3.5 GB
    }


def test_where_the_system_does_not_tell_its_memory_nothing_is_promised() -> None:
    assert not any(doctor.fit(Need("m", 10, 20, "float16", "read from the hub"), machine(None)).values())


@pytest.mark.parametrize(
    "content", [b"", b"\x01", b"\xff" * 64, struct.pack("<Q", 4) + b"nope", struct.pack("<Q", 2) + b"[]"]
)
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        doctor.need(str(tmp_path))


def test_a_folder_without_weights_and_an_unknown_lab_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.safetensors"):
        doctor.need(str(tmp_path))
    with pytest.raises(ValueError, match="lab/nothing"):
        doctor.need("lab/nothing")


def test_without_the_hub_a_known_checkpoint_has_its_published_size(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr("huggingface_hub.get_safetensors_metadata", unreachable)
    need = doctor.need("llava-hf/llava-1.5-7b-hf")
    assert need.parameters == 7_060_000_000
    assert "published size" in need.known_from
    assert not need.here
    assert doctor.need("microsoft/Florence-2-base").name == "florence-community/Florence-2-base"
    with pytest.raises(ValueError, match="some/model is not on this machine and the hub cannot be reached"):
        doctor.need("some/model")


def test_a_chosen_browser_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "mybrowser"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(program))
    assert doctor.browser() == str(program)
    monkeypatch.setenv("CHROMIUM", str(tmp_path / "missing"))
    assert doctor.browser() is None


def test_this_machine_is_described() -> None:
    here = doctor.machine()
    assert here.cores >= 1
    assert here.disk > 0
    assert here.versions["torch"]
    assert here.memory is None or here.free is None or 0 < here.free <= here.memory


def test_the_command_tells_the_machine_and_the_verdict(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", a=("F32", (10,)))
    assert cli.main(["doctor", str(tmp_path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "fits: cpu" in out
    assert "Node not needed" in out


def test_the_command_ends_with_1_if_the_model_fits_nowhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    safetensors(tmp_path / "model.safetensors", a=("BF16", (10**6, 10**8)))  # 200 TB
    assert cli.main(["doctor", str(tmp_path), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["model"]["parameters"] == 10**14
    assert not any(report["model"]["fits"].values())


def test_low_bits_without_an_accelerator_are_not_called_too_large(capsys: pytest.CaptureFixture[str]) -> None:
    from dexar_widgets.cli.doctor import _tell_need

    need, here = Need("m", 10, 20, "float16", "read from the hub"), machine(20)
    _tell_need(need, doctor.fit(need, here), here)
    told = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "fits: cpu" in told["float32"]
    assert "wants an accelerator, and none is here" in told["4-bit"]
