"""The shipped models: small, loadable offline, right about fresh scenes, and honest in their cards."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

from dexar_widgets.lab import CHECKPOINTS, scene
from dexar_widgets.lab.evaluate import wilson

FOLDERS = sorted(path for path in CHECKPOINTS.iterdir() if path.is_dir())
MEGABYTE = 1_000_000


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_weights_are_float16_and_at_most_8_megabytes(folder: Path) -> None:
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8 * MEGABYTE
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_card_tells_the_measured_accuracy_and_every_gate_is_met(folder: Path) -> None:
    tasks = json.loads((folder / "evaluation.json").read_text())["tasks"]
    card = (folder / "README.md").read_text()
    assert len(tasks) == 11
    for task in tasks:
        assert task["n"] == 500
        assert task["interval"] == pytest.approx(wilson(task["right"], task["n"]))
        assert task["right"] >= task["gate"] * task["n"], task["task"]
        assert f"| {task['task']} | {task['right']} | 500 | {task['right'] / 500:.3f} |" in card
    assert "Mask labels were used" in card


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_names_single_objects_it_has_never_seen(folder: Path) -> None:
    torch.set_num_threads(1)
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    scenes = [scene(seed, objects=1) for seed in range(70_000, 70_010)]
    content = [{"type": "image"}, {"type": "text", "text": scenes[0].prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(images=[Image.fromarray(s.image) for s in scenes], text=[text] * 10, return_tensors="pt")
    ids = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    answers = processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
    right = [answer.strip() == drawn.caption for answer, drawn in zip(answers, scenes, strict=True)]
    assert sum(right) >= 9
