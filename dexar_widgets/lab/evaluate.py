"""``python -m dexar_widgets.lab.evaluate llava``: how often an embedded model is right, on scenes never trained on.

Every answer is generated (greedy) from 384-pixel scenes through the model's own processor and its family's
prompt. Prints a table; writes ``evaluation.json`` and the model card beside the weights.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import count, islice
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from dexar_widgets.lab import CHECKPOINTS
from dexar_widgets.lab.card import write_card
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.language import KINDS, Answer, Kind, Turn, ask, caption_turn, parse_caption
from dexar_widgets.lab.scenes import draw
from dexar_widgets.lab.specifications import Specification
from dexar_widgets.lab.world import MAX_OBJECTS
from dexar_widgets.statistics import wilson
from dexar_widgets.vlm import VLM, load

__all__ = ["Accuracy", "answers_to", "evaluate", "said"]

SEEDS = 10_000_000
"""First seed of the evaluation scenes; training and validation seeds start at 2³⁶."""

_CAPTION_GATES = {1: 0.98, 2: 0.95, 3: 0.85, 4: 0.78}
_QUESTION_GATE = 0.90
_BATCH = 50
_LONGEST_ANSWER = 40


@dataclass(frozen=True)
class Accuracy:
    """Right answers of one task. ``right`` of a caption: the whole set of (colour, class) pairs is exact."""

    task: str
    right: int
    n: int
    gate: float
    word_for_word: int

    @property
    def rate(self) -> float:
        """Part of the answers that is right."""
        return self.right / self.n

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the rate."""
        return wilson(self.right, self.n)


def evaluate(vlm: VLM, *, n: int = 500, first_seed: int = SEEDS) -> list[Accuracy]:
    """Accuracy of every task on ``n`` scenes each."""
    results = []
    for objects, gate in _CAPTION_GATES.items():
        cases = islice(_captions(first_seed + objects * 1_000_000, objects), n)
        results.append(_measure(vlm, f"caption, {objects} object{'s' * (objects > 1)}", cases, gate))
    for index, kind in enumerate(KINDS):
        cases = islice(_questions(first_seed + (10 + index) * 1_000_000, kind), n)
        results.append(_measure(vlm, kind, cases, _QUESTION_GATE))
    return results


def _captions(seed: int, objects: int) -> Iterator[tuple[Specification, Turn]]:
    for number in count(seed):
        spec = specification(number, objects=objects)
        yield spec, caption_turn(random.Random(number), spec)


def _questions(seed: int, kind: Kind) -> Iterator[tuple[Specification, Turn]]:
    for number in count(seed):
        same_group = 1.0 if kind == "group" else 0.0  # else the question hardly ever arises
        spec = specification(number, objects=number % MAX_OBJECTS + 1, same_group=same_group)
        turn = ask(random.Random(number), spec, kind)
        if turn is not None:
            yield spec, turn


def _measure(vlm: VLM, task: str, cases: Iterator[tuple[Specification, Turn]], gate: float) -> Accuracy:
    right = exact = n = 0
    while chunk := list(islice(cases, _BATCH)):
        answers = answers_to(vlm, chunk)
        for (_, turn), answer in zip(chunk, answers, strict=True):
            same = answer == turn.answer.text
            pairs = sorted(parse_caption(answer)) == sorted(parse_caption(turn.answer.text))
            right += pairs if turn.kind == "caption" else same
            exact += same
            n += 1
    return Accuracy(task, right, n, gate, exact)


@torch.no_grad()
def answers_to(vlm: VLM, cases: Sequence[tuple[Specification, Turn]]) -> list[str]:
    """The greedy answers of an embedded model to one question about each scene, in one batch."""
    texts = [vlm.family.prompt(vlm.processor, turn.question).text for _, turn in cases]
    decodes_alone = vlm.model.config.is_encoder_decoder
    images = [draw(spec, 384) for spec, _ in cases]
    side, vlm.tokenizer.padding_side = vlm.tokenizer.padding_side, "right" if decodes_alone else "left"
    try:
        inputs = vlm.processor(images=images, text=texts, return_tensors="pt", padding=True)
    finally:
        vlm.tokenizer.padding_side = side
    inputs.pop("labels", None)
    inputs = inputs.to(vlm.device, vlm.model.dtype)
    ids = vlm.model.generate(**inputs, max_new_tokens=_LONGEST_ANSWER, do_sample=False)
    new = ids[:, 0 if decodes_alone else inputs["input_ids"].shape[1] :]
    return [text.strip() for text in vlm.processor.batch_decode(new, skip_special_tokens=True)]


def said(vlm: VLM, specs: Sequence[Specification], question: str = "Describe the image.") -> list[str]:
    """What an embedded model answers about each scene, to one question."""
    turn, answers = Turn(question, Answer("", ()), "caption"), []
    for first in range(0, len(specs), _BATCH):
        answers += answers_to(vlm, [(spec, turn) for spec in specs[first : first + _BATCH]])
    return answers


def _table(results: list[Accuracy]) -> Table:
    table = Table("task", "right", "n", "rate", "95 % interval", "gate", "word for word")
    for row in results:
        low, high = row.interval
        verdict = f"{row.gate:.2f} {'met' if row.rate >= row.gate else 'MISSED'}"
        exact = f"{row.word_for_word / row.n:.3f}"
        table.add_row(row.task, str(row.right), str(row.n), f"{row.rate:.3f}", f"{low:.3f}–{high:.3f}", verdict, exact)
    return table


def main(arguments: list[str] | None = None) -> int:
    """The command; exit status 1 where a gate is missed."""
    parser = argparse.ArgumentParser(prog="python -m dexar_widgets.lab.evaluate", description=__doc__)
    parser.add_argument("model", help="a shipped model's name, or a folder")
    parser.add_argument("--scenes", type=int, default=500, help="scenes per task (default: 500)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--dry", action="store_true", help="write nothing beside the weights")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    folder = Path(options.model) if Path(options.model).is_dir() else CHECKPOINTS / options.model
    if not folder.is_dir():
        parser.error(f"{options.model} is neither a folder nor one of {sorted(p.name for p in CHECKPOINTS.iterdir())}")
    started = time.monotonic()
    results = evaluate(load(folder), n=options.scenes)
    report = {
        "first_seed": SEEDS,
        "seconds": round(time.monotonic() - started, 1),
        "tasks": [{**asdict(row), "rate": row.rate, "interval": row.interval} for row in results],
    }
    if not options.dry:
        (folder / "evaluation.json").write_text(json.dumps(report, indent=1) + "\n", "utf-8")
        write_card(folder)
    console = Console()
    if options.json:
        console.print_json(data=report)
    else:
        console.print(_table(results))
    return 0 if all(row.rate >= row.gate for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
