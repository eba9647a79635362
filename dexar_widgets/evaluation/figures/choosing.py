"""Which cases a figure shows: decided by the scene and the answer, never by a map, and said on the page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dexar_widgets import engine
from dexar_widgets.asking import ask
from dexar_widgets.evaluation import data
from dexar_widgets.evaluation.figures.pictures import open_pictures
from dexar_widgets.evaluation.layouts import drawn
from dexar_widgets.evaluation.reproducible import Request
from dexar_widgets.evaluation.samples import BrokenSampleError, Dataset, Sample
from dexar_widgets.evaluation.spans import spans_of
from dexar_widgets.vlm import VLM, load

__all__ = ["among", "answered", "first_scenes", "loaded", "loaded_lab", "only", "opened", "own_answer", "samples_of"]
__all__ += ["says_once"]

_LOOKED_AT = 200
"""Scenes, or samples, that are looked at for one that meets a condition."""


def loaded(request: Request, default: Sequence[str]) -> Iterator[VLM]:
    """The models, one after the other: a large one need not share the memory."""
    for name in request.models or default:
        yield load(name, device=request.device, dtype=request.dtype)


def loaded_lab(request: Request, default: Sequence[str]) -> list[VLM]:
    """Those of the models that are embedded, which are asked when scenes are chosen."""
    names = [name for name in request.models or default if name.startswith("lab/")]
    return list(loaded(replace(request, models=names), ())) if names else []


def own_answer(vlm: VLM, image: Any, prompt: str | None) -> str:
    """What the model says."""
    asked = ask(vlm, image, prompt, answer=None, steps=None, on_word=None, decoding=engine.Decoding())
    return asked.said.generation.text


def answered(vlms: Sequence[VLM], sample: Sample) -> bool:
    """Whether every model says what is true."""
    return all(own_answer(vlm, sample.image, sample.prompt).strip() == sample.answer for vlm in vlms)


def says_once(text: str, word: str) -> bool:
    """Whether a word stands in a text exactly once, its plural too."""
    return len(spans_of(text, word)) == 1


def first_scenes(
    first: int, fits: Callable[[Sample], bool], count: int, *, most: int = _LOOKED_AT, **options: Any
) -> tuple[list[Sample], int]:
    """The first of the lab's scenes from a seed on that meet a condition, and the seed that comes after them."""
    found: list[Sample] = []
    scenes = data.open("lab", first=first, count=most, **options)
    for id_ in scenes.ids:
        if len(found) == count:
            return found, int(id_)
        sample = scenes.load(id_)
        if fits(sample):
            found.append(sample)
    return found, first + most


def only(found: int, wanted: int, below: int) -> str:
    """A sentence where fewer scenes were found than were wanted, of all whose seeds are below a number."""
    return f" Below seed {below} there are only {found}." if found < wanted else ""


def opened(request: Request, readers: Mapping[str, Mapping[str, Any]]) -> dict[str, Dataset]:
    """The request's data sets, by reader."""
    return {
        name: open_pictures(root) if name == "pictures" else drawn(name, root, **readers[name])
        for name, root in request.roots.items()
    }


def among(datasets: Mapping[str, Dataset], most: int = _LOOKED_AT) -> str:
    """Which samples are looked at for one that meets a condition: "the first 200 of 1449 in voc"."""
    counts = {name: len(dataset.ids) for name, dataset in datasets.items()}
    return " and ".join(f"the first {min(count, most)} of {count} in {name}" for name, count in counts.items())


def samples_of(
    datasets: Mapping[str, Dataset],
    count: int,
    lost: list[str],
    fits: Callable[[Sample], bool] = lambda _sample: True,
    *,
    most: int = _LOOKED_AT,
) -> list[Sample]:
    """The first ``count`` samples of each data set that meet a condition; broken ones are told in ``lost``."""
    found: list[Sample] = []
    for name, dataset in datasets.items():
        before = len(found)
        for id_ in dataset.ids[:most]:
            if len(found) - before == count:
                break
            try:
                sample = dataset.load(id_)
                if fits(sample):
                    found.append(sample)
            except BrokenSampleError as error:
                if (told := f"{name} {id_}: {error}") not in lost:
                    lost.append(told)
    return found
