"""Checks on the arguments of a workflow that comes from a queue, a schedule or a recovery.

They run where the arguments were read from the database, perhaps written by another language, and
never for a direct call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import date, datetime
from functools import wraps
from typing import Any, Final, get_type_hints

from pyengine.errors import DBOSInvalidArgumentError

ArgumentsValidator = Callable[
    [tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]
]


class PydanticArgumentsMarker:
    """The type of `pydantic_args_validator`, which asks for a check by the type hints."""

    def __repr__(self) -> str:
        return "pydantic_args_validator"


pydantic_args_validator: Final = PydanticArgumentsMarker()


def make_pydantic_args_validator(func: Callable[..., Any]) -> ArgumentsValidator:
    """Make a function that checks and converts arguments by the type hints of a workflow.

    Args:
        func: The workflow function. Its first parameter is skipped if it is called `self` or `cls`.

    Returns:
        A function of positional and named arguments that returns both, converted to what the hints
        ask for, and raises `pydantic.ValidationError` when they do not fit.

    Raises:
        DBOSInvalidArgumentError: pydantic is not installed.
    """
    try:
        from pydantic import ConfigDict, validate_call
    except ImportError:
        raise DBOSInvalidArgumentError(
            "validate_args: pydantic is not installed; install pydantic 2 "
            "or give a function of your own"
        ) from None

    @wraps(func)
    def capture(*args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return args, kwargs

    signature = inspect.signature(func)
    parameters = list(signature.parameters.values())
    if parameters and parameters[0].name in {"self", "cls"}:
        parameters = parameters[1:]
    del capture.__wrapped__
    capture.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True))(capture)

    def validate(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return checked(*args, **kwargs)

    return validate


def parse_portable_dates(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Turn text into dates where the signature asks for them, for arguments in the portable form.

    Args:
        func: The workflow function.
        args: The positional arguments, without `self`.
        kwargs: The named arguments.

    Returns:
        Both, with each text whose hint is exactly `datetime` or `date` parsed. What does not fit
        the signature or is no date stays as it is, and the call itself reports it.
    """
    try:
        hints = get_type_hints(func)
    except (
        NameError,
        TypeError,
        AttributeError,
    ):  # a hint names something that exists only for checkers
        return args, kwargs
    names = [name for name in inspect.signature(func).parameters if name not in {"self", "cls"}]
    positional = [_parsed(value, hints.get(name)) for name, value in zip(names, args, strict=False)]
    named = {name: _parsed(value, hints.get(name)) for name, value in kwargs.items()}
    return (*positional, *args[len(positional) :]), named


def _parsed(value: Any, hint: Any) -> Any:
    if type(value) is not str or (hint is not datetime and hint is not date):
        return value
    # Python 3.10 does not read the "Z" that every other language writes.
    text = value[:-1] + "+00:00" if value.endswith("Z") else value
    try:
        return datetime.fromisoformat(text) if hint is datetime else date.fromisoformat(value)
    except ValueError:
        return value
