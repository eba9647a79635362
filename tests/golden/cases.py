"""Small explanations, each with something in it that a reader of the data may get wrong."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dexar_widgets.attribution import Cost
from dexar_widgets.explanation import Explanation, collect
from dexar_widgets.types import Example, Generation, GradientTensor, Grid, Lens, TokenLayout, Word
from tests.unit.made import attribution_of

BEFORE = [("<s>", "special"), ("USER", "system")]
AFTER = [("\n", "prompt"), ("what", "prompt"), (" is it", "prompt"), ("ASSISTANT", "system")]
ANSWER = [" a", " red", " suit", "case", ".", " and", " the", " sky"]


def layout(rows: int, cols: int, steps: int, size: tuple[int, int], box: tuple[float, ...]) -> TokenLayout:
    """Template, image, question, and the answer's tokens that later steps read."""
    cells = [(0, row, col) for row in range(rows) for col in range(cols)]
    image = [("<image>", "image")] * len(cells)
    answer = [(piece, "answer") for piece in ANSWER[: steps - 1]]
    tokens = [*BEFORE, *image, *AFTER, *answer]
    nowhere = (-1, -1, -1)
    places = [nowhere] * len(BEFORE) + cells + [nowhere] * (len(AFTER) + len(answer))
    return TokenLayout(
        ids=np.arange(len(tokens)),
        pieces=tuple(piece for piece, _ in tokens),
        kinds=tuple(kind for _, kind in tokens),
        cells=np.array(places),
        grids=(Grid(rows, cols, box, size),),
    )


def generation(pieces: list[str]) -> Generation:
    """An answer of the pieces; a piece without a space continues the word before it, a full stop does not."""
    words: list[list[int]] = []
    for step, piece in enumerate(pieces):
        if words and not piece.startswith(" ") and piece != ".":
            words[-1].append(step)
        else:
            words.append([step])
    texts = ["".join(pieces[s] for s in word).strip() for word in words]
    return Generation(
        ids=np.arange(len(pieces)),
        positions=np.arange(len(pieces)),
        pieces=tuple(pieces),
        log_probs=np.full(len(pieces), -0.5, np.float32),
        words=tuple(Word(text, tuple(word)) for text, word in zip(texts, words, strict=True)),
        text="".join(pieces).strip(),
    )


def build(
    *,
    steps: int = 5,
    layers: int = 3,
    heads: int = 2,
    grid: tuple[int, int] = (3, 4),
    size: tuple[int, int] = (40, 30),
    box: tuple[float, ...] | None = None,
    text: float = 0.9,
    seed: int = 0,
    change: Callable[[np.ndarray, np.ndarray], None] | None = None,
    pieces: list[str] | None = None,
    prompt: str = "what is it",
    keep: str = "full",
    provenance: dict[str, object] | None = None,
) -> Explanation:
    """Random gradients, text ones ``text`` times the visual; ``change`` edits (values, is_image) in place."""
    rows, cols = grid
    pieces = pieces or ANSWER[:steps]
    steps = len(pieces)
    tokens = layout(rows, cols, steps, size, box or (0.0, 0.0, float(size[0]), float(size[1])))
    random = np.random.default_rng(seed)
    values = random.normal(size=(steps, layers, heads, len(tokens))).astype(np.float32)
    values[..., ~tokens.is_image] *= np.float32(text)
    answers = np.array([kind == "answer" for kind in tokens.kinds])
    allowed = ~answers | (np.cumsum(answers) <= np.arange(steps)[:, None])
    if change:
        change(values, tokens.is_image)
    twice = (values[:, -1] * np.float32(0.7) + np.float32(0.05)) * allowed[:, None]
    values *= allowed[:, None, None]
    tensor = GradientTensor(
        values=values,
        allowed=np.repeat(allowed[:, None], layers, 1),
        steps=np.arange(steps),
        layers=np.arange(layers),
        tokens=np.arange(len(tokens)),
        twice=twice.astype(np.float32),
    )
    kept = collect(iter([tensor]), keep=keep, layout=tokens, steps=range(steps))
    pixels = random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    about = {"model": "a made-up model", "family": "llava", "dtype": "float32", "versions": {"torch": "2.13.0"}}
    return Explanation(
        example=Example(pixels, prompt),
        layout=tokens,
        generation=generation(pieces),
        gradients=kept.gradients,
        summary=kept.summary,
        preset="paper",
        keep=keep,
        provenance=about | (provenance or {}),
    )


def _nearly_equal(values: np.ndarray, is_image: np.ndarray) -> None:
    """The text's largest gradient is the image's but for one unit in the last place, above or below."""
    values[..., is_image] = np.abs(values[..., is_image])
    largest = values[..., is_image].max(-1)
    values[..., ~is_image] = 0
    sign = np.where(np.arange(largest.size).reshape(largest.shape) % 2, np.inf, -np.inf).astype(np.float32)
    values[..., 0] = np.nextafter(largest, sign)


def _silence(values: np.ndarray, is_image: np.ndarray) -> None:
    values[..., 0] = np.abs(values).max() + 1


def with_attention() -> Explanation:
    """With attention rows, patch norms and lens; cells 0 and 7 have large norms, and cell 0 shows nothing."""
    e = build(steps=4, grid=(4, 5), size=(50, 40), seed=9)
    random = np.random.default_rng(9)
    steps, layers, heads = len(e.steps), len(e.layers), e.heads
    rows = np.exp(random.normal(size=(steps, layers, heads, len(e.layout)))) * e.gradients.allowed[:, :, None]
    norms = np.full(len(e.layout), np.nan, np.float32)
    norms[e.layout.tokens_of(0)] = random.uniform(9, 11, 20)
    norms[e.layout.tokens_of(0)[[0, 7]]] = 60
    ids = random.integers(0, 9, (steps, layers, 2))
    words = tuple(tuple(tuple(f"<{word}>" for word in layer) for layer in step) for step in ids)
    pixels = random.integers(100, 121, (40, 50, 3), dtype=np.uint8)
    pixels[:10, :10] = 110
    pixels[10:20, 20:30] = random.integers(0, 256, (10, 10, 3))
    return replace(
        e,
        example=replace(e.example, image=pixels),
        attention=(rows / rows.sum(-1, keepdims=True)).astype(np.float32),
        patch_norm=norms,
        lens=Lens(
            random.normal(size=(steps, layers)).astype(np.float32),
            random.integers(0, 99, (steps, layers)).astype(np.int32),
            ids,
            words,
        ),
    )


def with_methods() -> Explanation:
    """Other methods: signed, one map for all words, scaled before they are summed, a control, one not of every step."""
    e = build(steps=4, seed=10)
    iia = attribution_of(e, "iia")
    made = [
        attribution_of(e, "rise", minmaxed=True),
        attribution_of(e, "integrated_gradients", signed=True, unit="logit"),
        attribution_of(e, "tam", whole=True, cost=Cost(0.25, 0, 0.5, None, 1, 0)),
        attribution_of(e, "centre", control=True),
        replace(iia, steps=iia.steps[1:], maps=iia.maps[1:], weights=iia.weights[1:]),
    ]
    return replace(e, attributions={each.method: each for each in made})


CASES: dict[str, Callable[[], Explanation]] = {
    "ordinary": build,
    "twelve_layers": lambda: build(steps=3, layers=12, grid=(2, 2), size=(20, 20), seed=1),
    "delta_near_zero": lambda: build(change=_nearly_equal, seed=2),
    "text_100_times": lambda: build(text=100.0, seed=3),
    "all_silenced": lambda: build(steps=3, change=_silence, seed=4),
    "one_step": lambda: build(steps=1, seed=5),
    "one_cell": lambda: build(steps=3, grid=(1, 1), size=(9, 9), seed=6),
    "three_to_one": lambda: build(steps=3, grid=(2, 6), size=(90, 30), box=(15.0, 0.0, 75.0, 30.0), seed=7),
    "summary_only": lambda: build(keep="summary", seed=8),
    "with_attention": with_attention,
    "with_methods": with_methods,
}
