"""Energy pointing game: the share of a map's positive energy that lies on the mask.

Source: Wang et al., "Score-CAM" (CVPR Workshops 2020), there with a bounding box; here with the mask itself. The raw
map is enlarged bilinearly to the image, and negative values count as 0. A uniform map scores the mask's share of the
image, or of that part of it that the model sees.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from dexar_widgets.maps import upsample
from dexar_widgets.metrics import Score, unusable
from dexar_widgets.types import HeatMap

TITLE = "Energy pointing game"
HIGHER_IS_BETTER = True


def measure(heat: HeatMap, mask: Bool[np.ndarray, "height width"]) -> Score:
    """Σ of the positive map on the mask ÷ Σ of it."""
    even = upsample(replace(heat, values=np.ones_like(heat.values))).values
    status, chance = unusable(heat, mask), float(even[mask].sum() / even.sum())
    energy = np.maximum(upsample(heat).values, 0).astype(float)
    if status is None and not energy.any():
        status = "zero_mass"
    if status is not None:
        return Score("energy_pointing_game", float("nan"), HIGHER_IS_BETTER, status, chance)
    return Score("energy_pointing_game", float(energy[mask].sum() / energy.sum()), HIGHER_IS_BETTER, "ok", chance)
