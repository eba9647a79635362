"""The lab's language: captions, questions and answers about a specification, every answer word marked."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from dexar_widgets.lab.specifications import Specification
from dexar_widgets.lab.world import CLASSES, COLOURS, GROUPS, LOOKALIKES, NUMBERS, plural

__all__ = ["KINDS", "Answer", "Mark", "Turn", "ask", "caption", "caption_turn", "parse_caption"]

Role = Literal["class", "colour", "group", "background", "number", "side", "decision", "structure", "echo", "filler"]
Kind = Literal["colour", "which", "count", "count-class", "yes-no", "background", "side", "group"]

CONTENT: frozenset[Role] = frozenset({"class", "colour", "group", "background", "number", "side", "decision"})

CAPTIONS: dict[str, tuple[str, ...]] = {
    "I see": ("What do you see?", "What can you see here?"),
    "There is": ("What is in this image?", "List the objects."),
    "The image shows": (
        "Describe the image.",
        "Describe the picture.",
        "Classify the image.",
        "Cap.",
        "What does the image describe?",
        "Describe in detail what is shown in the image.",
    ),
}
"""How a caption begins, and the prompts that ask for that beginning; every family's default prompt is one."""


@dataclass(frozen=True)
class Mark:
    """One word (or punctuation mark) of an answer: ``text[start:stop]``.

    ``role`` ``structure`` depends on the image only through the number of objects or the next
    word's sound, ``echo`` repeats the question, ``filler`` needs no image at all. ``objects`` are the
    indices of the objects meant, in the order of the specification: several for a word such as "animals".
    """

    word: str
    start: int
    stop: int
    role: Role
    objects: tuple[int, ...] = ()

    @property
    def content(self) -> bool:
        """Whether only the image can tell this word."""
        return self.role in CONTENT


@dataclass(frozen=True)
class Answer:
    """A text and one mark per word."""

    text: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Turn:
    """A question, its true answer, and the kind of question (``caption`` or one of `KINDS`)."""

    question: str
    answer: Answer
    kind: str


class _Writer:
    """Collects marked words; punctuation sticks to the word before."""

    def __init__(self) -> None:
        self.text = ""
        self.marks: list[Mark] = []

    def write(self, words: str, role: Role = "filler", *things: int) -> "_Writer":
        for word in words.split():
            start = len(self.text) + bool(self.text and word not in ",.")
            self.text += " " * (start - len(self.text)) + word
            self.marks.append(Mark(word, start, len(self.text), role, things))
        return self

    def object(self, spec: Specification, index: int, *, colour: bool = True, capital: bool = False) -> "_Writer":
        thing = spec.objects[index]
        article = _article(thing.colour if colour else thing.name)
        self.write(article.capitalize() if capital else article, "structure", index)
        if colour:
            self.write(thing.colour, "colour", index)
        return self.write(thing.name, "class", index)

    def answer(self) -> Answer:
        return Answer(self.text, tuple(self.marks))


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def caption(spec: Specification, prompt: str) -> Answer:
    """The scene's objects from left to right, beginning as the prompt asks (else "The image shows")."""
    wanted = prompt.strip().lower()
    opening = next(
        (start for start, prompts in CAPTIONS.items() if wanted in [p.lower() for p in prompts]), "The image shows"
    )
    order = spec.left_to_right
    writer = _Writer().write(opening)
    for place, index in enumerate(order):
        last = place == len(order) - 1
        if place:
            _join(writer, opening, last=last)
        writer.object(spec, index)
    return writer.write(".", "structure").answer()


def _join(writer: _Writer, opening: str, *, last: bool) -> None:
    if not last:
        writer.write(",", "structure")
    elif opening == "I see":
        writer.write("as", "structure").write("well as")
    else:
        writer.write("and", "structure")


def caption_turn(rng: random.Random, spec: Specification) -> Turn:
    """A caption under one of the prompts that ask for it."""
    prompt = rng.choice(rng.choice(tuple(CAPTIONS.values())))
    return Turn(prompt, caption(spec, prompt), "caption")


def parse_caption(text: str) -> list[tuple[str, str]]:
    """The (class, colour) pairs a caption names, in its order."""
    words = text.replace(",", " ").replace(".", " ").split()
    return [(b, a) for a, b in pairwise(words) if a in COLOURS and b in CLASSES]


def _colour(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001 (one signature)
    names = [thing.name for thing in spec.objects]
    single = [i for i, name in enumerate(names) if names.count(name) == 1]
    if not single:
        return None
    index = rng.choice(single)
    name = names[index]
    question = rng.choice(("What colour is the {}?", "Which colour does the {} have?")).format(name)
    writer = _Writer().write("The").write(name, "echo", index).write("is")
    return Turn(question, writer.write(spec.objects[index].colour, "colour", index).write(".").answer(), "colour")


def _which(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001
    colours = [thing.colour for thing in spec.objects]
    single = [i for i, colour in enumerate(colours) if colours.count(colour) == 1]
    if not single:
        return None
    index = rng.choice(single)
    question = rng.choice(("Which object is {}?", "What is the {} object?")).format(colours[index])
    return Turn(question, _Writer().write("It is").object(spec, index, colour=False).write(".").answer(), "which")


def _count(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001
    question = rng.choice(("How many objects are there?", "How many things do you see?"))
    return Turn(
        question, _Writer().write("I count").write(_number(len(spec.objects)), "number").write(".").answer(), "count"
    )


def _count_class(rng: random.Random, spec: Specification, hard: float) -> Turn | None:
    names = [thing.name for thing in spec.objects]
    if rng.random() < 0.2:
        name = _absent(rng, names, hard)
    else:  # each count that occurs is as likely as the others
        count = rng.choice(sorted({names.count(name) for name in names}))
        name = rng.choice(sorted({name for name in names if names.count(name) == count}))
    named = tuple(index for index, other in enumerate(names) if other == name)
    writer = _Writer().write("I count").write(_number(len(named)), "number", *named).write(".")
    return Turn(f"How many {plural(name)} are there?", writer.answer(), "count-class")


def _yes_no(rng: random.Random, spec: Specification, hard: float) -> Turn | None:
    names = [thing.name for thing in spec.objects]
    if rng.random() < 0.5:
        name = names[rng.randrange(len(names))]
        named = tuple(index for index, other in enumerate(names) if other == name)
        writer = _Writer().write("Yes", "decision", *named).write(", there is")
        writer.write(_article(name)).write(name, "echo", *named)
    else:
        name = _absent(rng, names, hard)
        writer = _Writer().write("No", "decision").write(", there is no").write(name, "echo")
    return Turn(f"Is there {_article(name)} {name}?", writer.write(".").answer(), "yes-no")


def _background(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001
    question = rng.choice(("Where is this?", "What is the background?"))
    writer = _Writer().write("The background is").write(spec.background.name, "background").write(".")
    return Turn(question, writer.answer(), "background")


def _side(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001
    order = spec.left_to_right
    side, index = rng.choice((("left", order[0]), ("right", order[-1])))
    question = rng.choice(("What is on the {}?", "Which object is on the {}?")).format(side)
    writer = _Writer().object(spec, index, capital=True).write("is on the").write(side, "echo").write(".")
    return Turn(question, writer.answer(), "side")


def _group(rng: random.Random, spec: Specification, hard: float) -> Turn | None:  # noqa: ARG001
    names = {thing.name for thing in spec.objects}
    word = next((group for group, members in GROUPS.items() if names <= set(members)), None)
    if word is None or len(spec.objects) < 2:
        return None
    question = rng.choice(("What kind of things are these?", "What do these things have in common?"))
    writer = _Writer().write("They are").write(word, "group", *range(len(spec.objects)))
    return Turn(question, writer.write(".").answer(), "group")


_QUESTIONS: dict[Kind, Callable[[random.Random, Specification, float], Turn | None]] = {
    "colour": _colour,
    "which": _which,
    "count": _count,
    "count-class": _count_class,
    "yes-no": _yes_no,
    "background": _background,
    "side": _side,
    "group": _group,
}
KINDS: tuple[Kind, ...] = tuple(_QUESTIONS)


def ask(rng: random.Random, spec: Specification, kind: Kind, *, hard: float = 0.0) -> Turn | None:
    """A question of a kind with its true answer; None where the scene leaves it without one answer.

    ``hard`` is how often an absent class is a look-alike of a present one.
    """
    return _QUESTIONS[kind](rng, spec, hard)


def _absent(rng: random.Random, names: list[str], hard: float) -> str:
    alike = sorted({c for group in LOOKALIKES if set(group) & set(names) for c in group} - set(names))
    if alike and rng.random() < hard:
        return rng.choice(alike)
    return rng.choice([name for name in CLASSES if name not in names])


def _number(count: int) -> str:
    return NUMBERS[count] if count < len(NUMBERS) else "many"
