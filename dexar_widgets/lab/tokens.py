"""The lab's tokenizer: byte-level BPE over the lab's words, four classes split into known pieces."""

import re

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from dexar_widgets.lab.language import CAPTIONS
from dexar_widgets.lab.world import BACKGROUNDS, CLASSES, COLOURS, GROUPS, NUMBERS, SUBWORDS, plural

__all__ = ["build_tokenizer"]

_SENTENCES = (
    "USER: ASSISTANT:",
    "What colour is the ? Which colour does the have? Which object is ? What is the object?",
    "How many objects are there? How many things do you see? Is there a an ?",
    "Where is this? What is the background? What is on the left? right? Which object is on the",
    "It is a an . The is . I count . Yes, there is a . No, there is no . A An is on the .",
    "I see , a an as well as . There is and . The image shows . many",
    "What kind of things are these? What do these things have in common? They are",
)


def _words() -> list[str]:
    sentences = [*_SENTENCES, *(prompt for prompts in CAPTIONS.values() for prompt in prompts)]
    words = [word for sentence in sentences for word in re.findall(r"[A-Za-z]+|[?.,:]", sentence)]
    names = [*CLASSES, *(plural(name) for name in CLASSES)]
    groups = [word for group in GROUPS for word in group.split()]
    return [*words, *(word.lower() for word in words), *names, *COLOURS, *BACKGROUNDS, *NUMBERS, *groups]


def _pieces(word: str) -> list[str]:
    """The byte-level pieces that must become one token each."""
    for whole, (first, second) in SUBWORDS.items():
        if word in (whole, plural(whole)):
            return [" " + first, second if word == whole else plural(whole)[len(first) :]]
    return [word] if word in "?.,:" else [" " + word, word]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer all embedded models share; every word is one token, each of ``SUBWORDS`` two."""
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    pieces = dict.fromkeys(piece for word in _words() for piece in _pieces(word))
    corpus = ["".join(part for part, _ in level.pre_tokenize_str(piece)) for piece in pieces]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=4000,
        min_frequency=1,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join([word] * 3) for word in corpus], trainer)
    bpe.pre_tokenizer = level
    bpe.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    )
