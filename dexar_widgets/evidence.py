"""One way to ask what was kept of a pass, whether that is every gradient, the visual columns or a summary."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Float32, Int

from dexar_widgets import filters
from dexar_widgets.maps import layer_maps, visual_tokens
from dexar_widgets.options import RELEASED_FAMILIES, Filter, Options, TextSet, fraction_of
from dexar_widgets.summary import MAP_TEXT_SETS, LayerMaps, Summary
from dexar_widgets.types import GradientTensor, Sensitivity, TokenLayout

__all__ = ["Evidence"]

_NO_TWICE = "preset='released' needs the last layer's gradients through a twice applied norm."


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was kept of one pass: ``gradients`` in full, with a ``summary`` beside their visual columns, or that alone.

    Sensitivities of all steps are small and remembered; maps are made when asked for, one step at a time.
    """

    layout: TokenLayout
    gradients: GradientTensor | None
    summary: Summary | None
    family: str | None
    _known: dict[tuple[object, ...], dict[TextSet, Sensitivity]] = field(default_factory=dict, init=False, repr=False)

    @property
    def steps(self) -> Int[np.ndarray, " step"]:
        """True indices of the explained steps."""
        return self._axes.steps

    @property
    def layers(self) -> Int[np.ndarray, " layer"]:
        """True indices of the layers."""
        return self._axes.layers

    @property
    def heads(self) -> int:
        """Number of query heads."""
        return self.summary.heads if self.summary is not None else int(self._tensor().values.shape[2])

    @property
    def _axes(self) -> GradientTensor | Summary:
        return self._tensor() if self.summary is None else self.summary

    def _tensor(self, why: str = "the gradients") -> GradientTensor:
        if self.gradients is None:
            raise ValueError(f"This explanation was made with keep='summary', which lacks {why}; use keep='visual'.")
        return self.gradients

    def check(self, options: Options) -> None:
        """Raise where preset ``released`` does not apply to the model."""
        if options.preset == "released" and self.family not in RELEASED_FAMILIES:
            raise ValueError(
                f"preset='released' is the authors' code for LLaVA-1.5 and BakLLaVA only, and this explanation is of "
                f"a model of the family {self.family!r} (provenance['family']); use preset='paper'."
            )

    def sensitivity(self, options: Options, reading: Filter = "max") -> Sensitivity:
        """s_vis and s_txt of all steps, layers and heads, read as ``reading`` says (``none``: as ``max``)."""
        self.check(options)
        once = self._measure(fraction_of(reading) or 0.0, options, twice=False)
        if options.preset != "released":
            return once
        return filters.with_tail(once, self._measure(fraction_of(reading) or 0.0, options, twice=True))

    def _measure(self, fraction: float, options: Options, *, twice: bool) -> Sensitivity:
        if self.summary is not None:
            kept = self.summary.twice if twice else self.summary.once
            if kept is None:
                raise ValueError(_NO_TWICE)
            return kept.read(fraction, options.text_set, magnitude=options.magnitude)
        how = (fraction, options.magnitude, twice)
        known = self._known.setdefault(how, {})
        if options.text_set not in known:
            known[options.text_set] = filters.sensitivity(
                filters.tail(self._tensor()) if twice else self._tensor(),
                self.layout,
                reading=fraction,
                text_set=options.text_set,
                magnitude=options.magnitude,
                alike=next(iter(known.values()), None),
            )
        return known[options.text_set]

    def head_weights(self, options: Options) -> Float[np.ndarray, "step layer head"]:
        """δ of all steps, 0 for layers and heads outside the selection."""
        selection = options.selection(self.layers, self.heads)
        return filters.head_weights(self.sensitivity(options, options.head_filter), selection, options.head_filter)

    def step_weights(self, options: Options) -> Float[np.ndarray, " step"]:
        """ω of all steps."""
        selection = options.selection(self.layers, self.heads)
        return filters.step_weights(self.sensitivity(options, options.filler_filter), selection, options.filler_filter)

    def visual_gradients(self, place: int, *, twice: bool = False) -> Float32[np.ndarray, "layer head visual"]:
        """One step's signed gradients on the visual tokens, by its place on the step axis."""
        tensor = self._tensor("single heads and signed gradients")
        columns = np.searchsorted(tensor.tokens, visual_tokens(self.layout))
        values = tensor.values[place].take(columns, -1)
        if twice:
            if tensor.twice is None:
                raise ValueError(_NO_TWICE)
            values[-1] = tensor.twice[place].take(columns, -1)
        return np.asarray(values)

    def all_layer_maps(self, choices: Sequence[Options]) -> Float32[np.ndarray, "choice step layer visual"]:
        """`layer_maps` of all steps for options that differ in their filters alone, in one pass over the gradients.

        Heads are summed in float32 here, which is enough for what travels with 8 bits.
        """
        shape = (len(choices), len(self.steps), len(self.layers), int(self.layout.is_image.sum()))
        maps = np.zeros(shape, np.float32)
        if self.gradients is None:
            for choice, place in np.ndindex(shape[:2]):
                maps[choice, place] = self._kept_maps(place, choices[choice])
            return maps
        relu, twice = choices[0].relu, choices[0].preset == "released"
        weights = np.stack([self.head_weights(options) for options in choices], 2).astype(np.float32)
        for place, step_weights in enumerate(weights):
            gradients = self.visual_gradients(place, twice=twice)
            heads = np.maximum(gradients, 0, out=gradients) if relu else gradients
            maps[:, place] = np.moveaxis(step_weights @ heads, 1, 0)
        return maps

    def layer_maps(self, place: int, options: Options) -> Float[np.ndarray, "layer visual"]:
        """Σ_h δ·G⁺ of one step, per layer and visual token; 0 for layers outside the selection."""
        self.check(options)
        if self.gradients is None:
            return self._kept_maps(place, options)
        gradients = self.visual_gradients(place, twice=options.preset == "released")
        return layer_maps(gradients, self._weights_at(place, options), relu=options.relu)

    def token_map(self, place: int, options: Options) -> Float[np.ndarray, " visual"]:
        """E[t] before its min–max (equation 5), per visual token."""
        return np.asarray(self.layer_maps(place, options).sum(0))

    def _weights_at(self, place: int, options: Options) -> Float[np.ndarray, "layer head"]:
        read = self.sensitivity(options, options.head_filter).of_steps([place])
        selection = options.selection(self.layers, self.heads)
        return np.asarray(filters.head_weights(read, selection, options.head_filter)[0])

    def _kept_maps(self, place: int, options: Options) -> Float[np.ndarray, "layer visual"]:
        assert self.summary is not None
        _refuse(options)
        once, twice = self.summary.maps, self.summary.twice_maps
        assert once is not None
        maps = _of(once, options, place)
        if options.preset == "released":
            if twice is None:
                raise ValueError(_NO_TWICE)
            maps = np.concatenate([maps[:-1], _of(twice, options, place)])
        return np.asarray(maps.astype(float) * np.isin(self.layers, options.layers)[:, None])


def _of(maps: LayerMaps, options: Options, place: int) -> Float32[np.ndarray, "layer visual"]:
    if options.head_filter == "none":
        return np.asarray(maps.plain[place])
    return np.asarray(maps.filtered[MAP_TEXT_SETS.index(options.text_set), place])


def _refuse(options: Options) -> None:
    """Name the option that needs more than the layer maps."""
    filtered = options.head_filter != "none"
    needs: Sequence[tuple[bool, str]] = (
        (options.heads is not None, "heads"),
        (not options.relu, "relu=False"),
        (options.head_filter not in ("max", "none"), f"head_filter={options.head_filter!r}"),
        (filtered and options.magnitude, "magnitude=True"),
        (filtered and options.text_set not in MAP_TEXT_SETS, f"text_set={options.text_set!r}"),
    )
    wanted = [name for needed, name in needs if needed]
    if wanted:
        raise ValueError(
            f"A map with {', '.join(wanted)} cannot be made from keep='summary', which holds sums over heads; "
            "explain again with keep='visual' or keep='full'."
        )
