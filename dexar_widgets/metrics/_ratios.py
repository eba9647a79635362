"""Signal to noise: how much more there is inside than outside, on pixels or on tokens."""

import numpy as np
from jaxtyping import Bool, Float64

__all__ = ["LIMIT", "signal_to_noise"]

LIMIT = 1e6
"""A ratio beyond it is no measurement but a division by nearly nothing, and one such would be the mean of all."""


def signal_to_noise(
    energy: Float64[np.ndarray, " place"], inside: Bool[np.ndarray, " place"]
) -> tuple[float, dict[str, float]]:
    """Mean inside ÷ mean outside, infinite beyond `LIMIT`; and its parts: sums instead of means, and in decibels."""
    signal, noise = float(energy[inside].mean()), float(energy[~inside].mean())
    if signal > LIMIT * noise:
        return float("inf"), {}
    value = signal / noise if noise > 0 else float("nan")
    raw = value * float(inside.sum() / (~inside).sum())
    return value, {"raw": raw, "decibel": 10 * float(np.log10(value)) if value > 0 else float("-inf")}
