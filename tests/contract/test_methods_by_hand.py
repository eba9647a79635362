"""Every method's number on models of one or two layers, worked out on paper.

The model of one layer is that of `test_engine_by_hand`: an image token and a text token, A = (½, ½), G = (0.2744,
−0.2744), z = 0. A second one stacks two such layers whose head outputs are projected to nothing, under three tokens.
"""

import math
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from test_engine_by_hand import ANSWER, WORDS, handle, request_  # noqa: F401 (fixtures)
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from dexar_widgets import engine, plugins, vlm
from dexar_widgets.families import llava
from dexar_widgets.methods import Subject, integrated_gradients, tam
from dexar_widgets.types import Grid, TokenLayout

IMAGE, TEXT = 499, 300
G = 0.2744  # ∂o/∂A of the image token
A = 0.5
NO_IDS = torch.zeros((1, 0), dtype=torch.long)
LOG_P = -0.2 - math.log(math.exp(-0.2) + WORDS - 1)


def maps(vlm_, request, method, **options):
    module = plugins.get("methods", method)
    said = engine.answer(vlm_, request, answer=vlm_.tokenizer.decode([ANSWER]))
    return module.attribute(Subject(vlm_, request, said, (0,), module.NEEDS), module.Options(**options))


@pytest.mark.parametrize(
    ("method", "options", "value", "weight"),
    [
        ("attention", {}, A, None),
        ("attn_grad", {}, A * G, None),
        ("dexar", {}, G * G, G),  # δ = ω = s_vis − s_txt = 0.2744 − 0
        ("dexar", {"head_filter": "none", "filler_filter": "none"}, G, 1),
        ("dexar_use", {}, (A * G) ** 2, A * G),  # X = A·G⁺, δ read from X, weight its mass
        ("dexar_use", {"head_weight": "gradient", "step_weight": "gradient"}, G * A * G, G),
        ("dexar_use", {"head_filter": "none", "step_weight": "none"}, A * G, 1),
        ("rollout", {}, A / 2, None),  # row (½, ½) + I, halved
        ("chefer_cam", {}, A * G, None),  # the last layer's logit-lens logit is the final logit
        ("grad_cam", {"layer": 0}, 0, None),  # the image is read through a norm, which its length does not change
        ("rise", {"n_masks": 3, "cells": 1}, math.exp(LOG_P), None),  # the tower's weights are 0: no pixel matters
        ("rise", {"n_masks": 3, "cells": 1, "score": "log_probability"}, LOG_P, None),
        ("integrated_gradients", {}, 0, None),
        # A is multiplied by β = 0, ½, 1: M = ⅙·(0 + 0.5·G + 1·G)… of A·G the mean is half; then (M + I), rows to 1
        ("iia", {"n_images": 2, "n_attentions": 3, "target": "step"}, (A * G / 2) / (1 + A * G / 2), None),
        ("uniform", {}, 1, None),
        ("centre", {}, 1, None),  # one cell: the middle
        ("edges", {}, 0, None),  # an image of one colour
        # the image's state speaks for the word by 2.6 / √38.66, the text's by −0.2, cut to 0: scaled together, 1 and 0
        ("tam", {}, 1, None),
    ],
)
def test_the_image_tokens_value_is_that_on_paper(handle, request_, method, options, value, weight):  # noqa: F811
    found = maps(handle, request_, method, **options)
    assert found.values.shape == (1, 1)
    assert found.values.item() == pytest.approx(value, abs=1e-6)
    assert (weight is None) == (found.weights is None)
    assert weight is None or found.weights.item() == pytest.approx(weight, abs=1e-6)


def test_iia_of_the_answer_takes_the_gradient_of_its_log_probability(handle, request_):  # noqa: F811
    # ∂ log p/∂A = (1 − p)·∂o/∂A, as every other word's logit is 0 whatever the attention
    relevance = (1 - math.exp(LOG_P)) * G * A / 2
    found = maps(handle, request_, "iia", n_images=2, n_attentions=2)
    assert found.values.item() == pytest.approx(relevance / (1 + relevance), abs=1e-7)


@pytest.fixture(scope="module")
def stacked():
    """Two layers of one head; an image token and two text tokens; whatever attention reads is projected to nothing."""
    sizes = {"hidden_size": 2, "intermediate_size": 2, "num_attention_heads": 1, "num_hidden_layers": 2}
    config = LlavaConfig(
        text_config=LlamaConfig(vocab_size=WORDS, rms_norm_eps=1e-12, tie_word_embeddings=False, **sizes),
        vision_config=CLIPVisionConfig(image_size=8, patch_size=8, **sizes),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        model.model.multi_modal_projector.linear_2.bias.copy_(torch.tensor([7.0, 1.0]))
        model.model.language_model.embed_tokens.weight[TEXT] = torch.tensor([-7.0, -1.0])
        for block in model.model.language_model.layers:
            block.self_attn.v_proj.weight.copy_(torch.eye(2))
        model.lm_head.weight[ANSWER] = torch.tensor([0.0, 1.0])
    ids = torch.tensor([[IMAGE, TEXT, TEXT]])
    cells = np.array([[0, 0, 0], [-1] * 3, [-1] * 3])
    grid = Grid(1, 1, (0, 0, 8, 8), (8, 8))
    layout = TokenLayout(ids[0].numpy(), ("<image>", "a", "b"), ("image", "prompt", "prompt"), cells, (grid,))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.zeros(1, 3, 8, 8)}
    _, processor = llava.tiny()
    return vlm.VLM(model, processor, llava, "stacked"), engine.Request(inputs, layout, ids)


def test_rollout_through_two_layers_of_uniform_attention(stacked):
    # (A + I)/2 has the rows (1), (¼, ¾), (⅙, ⅙, ⅔); the last row times the matrix: ⅙·1 + ⅙·¼ + ⅔·⅙ = 23/72
    assert maps(*stacked, "rollout").values.item() == pytest.approx(23 / 72, abs=1e-6)


def test_attention_is_summed_over_layers(stacked):
    assert maps(*stacked, "attention").values.item() == pytest.approx(2 / 3, abs=1e-6)
    assert maps(*stacked, "attention", layers=1).values.item() == pytest.approx(1 / 3, abs=1e-6)


def test_where_nothing_is_projected_no_gradient_method_sees_anything(stacked):
    for method in ("attn_grad", "dexar", "dexar_use", "chefer_cam"):
        assert maps(*stacked, method).values.item() == 0


def test_a_token_without_attention_is_nothing_to_attn_grad_and_something_to_dexar(handle, request_):  # noqa: F811
    block = handle.model.model.language_model.layers[0].self_attn
    with torch.no_grad():  # the image's key (1.4, 0.2) against the text's query −200·(1.4, 0.2): a score of −283
        block.q_proj.weight.copy_(200 * torch.eye(2))
        block.k_proj.weight.copy_(torch.eye(2))
    try:
        assert maps(handle, request_, "attention").values.item() == 0
        assert maps(handle, request_, "attn_grad").values.item() == 0
        assert maps(handle, request_, "dexar_use").values.item() == 0
        assert maps(handle, request_, "chefer_cam").values.item() == 0
        # z = v₁ now: h = (−7, −1) + Wₒ(−1.4, −0.2) = (−8.4, −2.6), and the gradient is another, but it is there
        assert abs(maps(handle, request_, "dexar", head_filter="none", relu=False).values.item()) > 0.1
    finally:
        with torch.no_grad():
            block.q_proj.weight.zero_()
            block.k_proj.weight.zero_()


def test_two_points_of_the_path_integrate_a_parabola_exactly(monkeypatch, handle, request_):  # noqa: F811
    """F(x) = Σ c·x² over the pixels: the map is c·x² at each of them, and completeness has no error."""
    weights = torch.linspace(1, 2, 3 * 8 * 8).reshape(3, 8, 8)
    pixels = torch.full((1, 3, 8, 8), 2.0)

    class Toy:
        def __init__(self, variants, graph):
            self.source = variants.clone().requires_grad_(graph)

        def log_probs(self):
            return (weights * self.source**2).sum((1, 2, 3))[:, None]

        def gradients(self, scalars, of):
            return torch.autograd.grad(scalars.sum(), of)

    @contextmanager
    def record(*_, pixels, graph, **__):
        yield Toy(pixels, graph)

    monkeypatch.setattr(engine, "record", record)
    request = engine.Request(request_.inputs | {"pixel_values": pixels}, request_.layout, request_.prompt_ids)
    subject = Subject(handle, request, None, (0,))
    found = integrated_gradients.attribute(subject, integrated_gradients.Options(n_steps=2))
    assert found.values.item() == pytest.approx(4 * weights.sum().item(), rel=1e-6)
    assert found.notes["completeness_error"] < 1e-6
    one = integrated_gradients.attribute(subject, integrated_gradients.Options(n_steps=1))
    assert one.notes["completeness_error"] < 1e-6  # the slope of a parabola is a line, and one point is its mean


def test_what_other_words_explain_is_their_mix_at_its_least_squares_scale():
    own, others = np.array([3.0, 1.0, 0.0]), np.array([[2.0, 0.0], [0.0, 4.0], [0.0, 0.0]])
    # weights ¼, ¾: B = (½, 3, 0); ⟨A, B⟩ = 4½, ⟨B, B⟩ = 9¼
    found = tam.explained_by_others(own, others, np.array([1.0, 3.0]))
    assert found == pytest.approx(np.array([0.5, 3, 0]) * 4.5 / 9.25, rel=1e-6)
    assert tam.explained_by_others(own, others * 0, np.array([1.0, 3.0])).tolist() == [0, 0, 0]
    assert tam.explained_by_others(own, others[:, :0], np.array([])).tolist() == [0, 0, 0]


def test_the_rank_filter_leaves_flat_maps_takes_out_a_speck_and_blurs_by_rank():
    flat = np.full((3, 3), 0.4)
    assert tam.rank_gaussian(flat) == pytest.approx(flat)
    speck = np.zeros((5, 5))
    speck[2, 2] = 1.0
    # windows with the speck: mean 1/9, deviation √8/9, variation √8: rank 8 weighs exp(−16/16) among Σ exp(−k²/16)
    weight = np.exp(-1) / sum(np.exp(-(k**2) / 16) for k in range(-4, 5))
    filtered = tam.rank_gaussian(speck)
    assert filtered[2, 2] == pytest.approx(weight)
    assert filtered[1:4, 1:4] == pytest.approx(np.full((3, 3), weight))
    assert filtered[0].max() == 0  # (their windows are 0 altogether)
    assert (tam.rank_gaussian(np.full((2, 2), -1.0)) == 0).all()


def test_the_centre_falls_off_as_a_gaussian_and_edges_are_where_the_image_changes(handle):  # noqa: F811
    grid = Grid(1, 4, (0, 0, 8, 8), (8, 8))
    layout = TokenLayout(
        np.full(4, IMAGE), ("i",) * 4, ("image",) * 4, np.array([[0, 0, col] for col in range(4)]), (grid,)
    )
    pixels = torch.zeros(1, 3, 8, 8)
    pixels[..., 4:] = 1.0  # the step lies between columns 3 and 4, in cells 1 and 2
    subject = Subject(handle, engine.Request({"pixel_values": pixels}, layout, NO_IDS), None, (0, 1))
    centre = plugins.get("methods", "centre")
    found = centre.attribute(subject, centre.Options(spread=0.25)).values
    # cells' centres lie ⅜ and ⅛ of the side away, 1½ and ½ deviations
    assert found[1] / found[1, 1] == pytest.approx([math.exp(-1), 1, 1, math.exp(-1)])
    edges = plugins.get("methods", "edges")
    # a Sobel step of 1 is 4 in the columns beside it: 8 pixels of one column in each of the two cells
    assert edges.attribute(subject, edges.Options()).values.tolist() == [[0, 32, 32, 0]] * 2


def test_noise_is_that_of_its_seed_step_and_image_and_smooth_noise_varies_less():
    grid = Grid(6, 6, (0, 0, 8, 8), (8, 8))
    cells = np.array([[0, *divmod(cell, 6)] for cell in range(36)])
    layout = TokenLayout(np.full(36, IMAGE), ("i",) * 36, ("image",) * 36, cells, (grid,))
    random = plugins.get("methods", "random")

    def drawn(steps, brightness=0.0, **options):
        pixels = torch.full((1, 3, 8, 8), brightness)
        subject = Subject(None, engine.Request({"pixel_values": pixels}, layout, NO_IDS), None, steps)
        return random.attribute(subject, random.Options(**options)).values

    assert np.array_equal(drawn((0, 3))[1], drawn((3,))[0])
    assert not np.array_equal(*drawn((0, 1)))
    assert not np.array_equal(drawn((0,)), drawn((0,), seed=1))
    assert not np.array_equal(drawn((0,)), drawn((0,), brightness=0.5))
    rough, smooth = drawn(range(50), smooth=0), drawn(range(50), smooth=1.0)
    assert rough.std() == pytest.approx(math.sqrt(1 / 12), rel=0.05)  # uniform in 0–1
    assert smooth.std() < rough.std() / 2
    assert smooth.mean() == pytest.approx(0.5, abs=0.02)
