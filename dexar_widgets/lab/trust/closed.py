"""T6 to T8 on ``lab/analytic``, whose every number is known in closed form; and T6's sinks on trained models.

T6: the sink's head spends 0.7 of its attention on a cell that moves nothing. T7: the distractor would change the answer
if it were attended, and never is: maps with attention as a factor are dark there, DEX-AR is not, by the closed form's
value (a limit of the method, on record). T8: DEX-AR's map is the closed form's, and its gradient is the slope of the
logit when the attention to a cell is raised by hand.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

import dexar_widgets as dx
from dexar_widgets import engine, hooks, registers
from dexar_widgets.explanation import Explanation
from dexar_widgets.lab.analytic import DETECTORS, HEADS, NAMES
from dexar_widgets.lab.closed_form import closed_form
from dexar_widgets.lab.scenes import Scene, scene
from dexar_widgets.lab.trust.gates import result, table
from dexar_widgets.lab.trust.truth import OPTIONS, explained
from dexar_widgets.maps import visual_tokens
from dexar_widgets.statistics import Estimate, mean

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["closed", "coloured", "observe_closed", "observe_sinks", "sinks"]

COLOUR = 3
"""The step of the colour in "The cat is red."."""
_UNSEEN = "unseen"
"""The check that counts scenes whose colour the model does not see: it says "gray", and there is nothing to compare."""
SINK, DISTRACTOR = list(HEADS).index("SINK"), list(HEADS).index("DISTRACTOR")
_TIMES_ATTENTION = ("attention", "attn_grad", "dexar_use", "chefer_cam")
"""Methods whose map is 0 where nothing is attended by algebra, whatever their other factor is."""
_DARK = (*_TIMES_ATTENTION, "integrated_gradients")
"""Methods that must see nothing where nothing is attended; what the others see there is told, and not judged."""


def coloured(seed: int) -> Scene:
    """One object of a colour that the model knows, at the model's own size, and the question it answers."""
    colour, name = list(DETECTORS)[seed % len(DETECTORS)], NAMES[seed % len(NAMES)]
    found = scene(seed, objects=[(name, colour)], size=96)
    return replace(found, prompt=f"What colour is the {name}?")


def observe_closed(vlm: "VLM", shown: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per check and method, of one scene; ``chance`` is what a uniform map would give."""
    options = {name: OPTIONS[name] for name in methods if name in OPTIONS}
    e = dx.compare(vlm, shown.image, shown.prompt, methods=list(methods), options=options)
    e = replace(e, attention=dx.explain(vlm, shown.image, shown.prompt, attention=True).attention)
    found = pd.DataFrame(_checks(vlm, e), columns=["check", "method", "value"])
    known = closed_form(e)
    chance = found["check"].map({"sink": known.sink.mean(), "distractor": known.distractor.mean()})
    return found.assign(chance=chance.astype(float), scene=number)


def _checks(vlm: "VLM", e: Explanation) -> Iterator[tuple[str, str, float]]:
    known, cells = closed_form(e), e.layout.tokens_of(0)
    yield _UNSEEN, "", float(not known.token_maps[COLOUR].any())
    if not known.token_maps[COLOUR].any():
        return
    assert e.attention is not None, "asked for"
    yield "sink attention", "attention", float(e.attention[COLOUR, 0, SINK, cells[known.sink.ravel()]].sum())
    for name, found in e.attributions.items():
        values = np.abs(found.heatmap(COLOUR).values.astype(float))
        values = values if values.any() else np.ones_like(values)  # an empty map counts as chance
        if name != "attention":
            yield "sink", name, float(values[known.sink].sum() / values.sum())
        yield "distractor", name, float(values[known.distractor].sum() / values.sum())
    maps = np.stack([e.heatmap(step).values for step in e.steps]).astype(float)
    most = np.abs(known.token_maps).max()
    yield "map", "dexar", float(np.abs(maps - known.token_maps).max() / most)
    there = known.token_maps[COLOUR][known.distractor]
    yield "distractor value", "dexar", float(np.abs(maps[COLOUR][known.distractor] / there - 1).max())
    yield "distractor share", "dexar", float(there.sum() / known.token_maps[COLOUR].sum())
    yield "slope", "dexar", _slope_error(vlm, e)


def _slope_error(vlm: "VLM", e: Explanation) -> float:
    """Largest difference of the engine's gradients from the slope of the colour's logit, over the largest slope.

    Raising A[h, row, j] by 1 adds v[h, j] to what head h hands on; nothing after it but linear maps.
    """
    request = engine.encode(vlm, e.example)
    said = engine.resume(vlm, request, e.generation)
    (values,) = said.context.values(cross_attention=False)
    visual, found = visual_tokens(e.layout), e.visual_gradients(COLOUR)[0].astype(float)
    known = closed_form(e).gradient[COLOUR, 0][:, visual]  # says which cells to look at, and no more
    places = [(head, int(cell)) for head, row in enumerate(known) for cell in (row.argmax(), row.argmin())]
    still = _logit(vlm, said, request, None)
    slopes = [_logit(vlm, said, request, (head, values[head, visual[cell]])) - still for head, cell in places]
    apart = [found[place] - slope for place, slope in zip(places, slopes, strict=True)]
    return float(np.abs(apart).max() / np.abs(slopes).max())


def _logit(vlm: "VLM", said: engine.Answer, request: engine.Request, nudge: Any) -> float:
    """The colour's logit, with something added to what a head hands on at the row that predicts it."""
    row = request.prompt_ids.shape[1] - 1 + COLOUR

    def add(_index: int, args: tuple[Any, ...], _options: dict[str, Any]) -> Any:
        if nudge is None:
            return None
        head, value = nudge
        changed = args[0].clone()
        changed[0, row, head * len(value) : (head + 1) * len(value)] += value
        return changed

    with hooks.inputs(vlm.anatomy.projections, add):
        with engine.record(vlm, request, said, steps=[COLOUR], graph=False, attention=False) as run:
            return float(run.logits()[0, 0])


_CHECKS = {
    "sink attention": ("T6", "attention of the sink's head on the sink", "T6 attention"),
    "sink": ("T6", "share of the map on the sink", "T6 dexar"),
    "distractor": ("T7", "share of the map on what is never attended", "T7 use"),
    "distractor value": ("T7", "DEX-AR there, relative error to the closed form", "T7 dexar"),
    "distractor share": ("T7", "share of DEX-AR's map there (a known limit)", None),
    "map": ("T8", "largest difference from the closed form, relative", "T8 map"),
    "slope": ("T8", "gradient against the slope of the logit, relative", "T8 slope"),
}


def closed(seen: pd.DataFrame) -> pd.DataFrame:
    """T6 to T8: the worst scene of every check and method."""
    rows, unseen = [], seen[seen["check"] == _UNSEEN]["value"].to_numpy(bool)
    left = f"; {unseen.sum()} of {len(unseen)} scenes left out: their colour is not seen" if unseen.any() else ""
    for check, (test, what, gate) in _CHECKS.items():
        for method, some in seen[seen["check"] == check].groupby("method", sort=False):
            values = some["value"].to_numpy(float)
            found = Estimate(float(values.max()), float(values.min()), float(values.max()), len(values))
            decides = {"sink": str(method).startswith("dexar"), "distractor": method in _DARK}.get(check, True)
            zero = check == "sink" or (check == "distractor" and method in _TIMES_ATTENTION)  # one factor of the map is
            told: dict[str, Any] = {"gate": gate if decides else None, "by_construction": zero}
            told |= {"chance": float(some["chance"].mean()), "method": str(method)}
            note = f"the worst scene; from the least to the largest{left}"
            rows.append(result(test, what, found, note=note, **told))
    return table(rows)


def observe_sinks(vlm: "VLM", shown: Scene, methods: Sequence[str], *, number: int = 0) -> pd.DataFrame:
    """A row per method and scene that has outliers of norm on blank cells: the map's mass there, over their area."""
    e = explained(vlm, shown, methods)
    answer = shown.caption
    norms = dx.explain(vlm, shown.image, shown.prompt, answer=answer, patch_norm=True, keep="summary")
    found = registers.outliers_of(norms).cells
    rows: list[dict[str, Any]] = []
    for method in methods if len(found) else ():
        values = np.maximum(e.attributions[method].maps.astype(float), 0).sum(0).ravel()
        values = values if values.any() else np.ones_like(values)  # an empty map counts as chance
        share = values[found].sum() / values.sum()
        rows.append({"method": method, "share": share, "area": len(found) / values.size})
    return pd.DataFrame(rows or [{"method": method, "share": np.nan, "area": np.nan} for method in methods]).assign(
        scene=number
    )


def sinks(seen: pd.DataFrame) -> pd.DataFrame:
    """T6 on a trained model: how much of every method's map lies on sinks, over their area."""
    rows = []
    for method, some in seen.groupby("method", sort=False):
        found = mean((some["share"] / some["area"]).to_numpy(float), some["scene"].to_numpy())
        note = f"{found.n} of {len(some)} scenes have such cells"
        gate = "T6 sinks" if method == "dexar" else None
        rows.append(
            result("T6", "mass on sinks ÷ their area", found, method=str(method), chance=1.0, gate=gate, note=note)
        )
    return table(rows)
