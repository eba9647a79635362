"""AttnGrad: attention times its gradient, where positive; mean over heads, summed over layers.

Source: DEX-AR, appendix C.3 (equations 11–12), which extends Chefer, Gur, Wolf (CVPR 2021) to all layers: each layer's
gradient is that of its own logit-lens logit. What a row does not attend to is zero here, unlike in DEX-AR.
"""

from dataclasses import dataclass

import numpy as np

from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.options import Layers, resolve

TITLE = "AttnGrad"
UNIT = "logit per unit of attention, times attention; mean over heads, summed over layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"attention", "gradients"})
SMALLER = "explain fewer steps at once"


@dataclass(frozen=True, kw_only=True)
class Options:
    """``layers``: true indices; all by default."""

    layers: Layers = None


def attribute(subject: Subject, options: Options) -> Maps:
    """Σ_l mean_h ReLU(A ⊙ ∂o_l/∂A)."""
    _, layers, heads, _ = subject.passed.shape
    chosen = list(resolve(range(layers), heads, layers=options.layers).layers)
    maps = []
    for tensor in subject.chunks():
        rows = subject.attention[np.isin(subject.passed.steps, tensor.steps)]
        for gradients, attention in zip(tensor.values, rows, strict=True):
            use = np.maximum(subject.visual(gradients[chosen]) * subject.visual(attention[chosen]), 0)
            maps.append(use.mean(1, dtype=float).sum(0))
    return Maps(np.stack(maps))
