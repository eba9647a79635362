"""Whatever happens, the model is left as it was found, and other threads are undisturbed."""

import threading
from contextlib import contextmanager, nullcontext

import cases
import numpy as np
import pytest
import torch

from dexar_widgets import engine

SAMPLED = engine.Decoding(max_new_tokens=4, do_sample=True, seed=3)
BEAMS = engine.Decoding(max_new_tokens=4, num_beams=2)
VARIANTS = ["llava mistral", "paligemma 2", "florence2"]


def _prepared(handle):
    request = engine.encode(handle, cases.EXAMPLE)
    return request, engine.answer(handle, request, decoding=cases.SHORT)


ENTRIES = {
    "encode": lambda handle, *_: engine.encode(handle, cases.EXAMPLE),
    "answer, greedy": lambda handle, request, _: engine.answer(handle, request, decoding=cases.SHORT, on_word=len),
    "answer, sampled": lambda handle, request, _: engine.answer(handle, request, decoding=SAMPLED),
    "answer, beams": lambda handle, request, _: engine.answer(handle, request, decoding=BEAMS),
    "answer, given": lambda handle, request, _: engine.answer(handle, request, answer="on"),
    "differentiate": lambda handle, request, said: engine.differentiate(handle, request, said),
    "differentiate, all": lambda handle, request, said: engine.differentiate(
        handle, request, said, attention=True, lens=True, patch_norm=True
    ),
    "score": lambda handle, request, said: engine.score(handle, request, said.generation.ids),
    "resume": lambda handle, request, said: engine.resume(handle, request, said.generation),
    "attention": lambda handle, request, said: engine.read_attention(handle, request, said, steps=[0, 2]),
    "states": lambda handle, request, said: engine.final_states(handle, request, said, steps=[0, 2]),
    "record": lambda handle, request, said: _recorded(handle, request, said),
    "variants": lambda handle, request, said: engine.score_variants(
        handle, request, said, lambda some: _pixels(request, some), 3, steps=[0, 2], batch_size=2
    ),
}


def _pixels(request, some):
    return torch.cat([request.inputs["pixel_values"] * number for number in some])


def _recorded(handle, request, said):
    with engine.record(handle, request, said, steps=[0, 2], pixels=_pixels(request, [1, 2])) as recording:
        weak = recording.weakened(0.5)
        return weak.gradients(weak.logits()[:, 0], weak.outputs())


@contextmanager
def failing(module):
    """The module's forward raises in this thread."""
    module.forward = _fail
    try:
        yield
    finally:
        del module.forward


def _fail(*_args, **_options):
    raise RuntimeError("injected")


def _last_mlp(handle):
    block = handle.anatomy.blocks[-1]
    return getattr(block, "mlp", None) or block.fc2


@pytest.mark.parametrize("fails", [False, True], ids=["", "with an exception in mid-pass"])
@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_model_is_left_as_it_was_found(variant, entry, fails, monkeypatch):
    handle = cases.build(variant)
    request, said = _prepared(handle)  # transformers itself installs some lasting hooks at the first call
    for part, weight in enumerate(handle.model.parameters()):
        weight.requires_grad_(part % 2 == 0)
    handle.model.model.vision_tower.train()  # a mode of its own
    handle.model.model.vision_tower.config._attn_implementation = "eager"  # and another implementation
    with failing(_last_mlp(handle)) if fails and entry != "encode" else nullcontext():
        if fails and entry == "encode":
            monkeypatch.setattr(handle.family, "layout", _fail)
        before = cases.snapshot(handle.model)
        with pytest.raises(RuntimeError, match="injected") if fails else nullcontext():
            ENTRIES[entry](handle, request, said)
        after = cases.snapshot(handle.model)
    for what, state in before.items():
        assert after[what] == state, what


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_in_training_mode_is_explained_as_in_evaluation_mode(variant):
    handle = cases.build(variant)
    request, said = _prepared(handle)
    expected = cases.tensor(handle, request, said)
    handle.model.train()
    _, again = _prepared(handle)
    found = cases.tensor(handle, request, again)
    assert handle.model.training
    assert np.array_equal(again.generation.ids, said.generation.ids)
    assert np.array_equal(found.values, expected.values)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_callers_gradient_mode_changes_nothing(variant, mode):
    handle = cases.shared(variant)

    def everything():
        request, said = _prepared(handle)
        passed = engine.differentiate(handle, request, said, attention=True, lens=True)
        (chunk,) = passed.chunks()
        return chunk.values, passed.attention, passed.lens.logit, engine.score(handle, request, said.generation.ids)

    expected = everything()
    with mode():
        found = everything()
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_another_thread_on_the_same_model_gets_what_it_would_have_got(variant):
    handle = cases.build(variant)
    request, said = _prepared(handle)
    expected = cases.tensor(handle, request, said, attention=True).values
    options = {
        "max_new_tokens": 4,
        "num_beams": 1,
        "do_sample": False,
        "return_dict_in_generate": True,
        "output_logits": True,
    }

    def plain():
        output = handle.model.generate(**request.inputs, **options)
        return torch.cat(output.logits), output.sequences

    alone = plain()
    differing, stop = [], threading.Event()

    def other():
        while not stop.is_set():
            try:
                same = all(torch.equal(one, two) for one, two in zip(plain(), alone, strict=True))
            except Exception as error:  # noqa: BLE001 (whatever it is, the test reports it)
                same = error
            if same is not True:
                differing.append(same)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        for _ in range(15):
            assert np.array_equal(cases.tensor(handle, request, said, attention=True, lens=True).values, expected)
            engine.answer(handle, request, decoding=cases.SHORT)
    finally:
        stop.set()
        thread.join()
    assert differing == []


def test_two_threads_explaining_with_one_model_wait_for_each_other():
    handle = cases.build("llava")
    request, said = _prepared(handle)
    expected = cases.tensor(handle, request, said).values
    found = []

    def explain():
        asked, own = _prepared(handle)
        found.append(cases.tensor(handle, asked, own).values)

    threads = [threading.Thread(target=explain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(np.array_equal(each, expected) for each in found)
