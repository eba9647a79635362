"""The causal check: hide what a map points at, and see what that does to the word."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

from dexar_widgets import jobs, perturb
from dexar_widgets.explanation import Explanation
from dexar_widgets.options import Step

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Check", "check", "checks"]


@dataclass(frozen=True)
class Check:
    """What hiding a region, and hiding all but the region, does to a word.

    Log-probabilities are natural, summed over the word's tokens, the same answer teacher-forced
    in every case. ``area`` is the share of the image that the region covers.
    """

    word: str
    steps: tuple[int, ...]
    area: float
    how: perturb.How
    log_prob: float
    hidden: float
    kept: float

    @property
    def drop(self) -> float:
        """Nats lost when the region is hidden; large if the word depends on it."""
        return self.log_prob - self.hidden

    def __str__(self) -> str:
        whole, hidden, kept, drop = (  # + 0: no "-0.00"
            round(value, 2) + 0.0 for value in (self.log_prob, self.hidden, self.kept, self.drop)
        )
        return (
            f"“{self.word}”: log-probability {whole:.2f}; {hidden:.2f} with the region hidden "
            f"({drop:.2f} nats lost), {kept:.2f} with only the region left "
            f"({self.area:.0%} of the image, {self.how})."
        )

    def _repr_html_(self) -> str:
        return f"<p>{escape(str(self))}</p>"


def check(
    e: Explanation,
    *,
    step: Step,
    region: perturb.Region,
    how: perturb.How = "mean",
    vlm: "VLM | None" = None,
) -> Check:
    """Measure by intervention whether a word depends on a region.

    Parameters
    ----------
    step
        As in `Explanation.heatmap`: steps, or a word of the answer.
    region
        A mask of the original image's shape, a box (left, top, right, bottom) or a polygon, [(x, y), …], in its pixels.
    how
        Hidden pixels become the image's ``mean`` colour or a strong ``blur``.
    vlm
        The model. Default: the one that was explained, if it is still in memory.

    Raises
    ------
    ValueError
        If the region is no part of the image, the step is unknown or the model is gone.
    """
    return checks(e, steps=[step], region=region, how=how, vlm=vlm)[0]


def checks(
    e: Explanation,
    *,
    steps: Iterable[Step],
    region: perturb.Region,
    how: perturb.How = "mean",
    vlm: "VLM | None" = None,
) -> list[Check]:
    """Check several words against one region for the price of one: three scorings of the answer.

    ``steps`` holds a word, or a group of steps, after the other; the rest is as in `check`. As the work of a job
    (`dexar_widgets.jobs`) it tells how far it is, and can be cancelled.
    """
    from dexar_widgets import engine

    words = [e.steps_of(step) for step in steps]
    image = e.example.image
    mask = perturb.mask_of(region, (image.shape[1], image.shape[0]))
    model = vlm or e.model()
    images = {
        "on the whole image": image,
        "with the region hidden": perturb.hide(image, mask, how=how),
        "with only the region left": perturb.keep(image, mask, how=how),
    }
    scores = []
    for done, (what, pixels) in enumerate(images.items()):
        jobs.progress(done, len(images), f"scoring the answer {what} (pass {done + 1} of {len(images)})")
        request = engine.encode(model, replace(e.example, image=pixels))
        scores.append(engine.score(model, request, e.generation.ids)[e.generation.positions])
    return [
        Check(
            "".join(e.generation.pieces[step] for step in word).strip(),
            word,
            float(mask.mean()),
            how,
            *(float(log_probs[list(word)].sum()) for log_probs in scores),
        )
        for word in words
    ]
