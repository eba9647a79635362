"""PaliGemma's prompt form and the two versions' differences."""

import numpy as np
import pytest
from PIL import Image

from dexar_widgets.families import paligemma

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def pair():
    return paligemma.tiny()


def tokens_of(processor, prompt):
    ids = processor(images=IMAGE, text=paligemma.prompt(processor, prompt).text, return_tensors="pt")["input_ids"][0]
    return [token for token in processor.tokenizer.convert_ids_to_tokens(ids.tolist()) if token != "<image>"], ids


def test_the_text_is_passed_as_it_is_behind_image_and_beginning(pair):
    _, processor = pair
    tokens, ids = tokens_of(processor, "Cap.")
    assert tokens == ["<bos>", "Cap", ".", "\n"]
    assert (ids[:16] == processor.image_token_id).all()


def test_the_placeholder_may_be_written_and_changes_nothing(pair):
    _, processor = pair
    assert tokens_of(processor, "<image>Cap.")[1].tolist() == tokens_of(processor, "Cap.")[1].tolist()


def test_text_may_stand_before_the_image(pair):
    tokens, ids = tokens_of(pair[1], "Cap<image>Cap")
    assert tokens == ["Cap", "<bos>", "Cap", "\n"]
    assert (ids[1:17] == pair[1].image_token_id).all()


def test_the_closing_newline_is_template(pair):
    model, processor = pair
    inputs = processor(images=IMAGE, text=paligemma.prompt(processor, None).text, return_tensors="pt")
    layout = paligemma.layout(model, processor, inputs, (60, 40))
    assert layout.kinds[16:] == ("special", "prompt", "prompt", "system")


def test_version_2_has_a_window_in_every_other_layer_and_a_soft_cap():
    first, second = (paligemma.anatomy(paligemma.tiny(version=version)[0]) for version in (1, 2))
    assert (first.softcap, first.windows) == (None, (None,) * 4)
    assert (second.softcap, second.windows) == (30.0, (16, None, 16, None))


@pytest.mark.parametrize(
    ("field", "value"),
    [("use_bidirectional_attention", False), ("layer_types", ["full_attention", "chunked_attention"])],
)
def test_attention_that_was_not_verified_is_refused(field, value):
    model, _ = paligemma.tiny(version=2)
    setattr(model.config.text_config, field, value)
    with pytest.raises(ValueError, match=rf"text_config.{field} is .*not verified"):
        paligemma.verify(model.config)


def test_a_processor_for_another_resolution_is_refused(pair):
    model, processor = paligemma.tiny()
    processor.image_seq_length = 64
    with pytest.raises(ValueError, match=r"writes 64 image tokens .* reads 4×4 = 16"):
        paligemma.repair(processor, model.config)
