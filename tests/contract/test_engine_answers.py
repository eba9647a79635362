"""Answers: the ids of a plain ``generate``, words as they come, what is a step, and clear errors."""

from dataclasses import replace

import cases
import numpy as np
import pytest
import torch

from dexar_widgets import engine

SAID = "The image shows a dog"


@pytest.fixture(params=cases.VARIANTS)
def handle(request):
    return cases.shared(request.param)


@pytest.fixture
def request_(handle):
    return engine.encode(handle, cases.EXAMPLE)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_new_tokens": 20},
        {"do_sample": True, "temperature": 1.5, "top_p": 0.9},
        {"do_sample": True, "top_k": 7, "num_beams": 1},
        {"num_beams": 3},
        {"num_beams": 1},
        {"do_sample": True, "num_beams": 2},
    ],
    ids=str,
)
def test_ids_are_those_of_a_plain_generate(handle, request_, options):
    options = {"max_new_tokens": 8} | options
    torch.manual_seed(11)
    plain = handle.model.generate(**request_.inputs, **options)[0, request_.prompt_ids.shape[1] :]
    said = engine.answer(handle, request_, decoding=engine.Decoding(**options, seed=11))
    assert said.generation.ids.tolist() == plain.tolist()


def test_log_probabilities_do_not_depend_on_how_the_answer_came_about(handle, request_):
    said = engine.answer(handle, request_, decoding=cases.SHORT).generation
    assert np.allclose(engine.score(handle, request_, said.ids)[said.positions], said.log_probs, atol=1e-5)
    assert (said.log_probs < 0).all()


def test_sampling_with_a_seed_repeats_itself_and_leaves_the_random_numbers_alone():
    handle = cases.shared("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one, two, other = (
        engine.answer(
            handle, request, decoding=engine.Decoding(max_new_tokens=8, do_sample=True, seed=seed)
        ).generation.ids
        for seed in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_florence_begins_and_ends_with_forced_tokens_that_are_no_steps():
    handle = cases.shared("florence2")
    request = engine.encode(handle, cases.EXAMPLE)
    settings = handle.model.generation_config
    generation = engine.answer(handle, request, decoding=cases.SHORT).generation
    assert generation.ids[0] == settings.forced_bos_token_id
    assert generation.ids[-1] == settings.eos_token_id
    assert generation.positions.tolist() == list(range(1, len(generation.ids) - 1))
    given = engine.answer(handle, request, answer=SAID).generation
    assert given.ids[0] == settings.forced_bos_token_id
    assert given.positions.tolist() == list(range(1, len(given.ids)))


def test_the_end_token_is_a_step_only_if_asked_for():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    free = engine.answer(handle, request, decoding=cases.SHORT).generation.ids
    handle.model.generation_config.eos_token_id = [2, int(free[3])]
    ended = engine.answer(handle, request, decoding=cases.SHORT).generation
    assert ended.ids.tolist() == free[:4].tolist()
    assert ended.positions.tolist() == [0, 1, 2]
    assert "".join(ended.pieces).strip() == ended.text
    with_end = engine.answer(handle, request, decoding=replace(cases.SHORT, include_end=True))
    assert with_end.generation.positions.tolist() == [0, 1, 2, 3]
    assert len(engine.differentiate(handle, request, with_end).steps) == 4


def test_words_come_one_by_one_and_are_those_of_the_answer(handle, request_):
    heard = []
    said = engine.answer(handle, request_, decoding=engine.Decoding(max_new_tokens=12), on_word=heard.append)
    assert heard == [word.text for word in said.generation.words]
    assert "".join(heard) == said.generation.text.replace(" ", "")


def test_a_word_is_handed_over_before_the_answer_is_finished():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    calls, seen = 0, []

    def count(*_):
        nonlocal calls
        calls += 1

    handle.anatomy.unembedding.register_forward_hook(count)
    engine.answer(handle, request, decoding=engine.Decoding(max_new_tokens=12), on_word=lambda _: seen.append(calls))
    assert seen[0] < 12


def test_a_given_answer_is_tokenised_alone_without_special_tokens(handle, request_):
    generation = engine.answer(handle, request_, answer=SAID).generation
    assert generation.ids[generation.positions].tolist() == handle.tokenizer(SAID, add_special_tokens=False).input_ids
    assert generation.text == SAID
    assert [word.text for word in generation.words] == SAID.split()


@pytest.mark.parametrize("answer", ["", "  \n"])
def test_an_empty_given_answer_is_an_error(answer):
    handle = cases.shared("llava")
    with pytest.raises(ValueError, match="empty"):
        engine.answer(handle, engine.encode(handle, cases.EXAMPLE), answer=answer)


def test_a_model_that_says_nothing_is_an_error():
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    first = engine.answer(handle, request, decoding=cases.SHORT).generation.ids[0]
    handle.model.generation_config.eos_token_id = int(first)
    with pytest.raises(ValueError, match="answer is empty"):
        engine.answer(handle, request, decoding=cases.SHORT)


def test_a_prompt_past_the_context_window_is_an_error_with_numbers(handle):
    window = handle.model.config.text_config.max_position_embeddings
    with pytest.raises(ValueError, match=rf"prompt.* \d+ tokens .* {window}"):
        engine.encode(handle, replace(cases.EXAMPLE, prompt=" dog" * 3 * window))


def test_an_answer_past_the_context_window_is_an_error_with_numbers(handle, request_):
    window = handle.model.config.text_config.max_position_embeddings
    with pytest.raises(ValueError, match=f"{window + request_.prompt_ids.shape[1]} tokens .* {window}"):
        engine.answer(handle, request_, decoding=engine.Decoding(max_new_tokens=window))
    with pytest.raises(ValueError, match=rf"\d+ tokens .* {window}"):
        engine.answer(handle, request_, answer=" dog" * 2 * window)
    with pytest.raises(ValueError, match=f"tokens .* {window}"):
        engine.score(handle, request_, np.zeros(window + 1, int))


@pytest.mark.parametrize(
    "decoding", [cases.SHORT, engine.Decoding(max_new_tokens=4, do_sample=True)], ids=["greedy", "sampled"]
)
def test_weights_that_are_no_numbers_are_named(decoding):
    handle = cases.build("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    with torch.no_grad():
        handle.anatomy.projections[1].weight[0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"layers\.1\.self_attn\.o_proj\.weight"):
        engine.answer(handle, request, decoding=decoding)


@pytest.mark.parametrize(
    "options", [{"max_new_tokens": 0}, {"num_beams": 0}, {"temperature": -1.0}, {"top_p": 1.5}, {"top_k": -1}], ids=str
)
def test_settings_out_of_range_are_errors_that_name_them(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        engine.Decoding(**options)


@pytest.mark.parametrize("steps", [[], [5], [-1], [0, 99]], ids=str)
def test_steps_that_the_answer_does_not_have_are_an_error(steps):
    handle = cases.shared("llava")
    request = engine.encode(handle, cases.EXAMPLE)
    said = engine.answer(handle, request, answer=SAID)
    with pytest.raises(ValueError, match="steps 0 to 4"):
        engine.differentiate(handle, request, said, steps=steps)
