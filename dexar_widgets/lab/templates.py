"""How each family writes a dialogue about an image, as tokens: what training packs is what the processor writes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from transformers import PreTrainedTokenizerFast

from dexar_widgets.lab.language import Turn
from dexar_widgets.lab.world import MODEL_SIZE

__all__ = ["GRID", "IGNORE", "PATCH", "TEMPLATES", "Packer", "Template"]

PATCH = 8
GRID = MODEL_SIZE // PATCH
IGNORE = -100


@dataclass(frozen=True)
class Template:
    """``before``, the image's tokens, ``after``, the question, ``close``, the answer, the end.

    ``both_ways``: image and question see each other in both directions. ``encoder``: they are read by an encoder,
    and the answer is written by a decoder, after the end token.
    """

    before: str = ""
    images: int = GRID**2
    after: str = "<s>"
    close: str = "\n"
    answer: str = ""
    both_ways: bool = False
    encoder: bool = False


_CHAT = Template(before="<s>USER: ", after="\n", close=" ASSISTANT:", answer=" ")
TEMPLATES = {
    "llava": _CHAT,
    "bakllava": _CHAT,
    "paligemma": Template(both_ways=True),
    "florence2": Template(images=1 + GRID**2, close="</s>", both_ways=True, encoder=True),
}


@dataclass(frozen=True)
class Written:
    """Token ids of a turn's question and of its answer with the end token, and the weight of each answer token."""

    question: list[int]
    answer: list[int]
    weights: list[float]


class Packer:
    """Turns dialogues into token ids, word by word, each word tokenised once."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, template: Template) -> None:
        self.tokenizer = tokenizer
        self._tokens = lru_cache(maxsize=None)(self._tokenise)
        self.template = template
        before = self._tokens(template.before)
        image: int = tokenizer.get_vocab()["<image>"]
        self.first_image = len(before)
        self.prefix: list[int] = [*before, *[image] * template.images, *self._tokens(template.after)]
        self.start: int = tokenizer.eos_token_id

    def _tokenise(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer(text, add_special_tokens=False).input_ids)

    def write(self, turn: Turn, role_weights: Mapping[str, float]) -> Written:
        """One turn, as it stands behind the image."""
        words = turn.question.split(" ")
        question = [token for i, word in enumerate(words) for token in self._tokens(" " * bool(i) + word)]
        question += self._tokens(self.template.close)
        answer: list[int] = []
        weights: list[float] = []
        for place, mark in enumerate(turn.answer.marks):
            space = "" if mark.word in ",." else " " if place else self.template.answer
            tokens = self._tokens(space + mark.word)
            answer += tokens
            weights += [role_weights.get(mark.role, 1.0)] * len(tokens)
        end = self.tokenizer.eos_token_id
        return Written(question, [*answer, end], [*weights, role_weights.get("filler", 1.0)])
