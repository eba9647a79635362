"""``lab/analytic``: a vision-language model with weights set by hand, whose every number is known in closed form.

It answers "What colour is the cat?" with "The cat is red.", by one layer of four heads. No training, no norms (they
are the identity), nothing from the MLP: what a head moves is all that happens, so DEX-AR's tensor is a formula,
G[t, h, j] = ⟨W_Oᵀ W_U[w_t], v[h, j]⟩, and `dexar_widgets.lab.closed_form` writes it down without these weights.

| head | attends to | carries | writes | what it teaches |
|---|---|---|---|---|
| OBJECT | vivid patches, if a colour is due; else the first token | the colours | the colours | a map that is right |
| SINK | the corner patch with .7, the first token with .3, always | the patch's mark | nothing | attention is not use |
| DISTRACTOR | the first token, always | how bright its patches are | every colour | sensitivity is not use |
| COPY | the names in the prompt, if a name is due; else the first token | the name | the name | a word from the text |

The vision tower gives the mean colour of each patch, and two marks by position: the corner patch, a register of high
norm, and four patches in the opposite corner, the distractor's. Marked patches are blind: no colour is seen there. The
projector, one layer of ReLUs, turns a mean colour into evidence of red, yellow and blue. Words that follow from the
word before ("is" after the name, "." after the colour) need no head: the unembedding reads the token itself.

A head's score is Σ query · key over a few named channels. Both lie in the slowest rotary pairs, and ``rope_theta`` is
so large that these do not turn within any prompt. `NEVER` separates what is attended from what is not: e^−1024 is 0
in every precision, and no pixel enters the distractor's keys, so its zeros stay zeros under any mask.

Limits: it expects one object per scene, and knows three colours. Orange and purple pass for their neighbours, all else
is gray; so is an object too thin to fill a patch (25 of 500 scenes with one red, yellow or blue object).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from dexar_widgets.lab.model import IMAGE_MEAN, IMAGE_STD, llava_processor
from dexar_widgets.lab.templates import GRID, PATCH
from dexar_widgets.lab.tokens import build_tokenizer
from dexar_widgets.lab.world import CLASSES, MODEL_SIZE, SUBWORDS

__all__ = ["CELLS", "DETECTORS", "HEADS", "Head", "build"]

CELLS: dict[str, tuple[tuple[int, int], ...]] = {
    "sink": ((0, 0),),
    "distractor": tuple((row, col) for row in (GRID - 2, GRID - 1) for col in (GRID - 2, GRID - 1)),
}
"""Patches marked by their position, as (row, col)."""
MARK = {"sink": 8.0, "distractor": 0.125}
"""A mark's size in the vision tower: a register's norm stands out, the distractor's does not."""

DETECTORS = {
    "red": ((0.75, -1.0, -0.25), 0.06),
    "yellow": ((0.25, 0.75, -1.0), 0.37),
    "blue": ((0.0, -1.0, 1.0), 0.29),
}
"""Weights of red, green and blue (0 … 1), and a threshold above what any background reaches."""
GAIN = 8.0
"""Evidence = GAIN · (weights · mean colour − threshold), not below 0 and not above 1: two ReLUs."""
BLIND = 16.0
"""What keeps a ReLU shut: more than any evidence, so little that float32 keeps the digits of what passes."""

NAMES = tuple(name for name in CLASSES if name not in SUBWORDS)
UNSEEN, UNNAMED = "gray", "object"
FOLLOWING = {
    ":": "The",
    "The": "<name>",
    **dict.fromkeys((*NAMES, UNNAMED), "is"),
    "is": "<colour>",
    **dict.fromkeys((*DETECTORS, UNSEEN), "."),
    ".": "</s>",
}
"""What comes after each word; <name> and <colour> are the heads' to say."""

NEVER = 1024.0
PLANTED = 0.7  # of the sink head's attention, on the sink
SHARPNESS, REST = 24.0, 8.0  # the object head's score of evidence 1, and of the first token
WRITES = 32.0  # what a head writes, in logits per unit carried
AGAINST = 0.5  # each colour speaks against the others
FOLLOWS, DEFAULT = 32.0, 10.0  # logits of a word that follows; of gray and "object", if no head says better

_STATES = tuple(f"next {word}" for word in dict.fromkeys(FOLLOWING.values()))
CHANNELS = ("one", "first", *DETECTORS, *CELLS, *NAMES, *_STATES)
"""Of the residual stream, by name; the rest of its width is 0."""
HEAD_DIM = 32
_WIDTH = 4 * HEAD_DIM
_TOWER = ("red light", "green light", "blue light", *CELLS)

Channels = Mapping[str, float]


@dataclass(frozen=True)
class Head:
    """Score = Σ query · key over ``scores``; value = the channels it ``carries``, written back ``writes`` times."""

    scores: tuple[tuple[Channels, Channels], ...]
    carries: tuple[str, ...]
    writes: float


HEADS = {
    "OBJECT": Head(
        (
            ({"next <colour>": SHARPNESS}, dict.fromkeys(DETECTORS, 1.0)),
            ({"one": NEVER, "next <colour>": REST - NEVER}, {"first": 1.0}),
        ),
        tuple(DETECTORS),
        WRITES,
    ),
    "SINK": Head(
        (
            ({"one": math.log(PLANTED / (1 - PLANTED))}, {"sink": 1 / MARK["sink"]}),
            ({"one": -NEVER}, {"one": 1.0, "first": -1.0, "sink": -1 / MARK["sink"]}),
        ),
        ("sink",),
        0.0,
    ),
    "DISTRACTOR": Head((({"one": NEVER}, {"first": 1.0}),), ("distractor",), WRITES),
    "COPY": Head(
        (
            ({"next <name>": 2 * NEVER}, dict.fromkeys(NAMES, 1.0)),
            ({"one": NEVER}, {"first": 1.0}),
        ),
        NAMES,
        WRITES,
    ),
}


def build() -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The model and its processor, in float32; the same weights every time."""
    tokenizer = build_tokenizer()
    model = LlavaForConditionalGeneration(_config(tokenizer)).eval()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child).__name__.endswith("Norm"):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        _see(model)
        _read(model, tokenizer)
        _attend(model.model.language_model.layers[0].self_attn)
        _speak(model, tokenizer)
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    return model, llava_processor(tokenizer)


def _config(tokenizer: PreTrainedTokenizerFast) -> LlavaConfig:
    vision = CLIPVisionConfig(
        hidden_size=8,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        image_size=MODEL_SIZE,
        patch_size=PATCH,
        projection_dim=8,
    )
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=_WIDTH,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=len(HEADS),
        num_key_value_heads=len(HEADS),
        max_position_embeddings=512,
        rope_parameters={"rope_type": "default", "rope_theta": 1e20},
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=int(tokenizer.get_vocab()["<image>"]),
        projector_hidden_act="relu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
        image_seq_length=GRID**2,
    )


def _see(model: Any) -> None:
    """Pixels → mean colour and marks (tower) → evidence (projector's first layer) → channels (its second)."""
    embeddings = model.model.vision_tower.embeddings
    places = embeddings.position_embedding.weight[1:].unflatten(0, (GRID, GRID))
    for light in range(3):
        embeddings.patch_embedding.weight[light, light] = IMAGE_STD / PATCH**2
        places[..., light] = IMAGE_MEAN
    for mark, cells in CELLS.items():
        for row, col in cells:
            places[row, col, _TOWER.index(mark)] = MARK[mark]
    projector = model.model.multi_modal_projector
    units, biases, wires = projector.linear_1.weight, projector.linear_1.bias, projector.linear_2.weight
    for place, (colour, (weights, threshold)) in enumerate(DETECTORS.items()):
        for unit, knee, sign in ((2 * place, 0, 1), (2 * place + 1, 1, -1)):  # the second takes off what exceeds 1
            units[unit, :3], biases[unit] = GAIN * torch.tensor(weights), -GAIN * threshold - knee
            for mark in CELLS:
                units[unit, _TOWER.index(mark)] = -BLIND / MARK[mark]
            wires[CHANNELS.index(colour), unit] = sign
    sink, distractor, one = range(2 * len(DETECTORS), 2 * len(DETECTORS) + 3)
    units[sink, _TOWER.index("sink")] = 1
    units[distractor, :3], biases[distractor] = 1 / 3, 1 - BLIND  # 1 + brightness, where marked
    units[distractor, _TOWER.index("distractor")] = BLIND / MARK["distractor"]
    biases[one] = 1
    for unit, channel in ((sink, "sink"), (distractor, "distractor"), (one, "one")):
        wires[CHANNELS.index(channel), unit] = 1


def _read(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """A token's embedding: which token it is, as far as a head asks, and what comes next."""
    embeddings = model.get_input_embeddings().weight
    embeddings[:, CHANNELS.index("one")] = 1
    embeddings[tokenizer.bos_token_id, CHANNELS.index("first")] = 1
    for name in NAMES:
        embeddings[_id(tokenizer, name), CHANNELS.index(name)] = 1
    for word, following in FOLLOWING.items():
        embeddings[_id(tokenizer, word), CHANNELS.index(f"next {following}")] = 1


def _attend(attention: Any) -> None:
    """The table of `HEADS` as four matrices; √HEAD_DIM undoes the model's own scaling."""
    query, key, value, output = (
        getattr(attention, f"{name}_proj").weight.unflatten(1 if name == "o" else 0, (len(HEADS), HEAD_DIM))
        for name in "qkvo"
    )
    for index, head in enumerate(HEADS.values()):
        for pair, (asks, offers) in enumerate(head.scores):
            slow = HEAD_DIM // 2 - 1 - pair  # of the slowest rotary pairs
            query[index, slow] = _row(asks)
            key[index, slow] = _row(offers) * HEAD_DIM**0.5
        for place, channel in enumerate(head.carries):
            value[index, place, CHANNELS.index(channel)] = 1
            output[CHANNELS.index(channel), index, place] = head.writes


def _speak(model: Any, tokenizer: PreTrainedTokenizerFast) -> None:
    """A word's logit: what follows, the names, the colours against each other."""
    unembedding = model.get_output_embeddings().weight
    for word in ("The", "is", ".", "</s>"):
        unembedding[_id(tokenizer, word)] = _row({f"next {word}": FOLLOWS})
    for name in NAMES:
        unembedding[_id(tokenizer, name)] = _row({name: 1.0})
    for colour in DETECTORS:
        speaks = {other: 1.0 if other == colour else -AGAINST for other in DETECTORS}
        unembedding[_id(tokenizer, colour)] = _row({**speaks, "distractor": 1.0})
    unembedding[_id(tokenizer, UNNAMED)] = _row({"next <name>": DEFAULT})
    unembedding[_id(tokenizer, UNSEEN)] = _row({"next <colour>": DEFAULT})


def _row(channels: Channels) -> Float[Tensor, " hidden"]:
    row = torch.zeros(_WIDTH)
    for channel, weight in channels.items():
        row[CHANNELS.index(channel)] = weight
    return row


def _id(tokenizer: PreTrainedTokenizerFast, word: str) -> int:
    text = word if word in (":", ".", "</s>") else f" {word}"
    (token,) = tokenizer(text, add_special_tokens=False).input_ids
    return int(token)
