"""Explanations come back from disk as they were, and what is no explanation is told from one."""

import json
import os
import pickle
import stat
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from dexar_widgets import files
from dexar_widgets.explanation import Explanation
from dexar_widgets.files import read, write_whole
from dexar_widgets.types import Word
from tests.unit.made import explanation_of, full_parts, generation_of, random_parts


def made(keep="full", seed=0, **changes):
    return explanation_of(*random_parts(seed), keep=keep, **changes)


@pytest.mark.parametrize("keep", ["full", "visual", "summary"])
@pytest.mark.parametrize("seed", [0, 3])
def test_an_explanation_is_equal_after_a_round_trip(tmp_path, keep, seed):
    e = made(keep, seed)
    back = Explanation.read(e.save(tmp_path / "e.safetensors"))
    assert back == e
    assert back.sequence_map() == e.sequence_map()
    assert back.heatmap("a", preset="released") == e.heatmap("a", preset="released")


def test_everything_optional_comes_back_too(tmp_path):
    e = made(preset="released", **full_parts(0))
    back = read(e.save(tmp_path / "e.safetensors"))
    assert back == e
    assert back.attention.dtype == np.float16
    assert back.lens.top_words == e.lens.top_words


def test_a_tensor_without_its_second_gradient_comes_back_without(tmp_path):
    tensor, layout = random_parts(0)
    e = explanation_of(replace(tensor, twice=None), layout, keep="summary")
    assert read(e.save(tmp_path / "e.safetensors")) == e


def test_text_of_any_script_comes_back(tmp_path):
    words = (Word("Ünïcode ▁語🙂", (0,)), Word("</script>\x00\ud800", tuple(range(1, len(random_parts(0)[0].steps)))))
    e = made(generation=generation_of(len(random_parts(0)[0].steps), words))
    e = replace(e, example=replace(e.example, prompt="¿qué?\n", source=None, notices=("one", "two")))
    assert read(e.save(tmp_path / "e.safetensors")) == e


def test_the_image_comes_back_pixel_by_pixel(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3)).astype(np.uint8)
    e = made()
    e = replace(e, example=replace(e.example, image=np.asfortranarray(image)))
    np.testing.assert_array_equal(read(e.save(tmp_path / "e.safetensors")).example.image, image)


def test_views_of_larger_arrays_are_saved_as_they_look(tmp_path):
    e = made()
    strided = np.repeat(e.gradients.values, 2, axis=-1)[..., ::2]
    assert not strided.flags.c_contiguous
    e = replace(e, gradients=replace(e.gradients, values=strided))
    assert read(e.save(tmp_path / "e.safetensors")) == e


def test_the_file_is_plain_safetensors_with_a_json_header(tmp_path):
    path = made().save(tmp_path / "e.safetensors")
    assert load_file(path)["gradients.values"].shape == made().gradients.values.shape
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(path.read_bytes())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_file_cut_short_says_so(tmp_path, share):
    path = made().save(tmp_path / "e.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match="is cut short or no safetensors file"):
        read(path)


@pytest.mark.parametrize("content", [b"hello, world", b"\x89PNG\r\n\x1a\n" * 20, b"{" * 64])
def test_some_other_file_says_so(tmp_path, content):
    path = tmp_path / "e.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is cut short or no safetensors file"):
        read(path)


def rewritten(path, **changes):
    """The same file with another header."""
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        header = json.loads(file.metadata()["dexar_widgets"])
    save_file(load_file(path), path, {"dexar_widgets": json.dumps(header | changes)})
    return path


def test_a_newer_version_says_so_and_what_to_do(tmp_path):
    path = rewritten(made().save(tmp_path / "e.safetensors"), version=99)
    with pytest.raises(ValueError, match=r"has format version 99, this dexar_widgets reads up to 2; update it"):
        read(path)


@pytest.mark.parametrize(
    "metadata", [None, {"format": "pt"}, {"dexar_widgets": "no json"}, {"dexar_widgets": "[]"}, {"dexar_widgets": "{}"}]
)
def test_someone_elses_safetensors_say_so(tmp_path, metadata):
    path = tmp_path / "weights.safetensors"
    save_file({"weight": np.zeros(3)}, path, metadata)
    with pytest.raises(ValueError, match="is no explanation written by dexar_widgets"):
        read(path)


@pytest.mark.parametrize(
    "explanation",
    [
        None,
        {},
        {"fields": {}},
        {"fields": {"example": {"type": "Popen", "fields": {}}}},
        {"fields": {"keep": {"array": "x"}}},
    ],
)
def test_a_header_that_was_tampered_with_makes_nothing_but_an_error(tmp_path, explanation):
    path = rewritten(made().save(tmp_path / "e.safetensors"), explanation=explanation)
    with pytest.raises(ValueError, match="is damaged"):
        read(path)


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(ValueError, match="There is no file"):
        read(tmp_path / "none.safetensors")


def test_a_missing_folder_says_so(tmp_path):
    with pytest.raises(ValueError, match=r"There is no folder .* to write 'e.safetensors' into"):
        made().save(tmp_path / "none" / "e.safetensors")


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    e = made()
    path = e.save(tmp_path / "e.safetensors")
    before = path.read_bytes()

    def half(arrays, place, metadata):
        place.write_bytes(before[:100])
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "save_file", half)
    with pytest.raises(OSError, match="No space left"):
        made(seed=1).save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["e.safetensors"]


def test_saving_again_replaces_the_old_file(tmp_path):
    path = made().save(tmp_path / "e.safetensors")
    assert made(seed=1).save(path) == path
    assert read(path) == made(seed=1)
    assert os.listdir(tmp_path) == ["e.safetensors"]


def test_a_file_is_written_through_a_link(tmp_path):
    (tmp_path / "real.bin").write_bytes(b"old")
    (tmp_path / "link.bin").symlink_to("real.bin")
    write_whole(tmp_path / "link.bin", b"new")
    assert (tmp_path / "real.bin").read_bytes() == b"new"
    assert (tmp_path / "link.bin").is_symlink()


def test_a_file_has_the_permissions_of_any_new_file(tmp_path):
    (tmp_path / "plain").write_bytes(b"")
    write_whole(tmp_path / "whole", b"")
    made().save(tmp_path / "saved")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "whole", "saved")}
    assert len(modes) == 1
