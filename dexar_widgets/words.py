"""From token ids to text: the piece each token adds, and the words that pieces make up.

Works on decoded text, so that byte-level, sentencepiece and word-level tokenizers need no rules
of their own.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dexar_widgets.types import Word

__all__ = ["Pieces", "WordStream", "words"]

_CLOSING = frozenset(".,;:!?…")
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Pieces:
    """Reads ids one at a time; the pieces join to the decoded text.

    Tokens that hold only some bytes of a character give "", the token that completes it the character.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._context: list[int] = []
        self._unread: list[int] = []

    def add(self, token: int) -> str:
        """The text that one more token adds."""
        self._unread.append(token)
        before, now = self._decode(self._context), self._decode([*self._context, *self._unread])
        if now.endswith(_UNFINISHED):
            return ""
        self._context, self._unread = self._unread, []
        return now[len(before) :]

    def _decode(self, ids: list[int]) -> str:
        options = {"skip_special_tokens": False, "clean_up_tokenization_spaces": False}
        return str(self._tokenizer.decode(ids, **options)) if ids else ""


def words(pieces: Sequence[str], *, alone: Iterable[int] = ()) -> tuple[Word, ...]:
    """Group pieces into words: each begins with white space, or is punctuation that closes a word.

    The steps in ``alone`` (special tokens) are words of their own.
    """
    single = set(alone)
    groups: list[list[int]] = []
    for step, piece in enumerate(pieces):
        ends = step + 1 == len(pieces) or pieces[step + 1][:1].isspace() or step + 1 in single
        closes = ends and piece != "" and set(piece) <= _CLOSING
        if not groups or piece[:1].isspace() or step in single or step - 1 in single or closes:
            groups.append([])
        groups[-1].append(step)
    return tuple(Word(_text(pieces, group), tuple(group)) for group in groups)


def _text(pieces: Sequence[str], steps: list[int]) -> str:
    text = "".join(pieces[step] for step in steps)
    return text.strip() or text


class WordStream:
    """A streamer for ``generate`` that hands over each word when it is complete; ids in ``silent`` are no words."""

    def __init__(self, tokenizer: Any, on_word: Callable[[str], None], *, silent: Iterable[int]) -> None:
        self._reader = Pieces(tokenizer)
        self._on_word = on_word
        self._silent = frozenset(silent)
        self._pending: list[str] = []
        self._prompt_seen = False

    def put(self, ids: Any) -> None:
        """Take the prompt (the first call) or one generated token."""
        if not self._prompt_seen:
            self._prompt_seen = True
            return
        for token in ids.flatten().tolist():
            if token not in self._silent:
                self._pending.append(self._reader.add(token))
        # A last piece of punctuation belongs to the word before it or not, as the next piece says.
        undecided = bool(self._pending) and set(self._pending[-1]) <= _CLOSING
        settled = words(self._pending[:-1] if undecided else self._pending)
        for word in settled[:-1]:
            self._on_word(word.text)
        if settled:
            self._pending = self._pending[settled[-1].steps[0] :]

    def end(self) -> None:
        """Hand over what is left."""
        for word in words(self._pending):
            self._on_word(word.text)
        self._pending = []
