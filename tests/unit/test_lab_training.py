"""Training sees what the processor gives, packs without leaking, and survives being stopped."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText

from dexar_widgets import plugins
from dexar_widgets.lab import CHECKPOINTS
from dexar_widgets.lab.attention import batched_attention
from dexar_widgets.lab.batches import TRAINING_SEEDS, Batch, model_pixels, training_batch, validation_batch
from dexar_widgets.lab.evaluate import SEEDS
from dexar_widgets.lab.language import Turn, caption
from dexar_widgets.lab.learner import Learner
from dexar_widgets.lab.recipes import RECIPES, Drill, Recipe
from dexar_widgets.lab.scenes import Scene, scene
from dexar_widgets.lab.templates import TEMPLATES
from dexar_widgets.lab.train import train
from dexar_widgets.statistics import wilson

MICRO = Recipe(family="llava", steps=4, warm_up=0.5, scenes=2, scenes_warm_up=2, segments=3)
FAMILIES = tuple(TEMPLATES)


@pytest.fixture(scope="module", params=FAMILIES)
def learner(request: pytest.FixtureRequest) -> Learner:
    torch.set_num_threads(1)
    return Learner(replace(MICRO, family=request.param))


def inputs_of(learner: Learner, drawn: Scene, question: str, answer: str = "") -> dict[str, torch.Tensor]:
    family = {"bakllava": "llava"}.get(learner.recipe.family, learner.recipe.family)
    text = plugins.get("families", family).prompt(learner.processor, question).text
    batch = dict(learner.processor(images=Image.fromarray(drawn.image), text=text + answer, return_tensors="pt"))
    batch.pop("labels", None)
    return batch


def test_training_pixels_are_the_processors_pixels(learner: Learner) -> None:
    for size in (96, 192, 384, 500):
        image = Image.fromarray(scene(3, size=size).image)
        given = learner.processor.image_processor(image, return_tensors="pt").pixel_values[0]
        trained = (torch.from_numpy(model_pixels(image).copy()).permute(2, 0, 1).float() / 255 - 0.5) / 0.25
        assert torch.allclose(given, trained, atol=1e-6)


def test_training_tokens_are_the_processors_tokens(learner: Learner) -> None:
    drawn = scene(3, objects=3)
    question = "What do you see?"
    turn = Turn(question, caption(drawn.spec, question), "caption")
    written = learner.packer.write(turn, {})
    given = inputs_of(learner, drawn, question)["input_ids"][0].tolist()
    assert given == [*learner.packer.prefix, *written.question]
    assert learner.processor.tokenizer.decode(written.answer[:-1]).strip() == turn.answer.text
    assert written.answer[-1] == learner.model.generation_config.eos_token_id
    # An answer that a user gives is tokenised as the model was taught to write it.
    space = learner.packer.template.answer
    typed = learner.processor.tokenizer(space + turn.answer.text, add_special_tokens=False).input_ids
    assert typed == written.answer[:-1]


def test_the_chat_template_begins_with_one_bos() -> None:
    content = [{"type": "image"}, {"type": "text", "text": "What do you see?"}]
    processor = Learner(MICRO).processor
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    assert text == "<s>USER: <image>\nWhat do you see? ASSISTANT:"


def alone(learner: Learner, batch: Batch, row: int) -> torch.Tensor:
    """The model's own logits for one answer row, through its own forward pass: no packing, no masks of ours."""
    reader, segment = batch.answer_row[row], batch.answer_segment[row]
    pixels = (torch.from_numpy(batch.pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25
    given = {"pixel_values": pixels[batch.scene[reader]][None]}
    if learner.packer.template.encoder:
        read = (batch.segment[reader] == 0) | (batch.segment[reader] == segment)
        said = batch.turn[row] >= 0
        ids = torch.from_numpy(batch.answers[row, : said.sum() + 1])[None]
        return learner.model(input_ids=torch.from_numpy(batch.ids[reader, read])[None], decoder_input_ids=ids, **given)
    real = batch.segment[reader] >= 0
    given["token_type_ids"] = torch.from_numpy(~batch.prompt[reader, real]).long()[None]
    if learner.packer.template.both_ways is False:
        given.pop("token_type_ids")
    return learner.model(input_ids=torch.from_numpy(batch.ids[reader, real])[None], **given)


def test_a_row_of_one_question_is_read_as_the_model_reads_it(learner: Learner) -> None:
    recipe = replace(learner.recipe, packed=0.0)
    batch = training_batch(learner.packer, recipe, 3)
    assert batch.single
    assert len(batch.ids) == recipe.scenes * recipe.segments_single
    learner.model.eval()
    with torch.no_grad(), batched_attention(learner.model):
        packed = learner.logits(learner.features(batch), batch)
    for row in range(len(batch.answers)):
        with torch.no_grad():
            logits = alone(learner, batch, row).logits[0]
        assert torch.allclose(packed[row, : len(logits)], logits, atol=1e-3, rtol=1e-3)


def test_packed_segments_do_not_see_each_other(learner: Learner) -> None:
    batch = training_batch(learner.packer, learner.recipe, 3)
    assert not batch.single
    learner.model.eval()

    def losses(which: Batch) -> torch.Tensor:
        with torch.no_grad(), batched_attention(learner.model):
            return learner.logits(learner.features(which), which)

    whole = losses(batch)
    other = batch.ids.copy()
    other[batch.segment == 1] = learner.packer.tokenizer.convert_tokens_to_ids("?")
    changed = losses(replace(batch, ids=other))
    if learner.packer.template.encoder:
        inside = np.repeat(batch.answer_segment[:, None] == 1, batch.answers.shape[1], 1)
    else:
        inside = batch.segment == 1
    untouched = torch.from_numpy(~inside & (batch.turn >= 0))
    assert torch.equal(whole[untouched], changed[untouched])
    assert not torch.allclose(whole[torch.from_numpy(inside)], changed[torch.from_numpy(inside)])


def test_packed_positions_start_again_with_each_segment(learner: Learner) -> None:
    batch = training_batch(learner.packer, learner.recipe, 3)
    for number in (1, 2, 3):
        positions, first = batch.positions[0, batch.segment[0] == number], len(learner.packer.prefix)
        assert positions.tolist() == list(range(first, first + len(positions)))


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


def test_a_drill_asks_its_questions_alone_on_easy_scenes(learner: Learner) -> None:
    drill = Drill(0.25, 0.75, (("which", 1.0),), objects=(0.0, 0.0, 1.0), captions=0.2)
    plain = replace(
        MICRO, steps=10, warm_up=0.2, segments=12, same_class=1.0, same_colour=1.0, curriculum=((1.0, (1.0,)),)
    )
    recipe = replace(plain, scenes=6, drills=(drill,))
    assert [recipe.drill_at(step) for step in range(10)] == [None] * 4 + [drill] * 4 + [None] * 2
    during, before, after = (training_batch(learner.packer, recipe, step) for step in (5, 3, 8))
    assert set(during.kinds) == {"caption", "which"}
    assert during.kinds.count("which") > during.kinds.count("caption")
    classes = [len({*names[names > 0].tolist()}) for names in during.patch_class]
    assert max(classes) == 3  # three objects, whose class is not repeated on purpose
    for batch in (before, after):
        assert "colour" in batch.kinds


@pytest.mark.slow
def test_how_many_processes_draw_the_batches_changes_nothing(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    one, three = (train("llava", tmp_path / str(n), recipe=MICRO, workers=n) for n in (1, 3))
    states = one.model.state_dict(), three.model.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_evaluation_seeds_lie_below_the_training_seeds() -> None:
    assert SEEDS + 20 * 1_000_000 < 1 << 36 < TRAINING_SEEDS


def test_exact_counts_only_answers_that_are_right_in_every_token(learner: Learner) -> None:
    batch = validation_batch(learner.packer, first=0, count=2, objects=2)
    counts = learner.exact(batch)
    assert sum(asked for _, asked in counts.values()) == len(batch.kinds)
    assert sum(right for right, _ in counts.values()) == 0  # an untrained model


@pytest.mark.slow
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    reference = Learner(MICRO)
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


def test_a_model_begins_with_the_weights_it_is_told_to_take() -> None:
    llava = dict(AutoModelForImageTextToText.from_pretrained(CHECKPOINTS / "llava").named_parameters())
    whole = Learner(RECIPES["trigger"])
    assert all(torch.equal(weight, llava[name].float()) for name, weight in whole.model.named_parameters())
    tower = Learner(RECIPES["bakllava"])
    same = {
        name: torch.equal(weight, llava[name].float())
        for name, weight in tower.model.named_parameters()
        if weight.shape == llava[name].shape and weight.dim() > 1
    }
    assert all(equal == name.startswith("model.vision_tower.") for name, equal in same.items())
    with pytest.raises(ValueError, match="has 0 weights"):
        Learner(replace(RECIPES["bakllava"], start_from="model.nothing."))
