"""From a question to an answer, and the probability of any answer.

One ``generate`` with the model's own attention and cache; what it leaves in the cache serves every
later pass, which replays the answer's tokens in one batched call.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import DynamicCache, EncoderDecoderCache

from dexar_widgets import hooks, jobs
from dexar_widgets.engine.contexts import Context, borrowed, replay
from dexar_widgets.engine.requests import Decoding, Request, end_ids, forced_start, require_room, setting
from dexar_widgets.engine.unembedding import ROWS, logits_of
from dexar_widgets.types import Generation
from dexar_widgets.words import Pieces, WordStream, words

if TYPE_CHECKING:
    from dexar_widgets.vlm import VLM

__all__ = ["Answer", "answer", "resume", "score"]


@dataclass(frozen=True, eq=False)
class Answer:
    """An answer, and what passes over it need."""

    generation: Generation
    context: Context


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
        A given answer. It is tokenised alone, without special tokens, behind a space where the prompt ends in a word
        and the tokenizer is byte-level.
    on_word
        Called with each word as soon as it is complete (all at the end with beams or a given answer).

    Raises
    ------
    ValueError
        If the answer is empty or too long, or the model's weights are not finite.
    """
    with borrowed(vlm):
        jobs.progress(0, 0, "reading the image and the question")
        if answer is not None:
            ids, context = _given_ids(vlm, request, answer), _context(vlm, request)
            log_probs = _log_probs(vlm, request, context, ids)
        else:
            ids, log_probs, context = _generated(vlm, request, decoding, on_word)
        _require_finite(vlm, log_probs)
        generation = _generation(vlm, ids, log_probs, include_end=decoding.include_end)
    if on_word is not None and (answer is not None or _beams(vlm, decoding) > 1):
        for word in generation.words:
            on_word(word.text)
    return Answer(generation, context)


def resume(vlm: "VLM", request: Request, generation: Generation) -> Answer:
    """The same answer again, token for token, on what the model keeps of the prompt."""
    with borrowed(vlm):
        jobs.progress(0, 0, "reading the image and the question")
        require_room(vlm, request.prompt_ids.shape[1] + len(generation.ids), "Prompt and answer")
        return Answer(generation, _context(vlm, request))


def score(vlm: "VLM", request: Request, ids: Int[np.ndarray, " id"]) -> Float[np.ndarray, " id"]:
    """The natural log-probability of each of an answer's ids (`Generation.ids`), given those before it."""
    with borrowed(vlm):
        require_room(vlm, request.prompt_ids.shape[1] + len(ids), "Prompt and answer")
        log_probs = _log_probs(vlm, request, _context(vlm, request), ids)
        _require_finite(vlm, log_probs)
    return log_probs


def _generated(
    vlm: "VLM", request: Request, decoding: Decoding, on_word: Callable[[str], None] | None
) -> tuple[Int[np.ndarray, " id"], Float[np.ndarray, " id"], Context]:
    """A new answer's ids and log-probabilities; beams give neither logits nor the winner's cache, so it is replayed."""
    require_room(vlm, request.prompt_ids.shape[1] + decoding.max_new_tokens, "Prompt and max_new_tokens")
    beams = _beams(vlm, decoding) > 1
    options = decoding.options()
    if on_word is not None and not beams:
        options["streamer"] = WordStream(vlm.tokenizer, on_word, silent=(*end_ids(vlm), *forced_start(vlm)))
    if jobs.current():
        options["stopping_criteria"] = [partial(_count, request.prompt_ids.shape[1], decoding.max_new_tokens)]
    samples = setting(vlm, "do_sample") if decoding.do_sample is None else decoding.do_sample
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices) if samples else nullcontext():
        if samples:
            torch.manual_seed(decoding.seed)
        ids, logits, context = _generate(vlm, request, **options)
    if beams:
        context = _context(vlm, request)
        return ids, _log_probs(vlm, request, context, ids), context
    chosen = [step[0].log_softmax(-1)[token] for step, token in zip(logits, ids.tolist(), strict=True)]
    return ids, torch.stack(chosen).cpu().numpy(), context


def _context(vlm: "VLM", request: Request) -> Context:
    """What the model keeps of the prompt, by having it say one token."""
    return _generate(vlm, request, max_new_tokens=1, num_beams=1, do_sample=False)[2]


def _generate(
    vlm: "VLM", request: Request, **options: Any
) -> tuple[Int[np.ndarray, " id"], Sequence[Float[Tensor, "1 word"]], Context]:
    """One ``generate``: the new ids, each step's logits (none with beams), and what the model keeps of the prompt."""
    anatomy, encoder_decoder = vlm.anatomy, vlm.model.config.is_encoder_decoder
    # Without a configuration, so that sliding-window layers keep every key and the cache can be cropped.
    cache = EncoderDecoderCache(DynamicCache(), DynamicCache()) if anatomy.cross_attention else DynamicCache()
    beams = options.get("num_beams") or setting(vlm, "num_beams") or 1
    prompt_reader = vlm.model.get_encoder() if encoder_decoder else anatomy.decoder
    heard: dict[str, Any] = {}  # at each one's first call, which reads the prompt

    def hear(index: int, output: Any) -> None:
        if index == 0:
            heard["norms"] = anatomy.patch_features(output).float().norm(dim=-1)
        else:
            heard.setdefault("output", output)

    def overhear(_index: int, _args: Any, given: dict[str, Any]) -> None:
        heard.setdefault("read", given["inputs_embeds"])

    options |= {} if beams > 1 else {"past_key_values": cache, "cache_implementation": None, "output_logits": True}
    try:
        with (
            hooks.outputs([anatomy.vision_tower, prompt_reader], hear),
            hooks.inputs([anatomy.reader], overhear),
        ):
            output = vlm.model.generate(**request.inputs, **options, return_dict_in_generate=True)
    except RuntimeError as error:
        if "`nan`" in str(error):  # sampling from NaN
            raise _not_finite(vlm) from error
        raise
    ids = output.sequences[0, request.prompt_ids.shape[1] :].cpu().numpy()
    said, states = heard["output"], heard["output"].last_hidden_state[0]
    context = Context(cache, said if encoder_decoder else None, heard["read"][:1], states, heard["norms"])
    return ids, output.logits or (), context


def _count(prompt: int, most: int, ids: Int[Tensor, "beam token"], _scores: Any) -> bool:
    """A stopping criterion that stops nothing, and tells how far the answer is."""
    said = ids.shape[1] - prompt
    jobs.progress(said - 1, most - 1, f"answering: token {said} of at most {most}")  # the first came with the prompt
    return False


def _log_probs(vlm: "VLM", request: Request, context: Context, ids: Int[np.ndarray, " id"]) -> Float[np.ndarray, " id"]:
    """The log-probability of each id, from one batched pass."""
    rows = replay(vlm, request, context, ids)[-len(ids) :]
    targets = torch.as_tensor(ids, device=rows.device)
    chosen = [
        logits_of(vlm.anatomy, few).log_softmax(-1).gather(-1, some[:, None])[:, 0]
        for few, some in zip(rows.split(ROWS), targets.split(ROWS), strict=True)
    ]
    return torch.cat(chosen).cpu().numpy()


def _generation(
    vlm: "VLM", ids: Int[np.ndarray, " id"], log_probs: Float[np.ndarray, " id"], *, include_end: bool
) -> Generation:
    """Steps are the tokens the model chose: neither a forced first token nor, unless asked for, the end."""
    ends = np.flatnonzero(np.isin(ids, end_ids(vlm)))
    stop = int(ends[0]) + int(include_end) if len(ends) else len(ids)
    positions = np.arange(len(forced_start(vlm)), stop)
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


def _continuing(vlm: "VLM", request: Request, answer: str) -> str:
    """The answer as it stands behind the prompt: byte-level tokenizers write the space between two words themselves."""
    follows = not vlm.model.config.is_encoder_decoder and not request.layout.pieces[-1][-1:].isspace()
    (first, *_) = vlm.tokenizer.tokenize(" a")
    return f" {answer}" if follows and first.startswith("Ġ") and not answer[:1].isspace() else answer


def _given_ids(vlm: "VLM", request: Request, answer: str) -> Int[np.ndarray, " id"]:
    """A given answer's ids, after the token that the model is forced to begin with, if any."""
    text = _continuing(vlm, request, answer)
    ids = vlm.tokenizer(text, add_special_tokens=False).input_ids if answer.strip() else []
    if not ids:
        raise ValueError(
            f"The given answer {answer!r} is empty; give some words, or leave it out to let the model answer."
        )
    require_room(vlm, request.prompt_ids.shape[1] + len(ids), "Prompt and answer")
    return np.array([*forced_start(vlm), *ids])


def _beams(vlm: "VLM", decoding: Decoding) -> int:
    return int(decoding.num_beams or setting(vlm, "num_beams") or 1)


def _require_finite(vlm: "VLM", log_probs: Float[np.ndarray, " id"]) -> None:
    if np.isnan(log_probs).any():
        raise _not_finite(vlm)


def _not_finite(vlm: "VLM") -> ValueError:
    """The error of NaN logits, which names the weights at fault."""
    weights = ((name, weight) for name, weight in vlm.model.named_parameters() if not weight.is_meta)
    bad = next((name for name, weight in weights if not torch.isfinite(weight).all()), None)
    cause = f"its weight {bad} holds NaN or infinity" if bad else f"does {vlm.model.dtype} overflow?"
    return ValueError(f"{vlm.name} gives NaN logits: {cause}. Load other weights, or dtype=float32.")
