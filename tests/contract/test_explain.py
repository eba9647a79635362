"""The verbs `explain` and `check` on tiny models, against a plain forward pass where a number counts."""

import gc

import cases
import numpy as np
import pytest
import torch
from PIL import Image

import dexar_widgets as dx
from dexar_widgets import asking, causal, engine, perturb, verbs

PIXELS = cases.EXAMPLE.image
QUESTION = "What is in this image?"
REGION = (5, 10, 30, 35)


@pytest.fixture(scope="module")
def vlm():
    return cases.build("llava")


@pytest.fixture(scope="module")
def explained(vlm):
    return dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT)


def plain_log_probs(vlm, image, ids):
    """Log-probabilities from one ordinary forward pass, by transformers alone."""
    text = vlm.family.prompt(vlm.processor, QUESTION).text
    inputs = vlm.processor(images=Image.fromarray(image), text=text, return_tensors="pt")
    sequence = torch.cat([inputs["input_ids"], torch.as_tensor(ids)[None]], dim=1)
    with torch.no_grad():
        logits = vlm.model(input_ids=sequence, pixel_values=inputs["pixel_values"], use_cache=False).logits[0]
    rows = logits[-len(ids) - 1 : -1].log_softmax(-1)
    return rows[torch.arange(len(ids)), torch.as_tensor(ids)].numpy()


def test_the_answer_is_that_of_a_plain_generate(vlm, explained):
    text = vlm.family.prompt(vlm.processor, QUESTION).text
    inputs = vlm.processor(images=Image.fromarray(PIXELS), text=text, return_tensors="pt")
    plain = vlm.model.generate(**inputs, max_new_tokens=6)
    assert explained.generation.ids.tolist() == plain[0, inputs["input_ids"].shape[1] :].tolist()


def test_a_check_is_the_difference_of_plain_forward_passes(vlm, explained):
    found = dx.check(explained, step=slice(1, 3), region=REGION)
    mask = perturb.mask_of(REGION, (PIXELS.shape[1], PIXELS.shape[0]))
    ids = explained.generation.ids
    expected = [
        plain_log_probs(vlm, image, ids)[1:3].sum()
        for image in (PIXELS, perturb.hide(PIXELS, mask), perturb.keep(PIXELS, mask))
    ]
    assert np.allclose([found.log_prob, found.hidden, found.kept], expected, atol=1e-4)
    assert abs(expected[0] - expected[1]) > 1e-3  # hiding does something, so the line above can fail
    assert found.drop == pytest.approx(expected[0] - expected[1], abs=1e-4)
    assert found.area == pytest.approx(25 * 25 / (40 * 40))
    assert found.steps == (1, 2)


def test_checks_of_several_words_are_those_of_each_word_for_the_same_passes(explained, monkeypatch):
    counts, score = [], engine.score_variants
    monkeypatch.setattr(
        engine, "score_variants", lambda *args, **options: counts.append(args[4]) or score(*args, **options)
    )
    region = [(5, 10), (30, 10), (30, 35), (5, 35)]
    steps = [0, (1, 2), slice(None)]
    found = causal.checks(explained, steps=steps, region=region, how="blur", randoms=4)
    assert counts == [3 + 2 * 4]
    assert list(found) == [dx.check(explained, step=step, region=REGION, how="blur", randoms=4) for step in steps]
    assert len({check.log_prob for check in found}) == 3


def test_a_check_names_the_word_and_its_log_probability_in_words(explained):
    word = explained.generation.words[0]
    found = dx.check(explained, step=word.steps, region=REGION)
    assert str(found).startswith(f"“{found.word}”: log-probability {found.log_prob:.2f}")
    assert f"{found.drop:.2f} nats" in str(found)


def test_a_check_of_nothing_lost_has_no_minus_before_zero():
    found = dx.Check("dog", (2,), 0.25, "mean", -0.0004, -0.0001, -3.0)
    assert str(found) == (
        "“dog”: log-probability 0.00; 0.00 with the region hidden (0.00 nats lost), "
        "-3.00 with only the region left (25% of the image, mean)."
    )


def test_a_check_needs_the_model_or_another_one(vlm, explained, tmp_path):
    read = dx.read(explained.save(tmp_path / "e.safetensors"))
    with pytest.raises(ValueError, match="pass it as vlm="):
        dx.check(read, step=0, region=REGION)
    assert dx.check(read, step=0, region=REGION, vlm=vlm) == dx.check(explained, step=0, region=REGION)


def test_an_explanation_does_not_keep_the_model_in_memory():
    vlm = cases.build("llava")
    e = dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT)
    assert e.model() is vlm
    del vlm
    gc.collect()
    with pytest.raises(ValueError, match="does not know its model any more"):
        e.model()


def test_a_given_answer_is_explained_instead_of_a_generated_one(vlm):
    e = dx.explain(vlm, PIXELS, QUESTION, answer="a dog")
    assert e.generation.text == "a dog"
    assert e.provenance["answer"] == "given"


def test_steps_limit_what_is_explained_but_not_what_is_answered(vlm, explained):
    few = dx.explain(vlm, PIXELS, QUESTION, steps=[1, 3], decoding=cases.SHORT)
    assert few.steps == (1, 3)
    assert few.generation == explained.generation
    # The last explained step decides how many keys there are; the cells both have are the same.
    tokens = len(few.layout)
    assert np.allclose(few.gradients.values, explained.gradients.values[[1, 3], :, :, :tokens], atol=1e-6)


def test_a_large_tensor_is_kept_as_visual_columns_and_says_so(vlm, explained, monkeypatch):
    monkeypatch.setattr(verbs, "FULL_UP_TO", 1000)
    e = dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT)
    assert e.keep == "visual"
    assert any("keep='full' keeps everything" in notice for notice in e.example.notices)
    assert np.allclose(e.sequence_map().values, explained.sequence_map().values)


@pytest.mark.parametrize("keep", ["full", "visual", "summary"])
def test_every_way_of_keeping_gives_the_same_maps(vlm, explained, keep):
    e = dx.explain(vlm, PIXELS, QUESTION, keep=keep, decoding=cases.SHORT)
    assert np.allclose(e.heatmap(step=0).values, explained.heatmap(step=0).values, rtol=1e-5)
    assert np.allclose(e.step_weights(), explained.step_weights(), rtol=1e-5)


def test_what_is_asked_for_comes_along(vlm):
    e = dx.explain(vlm, PIXELS, QUESTION, attention=True, lens=True, patch_norm=True, decoding=cases.SHORT)
    assert np.allclose(e.attention.sum(-1), 1, atol=1e-5)
    assert e.lens.logit.shape == (len(e.steps), len(e.layers))
    assert (e.patch_norm[e.layout.is_image] > 0).all()
    assert np.isnan(e.patch_norm[~e.layout.is_image]).all()
    plain = dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT)
    assert (plain.attention, plain.lens, plain.patch_norm) == (None, None, None)


def test_words_stream_while_they_are_generated(vlm, explained):
    heard = []
    dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT, on_word=heard.append)
    assert [word.strip() for word in heard] == [word.text.strip() for word in explained.generation.words]


def test_without_a_prompt_the_familys_own_is_used(vlm):
    assert dx.explain(vlm, PIXELS, decoding=cases.SHORT).example.prompt == vlm.family.DEFAULT_PROMPT


def test_the_released_preset_is_refused_outside_its_family():
    paligemma = cases.build("paligemma 1")
    with pytest.raises(ValueError, match=r"LLaVA-1\.5 and BakLLaVA only"):
        dx.explain(paligemma, PIXELS, preset="released", decoding=cases.SHORT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": "half"}, "keep='half'"),
        ({"preset": "mine"}, "preset='mine'"),
        ({"answer": "  "}, "empty"),
        ({"steps": 99}, "99"),
    ],
)
def test_an_unknown_option_is_refused_with_what_is_accepted(vlm, options, message):
    with pytest.raises(ValueError, match=message):
        dx.explain(vlm, PIXELS, QUESTION, decoding=cases.SHORT, **options)


@pytest.mark.parametrize(("width", "height"), [(20000, 10), (10, 20000)])
def test_a_strip_is_refused_before_a_processor_blows_it_up(vlm, width, height):
    with pytest.raises(ValueError, match=f"{width}×{height} pixels, a strip"):
        dx.explain(vlm, np.zeros((height, width, 3), np.uint8), QUESTION, decoding=cases.SHORT)


def test_an_image_of_one_pixel_is_explained(vlm):
    e = dx.explain(vlm, np.full((1, 1, 3), 90, np.uint8), QUESTION, decoding=cases.SHORT)
    assert e.heatmap(step=0).grid.image_size == (1, 1)


def test_a_picture_that_is_no_scene_brings_a_notice_with_a_lab_model(vlm):
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    scene = dx.lab.scene(3).image
    lab = type(vlm)(vlm.model, vlm.processor, vlm.family, "lab/llava")
    assert asking._lab_notices(lab, scene) == ()
    (notice,) = asking._lab_notices(lab, noise)
    assert "knows only the lab's drawn scenes" in notice
    assert asking._lab_notices(vlm, noise) == ()


def test_scores_are_those_of_a_plain_forward_pass(vlm, explained):
    request = engine.encode(vlm, explained.example)
    ids = explained.generation.ids
    assert np.allclose(engine.score(vlm, request, ids), plain_log_probs(vlm, PIXELS, ids), atol=1e-4)


def test_an_embedded_model_runs_on_one_thread_and_gives_the_others_back(vlm, monkeypatch):
    lab = type(vlm)(vlm.model, vlm.processor, vlm.family, "lab/llava")
    seen, generate, before = [], type(vlm.model).generate, torch.get_num_threads()

    def counting(self, **options):
        seen.append(torch.get_num_threads())
        return generate(self, **options)

    monkeypatch.setattr(type(vlm.model), "generate", counting)
    torch.set_num_threads(2)
    try:
        request = engine.encode(lab, cases.EXAMPLE)
        engine.answer(lab, request, decoding=cases.SHORT)
        with pytest.raises(ValueError, match="empty"):
            engine.answer(lab, request, answer=" ")
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)
