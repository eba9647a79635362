"""Training sees what the processor gives, packs without leaking, and survives being stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dexar_widgets.lab.attention import batched_attention
from dexar_widgets.lab.batches import IGNORE, TRAINING_SEEDS, model_pixels, training_batch, validation_batch
from dexar_widgets.lab.evaluate import SEEDS, wilson
from dexar_widgets.lab.language import Turn, caption
from dexar_widgets.lab.learner import Learner
from dexar_widgets.lab.recipes import RECIPES, Recipe
from dexar_widgets.lab.scenes import scene
from dexar_widgets.lab.train import train

MICRO = Recipe(
    family="llava", steps=4, warm_up=0.5, scenes=2, scenes_warm_up=2, scenes_emphasis=2, emphasis_from=0.75, segments=3
)


@pytest.fixture(scope="module")
def learner() -> Learner:
    torch.set_num_threads(1)
    return Learner("llava", MICRO)


def prompt_text(learner: Learner, question: str) -> str:
    content = [{"type": "image"}, {"type": "text", "text": question}]
    return learner.processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)


def test_training_pixels_are_the_processors_pixels(learner: Learner) -> None:
    for size in (96, 192, 384, 500):
        image = Image.fromarray(scene(3, size=size).image)
        given = learner.processor.image_processor(image, return_tensors="pt").pixel_values[0]
        trained = (torch.from_numpy(model_pixels(image).copy()).permute(2, 0, 1).float() / 255 - 0.5) / 0.25
        assert torch.allclose(given, trained, atol=1e-6)


def test_training_tokens_are_the_processors_tokens(learner: Learner) -> None:
    drawn = scene(3, objects=3)
    turn_batch = training_batch(learner.packer, replace(MICRO, segments=1, captions=1.0), 3)
    assert turn_batch.ids[0, 0] == learner.processor.tokenizer.bos_token_id
    turn = Turn("What do you see?", caption(drawn.spec, "What do you see?"), "caption")
    ids, labels, _ = learner.packer.segment(turn, {})
    text = prompt_text(learner, turn.question) + " " + turn.answer.text + "</s>"
    given = learner.processor(images=Image.fromarray(drawn.image), text=text).input_ids[0]
    assert list(given) == [*learner.packer.prefix, *ids]
    answer = [label for label in labels if label != IGNORE]
    assert learner.processor.tokenizer.decode(answer[:-1]).strip() == turn.answer.text


def test_the_chat_template_begins_with_one_bos(learner: Learner) -> None:
    text = prompt_text(learner, "What do you see?")
    assert text == "<s>USER: <image>\nWhat do you see? ASSISTANT:"


def test_a_packed_segment_is_read_as_if_it_stood_alone(learner: Learner) -> None:
    batch = training_batch(learner.packer, MICRO, 3)
    learner.model.eval()
    with torch.no_grad(), batched_attention(learner.model):
        packed = learner.model.lm_head(learner._hidden(learner._features(batch), batch))
    pixels = (torch.from_numpy(batch.pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    for row in range(len(batch.ids)):
        for number in range(1, MICRO.segments + 1):
            alone = np.flatnonzero((batch.segment[row] == 0) | (batch.segment[row] == number))
            ids = torch.from_numpy(batch.ids[row, alone])[None]
            with torch.no_grad():
                logits = learner.model(input_ids=ids, pixel_values=pixels[row : row + 1]).logits[0]
            assert torch.allclose(packed[row, alone], logits, atol=1e-3, rtol=1e-3)


def test_batched_attention_leaves_the_model_as_it_was(learner: Learner) -> None:
    config = learner.model.config
    before = [part._attn_implementation for part in (config, config.text_config, config.vision_config)]
    with pytest.raises(RuntimeError), batched_attention(learner.model):
        raise RuntimeError
    assert [part._attn_implementation for part in (config, config.text_config, config.vision_config)] == before


def test_a_batch_depends_on_recipe_and_step_alone(learner: Learner) -> None:
    first, again = (training_batch(learner.packer, MICRO, 3) for _ in range(2))
    other = training_batch(learner.packer, MICRO, 2)
    assert (first.pixels == again.pixels).all()
    assert (first.ids == again.ids).all()
    assert not (first.pixels == other.pixels).all()


def test_evaluation_seeds_lie_below_the_training_seeds() -> None:
    assert SEEDS + 20 * 1_000_000 < 1 << 36 < TRAINING_SEEDS


def test_exact_counts_only_answers_that_are_right_in_every_token(learner: Learner) -> None:
    batch = validation_batch(learner.packer, first=0, count=2, objects=2)
    counts = learner.exact(batch)
    assert sum(asked for _, asked in counts.values()) == sum(len(kinds) for kinds in batch.kinds)
    assert sum(right for right, _ in counts.values()) == 0  # an untrained model


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    reference = Learner("llava", MICRO)
    reference.model.train()
    with batched_attention(reference.model):
        for step in range(MICRO.steps):
            reference.step(step, training_batch(reference.packer, MICRO, step))
    train("llava", tmp_path, recipe=MICRO, until=3)
    resumed = train("llava", tmp_path, recipe=MICRO)
    states = reference.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_a_run_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    train("llava", tmp_path, recipe=MICRO, until=0)
    torch.save({"recipe": repr(RECIPES["llava"]), "step": 1, "seconds": 0.0}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match="another recipe"):
        train("llava", tmp_path, recipe=MICRO)


def test_the_wilson_interval_matches_a_hand_computed_one() -> None:
    # 8 of 10, z = 1.96: centre (0.8 + 0.19208) / 1.38416 = 0.71674, half 1.96 √(0.016 + 0.009604) / 1.38416 = 0.22658
    low, high = wilson(8, 10, z=1.96)
    assert low == pytest.approx(0.49016, abs=1e-4)
    assert high == pytest.approx(0.94332, abs=1e-4)
    assert wilson(10, 10)[1] == pytest.approx(1)
    with pytest.raises(ValueError, match="no proportion"):
        wilson(3, 2)
