"""Silenced and blind words: what DEX-AR says of a word, against what taking the image away does to it.

DEX-AR sees direct reads by the predicting row alone, and lets the text silence a word. So an empty map may be right (a
filler), or wrong (the image decides the word); and a map that lights up may stand over a word that needs no image.
"""

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from jaxtyping import Float

from dexar_widgets import perturb
from dexar_widgets.causal.chance import NEEDS, NOTHING, plain
from dexar_widgets.causal.scenes import require_scene
from dexar_widgets.causal.scoring import BATCH, Picture, log_probs, summed, text_of
from dexar_widgets.explanation import Explanation
from dexar_widgets.failures.findings import Finding, note
from dexar_widgets.failures.suspects import content_of
from dexar_widgets.flow import Silenced
from dexar_widgets.options import accept

if TYPE_CHECKING:
    import pandas as pd

    from dexar_widgets.lab import Scene
    from dexar_widgets.vlm import VLM

__all__ = ["OTHERS", "silenced", "verdict", "way"]

OTHERS = 8
"""Other scenes that are put in the image's place, unless told."""
_HEAVY = 0.5
"""A weight of this part of the answer's largest is a high one."""


def silenced(
    e: Explanation,
    *,
    scene: "Scene | None" = None,
    others: int = OTHERS,
    how: perturb.How = "mean",
    seed: int = 0,
    batch_size: int = BATCH,
    vlm: "VLM | None" = None,
) -> Finding:
    """For every word: does the image decide it, and does DEX-AR's map say so?

    The whole image is replaced, by its mean colour (or a blur); with a ``scene`` by ``others`` other scenes. And three
    knock-outs in all layers tell the way: the answer's rows cannot read the image (``image_answer``), nor the prompt's
    (``image_prompt``), nor the answer's rows the prompt (``prompt_answer``). The answer is held fixed. A knock-out that
    the model does not take, or that has nothing to cut, is NaN; the text says why, and the image decides alone.

    Verdicts: "seen", at least 1 nat lost with the image, and a map; "silenced", the same without a map (every δ of its
    steps is 0): ``way`` says how the image comes in; "filler", at most 0.05 nat with image or knock-out; "blind", what
    should depend on the image and does not; "undecided", in between. A word is blind if it names an object, a colour or
    a group (with a ``scene``) and none of the other scenes costs it 1 nat (an "an" before it counts with it, since it
    tells it), whatever its map; without a scene if its weight is at least half of the answer's largest and it is no
    more than a filler. ``found``: any word is silenced or blind.

    ``table`` has a row per word: ``weight`` (DEX-AR's ω), ``map`` (lit; weightless, a map that does not count in the
    answer's since ω is 0; silent, none), nats lost: ``image`` (median, from ``image_low`` to ``image_high``: the
    least and the most that one of the other scenes costs) and the three knock-outs.

    Raises
    ------
    ValueError
        If the scene is another one, or the model is gone.
    """
    accept("how", how, get_args(perturb.How))
    if others < 1:
        raise ValueError(f"others is {others}; expected at least one other scene.")
    model = vlm or e.model()
    image = e.example.image
    replaced = [partial(_filled, image, how)] if scene is None else _other_scenes(e, scene, others, seed)
    scores = log_probs(e, model, [lambda: image, *replaced], batch_size=batch_size)
    every = (tuple(step for step in word.steps if step in e.steps) for word in e.generation.words)
    words = [word for word in every if word]
    cuts, why = _cuts(e, words, batch_size, model)
    content = None if scene is None else {word[-1]: word for word in content_of(e, scene)}
    return _finding(_table(e, words, scores, cuts, content), why, drawn=scene is not None)


def verdict(
    *, image: float, image_high: float, image_answer: float, lit: bool, content: bool | None, heavy: bool
) -> str:
    """The rule of `silenced` for one word. ``content`` is None where it is not known which words are."""
    if content and image_high < NEEDS:
        return "blind"
    if image >= NEEDS:
        return "seen" if lit else "silenced"
    if abs(image) > NOTHING or abs(image_answer) > NOTHING:
        return "undecided"
    return "blind" if content is None and lit and heavy else "filler"


def way(*, image_answer: float, image_prompt: float, prompt_answer: float) -> str:
    """How the image comes to a word that it decides: what costs the word at least 1 nat. NaN is not known."""
    if image_answer >= NEEDS:
        return "read by the answer's rows"
    if image_prompt >= NEEDS or prompt_answer >= NEEDS:
        return "relayed through the prompt"
    return "a way not known" if np.isnan([image_answer, image_prompt, prompt_answer]).any() else "either way"


def _filled(image: perturb.Pixels, how: perturb.How) -> perturb.Pixels:
    return np.array(perturb.filler(image, how))


def _other_scenes(e: Explanation, scene: "Scene", count: int, seed: int) -> list[Picture]:
    """Scenes drawn at random, of as many objects."""
    from dexar_widgets.lab.chance import specification
    from dexar_widgets.lab.world import MAX_OBJECTS

    require_scene(e, scene, "")
    rng, objects = random.Random(f"others {seed}"), min(len(scene.spec.objects), MAX_OBJECTS)
    specs = [specification(rng.getrandbits(40), objects=objects or None) for _ in range(count)]
    return [partial(_image_of, scene, spec) for spec in specs]


def _image_of(scene: "Scene", spec: Any) -> perturb.Pixels:
    return scene.redraw(spec).image


def _cuts(
    e: Explanation, words: Sequence[tuple[int, ...]], batch_size: int, vlm: "VLM"
) -> tuple[dict[str, Float[np.ndarray, " word"]], list[str]]:
    """What each word loses with each cut in all layers, NaN where it cannot be made; and why it cannot."""
    from dexar_widgets import engine

    found, why = {}, dict[str, None]()
    with engine.enough_memory(vlm, "The knock-out", "lower batch_size="):
        request = engine.encode(vlm, e.example)
        said = engine.resume(vlm, request, e.generation)
        for cut in perturb.CUTS:
            name = f"{cut[0]}_{cut[1]}"
            found[name] = np.full(len(words), np.nan)
            try:
                layers = np.repeat([[False], [True]], engine.cuttable_layers(vlm, cut), axis=1)
                options: Any = {"layers": layers, "steps": e.steps, "batch_size": batch_size}
                scores: Any = engine.score_cuts(vlm, request, said, sources=[cut[0]] * 2, target=cut[1], **options)
            except ValueError as error:  # of what the model does not take
                why[str(error)] = None
                continue
            found[name] = np.array([-np.diff(summed(e, scores, word))[0] for word in words])
    return found, list(why)


def _table(
    e: Explanation,
    words: Sequence[tuple[int, ...]],
    scores: Float[np.ndarray, "picture step"],
    cuts: dict[str, Float[np.ndarray, " word"]],
    content: Mapping[int, tuple[int, ...]] | None,
) -> "pd.DataFrame":
    import pandas as pd

    empty = {one.step: one for one in e.silenced() if one.empty_map}
    weights = dict(zip(e.steps, e.step_weights().tolist(), strict=True))
    largest, rows = max(weights.values()), []
    for place, word in enumerate(words):
        own, weight = _map_of(word, empty, weights), max(weights[step] for step in word)
        lost = _lost(e, scores, word)
        image = {"image": float(np.median(lost)), "image_low": float(lost.min()), "image_high": float(lost.max())}
        known = {name: float(values[place]) for name, values in cuts.items()}
        group = word if content is None else content.get(word[-1])
        told = verdict(
            image=image["image"],
            image_high=float(_lost(e, scores, group or word).max()),
            image_answer=known["image_answer"],
            lit=own != "silent",
            content=None if content is None else group is not None,
            heavy=largest > 0 and weight >= _HEAVY * largest,
        )
        rows.append(
            {
                "word": text_of(e, word),
                "steps": word,
                "weight": weight,
                "map": own,
                **image,
                "pictures": len(lost),
                **known,
                "verdict": told,
                "way": _why(known, empty[word[0]]) if told == "silenced" else "",
            }
        )
    return pd.DataFrame(rows)


def _map_of(word: Sequence[int], empty: Mapping[int, Silenced], weights: Mapping[int, float]) -> str:
    """Whether a word has a map, and one that counts in the answer's."""
    shown = [step for step in word if step not in empty]
    if not shown:
        return "silent"
    return "lit" if any(weights[step] > 0 for step in shown) else "weightless"


def _lost(
    e: Explanation, scores: Float[np.ndarray, "every step"], word: Sequence[int]
) -> Float[np.ndarray, " picture"]:
    found = summed(e, scores, word)
    return np.asarray(found[0] - found[1:])


def _why(known: dict[str, float], record: Silenced) -> str:
    told = way(**known)
    if record.piece is None or not known["image_answer"] >= NEEDS:  # or not known
        return told
    what = "an earlier word" if record.kind == "answer" else f"the {record.kind} token"
    return f"{told}, but {what} {record.piece!r} won in layer {record.layer}, head {record.head}"


def _finding(table: "pd.DataFrame", why: Sequence[str], *, drawn: bool) -> Finding:
    bad = table[table["verdict"].isin(["silenced", "blind"])]
    counts = table["verdict"].value_counts()
    kinds = [
        f"{counts[name]} {name}" for name in ("seen", "filler", "silenced", "blind", "undecided") if name in counts
    ]
    sentences = [_sentence(row, drawn=drawn) for row in bad.to_dict("records")]
    text = " ".join([f"Of {len(table)} words: {', '.join(kinds)}.", *sentences])
    lit = int(((table["verdict"] == "filler") & (table["map"] == "lit")).sum())
    if lit:
        text += f" The map lights up for {lit} of the fillers."
    uncounted = table[(table["verdict"] == "seen") & (table["map"] == "weightless")]["word"]
    if len(uncounted):
        text += f" Seen, but with weight 0: the map does not count in the answer's for {_quoted(uncounted)}."
    if why:
        text += f" Not every way of the image could be cut: {' '.join(why)}"
    tags: dict[str, Any] = {"silenced": "silenced", "blind": "other"}
    notes = [
        note(row["word"], row["steps"], tags[row["verdict"]], said)
        for row, said in zip(bad.to_dict("records"), sentences, strict=True)
    ]
    return Finding("silenced", bool(len(bad)), text, table, {"cells": [], "regions": {}, "notes": notes})


def _sentence(row: dict[Any, Any], *, drawn: bool) -> str:
    where = f"on {row['pictures']} other scenes" if drawn else "without the image"
    range_ = f" ({plain(row['image_low'])} to {plain(row['image_high'])})" if row["pictures"] > 1 else ""
    start = f"“{row['word']}” loses {plain(row['image'])} nats {where}{range_}"
    if not np.isnan(row["image_answer"]):
        start += f", {plain(row['image_answer'])} when the answer's rows cannot read the image"
    if row["verdict"] == "silenced":
        return f"{start}, and has no map: {row['way']}."
    return f"{start}: it does not depend on the image" + (", though its map lights up." if row["map"] == "lit" else ".")


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"“{word}”" for word in words)
