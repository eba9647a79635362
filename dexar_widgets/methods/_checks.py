"""Checks that options of several methods share: the message names the option, what came and what is accepted."""

from collections.abc import Sequence

__all__ = ["at_least", "between", "one_of", "whole_number"]


def whole_number(name: str, value: object, least: int) -> None:
    """Raise `ValueError` unless an option is a whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name}={value!r} is not accepted; expected a whole number of at least {least}.")


def at_least(name: str, value: object, least: float) -> None:
    """Raise `ValueError` unless an option is a number of at least so much."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= least:
        raise ValueError(f"{name}={value!r} is not accepted; expected a number of at least {least:g}.")


def between(name: str, value: object, low: float, high: float) -> None:
    """Raise `ValueError` unless an option lies strictly between two numbers."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not low < value < high:
        raise ValueError(f"{name}={value!r} is not accepted; expected a number between {low:g} and {high:g}.")


def one_of(name: str, value: object, accepted: Sequence[object]) -> None:
    """Raise `ValueError` unless an option is one of these."""
    if value not in accepted or isinstance(value, bool) != isinstance(accepted[0], bool):
        raise ValueError(f"{name}={value!r} is not accepted; choose one of {', '.join(map(repr, accepted))}.")
