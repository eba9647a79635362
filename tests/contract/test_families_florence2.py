"""Florence-2's task tokens, its pooled feature and its order of image and text."""

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.families import florence2

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def pair():
    return florence2.tiny()


def layout_of(pair, prompt):
    model, processor = pair
    inputs = processor(images=IMAGE, text=florence2.prompt(processor, prompt).text, return_tensors="pt")
    return florence2.layout(model, processor, inputs, (60, 40))


def text_of(layout):
    return "".join(piece for piece, kind in zip(layout.pieces, layout.kinds, strict=True) if kind != "image")


def test_a_task_token_is_expanded_by_the_processor(pair):
    layout = layout_of(pair, "<DETAILED_CAPTION>")
    assert text_of(layout) == "<s>Describe in detail what is shown in the image.</s>"
    assert layout.kinds[17] == layout.kinds[-1] == "special"


def test_a_task_with_text_is_expanded(pair):
    assert text_of(layout_of(pair, "<OPEN_VOCABULARY_DETECTION>a cup")) == "<s>Locate a cup in the image.</s>"


def test_the_first_image_token_is_pooled_and_the_grid_follows(pair):
    layout = layout_of(pair, None)
    assert layout.kinds[:17] == ("image",) * 17
    assert layout.cells[0].tolist() == [-1, -1, -1]
    assert layout.cells[1:17].tolist() == [[0, row, col] for row in range(4) for col in range(4)]


def test_free_text_passes_with_a_notice(pair):
    prompt = florence2.prompt(pair[1], "What is it?")
    assert prompt.text == "What is it?"
    assert "not on free text like 'What is it?'; it knows <OCR>" in prompt.notices[0]


@pytest.mark.parametrize("prompt", ["<image>a dog", "<image><s>a dog</s>", "<image> a dog"])
def test_a_prompt_with_the_placeholder_is_read_once(pair, prompt):
    assert text_of(layout_of(pair, prompt)) == "<s>a dog</s>"


def test_text_before_the_image_is_refused(pair):
    with pytest.raises(ValueError, match="reads the image before any text"):
        florence2.prompt(pair[1], "a dog <image>")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [("<CAPTION> of a dog", "<CAPTION> takes no other text"), ("<REGION_TO_OCR>", "<REGION_TO_OCR> needs text")],
)
def test_a_task_token_with_the_wrong_text_is_refused(pair, prompt, message):
    with pytest.raises(ValueError, match=message):
        florence2.prompt(pair[1], prompt)


@pytest.mark.parametrize("field", ["normalize_before", "add_final_layer_norm", "add_bias_logits"])
def test_a_decoder_with_other_norms_is_refused(field):
    model, _ = florence2.tiny()
    setattr(model.config.text_config, field, True)
    with pytest.raises(ValueError, match=f"text_config.{field} is True.*verified: False"):
        florence2.verify(model.config)


def test_a_processor_for_another_resolution_is_refused():
    model, processor = florence2.tiny()
    processor.image_processor.size = {"height": 64, "width": 64}
    with pytest.raises(ValueError, match=r"writes 17 image tokens .* 8×8 \+ 1 = 65"):
        florence2.repair(processor, model.config)
