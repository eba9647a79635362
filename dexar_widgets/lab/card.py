"""The model card: written from what training and evaluation recorded, never by hand."""

import json
from pathlib import Path
from typing import Any

__all__ = ["write_card"]

_TEXT = """\
# lab/{name}

A small LLaVA-type vision-language model (CLIP tower, projector, Llama decoder; {parameters:,} parameters) trained from
nothing on the synthetic scenes of `dexar_widgets.lab`. It exists so that explanations can be tried offline and on a
CPU, in a world where the truth about every image is known.

**It knows only the lab's world**: {classes} classes in {colours} colours on {backgrounds} backgrounds, 1 to 4 objects,
and the questions of `dexar_widgets/lab/language.py`. For a photograph load a real checkpoint, such as
`llava-hf/llava-1.5-7b-hf`.

## Training
- `python -m dexar_widgets.lab.train {name}`: {steps} steps, seed {seed}, {minutes} min of wall time with
  {threads} arithmetic thread(s) on {machine}, torch {torch}{shared}.
- Phase 1 ({warm_up} steps): the vision tower alone learns class and colour of each patch. Phase 2: captions and
  questions, first on scenes of one, then two, then up to four objects. One cosine schedule per phase.
- From step {emphasis} on, the words that decide a question weigh more and batches are larger. This was added to the
  recipe while the run was under way, after accuracy on validation scenes; the evaluation's scenes were not looked at.
- **Mask labels were used**: the patch loss of phase 1 stays on in phase 2 (weight {patch_loss}). Good localisation is
  thus partly taught to the vision tower; keep it in mind next to any number about the maps.
- Scenes are drawn at 96, 192 or 384 pixels and resized to 96 as the processor does. Every (class, colour) pair occurs
  in training, and so do the sprites and background textures: no generalisation in appearance is claimed.
- Recipe: `{recipe}`

## Accuracy
Greedy answers on {scenes} fresh scenes per task (seeds from {first_seed}, never used in training), through the
processor and chat template, in float32. Captions count as right when the whole set of (colour, class) pairs is exact.
No map was looked at in choosing the model.

| task | right | n | rate | 95 % interval (Wilson) | gate |
|---|---|---|---|---|---|
{rows}

`python -m dexar_widgets.lab.evaluate {name}` prints this table again.

## Known limits
Unseen words in a question, other objects, photographs: the answer is then meaningless, though it looks like an answer.
One seed was trained. {findings}
"""


def write_card(folder: Path) -> None:
    """Write ``README.md`` of a checkpoint folder from its ``training.json`` and ``evaluation.json``."""
    from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS

    training: dict[str, Any] = json.loads((folder / "training.json").read_text())
    report: dict[str, Any] = json.loads((folder / "evaluation.json").read_text())
    recipe = training["recipe"]
    planned = "" if training["steps"] == recipe["steps"] else f" (stopped before its {recipe['steps']} steps)"
    text = _TEXT.format(
        name=training["model"],
        parameters=training["parameters"],
        classes=len(CLASSES),
        colours=len(COLOURS),
        backgrounds=len(BACKGROUNDS),
        steps=f"{training['steps']}{planned}",
        seed=recipe["seed"],
        minutes=training["minutes"],
        threads=training["threads"],
        machine=training["machine"],
        torch=training["torch"],
        shared=training.get("remark", ""),
        emphasis=round(recipe["steps"] * recipe["emphasis_from"]),
        findings=training.get("findings", ""),
        warm_up=round(recipe["steps"] * recipe["warm_up"]),
        patch_loss=recipe["patch_loss"],
        recipe=json.dumps(recipe),
        scenes=report["tasks"][0]["n"],
        first_seed=report["first_seed"],
        rows="\n".join(_row(task) for task in report["tasks"]),
    )
    (folder / "README.md").write_text(text)


def _row(task: dict[str, Any]) -> str:
    low, high = task["interval"]
    verdict = "met" if task["rate"] >= task["gate"] else "**missed**"
    gate = f"≥ {task['gate']:.2f}: {verdict}"
    return f"| {task['task']} | {task['right']} | {task['n']} | {task['rate']:.3f} | {low:.3f}–{high:.3f} | {gate} |"
