"""From the characters of an answer to its tokens, and back to the words that name something."""

import numpy as np
import pytest

from dexar_widgets.evaluation.spans import spans_of, steps_of
from dexar_widgets.types import Generation, Word


def said(*pieces):
    count, text = len(pieces), "".join(pieces).strip()
    words = tuple(Word(piece, (step,)) for step, piece in enumerate(pieces))
    return Generation(np.arange(count), np.arange(count), pieces, np.zeros(count), words, text)


@pytest.mark.parametrize(
    "pieces",
    [
        ("I", " see", " a", " red", " suit", "case", "."),
        (" I", " see", " a", " red", " suit", "case", "."),
        ("I ", "see ", "a ", "red ", "suit", "case", "."),
        (" ", "I", " see", " a", " red", " suit", "case", "."),
    ],
)
def test_a_span_takes_every_piece_it_shares_a_character_with(pieces):
    answer = said(*pieces)
    text = answer.text
    spans = [(text.index(word), text.index(word) + len(word)) for word in ("red", "suitcase")]
    assert [pieces[step].strip() for step in steps_of(answer, spans)] == ["red", "suit", "case"]
    assert steps_of(answer, [(text.index("case"), len(text) - 1)]) == (pieces.index("case"),)
    assert steps_of(answer, []) == ()
    assert pieces[steps_of(answer, [(0, 1)])[-1]].strip() == "I"


def test_a_piece_that_is_a_space_goes_with_what_follows_it():
    answer = said("a", " ", "cat", " ", "ran")
    assert steps_of(answer, [(2, 5)]) == (1, 2)


def test_pieces_that_do_not_spell_the_answer_are_an_error():
    answer = said("a", " cat")
    object.__setattr__(answer, "text", "a dog")
    with pytest.raises(ValueError, match="not the answer"):
        steps_of(answer, [(0, 1)])


def test_a_name_is_found_as_a_word_in_any_case():
    assert spans_of("A cat, two cats; a Cat and a catalogue.", "cat") == ((2, 5), (11, 15), (19, 22))
    assert spans_of("a tv monitor", "tv monitor") == ((2, 12),)
    assert spans_of("nothing", "cat") == ()
    assert spans_of("a (b)", "(b") == ((2, 4),)  # a name is no pattern
