"""LLaVA's chat template, beginning of sequence, older processor files, class token and sliding windows."""

import numpy as np
import pytest
from PIL import Image

from dexar_widgets import vlm
from dexar_widgets.families import llava

IMAGE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
WITH_BOS = "{{ bos_token }}" + llava._TINY_TEMPLATE


@pytest.fixture
def pair():
    return llava.tiny()


def ids_of(processor, text):
    return processor(images=IMAGE, text=text, return_tensors="pt")["input_ids"][0].tolist()


def without_added_bos(processor):
    """As the embedded models have it: the template writes BOS, the tokenizer does not add it."""
    processor.tokenizer.add_bos_token = False
    processor.tokenizer.update_post_processor()
    assert processor.tokenizer("a").input_ids[0] != processor.tokenizer.bos_token_id
    return processor


# ---- prompts ---------------------------------------------------------------------------------------------------


def test_a_question_goes_into_the_chat_template(pair):
    _, processor = pair
    assert llava.prompt(processor, "What is it?").text == "USER: <image>\nWhat is it? ASSISTANT:"


@pytest.mark.parametrize("prompt", ["<image> What?", "USER: look at <image>, what is it? ASSISTANT:"])
def test_a_prompt_with_the_placeholder_is_used_verbatim(pair, prompt):
    _, processor = pair
    assert llava.prompt(processor, prompt).text == prompt


def test_without_a_template_the_training_form_is_used(pair):
    _, processor = pair
    processor.chat_template = None
    assert llava.prompt(processor, "What is it?").text == "USER: <image>\nWhat is it? ASSISTANT:"


def test_a_template_without_the_image_is_refused(pair):
    _, processor = pair
    processor.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'][1]['text'] }}{% endfor %}"
    with pytest.raises(ValueError, match="expected the text and one '<image>'"):
        llava.prompt(processor, "What is it?")


@pytest.mark.parametrize("template", [llava._TINY_TEMPLATE, WITH_BOS, None])
@pytest.mark.parametrize("prompt", [None, "What is it?", "<image> What?", "<s>USER: <image> What?"])
def test_the_beginning_of_sequence_stands_once_where_the_tokenizer_adds_it(pair, template, prompt):
    _, processor = pair
    processor.chat_template = template
    ids = ids_of(processor, llava.prompt(processor, prompt).text)
    bos = processor.tokenizer.bos_token_id
    assert (ids[0], ids.count(bos)) == (bos, 1)


@pytest.mark.parametrize("prompt", [None, "What is it?", "<image> What?", "<s>USER: <image> What?"])
def test_the_beginning_of_sequence_stands_once_where_the_template_writes_it(pair, prompt):
    processor = without_added_bos(pair[1])
    processor.chat_template = WITH_BOS
    ids = ids_of(processor, llava.prompt(processor, prompt).text)
    bos = processor.tokenizer.bos_token_id
    assert (ids[0], ids.count(bos)) == (bos, 1)


def test_no_beginning_of_sequence_is_invented_where_neither_has_it(pair):
    processor = without_added_bos(pair[1])
    assert processor.tokenizer.bos_token_id not in ids_of(processor, llava.prompt(processor, "What is it?").text)


def test_a_template_gives_the_ids_of_the_training_form(pair):
    processor = without_added_bos(pair[1])
    processor.chat_template = WITH_BOS
    trained = processor.tokenizer("<s>USER: " + "<image>" * 16 + "\nWhat is it? ASSISTANT:").input_ids
    assert ids_of(processor, llava.prompt(processor, "What is it?").text) == trained


# ---- kinds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        (None, "Classify the image."),
        ("What is it?", "What is it?"),
        ("A chat about a cat. USER: <image>\nWhat is it? ASSISTANT:", "What is it?"),
        ("USER: What is <image> it? ASSISTANT:", "What is it?"),
        ("What is <image> it?", "What is it?"),
    ],
)
def test_roles_and_what_stands_before_them_are_template_and_the_rest_are_the_users_words(pair, prompt, words):
    model, processor = pair
    inputs = processor(images=IMAGE, text=llava.prompt(processor, prompt).text, return_tensors="pt")
    layout = llava.layout(model, processor, inputs, (60, 40))
    kinds = zip(layout.pieces, layout.kinds, strict=True)
    assert "".join(piece for piece, kind in kinds if kind == "prompt").split() == words.split()


# ---- processors ------------------------------------------------------------------------------------------------


def test_an_older_processor_file_is_repaired(pair):
    model, processor = pair
    expected = ids_of(processor, llava.DEFAULT_PROMPT)
    processor.patch_size = processor.vision_feature_select_strategy = None
    processor.num_additional_image_tokens = 0
    llava.repair(processor, model.config)
    assert ids_of(processor, llava.DEFAULT_PROMPT) == expected
    assert expected.count(model.config.image_token_id) == 16


@pytest.mark.parametrize(
    ("field", "value", "needed"),
    [
        ("patch_size", 4, 8),
        ("vision_feature_select_strategy", "full", "'default'"),
        ("num_additional_image_tokens", 2, 1),
    ],
)
def test_a_processor_that_cannot_be_right_is_refused_with_the_value_to_set(pair, field, value, needed):
    model, processor = pair
    setattr(processor, field, value)
    with pytest.raises(ValueError, match=rf"processor's {field} is {value!r} but this model needs {needed}.*config"):
        llava.repair(processor, model.config)


def test_an_unclear_number_of_additional_tokens_is_not_guessed():
    model, processor = llava.tiny(vision="siglip")
    processor.num_additional_image_tokens = 1
    with pytest.raises(ValueError, match="num_additional_image_tokens is 1 but this model needs 0"):
        llava.repair(processor, model.config)


# ---- towers and windows ----------------------------------------------------------------------------------------


def test_a_class_token_that_is_kept_belongs_to_the_image_but_to_no_cell(pair):
    model, processor = pair
    model.config.vision_feature_select_strategy = processor.vision_feature_select_strategy = "full"
    llava.verify(model.config)
    llava.repair(processor, model.config)
    inputs = processor(images=IMAGE, text=llava.prompt(processor, None).text, return_tensors="pt")
    layout = llava.layout(model, processor, inputs, (60, 40))
    first = np.flatnonzero(layout.is_image)[0]
    assert layout.is_image.sum() == 17
    assert layout.cells[first].tolist() == [-1, -1, -1]
    assert layout.cells[first + 1].tolist() == [0, 0, 0]
    model(**inputs)


def test_a_siglip_tower_that_would_lose_a_patch_is_refused():
    model, _ = llava.tiny(vision="siglip")
    model.config.vision_feature_select_strategy = "default"
    with pytest.raises(ValueError, match="no class token: a patch would be missing"):
        llava.verify(model.config)


def test_patches_that_are_not_square_are_refused(pair):
    config = pair[0].config
    config.vision_config.image_size = (32, 64)
    with pytest.raises(ValueError, match=r"image_size is \(32, 64\) and patch_size 8; verified are square ones"):
        llava.verify(config)


def test_windows_are_those_of_the_text_model():
    assert llava.anatomy(llava.tiny()[0]).windows == (None, None, None)
    assert llava.anatomy(llava.tiny(text="mistral", sliding_window=7)[0]).windows == (7, 7, 7)
    assert llava.anatomy(llava.tiny(text="mistral", sliding_window=None)[0]).windows == (None, None, None)


# ---- the embedded model ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", ["What is on the left?", "How many objects are there?", "Is there a red boat?"])
def test_the_embedded_models_template_gives_the_ids_of_its_training(question):
    embedded = vlm.load("lab/llava")
    tokenizer = embedded.tokenizer

    def alone(text):
        return tokenizer(text, add_special_tokens=False).input_ids

    cells = [embedded.model.config.image_token_id] * 144
    trained = [tokenizer.bos_token_id, *alone("USER: "), *cells, *alone("\n"), *alone(question), *alone(" ASSISTANT:")]
    assert ids_of(embedded.processor, llava.prompt(embedded.processor, question).text) == trained
    written = f"USER: <image>\n{question} ASSISTANT:"
    assert ids_of(embedded.processor, llava.prompt(embedded.processor, written).text) == trained
