"""Reference maps made of the masks: what a perfect map, and a perfectly wrong one, score on this grid.

They know the truth and not the model, and show what a metric can reach at the model's resolution (an energy pointing
game of 1 is out of reach where cells are larger than objects). Each token that names a target has that target's mask,
others have the mask of all targets. Tokens that only the image can tell count, or where nobody knows which those are,
tokens that name a target; where there are none, all.
"""

import numpy as np
from jaxtyping import Float

from dexar_widgets.asking import Asked
from dexar_widgets.attribution import Attribution, Cost
from dexar_widgets.evaluation.samples import Sample
from dexar_widgets.evaluation.spans import named_by, steps_of
from dexar_widgets.maps import coverage

__all__ = ["ORACLES", "oracle"]

ORACLES = ("oracle", "inverted_oracle")
"""Their names, among those of methods."""


def oracle(asked: Asked, sample: Sample, name: str) -> Attribution | None:
    """The map of a sample whose masks are known; None of another."""
    if not sample.targets:
        return None
    grid, generation = asked.request.layout.grids[0], asked.said.generation
    every = coverage(np.any([target.mask for target in sample.targets], axis=0), grid)
    maps: Float[np.ndarray, "step row col"] = np.repeat(every[None], len(asked.steps), 0)
    named = named_by(generation, sample.targets)
    for target in sample.targets:
        for step in named.get(target.name, ()):
            maps[asked.steps.index(step)] = coverage(target.mask, grid)
    telling = sum(named.values(), ()) if sample.content is None else steps_of(generation, sample.content)
    weights = np.isin(asked.steps, telling).astype(float)
    if name == ORACLES[1]:
        maps, weights = 1 - maps, 1 - weights
    return Attribution(
        method=name,
        title=name.replace("_", " ").capitalize(),
        example=asked.example,
        generation=generation,
        grid=grid,
        steps=asked.steps,
        maps=maps.astype(np.float32),
        weights=weights if weights.any() else np.ones(len(weights)),
        unit="share of the cell that the named object covers",
        cost=Cost(0.0, 0.0, 0.0, None, 0, 0),
        control=True,
        provenance=asked.provenance,
    )
