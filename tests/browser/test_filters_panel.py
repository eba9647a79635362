"""Which filters a page offers: what it can answer, and the reason for the rest."""

import pytest

from tests.browser.view import View
from tests.golden.cases import CASES, build


def choices(view: View) -> dict[str, bool]:
    """Names of the choices of the filters, and whether they can be chosen."""
    found = view.root.locator(".filters").evaluate(
        "f => [...f.querySelectorAll('[type=radio], option, [type=checkbox]')].map(c => "
        "[(c.closest('[role=radiogroup]')?.ariaLabel ?? 'Text') + ': ' + "
        "(c.textContent || c.parentElement.textContent), !c.disabled])"
    )
    return dict(found)


ALWAYS = {"Head filter: Off", "Head filter: Max", "Filler filter: Off", "Filler filter: Max", "Text: Everything"}
NOT_SUMS = {"Head filter: Top share", "Text: No special tokens", "Text: Question and answer", "Text: Answer only"}


@pytest.mark.parametrize("keep", ["full", "visual"])
def test_a_small_page_offers_every_choice(show, keep):
    view = show(build(keep=keep))
    assert all(choices(view).values())


def test_a_summary_offers_what_it_can_answer_and_says_why_not_the_rest(show):
    view = show(CASES["summary_only"]())
    found = choices(view)
    off = {name for name, there in found.items() if not there}
    assert off == NOT_SUMS | {"Text: Positive gradients only"}
    assert found.keys() >= ALWAYS
    assert 'Top share: only sums over heads were kept; explain again with keep="visual".' in view.text(".filters")
    view.set("Head filter", "Off")  # then the text no longer enters the map, and sums over heads do
    assert choices(view)["Text: Answer only"]


def test_a_page_of_a_large_model_says_what_it_lacks_and_answers_the_rest(show):
    e = build(steps=2, layers=32, heads=32, grid=(24, 24), size=(48, 48))
    view = show(e)
    off = {name for name, there in choices(view).items() if not there}
    assert off == NOT_SUMS | {"Text: Positive gradients only"}
    assert "Top share: not in this copy; a notebook with its kernel has it." in view.text(".filters")
    view.set("Head filter", "Off")
    want = e.sequence_map(head_filter="none").values
    assert view.total() == pytest.approx(float(want.sum()), rel=5e-3)
    view.set("Filler filter", "Top share")
    view.set("Head filter", "Max")
    want = e.sequence_map(filler_filter=0.1).values
    assert view.total() == pytest.approx(float(want.sum()), rel=5e-3)
    view.tab("Heads")
    view.matrix.click()
    assert view.text(".tabpanel .reason") == "Choosing heads: not in this copy; a notebook with its kernel has it."
    assert view.total() == pytest.approx(float(want.sum()), rel=5e-3)
