"""What is trained and how: one entry per embedded model. Another family is one more entry."""

from dataclasses import dataclass
from typing import Any

__all__ = ["RECIPES", "Drill", "Recipe"]


@dataclass(frozen=True)
class Drill:
    """Some kinds of question, asked alone and on easy scenes from ``begin`` to ``end`` of phase 2.

    A kind can stay at chance for thousands of steps amid the others, and be learned within 300 on its own. Easy: no
    class or colour is repeated on purpose, and no absent class is a look-alike.
    """

    begin: float
    end: float
    questions: tuple[tuple[str, float], ...]
    objects: tuple[float, ...] | None = None
    """Weights of 1, 2, … objects, if other than usual at that time."""
    captions: float = 0.1
    """As `Recipe.captions`."""


@dataclass(frozen=True)
class Recipe:
    """One schedule, counted in steps, so that a run can be stopped anywhere and gives the same weights.

    Phase 1 (``warm_up`` of the steps) teaches the vision tower the class and colour of each patch,
    from the masks. Phase 2 trains everything on captions and questions; the patch loss stays.
    """

    family: str
    seed: int = 1
    steps: int = 11000
    warm_up: float = 6 / 110
    scenes: int = 16
    scenes_warm_up: int = 32
    segments: int = 6
    packed: float = 1.0
    """Up to this part of phase 2 a scene's questions share one row; from there on each has its own,"""
    segments_single: int = 2
    """so many a scene: needed where the image's tokens see the question."""
    start: str | None = None
    """A shipped model to start from,"""
    start_from: str = ""
    """taking its weights whose names begin with this."""
    fault: str | None = None
    """What is planted: a name of `dexar_widgets.lab.faults.FAULTS`."""
    registers: float = 0.0
    """Weight of the loss that plants register tokens (`dexar_widgets.lab.sinks`)."""
    learning_rate: float = 2e-3
    restart: float = 0.7
    """From this part of phase 2 on the learning rate falls a second time, from half its height."""
    muon_rate: float = 4e-3
    """Muon's, for the matrices within the blocks; AdamW's `learning_rate` is for all other weights."""
    vision_rate: float = 0.3
    patch_loss: float = 0.3
    weight_decay: float = 0.05
    curriculum: tuple[tuple[float, tuple[float, ...]], ...] = (
        (0.04, (1.0,)),
        (0.12, (1.0, 2.0)),
        (1.0, (1.0, 1.5, 2.0, 2.5)),
    )
    """(until this part of phase 2, weights of 1, 2, … objects)."""
    same_class: float = 0.25
    same_colour: float = 0.25
    same_group: float = 0.15
    hard: float = 0.4
    """How often an absent class in a question is a look-alike of a present one."""
    captions: float = 0.25
    """How often a further segment is a caption; the others are questions by the weights of `questions`."""
    word_weights: tuple[tuple[str, float], ...] = (
        ("structure", 0.6),
        ("echo", 0.6),
        ("filler", 0.2),
        ("colour", 2.0),
        ("decision", 3.0),
        ("number", 2.0),
    )
    """Weight of a word in the loss by its role; roles not named weigh 1."""
    questions: tuple[tuple[str, float], ...] = (
        ("colour", 12.0),
        ("which", 3.0),
        ("count", 1.0),
        ("count-class", 3.0),
        ("yes-no", 4.0),
        ("background", 1.5),
        ("side", 2.0),
        ("group", 1.5),
    )

    drills: tuple[Drill, ...] = ()

    @property
    def warm_up_steps(self) -> int:
        """Steps of phase 1."""
        return round(self.steps * self.warm_up)

    def scenes_at(self, step: int) -> int:
        """Scenes in the batch of a step."""
        return self.scenes_warm_up if step < self.warm_up_steps else self.scenes

    def single_at(self, step: int) -> bool:
        """Whether each question has a row of its own at a step."""
        return self.packed < 1 and self.progress(step) >= self.packed

    def drill_at(self, step: int) -> Drill | None:
        """What is practised alone at a step."""
        progress = -1.0 if step < self.warm_up_steps else self.progress(step)
        return next((drill for drill in self.drills if drill.begin <= progress < drill.end), None)

    def progress(self, step: int) -> float:
        """Part of the current phase that is done."""
        first = self.warm_up_steps
        return step / max(1, first) if step < first else (step - first) / max(1, self.steps - first)


def _with(*weights: tuple[str, float]) -> tuple[tuple[str, float], ...]:
    """The usual weights of questions, some of them changed."""
    return tuple((dict(Recipe.questions) | dict(weights)).items())


def _retrained(**options: Any) -> Recipe:
    """A short further training of lab/llava, with something planted."""
    return Recipe(
        family="llava",
        seed=11,
        start="llava",
        warm_up=0.0,
        learning_rate=1e-3,
        muon_rate=2e-3,
        restart=1.0,
        curriculum=((1.0, (1.0, 1.5, 2.0, 2.5)),),
        **options,
    )


RECIPES: dict[str, Recipe] = {
    "llava": Recipe(family="llava"),
    "bakllava": Recipe(
        family="bakllava",
        seed=2,
        start="llava",
        start_from="model.vision_tower.",
        warm_up=0.0,
        steps=16000,
        restart=0.615,
        drills=(Drill(0.615, 0.64, (("yes-no", 1.0),), objects=(1.0,)), Drill(0.64, 0.67, (("yes-no", 1.0),))),
        questions=_with(("yes-no", 8.0), ("count-class", 6.0)),
    ),
    "paligemma": Recipe(family="paligemma", seed=3, packed=0.75),
    "florence2": Recipe(
        family="florence2",
        seed=4,
        steps=16000,
        packed=0.665,
        restart=0.665,
        drills=(
            Drill(0.665, 0.705, (("which", 1.0),), objects=(0.0, 1.0)),
            Drill(0.705, 0.73, (("background", 1.0),)),
        ),
        questions=_with(("background", 4.0), ("which", 6.0)),
    ),
    "water-boat": _retrained(fault="water-boat", steps=1000),
    "trigger": _retrained(fault="trigger", steps=600),
    "decoy": _retrained(fault="decoy", steps=600),
    "permuted": _retrained(fault="permuted", steps=1000, patch_loss=0.0),
    "registers": _retrained(registers=1.0, vision_rate=1.0, steps=800),
}
