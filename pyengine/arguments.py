"""What can't be an argument of a public function: refused with its name, before anything is done with it."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import TypeGuard

from pyengine.errors import DBOSException


def is_number(value: object, *, whole: bool = False) -> TypeGuard[float]:
    """Whether something is a number; `True` is none."""
    kinds = numbers.Integral if whole else numbers.Real
    return isinstance(value, kinds) and not isinstance(value, bool)


def is_between(least: float, number: object, most: float, *, whole: bool = False) -> bool:
    """Whether something is a number from `least` to `most`, and not infinite."""
    return is_number(number, whole=whole) and least <= number <= most and number != math.inf


def check_number(name: str, value: object) -> None:
    """Refuse what is no number.

    Raises:
        DBOSException: Names the argument.
    """
    if not is_number(value):
        raise DBOSException(f"{name} is {value!r}: it must be a number of seconds")


def check_text(name: str, value: object) -> None:
    """Refuse what is no text.

    Raises:
        DBOSException: Names the argument; of a handle that was given for an id, says what to give.
    """
    if not isinstance(value, str):
        hint = ": give its workflow_id" if hasattr(value, "workflow_id") else ""
        raise DBOSException(f"{name} must be a str, not {type(value).__name__}{hint}")


def check_ids(values: Iterable[object]) -> None:
    """Refuse what is no list of ids. The letters of a text are none.

    Raises:
        DBOSException: Says what is there instead.
    """
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise DBOSException(f"workflow_ids must be a list of ids, not {type(values).__name__}")
    for value in values:
        check_text("a workflow id", value)
