"""DEX-AR: gradients of each layer's logit-lens logit by that layer's attention, heads and words filtered.

Source: DEX-AR, equations 2–6. The maps are those of `Explanation.heatmap` and `Explanation.sequence_map`, whose options
these are; nothing but the maps is kept.
"""

from dataclasses import asdict, dataclass

import numpy as np

from dexar_widgets.evidence import Evidence
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.options import Filter, Heads, Layers, Preset, TextSet, resolve

TITLE = "DEX-AR"
UNIT = "logit per unit of attention, times head weight; summed over heads and layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"gradients"})
SMALLER = "explain fewer steps at once"


@dataclass(frozen=True, kw_only=True)
class Options:
    """As on `Explanation.heatmap`."""

    layers: Layers = None
    heads: Heads = None
    head_filter: Filter = "max"
    filler_filter: Filter = "max"
    relu: bool = True
    magnitude: bool = False
    text_set: TextSet | None = None
    preset: Preset = "paper"

    def __post_init__(self) -> None:
        resolve((0,), 1, **asdict(self) | {"layers": None, "heads": None})  # those wait for the model


def attribute(subject: Subject, options: Options) -> Maps:
    """Σ_{l,h} δ·G⁺ of each step, weighed by ω."""
    _, layers, heads, _ = subject.passed.shape
    chosen = resolve(range(layers), heads, **asdict(options))
    family = subject.vlm.provenance()["family"]
    maps, weights = [], []
    for tensor in subject.chunks():
        evidence = Evidence(subject.passed.layout, tensor, None, family)
        maps += [evidence.token_map(place, chosen) for place in range(len(tensor.steps))]
        weights.append(evidence.step_weights(chosen))
    return Maps(np.stack(maps), np.concatenate(weights), minmaxed=chosen.preset == "paper", gated=True)
