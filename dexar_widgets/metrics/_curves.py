"""Readings of a curve: how the answer fares over the share of the image that is changed."""

import numpy as np
from jaxtyping import Float64

from dexar_widgets.metrics import Case, Curve, ScoreStatus, status_of

__all__ = ["area", "differ", "harm", "harm_areas", "log_areas", "ratio_areas", "status_of_curve"]

_END = 0.9
"""The other end of the areas: at 1 the image is gone, and all maps are equal."""
_LEAST = 1e-6
"""By so much, at least, must the perplexities of the ends differ before anything is divided by that."""


def status_of_curve(case: Case, curve: Curve | None) -> ScoreStatus:
    """Whether a map's curve can be read: it must reach from 0 to 1, and the map must order the pixels."""
    if curve is None or not len(curve.fractions) or curve.fractions[0] > 0 or curve.fractions[-1] < 1:
        return "missing"
    status = status_of(case.heat.values)
    if status == "ok" and not np.isfinite(curve.nll).all():
        return "nan_input" if np.isnan(curve.nll).any() else "overflow"
    return status


def area(
    fractions: Float64[np.ndarray, " level"], heights: Float64[np.ndarray, " level"], *, stop: float = 1.0
) -> float:
    """∫ from 0 to ``stop`` of the straight lines between the levels, over the fractions that there are."""
    before = fractions < stop
    end = np.interp(stop, fractions, heights)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite heights give an infinite area, or none
        return float(np.trapezoid(np.append(heights[before], end), np.append(fractions[before], stop)))


def ratio_areas(curve: Curve) -> tuple[float, dict[str, float]]:
    """The area under R(p) = exp(nll(p) − nll(0)) over [0, 1], and its other readings."""
    log_ratio = curve.nll - curve.nll[0]
    with np.errstate(over="ignore"):
        ratio = np.exp(log_ratio)
    to_end = area(curve.fractions, ratio, stop=_END)
    whole, log_to_end = log_areas(curve)
    parts = {"auc09": to_end, "mean09": to_end / _END, "log_auc01": whole, "log_auc09": log_to_end}
    return area(curve.fractions, ratio), parts | {"tied": curve.tied}


def log_areas(curve: Curve) -> tuple[float, float]:
    """The areas under log R over [0, 1] and over [0, 0.9]."""
    log_ratio = curve.nll - curve.nll[0]
    return area(curve.fractions, log_ratio), area(curve.fractions, log_ratio, stop=_END)


def differ(intact: float, ruined: float) -> bool:
    """Whether the perplexity of the ruined image is higher, by enough, than that of the intact one."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.exp(intact) * np.expm1(ruined - intact) > _LEAST)


def harm(nll: Float64[np.ndarray, " level"], intact: float, ruined: float) -> Float64[np.ndarray, " level"]:
    """How far each perplexity is on the way from the intact image's (0) to the ruined one's (1); not clipped."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.asarray(np.expm1(nll - intact) / np.expm1(ruined - intact))


def harm_areas(curve: Curve, intact: float, ruined: float) -> tuple[float, dict[str, float]]:
    """The area under `harm`; and its parts: clipped to [0, 1], and the same on the mean log-likelihood."""
    levels = harm(curve.nll, intact, ruined)
    parts = {"clipped": area(curve.fractions, np.clip(levels, 0, 1))}
    if ruined - intact > _LEAST:
        parts["nll"] = area(curve.fractions, (curve.nll - intact) / (ruined - intact))
    return area(curve.fractions, levels), parts
