"""Control: the image's own edges (Sobel), which knows the picture and nothing of the model.

Source: Adebayo et al. (NeurIPS 2018): many saliency maps are hardly more than this.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dexar_widgets.methods import Maps, Need, Subject
from dexar_widgets.methods._pixels import summed_in_cells

TITLE = "Edges"
UNIT = "nothing of the model: the image's gradient, summed in each cell"
CONTROL = True
NEEDS: frozenset[Need] = frozenset()
SMALLER = "nothing: it needs no memory"


@dataclass(frozen=True, kw_only=True)
class Options:
    """None."""


def attribute(subject: Subject, _options: Options) -> Maps:
    """The same for every step."""
    grey = subject.request.inputs["pixel_values"][0].float().mean(0).cpu().numpy()
    cells = summed_in_cells(_sobel(grey)[None], subject.layout.grids[0])
    return Maps(subject.on_tokens(np.repeat(cells, len(subject.steps), 0)))


def _sobel(grey: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """The size of the gradient; beyond the border the image goes on as it ends."""
    padded = np.pad(grey, 1, mode="edge")
    across, down = padded[:, 2:] - padded[:, :-2], padded[2:] - padded[:-2]
    horizontal = across[:-2] + 2 * across[1:-1] + across[2:]
    vertical = down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]
    return np.asarray(np.hypot(horizontal, vertical))
