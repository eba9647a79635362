"""Attention rollout: attention, with the residual connection, multiplied through all layers.

Â_l = (mean_h A_l + I) with rows scaled to sum 1; row t of Â_L ⋯ Â_1 at the visual tokens. The rows of all steps go
down together as a step × token matrix, and one layer's map exists at a time.

Source: Abnar and Zuidema (ACL 2020); DEX-AR, appendix C.4 (equations 13–16).
Differs on Florence-2: through the decoder's self- and cross-attention, then the encoder's, over the union of the
encoder's and the decoder's tokens (see `dexar_widgets.methods._propagation`).
"""

from dataclasses import dataclass

from dexar_widgets import engine
from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._propagation import propagate, starts

TITLE = "Rollout"
UNIT = "share of attention, through all layers"
CONTROL = False
NEEDS: frozenset[Need] = frozenset({"maps"})
SMALLER = "explain a shorter answer, or shrink the image"


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def attribute(subject: Subject, _options: Options) -> Maps:
    """Row t of the product of all layers' attention."""
    with engine.record(subject.vlm, subject.request, subject.answer, steps=subject.steps, graph=False) as recording:
        maps = ((layer.kind, layer.mean_attention()) for layer in reversed(recording.sublayers))
        rows = recording.rows
        reached = propagate(starts(rows, _rows(recording)), maps, normalise=True)
    return Maps(subject.visual(reached.cpu().numpy()))


def _rows(recording: engine.Recording) -> int:
    return recording.sublayers[-1].query.shape[2]
