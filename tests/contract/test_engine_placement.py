"""Models spread over devices, offloaded to disk, or quantised give the tensor of the whole model."""

import cases
import numpy as np
import pytest
import torch

import dexar_widgets as dx
from dexar_widgets import engine, plugins, vlm

SAID = "The image shows a dog"


@pytest.fixture
def folder(request, tmp_path):
    handle = cases.shared(request.param)
    handle.model.save_pretrained(tmp_path / "model")
    handle.processor.save_pretrained(tmp_path / "model")
    return handle, tmp_path / "model"


def _whole_and_answer(handle):
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, answer=SAID)
    passed = engine.differentiate(handle, request, said, lens=True, attention=True)
    (chunk,) = passed.chunks()
    generated = engine.answer(handle, request, decoding=cases.SHORT).generation.ids
    return chunk.values, passed.lens.logit, passed.attention, generated


@pytest.mark.parametrize("folder", ["llava mistral", "paligemma 1", "florence2"], indirect=True)
def test_weights_offloaded_to_disk_give_the_same_tensor(folder, tmp_path):
    pytest.importorskip("accelerate")
    handle, place = folder
    expected = _whole_and_answer(handle)
    everything = dict.fromkeys(_leaf_parts(handle.model), "disk")
    offloaded = vlm.load(place, device_map=everything, offload_folder=tmp_path / "offload")
    assert all(weight.is_meta for weight in offloaded.model.parameters())
    found = _whole_and_answer(offloaded)
    for one, other in zip(found, expected, strict=True):
        assert np.allclose(one, other, rtol=1e-5, atol=1e-5)
    assert all(weight.is_meta for weight in offloaded.model.parameters())


RUNNING = [name for name in plugins.names("methods") if not plugins.get("methods", name).CONTROL]
FEW = {"rise": {"n_masks": 3}, "integrated_gradients": {"n_steps": 2}, "iia": {"n_images": 2, "n_attentions": 2}}


def _maps(handle, method):
    return dx.attribute(handle, cases.EXAMPLE.image, method=method, answer=SAID, **FEW.get(method, {})).maps


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["llava mistral", "florence2"], indirect=True)
def test_weights_offloaded_to_disk_give_every_methods_maps(folder, tmp_path):
    pytest.importorskip("accelerate")
    handle, place = folder
    everything = dict.fromkeys(_leaf_parts(handle.model), "disk")
    offloaded = vlm.load(place, device_map=everything, offload_folder=tmp_path / "offload")
    for method in RUNNING:
        found, expected = _maps(offloaded, method), _maps(handle, method)
        assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max(), method
    assert all(weight.is_meta for weight in offloaded.model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["llava mistral"], indirect=True)
def test_weights_in_8_bits_give_nearly_every_methods_maps(folder):
    pytest.importorskip("optimum.quanto")
    from transformers import QuantoConfig

    handle, place = folder
    quantised = vlm.load(place, quantization_config=QuantoConfig(weights="int8"), device="cpu")
    for method in RUNNING:
        found, expected = _maps(quantised, method), _maps(handle, method)
        assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.97, method


def _leaf_parts(model):
    """Blocks and whatever lies beside them: what accelerate may place on its own."""
    kinds = set(model._no_split_modules)
    parts = []

    def walk(module, name):
        if type(module).__name__ in kinds or not list(module.children()):
            parts.append(name)
            return
        for child, inner in module.named_children():
            walk(inner, f"{name}.{child}" if name else child)
        parts.extend(f"{name}.{own}" for own, _ in module.named_parameters(recurse=False))
        parts.extend(f"{name}.{own}" for own, _ in module.named_buffers(recurse=False))

    walk(model, "")
    return parts


@pytest.mark.parametrize("folder", ["llava mistral", "paligemma 1"], indirect=True)
def test_weights_in_8_bits_give_nearly_the_same_tensor(folder):
    pytest.importorskip("optimum.quanto")
    from transformers import QuantoConfig

    handle, place = folder
    expected, *_ = _whole_and_answer(handle)
    quantised = vlm.load(place, quantization_config=QuantoConfig(weights="int8"), device="cpu")
    found, *_ = _whole_and_answer(quantised)
    assert type(quantised.anatomy.projections[0]) is not torch.nn.Linear
    correlation = np.corrcoef(found.ravel(), expected.ravel())[0, 1]
    assert correlation > 0.99


def test_a_quantised_unembedding_gives_its_rows_by_its_gradient():
    quanto = pytest.importorskip("optimum.quanto")
    expected, logit, *_ = _whole_and_answer(cases.shared("llava"))
    handle = cases.build("llava")
    quanto.quantize(handle.model, include="lm_head", weights=quanto.qint8)
    quanto.freeze(handle.model)
    found, seen, *_ = _whole_and_answer(handle)
    assert type(handle.anatomy.unembedding) is not torch.nn.Linear
    assert cases.scale_of_difference(found, expected) < 0.02
    assert cases.scale_of_difference(seen, logit) < 0.02
