"""One layer, one head, two dimensions: numbers worked out on paper.

Keys: an image token x₀ = (7, 1) and a text token x₁ = (−7, −1). Queries and keys of attention are 0, so both get
A = ½. The norm divides by the root mean square, which is 5 for both: v₀ = (1.4, 0.2), v₁ = −v₀. So z = ½v₀ + ½v₁ = 0,
the MLP is 0, and the block's output at the text token is h = x₁ + Wₒz = (−7, −1).

    o = ⟨w, ĥ⟩ with ĥ = h/5 = (−1.4, −0.2);   w = (0, 1) gives o = −0.2
    ∂o/∂h = (I − ĥĥᵀ/2) w / 5 = ((0, 1) − (−0.2/2)(−1.4, −0.2)) / 5 = (−0.14, 0.98) / 5 = (−0.028, 0.196)
    Wₒ = [[1, 0], [1, 1]]:   u = Wₒᵀ ∂o/∂h = (−0.028 + 0.196, 0.196) = (0.168, 0.196)
    G₀ = ⟨u, v₀⟩ = 0.2352 + 0.0392 = 0.2744,   G₁ = −0.2744

The norm of ĥ is ĥ again, and I − ĥĥᵀ/2 a projection: normed twice gives the same.
"""

import math

import numpy as np
import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from dexar_widgets import engine, vlm
from dexar_widgets.families import llava
from dexar_widgets.types import Grid, TokenLayout

WORDS, IMAGE, TEXT, ANSWER = 500, 499, 300, 310


@pytest.fixture(scope="module")
def handle():
    sizes = {"hidden_size": 2, "intermediate_size": 2, "num_attention_heads": 1, "num_hidden_layers": 1}
    config = LlavaConfig(
        text_config=LlamaConfig(vocab_size=WORDS, rms_norm_eps=1e-12, tie_word_embeddings=False, **sizes),
        vision_config=CLIPVisionConfig(image_size=8, patch_size=8, **sizes),
        image_token_index=IMAGE,
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config).eval()
    block = model.model.language_model.layers[0]
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" not in name:
                weight.zero_()
        model.model.multi_modal_projector.linear_2.bias.copy_(torch.tensor([7.0, 1.0]))
        model.model.language_model.embed_tokens.weight[TEXT] = torch.tensor([-7.0, -1.0])
        block.self_attn.v_proj.weight.copy_(torch.eye(2))
        block.self_attn.o_proj.weight.copy_(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
        model.lm_head.weight[ANSWER] = torch.tensor([0.0, 1.0])
    _, processor = llava.tiny()
    return vlm.VLM(model, processor, llava, "by hand")


@pytest.fixture(scope="module")
def request_():
    ids = torch.tensor([[IMAGE, TEXT]])
    grid = Grid(1, 1, (0, 0, 8, 8), (8, 8))
    layout = TokenLayout(
        np.array([IMAGE, TEXT]), ("<image>", "text"), ("image", "prompt"), np.array([[0, 0, 0], [-1] * 3]), (grid,)
    )
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": torch.zeros(1, 3, 8, 8)}
    return engine.Request(inputs, layout, ids)


def test_gradient_attention_lens_and_probability_are_those_worked_out_on_paper(handle, request_):
    said = engine.answer(handle, request_, answer=handle.tokenizer.decode([ANSWER]))
    assert said.generation.ids.tolist() == [ANSWER]
    passed = engine.differentiate(handle, request_, said, attention=True, lens=True)
    (found,) = passed.chunks()

    assert found.values.reshape(-1) == pytest.approx([0.2744, -0.2744], abs=1e-6)
    assert found.twice.reshape(-1) == pytest.approx([0.2744, -0.2744], abs=1e-6)
    assert passed.attention.reshape(-1) == pytest.approx([0.5, 0.5])
    assert passed.lens.logit.item() == pytest.approx(-0.2, abs=1e-6)
    assert passed.lens.rank.item() == WORDS - 1  # every other word has logit 0
    assert said.generation.log_probs.item() == pytest.approx(-0.2 - math.log(math.exp(-0.2) + WORDS - 1), abs=1e-6)
    assert engine.score(handle, request_, np.array([TEXT])).item() == pytest.approx(
        -math.log(math.exp(-0.2) + WORDS - 1), abs=1e-6
    )
