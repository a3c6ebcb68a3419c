"""Exceptions as data.

    "name", "message", "code", "data"              what every language reads
    "class", "args", "kwargs", "state", "cause"    how Python remakes it as its own class

Most classes come back as pickle would bring them, but without their constructor being called: one
with required keywords, or one that formats its message, could not be given what it wants. A class
that defines `__reduce__` says itself what its constructor is to be called with.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import FunctionType, GetSetDescriptorType, MemberDescriptorType
from typing import Any

from pyengine.errors import PortableWorkflowError
from pyengine.serialization.jsontext import is_storable_text, readable
from pyengine.serialization.registry import (
    RefusedError,
    call_encode,
    canonical_name,
    find_class,
    registration_of,
)
from pyengine.serialization.standard import TAG, tagged
from pyengine.serialization.walk import Walk

_CODE_ATTRIBUTES = ("code", "error_code", "errno", "status", "status_code", "dbos_error_code")
_DATA_ATTRIBUTES = ("data", "details", "payload", "extra", "meta", "metadata")

# An exception, its causes and the exceptions they carry, one inside the other.
_MAX_CHAIN = 20

# What a row says must never end the process that reads it.
_ENDS_THE_PROCESS = (SystemExit, KeyboardInterrupt, GeneratorExit)


def message_of(error: BaseException) -> str:
    """Give the text of an exception, also if its own `__str__` fails."""
    try:
        return readable(str(error))
    except Exception as failure:
        return f"(its text is not available: {type(failure).__name__})"


def name_of(error: BaseException) -> str:
    """Give the name that every language knows an exception by."""
    return error.name if isinstance(error, PortableWorkflowError) else type(error).__name__


def code_of(error: BaseException) -> int | str | None:
    """Give the first number or text among the attributes that usually hold an error's code."""
    for attribute in _CODE_ATTRIBUTES:
        code = _attribute(error, attribute)
        if type(code) is int and code.bit_length() < 64:
            return code
        if type(code) is str:
            return readable(code)
    return None


def data_of(error: BaseException, walk: Walk) -> Any:
    """Give the first storable value among the attributes that usually hold an error's data."""
    for attribute in _DATA_ATTRIBUTES:
        data = _attribute(error, attribute)
        if data is not None:
            stored, encoded = walk.attempt(data, f".{attribute}")
            if stored:
                return encoded
    return None


def _attribute(error: BaseException, name: str) -> Any:
    try:
        return getattr(error, name, None)
    except Exception:  # a property of the user's that fails holds no code and no data
        return None


def document_of(error: BaseException, walk: Walk) -> dict[str, Any]:
    """Make the stored form of an exception.

    An attribute or cause that cannot be stored is left out. If an argument cannot, the exception is
    stored as a plain Exception with the text "{Type}: {message}". Nothing is refused.

    Args:
        error: The exception.
        walk: The pass that it is part of.

    Returns:
        Plain JSON values.
    """
    depth = walk.depth
    walk.open_errors.add(id(error))
    document = {
        "name": readable(name_of(error)),
        "message": message_of(error),
        "code": code_of(error),
        "data": data_of(error, walk),
    }
    try:
        document.update(_how_to_remake(error, walk))
    except RefusedError:
        walk.return_to(depth)
        document.update(plain_remake(error))
    finally:
        walk.open_errors.discard(id(error))
    return document


def plain_remake(error: BaseException) -> dict[str, Any]:
    """Describe the plain Exception that stands for one that cannot be stored."""
    text = readable(f"{type(error).__name__}: {message_of(error)}")
    return {"class": "builtins:Exception", "args": [text]}


def encode_exception(error: BaseException, walk: Walk) -> Any:
    """Encode an exception that is part of a value."""
    if id(error) in walk.open_errors or len(walk.open_errors) >= _MAX_CHAIN:
        raise RefusedError("the exception refers to itself or to too many others")
    return tagged("exception", document_of(error, walk))


def _how_to_remake(error: BaseException, walk: Walk) -> dict[str, Any]:
    registration = registration_of(type(error))
    if registration is not None and registration.encode is not None:
        encoded = walk.child(call_encode(registration, error), "")
        return {"class": registration.name, "encoded": encoded}
    args, kwargs, attributes = _construction(error)
    parts: dict[str, Any] = {
        "class": canonical_name(type(error)) if registration is None else registration.name,
        "args": [walk.child(argument, f".args[{i}]") for i, argument in enumerate(args)],
    }
    if kwargs is not None:
        parts["kwargs"] = walk.child(kwargs, "")
    state = {}
    for name, value in attributes.items():
        stored, encoded = walk.attempt(value, f".{name}")
        if stored and not _is_reserved(name):
            state[name] = encoded
    if state:
        parts["state"] = state
    if error.__cause__ is not None:
        stored, encoded = walk.attempt(error.__cause__, ".__cause__")
        if stored:
            parts["cause"] = encoded
    return parts


def _construction(
    error: BaseException,
) -> tuple[tuple[Any, ...], dict[str, Any] | None, Mapping[str, Any]]:
    """Take apart what pickle would store: arguments, keywords to construct it by, attributes."""
    cls = type(error)
    try:
        reduced: Any = error.__reduce_ex__(2)
        target, args, *rest = reduced
        state = rest[0] if rest and isinstance(rest[0], Mapping) else {}
        if target is cls:
            return tuple(args), {} if _constructs_from_reduction(cls) else None, state
        if isinstance(target, partial) and target.func is cls:
            return (*target.args, *args), dict(target.keywords), state
    except Exception:  # an exception that refuses to be pickled still has arguments and attributes
        return error.args, None, vars(error)
    return error.args, None, vars(error)


def _constructs_from_reduction(cls: type[BaseException]) -> bool:
    methods = (cls.__reduce__, cls.__reduce_ex__)
    return any(isinstance(method, FunctionType) for method in methods)


def _is_reserved(name: object) -> bool:
    """Say whether an attribute is Python's own, or could not be the name of one."""
    if type(name) is not str or name in {"args", TAG} or not is_storable_text(name):
        return True
    return name.startswith("__") and name != "__notes__"


def restore_exception(document: Mapping[str, Any]) -> BaseException:
    """Bring an exception back.

    Args:
        document: What `document_of` made, its parts already restored.

    Returns:
        An exception of its own class if the application registered or imported it and it can be
        made, else a PortableWorkflowError.
    """
    name = document.get("class")
    cls = find_class(name) if isinstance(name, str) else None
    if cls is None or not issubclass(cls, BaseException) or issubclass(cls, _ENDS_THE_PROCESS):
        return portable_error(document)
    try:
        return _remake(cls, document)
    except Exception:  # whatever its code does with arguments from another version of it
        return portable_error(document)


def _remake(cls: type[BaseException], document: Mapping[str, Any]) -> BaseException:
    registration = registration_of(cls)
    if registration is not None and registration.decode is not None:
        decoded = registration.decode(document["encoded"])
        if not isinstance(decoded, BaseException):
            raise TypeError("decode did not return an exception")
        return decoded
    args, kwargs = document["args"], document.get("kwargs")
    error: BaseException
    if isinstance(kwargs, dict) and _constructs_from_reduction(cls):
        error = cls(*args, **kwargs)
    else:
        error = cls.__new__(cls, *args)
        _builtin_base(cls).__init__(error, *args)
    for attribute, value in document.get("state", {}).items():
        _restore_attribute(error, attribute, value)
    cause = document.get("cause")
    if isinstance(cause, BaseException):
        error.__cause__ = cause
    return error


def _builtin_base(cls: type[BaseException]) -> Any:
    """Find the nearest class written in C, such as OSError: only its code can set its fields."""
    return next(
        base
        for base in cls.__mro__
        if not isinstance(vars(base).get("__init__"), FunctionType) and "__init__" in vars(base)
    )


def _restore_attribute(error: BaseException, name: str, value: Any) -> None:
    if _is_reserved(name):
        return
    if isinstance(getattr(type(error), name, None), (MemberDescriptorType, GetSetDescriptorType)):
        setattr(error, name, value)
    else:
        vars(error)[name] = value


def portable_error(document: Mapping[str, Any]) -> PortableWorkflowError:
    """Make the exception that stands for one whose class is not known here.

    Args:
        document: The stored form, perhaps written by another language: every part may be missing.

    Returns:
        The exception.
    """
    message, name, code = (document.get(part) for part in ("message", "name", "code"))
    return PortableWorkflowError(
        message if isinstance(message, str) else "the stored error has no message",
        name if isinstance(name, str) else "Error",
        code if isinstance(code, (int, str)) else None,
        document.get("data"),
    )
