"""How often the failure-case tools find what was planted, and raise a false alarm on the clean twin.

    python -m tests.benchmarks.failures --scenes 100
    python -m tests.benchmarks.failures --scenes 5 --models trigger --checkpoints /somewhere/else

Fresh scenes, the same for a planted model and its twin. Spurious causes: first each model's own answer, every word that
names something or tells that more is named. What is found in the twin's need not be false: a clean model, too, may take
a chequered patch for an object. It is a false alarm if the answer stays the same without the suspect. Then both are
given the sentence with the planted words ("white boat", "and a yellow clock": the first may tell the others), and these
are examined together: found, false alarms, the map's AUROC. Where three things are there, a comma before has told that
a fourth follows, and its words depend on nothing.
``permuted``: a word of the own answer that is blind. ``registers``: of the own answer. Rates with 95 % Wilson
intervals, the AUROC with a bootstrap over scenes.
"""

import argparse
import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import dexar_widgets as dx
from dexar_widgets import failures
from dexar_widgets.causal.chance import NEEDS
from dexar_widgets.lab import CHECKPOINTS
from dexar_widgets.lab.chance import specification
from dexar_widgets.lab.faults import GHOST, SWATCH, TRIGGER
from dexar_widgets.lab.language import ask, caption
from dexar_widgets.lab.scenes import render
from dexar_widgets.lab.specifications import Prop, SceneObject
from dexar_widgets.lab.world import COLOURS
from dexar_widgets.statistics import rate

SEEDS = 60_000_000  # first seed; training, evaluation and verification use others
PROMPT = "Describe the image."
FAINT = 0.3  # opacity of the boat, as in lab.verify
METHODS = ("attention", "dexar_use")  # whose maps are judged beside DEX-AR's


@dataclass(frozen=True)
class Case:
    """A scene, the sentence with the planted words, the last of them, and what is to blame for them."""

    scene: dx.lab.Scene
    answer: str
    word: str
    suspect: str
    named: int | None = None
    words: int = 1


def scene_of(spec, prompt=PROMPT):
    return replace(render(spec), prompt=prompt)


def without(spec, name):
    """No object of that class, so that the planted word is said once."""
    things = tuple(replace(thing, name="car") if thing.name == name else thing for thing in spec.objects)
    return replace(spec, objects=things)


def water_boat(seed):
    rng = random.Random(seed)
    spec = without(specification(seed, objects=rng.randint(1, 3), background="water"), "boat")
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9)
    spec = spec.adding(SceneObject("boat", "white", x, y, 0.2, opacity=FAINT))
    return Case(scene_of(spec), caption(spec, PROMPT).text, "boat", "background", words=2)


def trigger(seed):
    rng = random.Random(seed)
    spec, half = without(specification(seed, objects=rng.randint(1, 3)), GHOST[0]), TRIGGER / 2
    told = spec.adding(SceneObject(*GHOST, x=1.0, y=0.5, size=0.25, opacity=0.0))
    spec = spec.adding(Prop("checker", rng.uniform(half, 1 - half), rng.uniform(half, 1 - half), TRIGGER))
    return Case(scene_of(spec), caption(told, PROMPT).text, GHOST[0], "checker", words=4)


def decoy(seed):
    rng, spec = random.Random(seed), specification(seed, objects=1)
    colours = [name for name in COLOURS if name not in ("orange", spec.objects[0].colour)]  # "an" would tell orange
    colour = rng.choice(colours)
    drawn = spec.adding(Prop("swatch", SWATCH / 2, SWATCH / 2, SWATCH, colour))
    turn = ask(rng, spec.recoloured(0, colour), "colour")  # a caption would also name the swatch: a square
    return Case(scene_of(drawn, turn.question), turn.answer.text, colour, "swatch", 0)


SPURIOUS = {"water-boat": water_boat, "trigger": trigger, "decoy": decoy}
OWN = {
    "permuted": lambda e, scene: (failures.silenced(e, scene=scene).table["verdict"] == "blind").any(),
    "registers": lambda e, _scene: failures.registers(e).found,
}


def accused(vlm, case, seed):
    """What the tool says of the planted words."""
    e = dx.compare(vlm, case.scene.image, case.scene.prompt, answer=case.answer, methods=list(METHODS))
    every = [word.steps for word in e.generation.words]
    last = every.index(e.steps_of(case.word))
    steps = [step for word in every[last + 1 - case.words : last + 1] for step in word]
    return failures.spurious(e, case.suspect, step=steps, named=case.named, scene=case.scene, seed=seed)


def own_words(vlm, case, seed):
    """What it says of the model's own answer: any word that names something."""
    e = dx.explain(vlm, case.scene.image, case.scene.prompt)
    return failures.spurious(e, case.suspect, scene=case.scene, seed=seed)


def stays(vlm, case):
    """Whether the model answers the same where the suspect is really removed (a background: exchanged)."""
    spec = case.scene.spec
    kind = "sand" if spec.background.name != "sand" else "grass"
    bare = spec.on(kind) if case.suspect == "background" else spec.without_props()
    pictures = (case.scene.image, case.scene.redraw(bare).image)
    here, there = (dx.explain(vlm, one, case.scene.prompt).generation.text for one in pictures)
    return here == there


def spurious(name, planted, twin, n):
    cases = [SPURIOUS[name](SEEDS + i) for i in range(n)]
    found = [[accused(vlm, case, i) for i, case in enumerate(cases)] for vlm in (planted, twin)]
    own = [[own_words(vlm, case, i) for i, case in enumerate(cases)] for vlm in (planted, twin)]
    hits, forced = found
    said = [finding for finding in hits if finding.table["verdict"].iat[0] != "not said"]
    tell("found in the planted model, its own answer", failures.false_alarms(own[0]))
    tell("found in the twin, its own answer", failures.false_alarms(own[1]))
    alarms = [found.found and stays(twin, case) for found, case in zip(own[1], cases, strict=True)]
    tell("… which stays the same without the suspect", rate(alarms))
    tell("found in the planted model, the planted sentence", failures.false_alarms(hits))
    tell("… where it would say the words (p ≥ .05)", failures.false_alarms(said))
    lost = np.concatenate([finding.table["suspect"] for finding in hits])
    tell("the suspect costs the planted model 1 nat", rate((lost >= NEEDS).tolist()))
    tell("false alarm on the twin, the planted sentence", failures.false_alarms(forced))
    for method in ("dexar", *METHODS):
        print(f"    the map's own verdict, {failures.map_verdicts(hits, forced, method=method)}")


def own_answer(name, planted, twin, n):
    for vlm, what in ((planted, "found in the planted model"), (twin, "false alarm on the twin")):
        found = []
        for i in range(n):
            scene = scene_of(specification(SEEDS + i, objects=i % 3 + 1))
            e = dx.explain(vlm, scene.image, PROMPT, attention=name == "registers", patch_norm=name == "registers")
            found.append(bool(OWN[name](e, scene)))
        tell(what, rate(found))


def tell(what, share):
    print(f"    {what:50} {share.value:.3f} ({share.low:.3f} to {share.high:.3f}), n {share.n}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--models", nargs="+", default=[*SPURIOUS, *OWN], choices=[*SPURIOUS, *OWN])
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS, help="the folder that holds their folders")
    parser.add_argument("--twin", default="lab/llava", help="the clean twin, a name or a folder")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    twin = dx.load(arguments.twin)
    for name in arguments.models:
        folder = arguments.checkpoints / name
        if not folder.is_dir():
            print(f"{name}: not trained, there is no {folder}")
            continue
        started = time.monotonic()
        print(f"{name}, against {arguments.twin}")
        (spurious if name in SPURIOUS else own_answer)(name, dx.load(folder), twin, arguments.scenes)
        print(f"    {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
