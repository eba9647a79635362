"""What is trained and how: one entry per embedded model. Another family is one more entry."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """One schedule, counted in steps, so that a run can be stopped anywhere and gives the same weights.

    Phase 1 (``warm_up`` of the steps) teaches the vision tower the class and colour of each patch,
    from the masks. Phase 2 trains everything on captions and questions; the patch loss stays.
    """

    family: str
    seed: int = 1
    steps: int = 14600
    warm_up: float = 0.2
    scenes: int = 16
    scenes_warm_up: int = 32
    segments: int = 6
    learning_rate: float = 2e-3
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
    hard: float = 0.4
    """How often an absent class in a question is a look-alike of a present one."""
    captions: float = 0.25
    """How often a further segment is a caption; the others are questions by the weights of `questions`."""
    word_weights: tuple[tuple[str, float], ...] = (("structure", 0.6), ("echo", 0.2), ("filler", 0.2))
    """Weight of a word in the loss by its role; roles not named weigh 1."""
    emphasis_from: float = 0.48
    """From this part of all steps on, questions are pressed harder: `word_weights` change to"""
    emphasis: tuple[tuple[str, float], ...] = (
        ("structure", 0.6),
        ("echo", 1.0),
        ("filler", 0.2),
        ("decision", 3.0),
        ("number", 2.0),
    )
    scenes_emphasis: int = 18
    """and batches to this size."""
    questions: tuple[tuple[str, float], ...] = (
        ("colour", 2.0),
        ("which", 2.0),
        ("count", 1.0),
        ("count-class", 3.5),
        ("yes-no", 4.0),
        ("background", 0.5),
        ("side", 2.0),
    )

    @property
    def warm_up_steps(self) -> int:
        """Steps of phase 1."""
        return round(self.steps * self.warm_up)

    def weights_at(self, step: int) -> dict[str, float]:
        """Weights of words by role at a step."""
        return dict(self.emphasis if step >= self.steps * self.emphasis_from else self.word_weights)

    def scenes_at(self, step: int) -> int:
        """Scenes in the batch of a step."""
        if step < self.warm_up_steps:
            return self.scenes_warm_up
        return self.scenes_emphasis if step >= self.steps * self.emphasis_from else self.scenes

    def progress(self, step: int) -> float:
        """Part of the current phase that is done."""
        first = self.warm_up_steps
        return step / max(1, first) if step < first else (step - first) / max(1, self.steps - first)


def builder(name: str) -> "Callable[[Recipe], tuple[Any, Any]]":
    """The function that gives a recipe's fresh model and its processor."""
    from dexar_widgets.lab import model

    builders = {"llava": model.build_llava}
    return builders[RECIPES[name].family]


RECIPES: dict[str, Recipe] = {"llava": Recipe(family="llava")}
