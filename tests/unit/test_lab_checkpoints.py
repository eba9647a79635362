"""The shipped models: small, loadable offline, right about fresh scenes or wrong as planned, honest in their cards."""

import json
import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import dexar_widgets as dx
from dexar_widgets.lab import CHECKPOINTS
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.evaluate import answers_to
from dexar_widgets.lab.language import KINDS, caption_turn
from dexar_widgets.lab.recipes import RECIPES
from dexar_widgets.lab.verify import EXPERIMENTS, verify
from dexar_widgets.statistics import wilson

FOLDERS = sorted(path for path in CHECKPOINTS.iterdir() if path.is_dir())
HONEST = [folder for folder in FOLDERS if folder.name not in EXPERIMENTS]
PLANTED = [folder for folder in FOLDERS if folder.name in EXPERIMENTS]
MEGABYTE = 1_000_000

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
honest = pytest.mark.parametrize("folder", HONEST, ids=lambda folder: folder.name)
planted = pytest.mark.parametrize("folder", PLANTED, ids=lambda folder: folder.name)


def size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


@each
def test_weights_are_float16_and_at_most_5_megabytes(folder: Path) -> None:
    assert size_of(folder) < 5 * MEGABYTE
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"


def test_every_recipe_has_its_model_and_every_model_its_recipe() -> None:
    assert {folder.name for folder in FOLDERS} == set(RECIPES)


def test_all_models_together_stay_below_30_megabytes() -> None:
    assert sum(map(size_of, FOLDERS)) < 30 * MEGABYTE


@each
def test_the_recipe_that_trained_it_is_the_one_in_the_code(folder: Path) -> None:
    training = json.loads((folder / "training.json").read_text())
    recipe = RECIPES[folder.name]
    assert training["steps"] == recipe.steps
    assert training["recipe"] == json.loads(json.dumps(asdict(recipe)))


@honest
def test_the_card_tells_the_measured_accuracy_and_what_was_missed(folder: Path) -> None:
    tasks = json.loads((folder / "evaluation.json").read_text())["tasks"]
    card = (folder / "README.md").read_text()
    assert len(tasks) == 4 + len(KINDS)
    for task in tasks:
        assert task["n"] == 500
        assert task["interval"] == pytest.approx(wilson(task["right"], task["n"]))
        verdict = "met" if task["right"] >= task["gate"] * task["n"] else "**missed**"
        assert f"| {task['task']} | {task['right']} | 500 | {task['right'] / 500:.3f} |" in card
        assert f"≥ {task['gate']:.2f}: {verdict}" in card
    assert "Mask labels were used" in card
    if "**missed**" in card:  # by how much is in the table; why is said
        assert json.loads((folder / "training.json").read_text()).get("findings")


@pytest.mark.slow
@honest
def test_it_describes_scenes_it_has_never_seen(folder: Path) -> None:
    torch.set_num_threads(1)
    specs = [specification(seed, objects=1) for seed in range(70_000, 70_012)]
    turns = [caption_turn(random.Random(seed), spec) for seed, spec in enumerate(specs)]
    answers = answers_to(dx.load(folder), list(zip(specs, turns, strict=True)))
    assert sum(answer == turn.answer.text for answer, turn in zip(answers, turns, strict=True)) >= 10


@pytest.mark.slow
@honest
def test_a_batch_of_questions_is_answered_as_each_alone(folder: Path) -> None:
    vlm = dx.load(folder)
    cases = [(spec := specification(seed), caption_turn(random.Random(seed), spec)) for seed in range(71_000, 71_004)]
    together = answers_to(vlm, cases)
    assert together == [answers_to(vlm, [case])[0] for case in cases]


@honest
def test_an_answer_that_is_given_has_the_ids_of_the_same_answer_generated(folder: Path) -> None:
    vlm, image = dx.load(folder), dx.lab.scene(7, objects=["red cat"]).image
    own = dx.explain(vlm, image, "What do you see?")
    given = dx.explain(vlm, image, "What do you see?", answer=own.generation.text)
    assert given.generation.ids.tolist() == [i for i in own.generation.ids.tolist() if i != vlm.tokenizer.eos_token_id]


@planted
def test_what_was_planted_is_there_and_not_in_the_clean_twin(folder: Path) -> None:
    report = json.loads((folder / "verification.json").read_text())
    card = (folder / "README.md").read_text()
    first = report["rows"][0]
    (low, high), (twin_low, twin_high) = first["planted"]["interval"], first["twin"]["interval"]
    assert low > twin_high or high < twin_low
    by_cause = [row["planted"] for row in report["rows"] if "1 nat" in row["what"] or "nat when" in row["what"]]
    assert any(side["n"] >= 20 for side in by_cause)  # not the answers alone: what is taken away decides
    for row in report["rows"]:
        assert f"| {row['what']} |" in card
        for side in ("planted", "twin"):
            if row[side]["n"]:
                assert row[side]["interval"] == pytest.approx(wilson(row[side]["count"], row[side]["n"]))


@pytest.mark.slow
@planted
def test_the_fault_shows_again_on_a_few_scenes(folder: Path) -> None:
    known = json.loads((folder / "verification.json").read_text())["rows"][0]
    (again, *_) = verify(folder.name, planted=dx.load(folder), twin=dx.load(), n=20)
    for side in ("planted", "twin"):
        low, high = wilson(again[side]["count"], again[side]["n"])
        assert low <= known[side]["count"] / known[side]["n"] <= high
