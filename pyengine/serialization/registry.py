"""Which classes a stored payload may name: those registered here, and those already imported.

A class is named `module:qualified.name`. It is looked for among the loaded modules without running
any code of theirs, so a row can neither import a module nor reach anything but a class by its own
name.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, overload

from pyengine.errors import DBOSInvalidArgumentError

_T = TypeVar("_T")
_C = TypeVar("_C", bound=type)


class RefusedError(Exception):
    """A value has no stored form; the message says why and what to do, never what the value is."""


class Registration(NamedTuple):
    """What `register_type` was told about a class."""

    cls: type
    name: str
    encode: Callable[[Any], Any] | None
    decode: Callable[[Any], Any] | None


_by_class: dict[type, Registration] = {}
_by_name: dict[str, Registration] = {}


def type_name(cls: type) -> str:
    """Name a class for people: with its module unless it is a builtin."""
    return (
        cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    )


def registration_of(cls: type) -> Registration | None:
    """Find what was registered for exactly this class."""
    return _by_class.get(cls)


def call_encode(registration: Registration, value: Any) -> Any:
    """Ask the application's function for the form of a value that can be stored.

    Raises:
        RefusedError: The function failed; its exception is the cause.
    """
    if registration.encode is None:
        raise RefusedError(
            f"the type {type_name(registration.cls)} is registered without encode and decode"
        )
    try:
        return registration.encode(value)
    except Exception as error:
        raise RefusedError(
            f"encode of the registered type {type_name(registration.cls)} failed"
        ) from error


def registration_named(name: str) -> Registration | None:
    """Find what was registered under the name."""
    return _by_name.get(name)


def reference(cls: type) -> str | None:
    """Name a class so that `find_class` finds it again.

    Args:
        cls: Any class.

    Returns:
        Its registered name or `module:qualified.name`; None if that would not lead back to it, as
        for a class defined inside a function.
    """
    registered = _by_class.get(cls)
    if registered is not None:
        return registered.name
    return canonical_name(cls) if _find_imported(canonical_name(cls)) is cls else None


def canonical_name(cls: type) -> str:
    """Give `module:qualified.name`, whether or not it leads back to the class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(name: str) -> type | None:
    """Find a class that the application registered or imported.

    Args:
        name: What `reference` gave.

    Returns:
        The class, or None.
    """
    registered = _by_name.get(name)
    return registered.cls if registered is not None else _find_imported(name)


def _find_imported(name: str) -> type | None:
    module_name, _, qualified = name.partition(":")
    module = sys.modules.get(module_name)
    if module is None:
        return None
    # Namespaces are read directly: attribute access could run a module's __getattr__, which
    # imports. # The whole name comes first because a generic model is called "Box[datetime.date]".
    found: object = vars(module).get(qualified)
    if found is None:
        found = module
        for part in qualified.split("."):
            found = vars(found).get(part) if isinstance(found, type) or found is module else None
    return found if isinstance(found, type) and canonical_name(found) == name else None


@overload
def register_type(cls: _C) -> _C: ...
@overload
def register_type(
    cls: type[_T],
    encode: Callable[[_T], Any] | None = None,
    decode: Callable[[Any], _T] | None = None,
    name: str | None = None,
) -> type[_T]: ...
def register_type(
    cls: type,
    encode: Callable[[Any], Any] | None = None,
    decode: Callable[[Any], Any] | None = None,
    name: str | None = None,
) -> type:
    """Allow values of a class in payloads, or choose how they are stored. Usable as a decorator.

    Enums, named tuples, dataclasses, pydantic models and exceptions at module level need none of
    this. Other classes do (with `encode` and `decode`), and classes made inside a function, and a
    class that has moved, to keep reading its rows (with its old `name`).

    Args:
        cls: The class. Its subclasses are not included.
        encode: Turns an instance into something that can be stored; None for the kinds named above.
        decode: Turns what `encode` gave back into an equal instance.
        name: What rows call it; contains a colon. None means `module:qualified.name`.

    Returns:
        The class.

    Raises:
        DBOSInvalidArgumentError: Only one of `encode` and `decode` is given, the name has no colon,
            or it belongs to another class.
    """
    if (encode is None) != (decode is None):
        raise DBOSInvalidArgumentError(
            f"register_type({type_name(cls)}): give both encode and decode, or neither"
        )
    stored_name = canonical_name(cls) if name is None else name
    if ":" not in stored_name:
        raise DBOSInvalidArgumentError(
            f"register_type({type_name(cls)}): the name must contain a colon, as in 'shop:Order'"
        )
    holder = _by_name.get(stored_name)
    # A reloaded module registers its new class under the old one's name.
    if holder is not None and canonical_name(holder.cls) != canonical_name(cls):
        raise DBOSInvalidArgumentError(
            f"register_type({type_name(cls)}): the name {stored_name!r} "
            f"belongs to {type_name(holder.cls)}; choose another"
        )
    registration = Registration(cls, stored_name, encode, decode)
    _by_class[cls] = registration
    _by_name[stored_name] = registration
    return cls
