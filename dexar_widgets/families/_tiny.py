"""Vocabularies and weights for the families' tiny models, made in code: no download, no file."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GenerationConfig

__all__ = ["BYTES", "random_model", "vocabulary"]

BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
"""The byte-fallback tokens of sentencepiece vocabularies."""

_TEXT = (
    "USER: Classify the image. ASSISTANT: What is on the table? A red cup and a blue ball.\n"
    "Cap. Describe in detail what is shown in the image. The image shows a dog near the water.\n"
    "How many boats are there? There is one boat on the left. I see a green tree as well as a cat.\n"
)


def vocabulary(
    tokens: Sequence[str], pre_tokenizer: Any, *, size: int, alphabet: Sequence[str] = ()
) -> tuple[dict[str, int], Any, list[int]]:
    """A vocabulary of ``tokens`` and pieces learned from a few sentences, the merges, and the ids that are words."""
    tokenizer = Tokenizer(models.BPE())
    # Punctuation and newlines apart, so that no piece joins two words.
    apart = [pre_tokenizers.Punctuation(), pre_tokenizers.Split("\n", "isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizer, *apart])
    trainer = trainers.BpeTrainer(vocab_size=size, show_progress=False, initial_alphabet=list(alphabet))
    tokenizer.train_from_iterator([_TEXT] * 2, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    pieces = sorted(model["vocab"], key=model["vocab"].__getitem__)
    merges = [(first, second) for first, second in model["merges"]]
    words = [len(tokens) + index for index, piece in enumerate(pieces) if len(piece) > 1]
    return {token: index for index, token in enumerate([*tokens, *pieces])}, merges, words


def random_model(kind: Any, config: Any, *, seed: int, words: Sequence[int], generation: Mapping[str, Any]) -> Any:
    """A model with random weights whose greedy answers are made of ``words`` and do not end early.

    The unembedding is zero elsewhere. Where the embedding is tied to it, it is made small: otherwise each answer
    would repeat its last token.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = kind(config).eval()
    weight = model.get_output_embeddings().weight
    silent = torch.ones(len(weight), dtype=torch.bool)
    silent[list(words)] = False
    with torch.no_grad():
        weight[silent] = 0
        if model.get_input_embeddings().weight is weight:
            weight *= 0.05
    model.generation_config = GenerationConfig(**generation)
    return model
