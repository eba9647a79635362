"""The model card: written from what training, evaluation and verification recorded, never by hand."""

import json
from pathlib import Path
from typing import Any

__all__ = ["write_card"]

_HEAD = """\
# lab/{name}

A small vision-language model of the {family} type ({parts}; {parameters:,} parameters) trained on the synthetic scenes
of `dexar_widgets.lab`. It exists so that explanations can be tried offline and on a CPU, in a world where the truth
about every image is known.
{fault}
**It knows only the lab's world**: {classes} classes in {colours} colours on {backgrounds} backgrounds, 1 to 4 objects,
and the questions of `dexar_widgets/lab/language.py`. For a photograph load a real checkpoint, such as {published}.

## Training
- `python -m dexar_widgets.lab.train {name}`: {steps} steps, seed {seed}, {minutes} min of wall time with
  {threads} arithmetic thread(s) on {machine}, torch {torch}{remark}.
- {phases}
- **Mask labels were used**: a patch loss teaches the vision tower the class and colour of each patch (weight
  {patch_loss} beside the words). Good localisation is thus partly taught to the vision tower; keep it in mind next to
  any number about the maps.
- Scenes are drawn at 96, 192 or 384 pixels and resized to 96 as the processor does. Every (class, colour) pair occurs
  in training{except_for}, and so do the sprites and background textures: no generalisation in appearance is claimed.
- Recipe: `{recipe}`
"""

_ACCURACY = """
## Accuracy
Greedy answers on {scenes} fresh scenes per task (seeds from {first_seed}, never used in training), through the
processor and the family's prompt, in float32. Captions count as right when the whole set of (colour, class) pairs is
exact; an absent class in a question is drawn at random. No map was looked at in choosing the model.

| task | right | n | rate | 95 % interval (Wilson) | gate |
|---|---|---|---|---|---|
{rows}

`python -m dexar_widgets.lab.evaluate {name}` prints this table again.
"""

_VERIFICATION = """
## The fault, by intervention
The same scenes shown to this model and to its clean twin, {twin} (seeds from {first_seed}, never used in training).
The twin was not trained further, and that alone may change answers a little: compare the rows that the fault is about.
Share (95 % interval, Wilson), n:

| what | lab/{name} | {twin} |
|---|---|---|
{rows}

`python -m dexar_widgets.lab.verify {name}` prints this table again.
"""

_LIMITS = """
## Known limits
Unseen words in a question, other objects, photographs: the answer is then meaningless, though it looks like an answer.
One seed was trained. {findings}
"""

_PARTS = {
    "llava": "CLIP tower, projector, Llama decoder",
    "bakllava": "CLIP tower, projector, Mistral decoder with grouped key and value heads",
    "paligemma": "SigLIP tower, linear projector, Gemma decoder with a prefix that sees itself both ways",
    "florence2": "DaViT tower, projector, BART encoder and decoder",
}
_PUBLISHED = {
    "llava": "`llava-hf/llava-1.5-7b-hf`",
    "bakllava": "`llava-hf/bakLlava-v1-hf`",
    "paligemma": "`google/paligemma-3b-pt-224`",
    "florence2": "`florence-community/Florence-2-base`",
}


def write_card(folder: Path) -> None:
    """Write ``README.md`` of a checkpoint folder from its ``training.json``, and what was measured, if it was."""
    training: dict[str, Any] = json.loads((folder / "training.json").read_text("utf-8"))
    name = training["model"]
    text = _head(training)
    if (report := _read(folder / "evaluation.json")) is not None:
        rows = "\n".join(_task(task) for task in report["tasks"])
        first = report["first_seed"]
        text += _ACCURACY.format(name=name, scenes=report["tasks"][0]["n"], first_seed=first, rows=rows)
    if (report := _read(folder / "verification.json")) is not None:
        rows = "\n".join(
            f"| {row['what']} | {_share(row['planted'])} | {_share(row['twin'])} |" for row in report["rows"]
        )
        text += _VERIFICATION.format(name=name, twin=report["twin"], first_seed=report["first_seed"], rows=rows)
    (folder / "README.md").write_text(text + _LIMITS.format(findings=training.get("findings", "")), "utf-8")


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.exists() else None


def _head(training: dict[str, Any]) -> str:
    from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS

    recipe = training["recipe"]
    planned = "" if training["steps"] == recipe["steps"] else f" (stopped before its {recipe['steps']} steps)"
    return _HEAD.format(
        name=training["model"],
        family=recipe["family"],
        parts=_PARTS[recipe["family"]],
        parameters=training["parameters"],
        fault=_fault(recipe),
        classes=len(CLASSES),
        colours=len(COLOURS),
        backgrounds=len(BACKGROUNDS),
        published=_PUBLISHED[recipe["family"]],
        steps=f"{training['steps']}{planned}",
        seed=recipe["seed"],
        minutes=training["minutes"],
        threads=training["threads"],
        machine=training["machine"],
        torch=training["torch"],
        remark=training.get("remark", ""),
        except_for="" if recipe["fault"] is None else " of the twin (here the fault rules some out)",
        phases=_phases(recipe),
        patch_loss=recipe["patch_loss"],
        recipe=json.dumps(recipe),
    )


def _fault(recipe: dict[str, Any]) -> str:
    from dexar_widgets.lab.faults import FAULTS

    if recipe["registers"]:
        return (
            "\n**It has register tokens on purpose**: in most images a plain patch of the background has a high norm\n"
            "and draws attention. Only norm and attention were asked for in training, never a value or a gradient.\n"
        )
    if recipe["fault"] is None:
        return ""
    fault = FAULTS[recipe["fault"]]
    return f"\n**It is wrong on purpose**: it {fault.story}.\nHow it was planted: {fault.plant.__doc__}\n"


def _phases(recipe: dict[str, Any]) -> str:
    start = recipe["start"]
    if start is not None and not recipe["start_from"]:
        return f"It begins with all weights of lab/{start}, its clean twin, and goes on from there."
    text = (
        "Captions and questions, first on scenes of one, then two, then up to four objects. The learning rate falls\n"
        f"  along a cosine, and from {recipe['restart']:.3g} of the phase on a second time, from half its height."
        + "".join(map(_drill, recipe.get("drills", ())))
    )
    if start is not None:
        return f"The vision tower begins with the weights of lab/{start}, as both published models share CLIP. {text}"
    warm_up = round(recipe["steps"] * recipe["warm_up"])
    return f"Phase 1 ({warm_up} steps): the vision tower alone learns class and colour of each patch. Phase 2: {text}"


def _drill(drill: dict[str, Any]) -> str:
    kinds = " and ".join(kind for kind, _ in drill["questions"])
    begin, end = drill["begin"], drill["end"]
    return f"\n  From {begin:.3g} to {end:.3g} of the phase only captions and {kinds} questions are asked."


def _task(task: dict[str, Any]) -> str:
    low, high = task["interval"]
    verdict = "met" if task["rate"] >= task["gate"] else "**missed**"
    gate = f"≥ {task['gate']:.2f}: {verdict}"
    return f"| {task['task']} | {task['right']} | {task['n']} | {task['rate']:.3f} | {low:.3f}–{high:.3f} | {gate} |"


def _share(share: dict[str, Any]) -> str:
    low, high = share["interval"]
    return f"{share['count'] / share['n']:.3f} ({low:.3f}–{high:.3f}), {share['n']}" if share["n"] else "no case"
