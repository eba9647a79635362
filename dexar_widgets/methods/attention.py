"""Raw attention: how much the predicting row attends to each visual token, mean over heads, summed over layers.

Source: DEX-AR, appendix C.5 (equations 17–18). The rows are softmax(softcap(scaling · q·Kᵀ) + mask), as the model
computed them; Florence-2: cross-attention, whose rows also cover the prompt.
"""

from dataclasses import dataclass

from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.options import Layers, resolve

TITLE = "Attention"
UNIT = "attention probability, mean over heads, summed over layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"attention"})
SMALLER = "explain fewer steps at once"


@dataclass(frozen=True, kw_only=True)
class Options:
    """``layers``: true indices; all by default."""

    layers: Layers = None


def attribute(subject: Subject, options: Options) -> Maps:
    """Σ_l mean_h A_l[h, row t, V]."""
    rows = subject.attention
    layers = resolve(range(rows.shape[1]), rows.shape[2], layers=options.layers).layers
    return Maps(subject.visual(rows[:, list(layers)].mean(2, dtype=float).sum(1)))
