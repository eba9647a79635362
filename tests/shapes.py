"""The run-time check of array shapes and dtypes that every test runs under.

Only annotations that name an array are checked: what a user may get wrong (a word for a number, an
unknown option) must reach the package's own error messages, and tests of those must see them.
"""

from collections.abc import Callable
from typing import Any, get_args

import jaxtyping
from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int may stand where a float is asked for


def names_an_array(hint: Any) -> bool:
    """Whether a jaxtyping annotation is this hint, or is inside it."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(names_an_array(part) for part in get_args(hint))


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Beartype, restricted to the annotations that name an array."""
    hints = {name: hint for name, hint in function.__annotations__.items() if names_an_array(hint)}
    if not hints:
        return function
    function.__annotations__ = hints
    return _check(function)
