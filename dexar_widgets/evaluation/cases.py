"""From one method's maps of one answer to the cases that metrics judge.

Two views of a map against a mask: ``answer``, the map of the whole answer against each target and against all of them
together, as the paper has it; and ``word``, the map of the words that name a target against that target alone.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64

from dexar_widgets import engine
from dexar_widgets.asking import Asked
from dexar_widgets.attribution import Attribution
from dexar_widgets.attributions import options_of, run
from dexar_widgets.evaluation.configuration import Configuration, CurveKind
from dexar_widgets.evaluation.curves import Ends, ends, scored
from dexar_widgets.evaluation.samples import EVERY, Sample, Target
from dexar_widgets.evaluation.spans import named_by, steps_of
from dexar_widgets.maps import upsample
from dexar_widgets.metrics import Case, Curve, Effects, Need, Steps
from dexar_widgets.perturb import hide
from dexar_widgets.randomisation import randomised
from dexar_widgets.types import HeatMap

__all__ = ["INTERVENTIONS", "Judged", "View", "cases"]

View = Literal["answer", "word"]
INTERVENTIONS = ("effects", "randomised")
"""What is changed to see what follows: objects taken away, and weights drawn anew."""
_SEVERAL = 3  # objects among which a rank correlation is taken


@dataclass(frozen=True, eq=False)
class Judged:
    """What is known about one answer, before any method is looked at: shared by all of them."""

    asked: Asked
    sample: Sample
    configuration: Configuration
    among_first: bool
    """Whether the randomisation check looks at it."""
    took: dict[str, engine.Meter] = field(default_factory=lambda: {name: engine.Meter() for name in INTERVENTIONS})
    """What interventions have taken so far; each is made once, when the first map needs it."""

    @cached_property
    def ends(self) -> Ends | None:
        """Of the perturbation curves, if a metric needs any."""
        return ends(self.asked, self.configuration) if self.configuration.curves else None

    @cached_property
    def content(self) -> tuple[int, ...] | None:
        """The steps that only the image can tell; None where nobody knows."""
        spans = self.sample.content
        return None if spans is None else steps_of(self.asked.said.generation, spans)

    @cached_property
    def named(self) -> dict[str, tuple[int, ...]]:
        """The steps that name each target, where the answer names it."""
        return named_by(self.asked.said.generation, self.sample.targets)

    @cached_property
    def effects(self) -> Float64[np.ndarray, "target step"]:
        """The nats that each step loses without each target: drawn again without it, or its mask filled."""
        sample, image = self.sample, self.asked.example.image
        without = sample.without or [hide(image, target.mask) for target in sample.targets]
        pictures = [lambda: image, *(lambda one=one: one for one in without)]
        with self._metered("effects"):
            whole, *rest = scored(self.asked, pictures, self.configuration.batch_size)
        return np.asarray(whole - np.stack(rest))

    @cached_property
    def randomised_maps(self) -> Mapping[str, tuple[HeatMap, ...]]:
        """By variant, the maps of this answer as ever more of the model is made random."""
        asked, variants = self.asked, self.configuration.methods
        wanted = {variant.name: options_of(variant.method, variant.options) for variant in variants}
        found: dict[str, list[HeatMap]] = {variant.name: [] for variant in variants}
        with self._metered("randomised"):
            for _, changed in randomised(asked.vlm, seed=self._lot()):
                request = engine.encode(changed, asked.example)
                said = engine.resume(changed, request, asked.said.generation)
                again = replace(asked, vlm=changed, request=request, said=said)
                ran = run(again, wanted, methods={variant.name: variant.method for variant in variants})
                for name, one in ran.found.items():
                    found[name].append(one.sequence_map())
        return {name: tuple(maps) for name, maps in found.items()}

    def _lot(self) -> int:
        """Other weights for each sample: of one draw alone, nothing could be said about random weights."""
        text = f"{self.configuration.seed} {self.sample.id}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "little")

    @contextmanager
    def _metered(self, what: str) -> Iterator[None]:
        with engine.metered(self.asked.vlm, memory=False) as meter:
            yield
        self.took[what] = engine.total([self.took[what], meter])

    def enlarged(self, heat: HeatMap) -> HeatMap:
        """A map per pixel, once for all masks."""
        return upsample(heat, self.configuration.upsampling)

    def energies(self, found: Attribution) -> Float[np.ndarray, " map"]:
        """Each step's weight times the mean of its positive map."""
        return np.asarray(found.weights * np.maximum(found.maps, 0).mean((1, 2)))


def cases(
    found: Attribution, judged: Judged, drawn: Mapping[CurveKind, Curve], needs: frozenset[Need]
) -> Iterator[tuple[View, str, Case]]:
    """What a metric with these needs judges: view, target and case."""
    if "effects" in needs:
        yield from _causal(found, judged)
    elif "mask" in needs:
        yield from _against_masks(found, judged)
    elif "randomised" in needs:
        yield from _randomised(found, judged)
    elif "steps" in needs:
        yield from _steps(found, judged)
    else:
        yield (
            "answer",
            "",
            Case(
                found.sequence_map(),
                positive=drawn.get("positive"),
                negative=drawn.get("negative"),
                insertion=drawn.get("insertion"),
            ),
        )


def _against_masks(found: Attribution, judged: Judged) -> Iterator[tuple[View, str, Case]]:
    heat, targets = judged.enlarged(found.sequence_map()), judged.sample.targets
    every = [] if len(targets) < 2 else [Target(EVERY, np.any([target.mask for target in targets], axis=0))]
    for target in (*targets, *every):
        yield "answer", target.name, Case(heat, mask=target.mask, ignored=judged.sample.ignored)
    for target in targets:
        if (heat_of := _of_word(found, judged, target.name)) is not None:
            yield "word", target.name, Case(heat_of, mask=target.mask, ignored=judged.sample.ignored)


def _of_word(found: Attribution, judged: Judged, name: str) -> HeatMap | None:
    """The map of the words that name a target; None where the answer does not, or the method gives one map alone."""
    if name not in judged.named or found.whole:
        return None
    return judged.enlarged(found.heatmap(list(judged.named[name])))


def _steps(found: Attribution, judged: Judged) -> Iterator[tuple[View, str, Case]]:
    if judged.content is not None and not found.whole:
        content = np.isin(found.steps, judged.content)
        steps = Steps(found.weights.astype(float), judged.energies(found), content)
        yield "answer", "", Case(found.sequence_map(), steps=steps)


def _causal(found: Attribution, judged: Judged) -> Iterator[tuple[View, str, Case]]:
    targets = judged.sample.targets
    if len(targets) < _SEVERAL:
        return
    masks = np.stack([target.mask for target in targets])
    for target in targets:
        if (heat := _of_word(found, judged, target.name)) is not None:
            nats = judged.effects[:, list(judged.named[target.name])].sum(1)
            yield "word", target.name, Case(heat, effects=Effects(masks, nats))


def _randomised(found: Attribution, judged: Judged) -> Iterator[tuple[View, str, Case]]:
    if judged.among_first and found.method in judged.randomised_maps:
        yield "answer", "", Case(found.sequence_map(), randomised=judged.randomised_maps[found.method])
