"""The causal check: take something away, and see what that does to the word.

A region of the image (`Check`), more and more of a map's top cells (`Deletion`), or one part's sight of another in
some layers (`Knockout`). Every number is a log-probability of the answer that was explained, token for token.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from dexar_widgets import perturb
from dexar_widgets.causal.chance import RANDOMS
from dexar_widgets.causal.deletions import FRACTIONS, Deletion, changed, deletion
from dexar_widgets.causal.knockouts import Knockout, knockout
from dexar_widgets.causal.regions import Region, checks
from dexar_widgets.causal.results import Check, Checks, How
from dexar_widgets.causal.scoring import BATCH
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Filter, Heads, Layers, Preset, Step, TextSet

if TYPE_CHECKING:
    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["Check", "Checks", "Deletion", "How", "Knockout", "Region", "check", "checks", "deletion", "knockout"]


@overload
def check(
    e: Explanation,
    *,
    step: Step | None = None,
    region: Region,
    how: How = "mean",
    randoms: int | None = None,
    seed: int | None = None,
    scene: "Scene | None" = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Check: ...


@overload
def check(
    e: Explanation,
    *,
    step: Step | None = None,
    cut: perturb.Cut,
    layers: Layers = None,
    window: int | None = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Knockout: ...


@overload
def check(
    e: Explanation,
    *,
    step: Step | None = None,
    how: perturb.How = "mean",
    randoms: int | None = None,
    seed: int | None = None,
    fractions: Sequence[float] | None = None,
    method: str | None = None,
    layers: Layers = None,
    heads: Heads = None,
    head_filter: Filter = "max",
    filler_filter: Filter = "max",
    relu: bool = True,
    magnitude: bool = False,
    text_set: TextSet | None = None,
    preset: Preset | None = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Deletion: ...


def check(
    e: Explanation,
    *,
    step: Step | None = None,
    region: Region | None = None,
    cut: perturb.Cut | None = None,
    how: How = "mean",
    randoms: int | None = None,
    seed: int | None = None,
    scene: "Scene | None" = None,
    layers: Layers = None,
    window: int | None = None,
    fractions: Sequence[float] | None = None,
    method: str | None = None,
    heads: Heads = None,
    head_filter: Filter = "max",
    filler_filter: Filter = "max",
    relu: bool = True,
    magnitude: bool = False,
    text_set: TextSet | None = None,
    preset: Preset | None = None,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Check | Deletion | Knockout:
    """Measure by intervention what a word depends on.

    With ``region``, hide it, and hide all but it: a `Check`. With ``cut``, keep one part of the sequence from reading
    another, by windows of layers: a `Knockout`. With neither, hide the top cells of each word's own map, more and
    more of them: a `Deletion`. Regions and cells come with what chance gives. As the work of a job
    (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.

    Parameters
    ----------
    step
        As in `Explanation.heatmap`: steps, or a word of the answer. None with a region: the whole answer (`checks`
        gives every word at the same price). None otherwise: each word, and last the whole answer.
    region
        A mask of the original image's shape, a box (left, top, right, bottom) or a polygon, [(x, y), …], in its pixels;
        with a ``scene`` also an object's index, or what names some: "cat" (every cat), "red cat", "the animals".
    cut
        (source, target): ("image", "answer"), ("image", "prompt") or ("prompt", "answer"); or cells of the grid by
        their row-major numbers, from whom: ([0, 5], "answer"), "prompt" or "all". The rows of the target lose the
        columns of the source. "answer" are the rows that predict its tokens: the prompt's last position, which
        predicts the first, and the answer's tokens; "prompt" is the other text before them, the template's too, as
        columns without special tokens, which heads rest on; "all" is every other row, so that none relays the cells.
        What the others let through stays: in a prefix that is read both ways (PaliGemma) the image's rows and the
        special ones relay the prompt to the answer. Models that read the image by cross-attention lose there what the
        answer reads, in the encoder's self-attention what the prompt reads, and with "all" both, where the encoder's
        layers count first. The vision tower is not cut: what other patches took from a cell there stays.
    how
        Hidden pixels become the image's ``mean`` colour or a strong ``blur``; ``scene`` really removes the objects of
        which at least half is in the region, and draws the scene again. Of a region counts what the model sees: a
        processor may crop the image.
    randoms, seed
        How many random regions (or random orders of cells), and which; ``seed`` also orders cells of equal value.
        Regions have the region's size and shape and overlap it as little as that allows
        (`dexar_widgets.perturb.moved`). 0 leaves chance out. Default: 19, so that p can reach .05. With
        ``how="scene"`` there are none, for nothing is drawn at random: each other object is removed by itself.
    scene
        The lab's scene whose image was explained.
    layers
        Of a cut: one window, made of these layers. Of a map: as in `Explanation.heatmap`.
    window
        Of a cut: the width of the windows that slide over the layers. Default: a quarter of them.
    fractions
        The shares of the cells to hide.
    method
        Whose maps give the top cells: one of ``e.attributions``. Default, and "dexar": the explanation's own, with the
        options that follow.
    heads, head_filter, filler_filter, relu, magnitude, text_set, preset
        As in `Explanation.heatmap`.
    batch_size
        Variants in one pass: lower it where memory runs out.
    vlm
        The model. Default: the one that was explained, if it is still in memory.

    Raises
    ------
    ValueError
        If the region is no part of the image, the step or the cut is unknown, an option belongs to another check, a
        scene is missing or another one, or the model is gone.
    MemoryError
        If memory runs out. The model is as it was.
    """
    map_options: dict[str, Any] = {
        "heads": heads,
        "head_filter": head_filter,
        "filler_filter": filler_filter,
        "relu": relu,
        "magnitude": magnitude,
        "text_set": text_set,
        "preset": preset,
    }
    on_maps = {name: map_options[name] for name in changed(map_options)} | {"fractions": fractions, "method": method}
    if region is not None:
        _refuse("a region", {"cut": cut, "layers": layers, "window": window} | on_maps)
        steps = [e.steps if step is None else step]
        random: dict[str, Any] = {"randoms": randoms, "seed": seed}
        (found,) = checks(e, steps=steps, region=region, how=how, scene=scene, batch_size=batch_size, vlm=vlm, **random)
        return found
    if cut is not None:
        fills = None if how == "mean" else how
        _refuse("a cut", {"how": fills, "randoms": randoms, "seed": seed, "scene": scene} | on_maps)
        return knockout(e, cut=cut, step=step, layers=layers, window=window, batch_size=batch_size, vlm=vlm)
    removes = how if how == "scene" else None
    _refuse("neither a region nor a cut", {"window": window, "scene": scene, "how": removes})
    return deletion(
        e,
        step=step,
        how=how,  # type: ignore[arg-type]  # "scene" was refused
        fractions=FRACTIONS if fractions is None else fractions,
        method=method,
        layers=layers,
        batch_size=batch_size,
        vlm=vlm,
        randoms=RANDOMS if randoms is None else randoms,
        seed=seed or 0,
        **map_options,
    )


def _refuse(mode: str, options: Mapping[str, object]) -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"A check with {mode} takes no {', no '.join(f'{name}=' for name in given)}; see dx.check.")
