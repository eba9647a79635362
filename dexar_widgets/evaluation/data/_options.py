"""Checks that options of several readers share: the message names the option, what came and what is accepted."""

from collections.abc import Sequence

__all__ = ["maybe_text", "one_of", "part", "template", "truth", "whole_number"]


def whole_number(name: str, value: object, least: int, *, or_none: bool = False) -> None:
    """Raise `ValueError` unless an option is a whole number of at least so much."""
    if or_none and value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        otherwise = ", or None" if or_none else ""
        raise ValueError(f"{name}={value!r} is not accepted; expected a whole number of at least {least}{otherwise}.")


def part(name: str, value: object) -> None:
    """Raise `ValueError` unless an option is a number from 0 to below 1."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise ValueError(f"{name}={value!r} is not accepted; expected a number from 0 to below 1.")


def one_of(name: str, value: object, accepted: Sequence[object]) -> None:
    """Raise `ValueError` unless an option is one of these."""
    if value not in accepted or isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not accepted; choose one of {', '.join(map(repr, accepted))}.")


def truth(name: str, value: object) -> None:
    """Raise `ValueError` unless an option is True or False."""
    if not isinstance(value, bool):
        raise ValueError(f"{name}={value!r} is not accepted; choose True or False.")


def maybe_text(name: str, value: object) -> None:
    """Raise `ValueError` unless an option is a text that is not blank, or None."""
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ValueError(f"{name}={value!r} is not accepted; give a text, or None for the family's own.")


def template(name: str, value: object) -> None:
    """Raise `ValueError` unless an option is a text in which {name} stands once."""
    text = value.replace("{name}", "", 1) if isinstance(value, str) and "{name}" in value else "{"
    if "{" in text or "}" in text:
        raise ValueError(f"{name}={value!r} is not accepted; give a text in which {{name}} stands once.")
