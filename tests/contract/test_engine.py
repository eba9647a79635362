"""The engine's tensor against plain autograd through eager attention, for every family."""

import cases
import numpy as np
import oracle
import pytest
import torch

from dexar_widgets import engine

ANSWERS = {
    "generated": (None, 6),
    "generated, one token": (None, 1),
    "given": ("The image shows a dog", 6),
    "given, one token": ("on", 6),
}
TOLERANCE = 1e-5  # of the largest value: float32 against an oracle whose softmax and norms run in float32


@pytest.fixture(params=cases.VARIANTS)
def handle(request):
    return cases.shared(request.param)


@pytest.fixture
def request_(handle):
    return engine.encode(handle, cases.EXAMPLE)


@pytest.mark.parametrize("answer", ANSWERS)
def test_the_tensor_is_that_of_autograd_through_eager_attention(handle, request_, answer):
    given, length = ANSWERS[answer]
    length += 2 * handle.anatomy.cross_attention  # Florence-2's first and last tokens are forced
    said = engine.answer(handle, request_, answer=given, decoding=engine.Decoding(max_new_tokens=length))
    passed = engine.differentiate(handle, request_, said, attention=True, lens=True)
    (found,) = passed.chunks()
    generation = said.generation
    expected = oracle.differentiate(handle.model, request_.inputs, generation.ids, generation.positions)
    targets = generation.ids[generation.positions]

    assert "one token" not in answer or len(generation) == 1
    assert (np.abs(expected.values).max((1, 2, 3)) > 0).all()  # something to compare in every step
    assert found.values.shape == expected.values.shape
    assert np.array_equal(found.allowed, expected.allowed)
    assert (found.values[~np.broadcast_to(found.allowed[:, :, None], found.values.shape)] == 0).all()
    assert cases.scale_of_difference(found.values, expected.values) < TOLERANCE
    assert cases.scale_of_difference(found.twice, expected.twice) < TOLERANCE
    assert np.abs(passed.attention - expected.attention).max() < TOLERANCE
    logits = np.take_along_axis(expected.logits, targets[:, None, None], -1)
    assert cases.scale_of_difference(passed.lens.logit, logits[..., 0]) < TOLERANCE
    assert np.array_equal(passed.lens.rank, (expected.logits > logits).sum(-1))
    log_probs = torch.log_softmax(torch.as_tensor(expected.logits[:, -1]), -1).numpy()
    assert np.abs(generation.log_probs - log_probs[np.arange(len(targets)), targets]).max() < TOLERANCE


def test_the_layout_names_every_key_and_the_mask_leaves_out_the_future(handle, request_):
    said = engine.answer(handle, request_, decoding=cases.SHORT)
    passed = engine.differentiate(handle, request_, said)
    (found,) = passed.chunks()
    if handle.anatomy.cross_attention:
        assert passed.layout == request_.layout
        assert found.allowed.all()
    else:
        row = request_.prompt_ids.shape[1] - 1
        assert passed.layout.ids.tolist() == [*request_.layout.ids, *said.generation.ids[:-1]]
        assert passed.layout.kinds[row + 1 :] == ("answer",) * (len(said.generation) - 1)
        assert not found.allowed[0, :, row + 1 :].any()
        assert found.allowed[np.arange(len(found.steps)), :, row + said.generation.positions].all()


def test_a_sliding_window_shorter_than_the_prompt_hides_its_beginning():
    for variant in ("llava mistral", "paligemma 2"):
        handle = cases.shared(variant)
        request = engine.encode(handle, cases.EXAMPLE)
        window = handle.model.config.text_config.sliding_window
        assert window < request.prompt_ids.shape[1]
        found = cases.tensor(handle, request, engine.answer(handle, request, decoding=cases.SHORT))
        assert found.allowed[1].sum(-1).min() == window  # (PaliGemma's first row sees the whole prefix)


def test_heads_share_keys_where_the_model_groups_them():
    for variant, groups in (("llava mistral", 2), ("paligemma 1", 4)):
        text = cases.shared(variant).model.config.text_config
        assert text.num_attention_heads // text.num_key_value_heads == groups


def test_llava_has_text_on_both_sides_of_the_image():
    kinds = engine.encode(cases.shared("llava"), cases.EXAMPLE).layout.kinds
    first, last = kinds.index("image"), len(kinds) - 1 - kinds[::-1].index("image")
    assert first > 1 and last < len(kinds) - 2


def test_some_steps_alone_give_the_same_rows_as_all_steps(handle, request_):
    said = engine.answer(handle, request_, answer="The image shows a dog")
    every = cases.tensor(handle, request_, said)
    some = cases.tensor(handle, request_, said, steps=[2, 1])
    tokens = some.values.shape[-1]  # keys after the last explained row are left out
    assert some.steps.tolist() == [1, 2]
    assert cases.scale_of_difference(some.values, every.values[1:3, ..., :tokens]) < TOLERANCE
    assert np.array_equal(some.allowed, every.allowed[1:3, ..., :tokens])


def test_chunks_join_to_the_whole_tensor(handle, request_):
    said = engine.answer(handle, request_, answer="The image shows a dog")
    passed = engine.differentiate(handle, request_, said)
    (whole,) = passed.chunks()
    parts = list(passed.chunks(max_bytes=1))
    assert [part.steps.tolist() for part in parts] == [[step] for step in range(len(said.generation))]
    assert (
        cases.scale_of_difference(np.concatenate([part.values for part in parts]), whole.values) < 1e-6
    )  # sums reordered
    assert passed.nbytes == whole.values.nbytes + whole.twice.nbytes


def test_bfloat16_agrees_within_3_percent_with_float32_on_the_same_rounded_weights(handle):
    _assert_close_in(torch.bfloat16, handle, 0.03)


def test_float16_agrees_within_half_a_percent_with_float32_on_the_same_rounded_weights(handle):
    _assert_close_in(torch.float16, handle, 0.005)


def _assert_close_in(dtype, handle, tolerance):
    half, full = cases.in_dtype(handle, dtype)
    found, expected = (
        cases.tensor(each, asked, engine.answer(each, asked, answer="The image shows a dog"))
        for each in (half, full)
        for asked in [engine.encode(each, cases.EXAMPLE)]
    )
    assert cases.scale_of_difference(found.values, expected.values) < tolerance
    return np.abs(expected.values).max()


def test_float16_keeps_gradients_near_its_smallest_number():
    handle = cases.build("llava")
    with torch.no_grad():  # gradients are proportional to both
        for projection in handle.anatomy.projections:
            projection.weight *= 2.0**-12
        handle.anatomy.unembedding.weight *= 2.0**-12
    largest = _assert_close_in(torch.float16, handle, 0.005)
    assert largest < 2.0**-19  # 32 of float16's smallest steps: without care most of it vanishes


def test_the_soft_cap_can_be_left_out():
    handle = cases.shared("paligemma 2")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, answer="The image shows a dog")
    cap = handle.anatomy.softcap
    capped, plain = (
        engine.differentiate(handle, request, said, lens=True, softcap=softcap) for softcap in (True, False)
    )
    assert np.allclose(cap * np.tanh(plain.lens.logit / cap), capped.lens.logit, rtol=1e-5, atol=1e-6)
    # d tanh: each row of the tensor shrinks by 1 − (capped/cap)²
    (with_cap,), (without,) = capped.chunks(), plain.chunks()
    slope = 1 - (capped.lens.logit / cap) ** 2
    assert np.allclose(without.values * slope[:, :, None, None], with_cap.values, rtol=1e-4, atol=1e-6)


def test_patch_norms_are_those_of_the_vision_towers_features(handle, request_):
    said = engine.answer(handle, request_, answer="on")
    passed = engine.differentiate(handle, request_, said, patch_norm=True)
    shown = passed.layout.cells[:, 0] >= 0
    assert np.isnan(passed.patch_norm[~shown]).all()
    with torch.no_grad():
        output = handle.model.model.vision_tower(request_.inputs["pixel_values"], output_hidden_states=True)
    features = output.last_hidden_state[0]
    if handle.model.config.model_type == "llava":
        features = output.hidden_states[-2][0]
    if features.ndim == 3:  # channel row col
        features = features.flatten(1).T
    expected = features[-shown.sum() :].norm(dim=-1)  # the class token comes first
    assert np.allclose(passed.patch_norm[shown], expected, rtol=1e-5)
