"""The area behind the median curve of many samples, and how far it would differ with other images."""

from math import isqrt

import numpy as np
from jaxtyping import Float32, Float64, Shaped

from dexar_widgets.statistics import DRAWS, Estimate, estimated, resampled

__all__ = ["behind_median"]


def behind_median(
    curves: Float64[np.ndarray, "sample point"],
    across: Float64[np.ndarray, " point"],
    clusters: Shaped[np.ndarray, " sample"],
    *,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """The area under the median of curves at the same places, with its interval by the bootstrap over ``clusters``.

    Each resample has a median curve of its own, point by point, and the area under that. Samples of one cluster, such
    as questions about one image, are drawn together; curves of the same clusters see the same resamples. Of a single
    cluster there is no interval.

    Source: the aggregate curve of Kapishnikov et al., "XRAI" (ICCV 2019); resampling of clusters as `statistics.mean`.
    """
    place = np.unique(clusters, return_inverse=True)[1]
    times = np.ascontiguousarray(resampled(place.max() + 1, seed, draws)[:, place].T, np.float32)
    areas = np.trapezoid(_medians(curves, times), across, axis=0)
    return estimated(float(np.trapezoid(np.median(curves, axis=0), across)), areas, len(curves))


def _medians(
    curves: Float64[np.ndarray, "sample point"], times: Float32[np.ndarray, "sample draw"]
) -> Float64[np.ndarray, "point draw"]:
    """The median at each point of the samples as often as each draw has them.

    Samples are passed in rising order, for all points and draws at once: the median is between the two at which half of
    the draw is reached and exceeded. No draw's half lies far below the middle, so those well below are summed in one
    product.
    """
    half, order = times.sum(0) / 2, np.argsort(curves, axis=0, kind="stable").T
    first = max(0, len(curves) // 2 - 3 * isqrt(len(curves)))
    total = (np.argsort(order, axis=1) < first).astype(np.float32) @ times
    if not (total < half).all():
        first, total = 0, np.zeros_like(total)
    reached, exceeded = np.full(total.shape, first), np.full(total.shape, first)
    for rank in range(first, len(curves)):
        total += times[order[:, rank]]
        reached += total < half
        exceeded += total <= half
        if (total > half).all():
            break
    rising = np.take_along_axis(curves.T, order, axis=1)
    return np.asarray(sum(np.take_along_axis(rising, at, axis=1) for at in (reached, exceeded)) / 2)
