"""The form "json": plain JSON stays plain, and every other value is tagged and comes back equal.

A tagged value is an object with the keys "$type" and "value", and "state" where more is needed. A
"$type" with a colon names a class. A dictionary of the application that has such a key is stored as
pairs, so it is never mistaken for one. The text can always be cast to jsonb.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

from pyengine.errors import DBOSSerializationError
from pyengine.serialization.classes import UnfitError, handler_for_class, restore_instance
from pyengine.serialization.exceptions import (
    document_of,
    encode_exception,
    plain_remake,
    portable_error,
    restore_exception,
)
from pyengine.serialization.jsontext import dumps, is_utf8, loads, reader
from pyengine.serialization.registry import (
    RefusedError,
    Registration,
    call_encode,
    find_class,
    registration_named,
    registration_of,
    type_name,
)
from pyengine.serialization.standard import (
    ENCODERS,
    RESTORERS,
    STATE,
    TAG,
    VALUE,
    Handler,
    tagged,
)
from pyengine.serialization.walk import MAX_DEPTH, Walk

_SCALARS = frozenset({str, int, float, bool, type(None)})

# The keys of the object that holds the arguments of a call.
argument_keys = ("positionalArgs", "namedArgs")


def encode(value: object, root: str) -> str:
    """Turn a value into text.

    Args:
        value: Anything.
        root: What to call it in an error.

    Returns:
        JSON text.

    Raises:
        DBOSSerializationError: The value, or something in it that the message locates, has no
        stored form.
    """
    if _is_plain(value, 0):
        text = _plain_text(value)
        if text is not None:
            return text
    return dumps(Walk(root, _handler_for).encode(value))


def encode_arguments(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Turn the arguments of a call into text.

    Args:
        args: The positional arguments.
        kwargs: The named arguments.

    Returns:
        JSON text: an object with "positionalArgs" and "namedArgs".

    Raises:
        DBOSSerializationError: As for `encode`.
    """
    positional = list(args)
    plain = {"positionalArgs": positional, "namedArgs": kwargs}
    if _is_plain(positional, 0) and _is_plain(kwargs, 0):
        text = _plain_text(plain)
        if text is not None:
            return text
    return dumps(
        {
            "positionalArgs": Walk("args", _handler_for).encode(positional),
            "namedArgs": Walk("kwargs", _handler_for).encode(kwargs),
        }
    )


def encode_error(error: BaseException) -> str:
    """Turn an exception into text. Nothing is refused.

    Args:
        error: Any exception.

    Returns:
        JSON text: an object with "name", "message", "code", "data" and how to remake it.
    """
    walk = Walk("error", _handler_for)
    try:
        return dumps(document_of(error, walk))
    except RecursionError:
        plain = plain_remake(error)
        return dumps({"name": type(error).__name__, "message": plain["args"][0], **plain})


def decode(text: str) -> Any:
    """Turn text back into the value.

    Args:
        text: What `encode` gave, or JSON that another language wrote.

    Returns:
        The value.

    Raises:
        DBOSSerializationError: The text is not JSON, or names a type that is not known here.
    """
    # Most payloads have no tag; without the hook the parser stays in C.
    return _read_tagged(text) if TAG in text else loads(text)


def decode_error(text: str) -> BaseException:
    """Turn text back into the exception.

    Args:
        text: What `encode_error` gave, or an object that another language wrote.

    Returns:
        The exception, as a PortableWorkflowError if it cannot be of its own class here.

    Raises:
        DBOSSerializationError: The text is not JSON.
    """
    try:
        document = decode(text)
    except DBOSSerializationError:
        # A part of it is of a type that is not known here; what every language reads is left.
        document = loads(text)
        if isinstance(document, dict):
            return portable_error(document)
    if isinstance(document, BaseException):
        return document
    if not isinstance(document, dict):
        document = {"message": document}
    return restore_exception(document)


def _is_plain(value: object, depth: int) -> bool:
    """Say whether the JSON encoder alone gives text that comes back equal.

    It would silently turn tuples into lists, keys into text and subclasses into their base, so
    every
    type is compared exactly. What it refuses by itself (NaN, huge integers) is not looked for.
    """
    if depth >= MAX_DEPTH:
        return False
    if type(value) is dict:
        if TAG in value:
            return False
        for key, item in value.items():
            if type(key) is not str:
                return False
            if type(item) not in _SCALARS and not _is_plain(item, depth + 1):
                return False
        return True
    if type(value) is list:
        for item in value:  # noqa: SIM110 - a generator would cost more than the check
            if type(item) not in _SCALARS and not _is_plain(item, depth + 1):
                return False
        return True
    return type(value) in _SCALARS


def _plain_text(value: object) -> str | None:
    """Encode a plain value; None if it holds something that needs a tag after all."""
    try:
        text = dumps(value)
    except ValueError:  # NaN, an infinity, or an integer with too many digits
        return None
    return text if "\\u0000" not in text and is_utf8(text) else None


def _handler_for(cls: type) -> Handler:
    handler = ENCODERS.get(cls)
    if handler is not None:
        return handler
    if issubclass(cls, BaseException):
        return encode_exception
    registration = registration_of(cls)
    if registration is not None and registration.encode is not None:
        return partial(_encode_registered, registration)
    handler = handler_for_class(cls)
    return _refuse if handler is None else handler


def _encode_registered(registration: Registration, value: object, walk: Walk) -> Any:
    return tagged(registration.name, walk.child(call_encode(registration, value), ""))


def _refuse(value: object, _walk: Walk) -> Any:
    cls = type(value)
    for base in (str, int, float, bytes, dict, list, tuple, set, frozenset):
        if isinstance(value, base):
            raise RefusedError(
                f"{type_name(cls)} is a subclass of {base.__name__} and would come back as one; "
                f"convert it with {base.__name__}(...) or call register_type on it"
            )
    if isinstance(value, Coroutine):
        raise RefusedError(
            "it is a coroutine that was not awaited; await it, in an `async def` function"
        )
    raise RefusedError(
        f"values of type {type_name(cls)} cannot be stored; use plain values, a dataclass or a "
        "pydantic model, or call register_type on it with encode and decode"
    )


def _restore(document: dict[str, Any]) -> Any:
    """Restore one object of the text, whose parts the parser has already restored."""
    tag = document.get(TAG)
    state = document.get(STATE, {})
    known_keys = 3 if STATE in document else 2
    if not isinstance(tag, str) or VALUE not in document or len(document) != known_keys:
        return document
    try:
        return _restore_tagged(tag, document[VALUE], state)
    except MemoryError:
        raise
    except UnfitError as error:
        reason, cause = str(error), None
    except RestoreHookError as error:
        reason, cause = "its decode function failed", error.__cause__
    except (
        Exception
    ) as error:  # not chained: the messages of constructors show what they were given
        reason, cause = f"what is stored does not fit it ({type(error).__name__})", None
    raise DBOSSerializationError(
        f"cannot restore a value of type {tag[:100]!r}: {reason}"
    ) from cause


class RestoreHookError(Exception):
    """A function that was given to `register_type` failed; the cause says how."""


def _restore_tagged(tag: str, value: Any, state: Mapping[str, Any]) -> Any:
    restorer = RESTORERS.get(tag)
    if restorer is not None:
        return restorer(value, state)
    if tag == "exception":
        return restore_exception(value)
    registration = registration_named(tag)
    if registration is not None and registration.decode is not None:
        try:
            return registration.decode(value)
        except Exception as error:
            raise RestoreHookError from error
    cls = find_class(tag)
    if cls is None:
        raise UnfitError(
            "no imported module or call of register_type defines it; import its module"
        )
    return restore_instance(cls, value, state)


_read_tagged = reader(_restore)
