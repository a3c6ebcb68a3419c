"""The form "portable_json": what every language reads, each type reduced to one of JSON's own.

Reading it gives plain JSON values: a date comes back as text, a tuple as a list, an error as a
PortableWorkflowError.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

from pyengine.errors import PortableWorkflowError
from pyengine.serialization.exceptions import (
    code_of,
    data_of,
    message_of,
    name_of,
    portable_error,
)
from pyengine.serialization.jsontext import dumps, is_utf8, loads, readable
from pyengine.serialization.registry import RefusedError, type_name
from pyengine.serialization.standard import Handler
from pyengine.serialization.walk import Walk

_MAX_DIGITS_BITS = 14_000

# The keys of the object that holds the arguments of a call.
argument_keys = ("positionalArgs", "namedArgs")


def encode(value: object, root: str) -> str:
    """Turn a value into text.

    Args:
        value: JSON's own types, tuples, sets, dates, datetimes (naive ones are UTC) and decimals.
        root: What to call it in an error.

    Returns:
        JSON text.

    Raises:
        DBOSSerializationError: The value, or something in it that the message locates, has no
        portable form.
    """
    return dumps(Walk(root, _handler_for).encode(value))


def encode_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Turn the arguments of a call into text; arguments and errors as for `encode`."""
    return dumps(
        {
            "namedArgs": Walk("kwargs", _handler_for).encode(kwargs),
            "positionalArgs": Walk("args", _handler_for).encode(args),
        }
    )


def encode_error(error: BaseException) -> str:
    """Turn an exception into text. Nothing is refused.

    Args:
        error: Any exception.

    Returns:
        JSON text: an object with "name", "message", "code" and "data".
    """
    document = {
        "name": readable(name_of(error)),
        "message": message_of(error),
        "code": code_of(error),
        "data": None,
    }
    try:
        return dumps({**document, "data": data_of(error, Walk("error", _handler_for))})
    except RecursionError:
        return dumps(document)


def decode(text: str) -> Any:
    """Turn text into plain JSON values.

    Args:
        text: JSON text of any origin.

    Returns:
        The value.

    Raises:
        DBOSSerializationError: The text is not JSON.
    """
    return loads(text)


def decode_error(text: str) -> PortableWorkflowError:
    """Turn text into the exception that it describes.

    Args:
        text: JSON text of any origin; should be an object as `encode_error` makes it.

    Returns:
        The exception.

    Raises:
        DBOSSerializationError: The text is not JSON.
    """
    document = loads(text)
    return portable_error(document if isinstance(document, dict) else {"message": document})


def _encode_str(value: str, _walk: Walk) -> str:
    if not is_utf8(value):
        raise RefusedError("it contains half of a surrogate pair, which no other language can read")
    return str.__str__(value)


def _encode_int(value: int, _walk: Walk) -> int:
    if value.bit_length() > _MAX_DIGITS_BITS:
        raise RefusedError("an integer of this size cannot be written as JSON; pass it as text")
    return int(value)


def _encode_float(value: float, _walk: Walk) -> float:
    if value - value != 0.0:
        raise RefusedError("JSON has no NaN and no infinity; pass null or text")
    return float(value)


def _encode_items(values: Iterable[Any], walk: Walk) -> list[Any]:
    encoded = []
    for index, value in enumerate(values):
        encoded.append(walk.child(value, index))
    return encoded


def _encode_dict(value: Mapping[Any, Any], walk: Walk) -> dict[str, Any]:
    encoded = {}
    for key, item in value.items():
        if not isinstance(key, str):
            raise RefusedError(
                f"a key is of type {type_name(type(key))}; the keys of an object must be text"
            )
        encoded[_encode_str(key, walk)] = walk.child(item, (key,))
    return encoded


def _encode_datetime(value: datetime, _walk: Walk) -> str:
    utc = (
        value.replace(tzinfo=timezone.utc)
        if value.tzinfo is None
        else value.astimezone(timezone.utc)
    )
    return utc.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def _refuse(value: object, _walk: Walk) -> Any:
    raise RefusedError(
        f"values of type {type_name(type(value))} have no portable form; convert it to text, "
        "a number, a list or a dictionary"
    )


# The first class that the value's class is or derives from decides: bool before int, datetime
# before date.
_BY_BASE: tuple[tuple[type, Handler], ...] = (
    (type(None), lambda _value, _walk: None),
    (bool, lambda value, _walk: value),
    (str, _encode_str),
    (int, _encode_int),
    (float, _encode_float),
    (dict, _encode_dict),
    (list, _encode_items),
    (tuple, _encode_items),
    (set, _encode_items),
    (frozenset, _encode_items),
    (datetime, _encode_datetime),
    (date, lambda value, _walk: value.isoformat()),
    (Decimal, lambda value, _walk: str(value)),
)


def _handler_for(cls: type) -> Handler:
    return next((handler for base, handler in _BY_BASE if issubclass(cls, base)), _refuse)
