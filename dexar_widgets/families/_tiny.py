"""Vocabularies and weights for the families' tiny models, made in code: no download, no file."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

__all__ = ["byte_tokens", "learned", "only_words", "seeded", "word_by_word"]

_TEXT = (
    "USER: Classify the image. ASSISTANT: What is on the table? A red cup and a blue ball.\n"
    "Cap. Describe in detail what is shown in the image. The image shows a dog near the water.\n"
    "How many boats are there? There is one boat on the left. I see a green tree as well as a cat.\n"
)


def learned(pre_tokenizer: Any, *, size: int, alphabet: Sequence[str] = ()) -> tuple[list[str], list[tuple[str, str]]]:
    """Characters and merged pieces learned from a few sentences, and the merges, in order."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=list(alphabet))
    tokenizer.train_from_iterator([_TEXT] * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    return pieces, [(first, second) for first, second in model["merges"]]


def byte_tokens() -> list[str]:
    """The 256 byte-fallback tokens of sentencepiece vocabularies."""
    return [f"<0x{byte:02X}>" for byte in range(256)]


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random numbers from ``seed``, leaving the caller's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def only_words(model: Any, pieces: Sequence[str], *, first: int) -> None:
    """Zero the unembedding except for pieces that are not blank (ids from ``first`` on).

    Greedy answers are then made of words and do not end early.
    """
    weight = model.get_output_embeddings().weight
    silent = torch.ones(len(weight), dtype=torch.bool)
    silent[[first + index for index, piece in enumerate(pieces) if piece.strip("▁Ġ\n ")]] = False
    with torch.no_grad():
        weight[silent] = 0


def word_by_word(pre_tokenizer: Any) -> Any:
    """``pre_tokenizer``, with punctuation and newlines apart, so that no learned piece joins two words."""
    newlines = pre_tokenizers.Split("\n", "isolated")
    return pre_tokenizers.Sequence([pre_tokenizer, pre_tokenizers.Punctuation(), newlines])
