"""What the engine does not do: no attention map, no other attention, no replay per token, no graph that stays."""

import gc

import cases
import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from dexar_widgets import engine

LONG = engine.Decoding(max_new_tokens=12)


class Largest(TorchDispatchMode):
    """The shapes of all tensors that operations give, in this thread."""

    def __init__(self):
        super().__init__()
        self.shapes = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for each in result if isinstance(result, (tuple, list)) else (result,):
            if isinstance(each, torch.Tensor):
                self.shapes.append(tuple(each.shape))
        return result


@pytest.mark.parametrize("variant", ["llava", "llava mistral", "paligemma 1", "florence2"])
def test_no_attention_map_comes_into_being(variant, monkeypatch):
    handle = cases.shared(variant)
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    seen = []
    forward = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *args, **options: seen.append(1) or forward(*args, **options),
    )
    with Largest() as made:
        passed = engine.differentiate(handle, request, said)
    layers = len(handle.anatomy.blocks)
    assert len(seen) == layers * (2 if handle.anatomy.cross_attention else 1)  # each attention once, for all tokens
    assert _maps(handle, said, passed, made) == []


def test_a_model_that_makes_attention_maps_by_itself_is_noticed_by_the_test_above():
    handle = cases.shared("paligemma 2")  # eager only in transformers
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    with Largest() as made:
        passed = engine.differentiate(handle, request, said, steps=[len(said.generation) - 1])
    assert _maps(handle, said, passed, made) != []


def _maps(handle, said, passed, made):
    keys = len(passed.layout)
    rows = {said.generation.positions[-1] + 1, keys}
    return [
        shape
        for shape in made.shapes
        if shape[-2:-1] and shape[-2] in rows and shape[-1] == keys and shape[-3:-2] == (4,)
    ]


def test_one_forward_serves_all_tokens():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    calls = []
    handle.anatomy.blocks[0].register_forward_hook(lambda *_: calls.append(1))
    handle.anatomy.vision_tower.register_forward_hook(lambda *_: calls.append(1))
    engine.differentiate(handle, request, said)
    assert len(calls) == 1


def test_nothing_of_the_graph_stays_after_the_pass():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    passed = engine.differentiate(handle, request, said, lens=True)
    gc.collect()
    recorded = [each for each in gc.get_objects() if type(each) is torch.Tensor and each.grad_fn is not None]
    assert recorded == []
    assert passed.nbytes > 0


def test_attention_rows_see_the_models_own_attention_function():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    plain, listened = (cases.tensor(handle, request, said, attention=attention).values for attention in (False, True))
    assert np.array_equal(plain, listened)


def test_flash_attention_refuses_attention_rows_and_says_what_to_do(monkeypatch):
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, decoding=LONG)
    monkeypatch.setattr(handle.model.model.language_model.config, "_attn_implementation_internal", "flash_attention_2")
    with pytest.raises(ValueError, match='attn_implementation="sdpa"'):
        engine.differentiate(handle, request, said, attention=True)
