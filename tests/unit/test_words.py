"""Pieces and words, with a tokenizer whose decoding is written out here."""

from types import SimpleNamespace

import pytest

from dexar_widgets.words import Pieces, WordStream, words


class Bytes:
    """Tokens are byte strings; a leading space is dropped at the very start, as sentencepiece does."""

    def __init__(self, *tokens):
        self.tokens = tokens

    def decode(self, ids, **_):
        return b"".join(self.tokens[i] for i in ids).decode(errors="replace").removeprefix(" ")


def pieces_of(*tokens):
    reader = Pieces(Bytes(*tokens))
    return [reader.add(i) for i in range(len(tokens))]


def test_pieces_join_to_the_text_and_keep_their_spaces():
    assert pieces_of(b" A", b" red", b" c", b"up", b".") == ["A", " red", " c", "up", "."]


def test_the_last_byte_of_a_character_carries_it():
    assert pieces_of(b" caf", b"\xc3", b"\xa9", b" noir") == ["caf", "", "é", " noir"]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (["A", " red", " c", "up", "."], ["A", "red", "cup", "."]),
        (["a", " red", " cup", " ."], ["a", "red", "cup", "."]),  # word-level tokenizers
        (["3", ".", "5", " m", "."], ["3.5", "m", "."]),
        (["don", "'", "t", "!"], ["don't", "!"]),
        (["one", ",", " two"], ["one", ",", "two"]),
        (["caf", "", "é", " noir"], ["café", "noir"]),
        (["Yes", "\n", "No"], ["Yes", "No"]),
        ([], []),
    ],
    ids=str,
)
def test_pieces_are_grouped_into_words(pieces, expected):
    found = words(pieces)
    assert [word.text for word in found] == expected
    assert [step for word in found for step in word.steps] == list(range(len(pieces)))


def test_special_tokens_are_words_of_their_own():
    assert [word.steps for word in words(["A", "cup", "</s>"], alone=[2])] == [(0, 1), (2,)]


def test_the_stream_gives_each_word_once_as_soon_as_it_is_settled():
    tokens = (b"<p>", b" A", b" c", b"up", b",", b" 3", b".", b"5", b".", b"</s>")
    heard = []
    stream = WordStream(Bytes(*tokens), heard.append, silent=[9])
    after = []
    for index in range(len(tokens)):
        stream.put(SimpleNamespace(flatten=lambda index=index: SimpleNamespace(tolist=lambda: [index])))
        after.append(list(heard))
    stream.end()
    assert after[:5] == [[], [], ["A"], ["A"], ["A"]]
    assert after[5] == ["A", "cup", ","]
    assert after[7] == ["A", "cup", ","]  # "3.5" could go on
    assert heard == ["A", "cup", ",", "3.5", "."]
