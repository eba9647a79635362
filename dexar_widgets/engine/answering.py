"""From an image and a question to an answer, and the probability of any answer.

One ``generate`` with the model's own attention and cache; what it leaves in the cache serves every
later pass, which replays the answer's tokens in one batched call.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor
from transformers import Cache, DynamicCache, EncoderDecoderCache

from dexar_widgets import hooks
from dexar_widgets.families import Anatomy
from dexar_widgets.types import Example, Generation, TokenLayout
from dexar_widgets.words import Pieces, WordStream, words

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Answer", "Context", "Decoding", "Request", "answer", "borrowed", "encode", "logits_of", "replay", "score"]


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """How an answer is generated; None leaves a setting as the model's own generation configuration has it.

    ``seed`` is used where the model samples. ``include_end`` makes the end token a step.
    """

    max_new_tokens: int = 64
    do_sample: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    num_beams: int | None = None
    seed: int = 0
    include_end: bool = False

    def __post_init__(self) -> None:
        for name, least in (("max_new_tokens", 1), ("num_beams", 1), ("top_k", 0), ("temperature", 0), ("top_p", 0)):
            value = getattr(self, name)
            if value is not None and (value < least or (name == "top_p" and value > 1)):
                raise ValueError(f"{name} is {value}; expected at least {least}{' and at most 1' * (name == 'top_p')}.")

    def options(self) -> dict[str, Any]:
        """The settings that were given, as ``generate`` names them."""
        names = ("max_new_tokens", "do_sample", "temperature", "top_p", "top_k", "num_beams")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


@dataclass(frozen=True, eq=False)
class Request:
    """A processed image and question, on the model's device.

    ``layout`` describes the keys: the decoder's prompt, or the encoder's tokens under cross-attention.
    ``prompt_ids`` are the decoder's prompt. ``notices`` are sentences the user should read.
    """

    inputs: Mapping[str, Tensor]
    layout: TokenLayout
    prompt_ids: Int[Tensor, "1 prompt"]
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Context:
    """What the model keeps of a prompt: its keys and values, the encoder's output, the norms of the image's patches."""

    cache: Cache
    encoder_outputs: Any
    patch_norms: Float[Tensor, " patch"]


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer, and what passes over it need."""

    generation: Generation
    context: Context


def encode(vlm: "VLM", example: Example) -> Request:
    """Turn an image and a question into the model's inputs.

    Raises
    ------
    ValueError
        If the prompt does not fit into the model's context window.
    """
    prompt = vlm.family.prompt(vlm.processor, example.prompt)
    height, width, _ = example.image.shape
    with vlm.lock, torch.inference_mode(False):  # noqa: FBT003 (torch takes it by position)
        batch = vlm.processor(images=Image.fromarray(example.image), text=prompt.text, return_tensors="pt")
        inputs = dict(batch.to(vlm.device, vlm.model.dtype))
        inputs.pop("labels", None)  # PaliGemma's processor adds some for training
        layout = vlm.family.layout(vlm.model, vlm.processor, inputs, (width, height))
        _require_room(vlm, len(layout), "The prompt")
        if vlm.model.config.is_encoder_decoder:
            start = _setting(vlm, "decoder_start_token_id")
            prompt_ids = torch.tensor([[start]], device=vlm.device)
        else:
            prompt_ids = inputs["input_ids"]
    return Request(inputs, layout, prompt_ids, prompt.notices)


def answer(
    vlm: "VLM",
    request: Request,
    *,
    answer: str | None = None,
    decoding: Decoding = Decoding(),  # noqa: B008 (frozen)
    on_word: Callable[[str], None] | None = None,
) -> Answer:
    """Let the model answer, or take a given answer; the ids are those of a plain ``generate``.

    Parameters
    ----------
    answer
        A given answer. It is tokenised alone, without special tokens.
    on_word
        Called with each word as soon as it is complete (all at the end with beams or a given answer).

    Raises
    ------
    ValueError
        If the answer is empty or too long, or the model's weights are not finite.
    """
    with borrowed(vlm):
        if answer is not None:
            ids = _given_ids(vlm, request, answer)
            _, _, context = _generate(vlm, request, max_new_tokens=1, num_beams=1, do_sample=False)
            log_probs = _log_probs(vlm, request, context, ids)
        else:
            ids, log_probs, context = _generated(vlm, request, decoding, on_word)
        _require_finite(vlm, log_probs)
        generation = _generation(vlm, ids, log_probs, include_end=decoding.include_end)
    if on_word is not None and (answer is not None or _beams(vlm, decoding) > 1):
        for word in generation.words:
            on_word(word.text)
    return Answer(generation, context)


def score(vlm: "VLM", request: Request, ids: Int[np.ndarray, " id"]) -> Float[np.ndarray, " id"]:
    """The natural log-probability of each of an answer's ids (`Generation.ids`), given those before it."""
    with borrowed(vlm):
        _require_room(vlm, request.prompt_ids.shape[1] + len(ids), "Prompt and answer")
        _, _, context = _generate(vlm, request, max_new_tokens=1, num_beams=1, do_sample=False)
        log_probs = _log_probs(vlm, request, context, ids)
        _require_finite(vlm, log_probs)
    return log_probs


@contextmanager
def borrowed(vlm: "VLM") -> Iterator[None]:
    """One caller at a time; the model is left as it was found."""
    with vlm.lock, hooks.inspecting(vlm.model):
        yield


def replay(vlm: "VLM", request: Request, context: Context, ids: Int[np.ndarray, " id"]) -> Float[Tensor, "row hidden"]:
    """Run the positions that predict ``ids`` in one call; the last rows of the result, one per id, are theirs.

    The rows are normed last hidden states; the row of id r sees the prompt and the r ids before it.
    """
    said = torch.as_tensor(ids[:-1], device=request.prompt_ids.device)[None]
    prompt, cache = request.prompt_ids.shape[1], context.cache
    windows = [window for window in vlm.anatomy.windows if window is not None]
    if vlm.anatomy.prefix and min(windows, default=prompt) < prompt:
        inputs = _from_the_start(request, context, said)
    else:
        cache.crop(-(cache.get_seq_length() - (prompt - 1)))  # it takes negative counts only
        inputs = _from_the_prompts_end(vlm, request, context, said)
    rows: Tensor = vlm.anatomy.decoder(**inputs, use_cache=True).last_hidden_state[0]
    return rows


def _from_the_prompts_end(vlm: "VLM", request: Request, context: Context, said: Int[Tensor, "1 id"]) -> dict[str, Any]:
    """Inputs of the prompt's last token and the answer's tokens, on the cached rest."""
    if vlm.model.config.is_encoder_decoder:
        options = {"attention_mask": request.inputs["attention_mask"], "encoder_outputs": context.encoder_outputs}
    else:
        options = {"attention_mask": torch.cat([request.inputs["attention_mask"], torch.ones_like(said)], dim=1)}
    # Never position ids by hand: PaliGemma counts from 1, some families have several axes.
    prepared: dict[str, Any] = vlm.model.prepare_inputs_for_generation(
        torch.cat([request.prompt_ids, said], dim=1),
        next_sequence_length=said.shape[1] + 1,
        past_key_values=context.cache,
        is_first_iteration=False,
        **options,
    )
    return prepared


def _from_the_start(request: Request, context: Context, said: Int[Tensor, "1 id"]) -> dict[str, Any]:
    """Inputs of everything, for a prefix that sees itself beyond a window: its last row cannot be run alone."""
    context.cache.crop(-context.cache.get_seq_length())
    ones = {name: torch.ones_like(said) for name in ("attention_mask", "token_type_ids")}  # type 1: not of the prefix
    longer = {"input_ids": said, **ones}
    joined = {name: torch.cat([request.inputs[name], tail], dim=1) for name, tail in longer.items()}
    return {**request.inputs, **joined, "past_key_values": context.cache}


def logits_of(anatomy: Anatomy, normed: Float[Tensor, "row hidden"]) -> Float[Tensor, "row word"]:
    """Unembed normed hidden states, in float32, the model's final soft-cap included."""
    logits = anatomy.unembedding(normed).float()
    return logits if anatomy.softcap is None else anatomy.softcap * torch.tanh(logits / anatomy.softcap)


def _generated(
    vlm: "VLM", request: Request, decoding: Decoding, on_word: Callable[[str], None] | None
) -> tuple[Int[np.ndarray, " id"], Float[np.ndarray, " id"], Context]:
    """A new answer's ids and log-probabilities; beams give neither logits nor a cache of the winner, so it is replayed."""
    _require_room(vlm, request.prompt_ids.shape[1] + decoding.max_new_tokens, "Prompt and max_new_tokens")
    beams = _beams(vlm, decoding) > 1
    options = decoding.options()
    if on_word is not None and not beams:
        options["streamer"] = WordStream(vlm.tokenizer, on_word, silent=(*_end_ids(vlm), *_forced_start(vlm)))
    samples = _setting(vlm, "do_sample") if decoding.do_sample is None else decoding.do_sample
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices) if samples else nullcontext():
        if samples:
            torch.manual_seed(decoding.seed)
        ids, logits, context = _generate(vlm, request, **options)
    if beams:
        _, _, context = _generate(vlm, request, max_new_tokens=1, num_beams=1, do_sample=False)
        return ids, _log_probs(vlm, request, context, ids), context
    chosen = [step[0].log_softmax(-1)[token] for step, token in zip(logits, ids.tolist(), strict=True)]
    return ids, torch.stack(chosen).cpu().numpy(), context


def _generate(
    vlm: "VLM", request: Request, **options: Any
) -> tuple[Int[np.ndarray, " id"], Sequence[Float[Tensor, "1 word"]], Context]:
    """One ``generate``: the new ids, each step's logits (none with beams), and what the model keeps of the prompt."""
    anatomy = vlm.anatomy
    heard: dict[int, Any] = {}
    # Without a configuration, so that sliding-window layers keep every key and the cache can be cropped.
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache()) if anatomy.cross_attention else DynamicCache()
    encoder = [vlm.model.get_encoder()] if vlm.model.config.is_encoder_decoder else []
    beams = options.get("num_beams") or _setting(vlm, "num_beams") or 1

    def hear(index: int, output: Any) -> None:
        heard[index] = output if index else anatomy.patch_features(output).float().norm(dim=-1)

    with hooks.outputs([anatomy.vision_tower, *encoder], hear):
        output = vlm.model.generate(
            **request.inputs,
            **options,
            **({} if beams > 1 else {"past_key_values": cache, "cache_implementation": None}),
            return_dict_in_generate=True,
            output_logits=beams == 1,
        )
    ids = output.sequences[0, request.prompt_ids.shape[1] :].cpu().numpy()
    return ids, output.logits or (), Context(cache, heard.get(1), heard[0])


def _log_probs(
    vlm: "VLM", request: Request, context: Context, ids: Int[np.ndarray, " id"]
) -> Float[np.ndarray, " id"]:
    """The log-probability of each id, from one batched pass."""
    rows = replay(vlm, request, context, ids)[-len(ids) :]
    targets = torch.as_tensor(ids, device=rows.device)
    chosen = [
        logits_of(vlm.anatomy, few).log_softmax(-1).gather(-1, some[:, None])[:, 0]
        for few, some in zip(rows.split(16), targets.split(16), strict=True)  # 16 rows: 16 MB where words are 257 000
    ]
    return torch.cat(chosen).cpu().numpy()


def _generation(
    vlm: "VLM", ids: Int[np.ndarray, " id"], log_probs: Float[np.ndarray, " id"], *, include_end: bool
) -> Generation:
    """Steps are the tokens the model chose: neither a forced first token nor, unless asked for, the end."""
    ends = np.flatnonzero(np.isin(ids, _end_ids(vlm)))
    stop = int(ends[0]) + int(include_end) if len(ends) else len(ids)
    positions = np.arange(len(_forced_start(vlm)), stop)
    if not len(positions):
        raise ValueError(
            "The answer is empty: the model's first token was the end of the answer. Ask differently, or give an "
            "answer= to explain; include_end explains the end token itself."
        )
    reader = Pieces(vlm.tokenizer)
    pieces = tuple(reader.add(int(ids[position])) for position in positions)
    special = set(vlm.tokenizer.all_special_ids)
    alone = [step for step, position in enumerate(positions) if int(ids[position]) in special]
    spoken = (piece for step, piece in enumerate(pieces) if step not in alone)
    return Generation(ids, positions, pieces, log_probs[positions], words(pieces, alone=alone), "".join(spoken).strip())


def _given_ids(vlm: "VLM", request: Request, answer: str) -> Int[np.ndarray, " id"]:
    """A given answer's ids, after the token that the model is forced to begin with, if any."""
    ids = vlm.tokenizer(answer, add_special_tokens=False).input_ids if answer.strip() else []
    if not ids:
        raise ValueError(f"The given answer {answer!r} is empty; give some words, or leave it out to let the model answer.")
    _require_room(vlm, request.prompt_ids.shape[1] + len(ids), "Prompt and answer")
    return np.array([*_forced_start(vlm), *ids])


def _setting(vlm: "VLM", name: str) -> Any:
    """A setting of generation, from where ``generate`` takes it."""
    value = getattr(vlm.model.generation_config, name, None)
    return getattr(vlm.model.config.get_text_config(decoder=True), name, None) if value is None else value


def _beams(vlm: "VLM", decoding: Decoding) -> int:
    return int(decoding.num_beams or _setting(vlm, "num_beams") or 1)


def _end_ids(vlm: "VLM") -> list[int]:
    ends = vlm.model.generation_config.eos_token_id
    return [] if ends is None else [ends] if isinstance(ends, int) else list(ends)


def _forced_start(vlm: "VLM") -> list[int]:
    """The first generated token, where it is forced."""
    first = vlm.model.generation_config.forced_bos_token_id
    return [] if first is None else [first]


def _require_room(vlm: "VLM", tokens: int, what: str) -> None:
    """Raise `ValueError` if so many tokens do not fit into the context window."""
    window = getattr(vlm.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if window is not None and tokens > window:
        raise ValueError(
            f"{what} take {tokens} tokens but the context window of {type(vlm.model).__name__} holds {window}; shorten "
            "the prompt or the answer."
        )


def _require_finite(vlm: "VLM", log_probs: Float[np.ndarray, " id"]) -> None:
    """Raise `ValueError`, naming the weights at fault, if log-probabilities are NaN."""
    if np.isnan(log_probs).any():
        weights = ((name, weight) for name, weight in vlm.model.named_parameters() if not weight.is_meta)
        bad = next((name for name, weight in weights if not torch.isfinite(weight).all()), None)
        cause = f"its weight {bad!r} holds NaN or infinity" if bad else f"does {vlm.model.dtype} overflow?"
        raise ValueError(f"{vlm.name} gives NaN logits: {cause}. Load other weights, or dtype=float32.")
