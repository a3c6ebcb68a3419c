"""Classes of the application: enums, named tuples, dataclasses and pydantic models.

An instance is stored as its fields under the name of its class. It comes back without its
constructor
being called, so that a constructor that converts or checks its arguments cannot change a stored
value. A field that the class has gained since gets its default; one that it has lost is left out.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping
from enum import Enum, Flag
from functools import cached_property
from typing import Any

from pyengine.serialization.registry import RefusedError, reference, type_name
from pyengine.serialization.standard import Handler, encode_dict, tagged
from pyengine.serialization.walk import Walk

_JSON_LIKE = (str, int, float, bytes, list, tuple, dict, set, frozenset)


class UnfitError(Exception):
    """What is stored does not fit the class; the message says why and shows no value."""


def known_reference(cls: type) -> str:
    """Name a class in a payload.

    Raises:
        RefusedError: No other process could find the class by a name.
    """
    name = reference(cls)
    if name is None:
        raise RefusedError(
            f"the class {type_name(cls)} cannot be found by its name in a loaded module; "
            "define it at module level or call register_type on it"
        )
    return name


def handler_for_class(cls: type) -> Handler | None:
    """Find how instances of a class are stored.

    Args:
        cls: A class that is neither registered with functions of its own nor of the standard
        library.

    Returns:
        The function that encodes them; None if there is none.
    """
    if issubclass(cls, Enum):
        return _encode_enum
    if issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple):
        return _encode_namedtuple
    if _is_model(cls):
        return _encode_model
    if dataclasses.is_dataclass(cls) and not issubclass(cls, _JSON_LIKE):
        return _encode_dataclass
    return None


def restore_instance(cls: type, value: Any, state: Mapping[str, Any]) -> Any:
    """Make an instance of one of the kinds above from its stored form.

    Args:
        cls: A class that the application registered or imported.
        value: What was stored under "value", its parts already restored.
        state: What was stored under "state".

    Returns:
        An instance equal to the one that was stored.

    Raises:
        UnfitError: The class is of none of these kinds, or the value does not fit it.
    """
    if issubclass(cls, Enum):
        return _restore_enum(cls, value)
    if not isinstance(value, dict):
        raise UnfitError("its fields are not an object")
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _restore_namedtuple(cls, value)
    if _is_model(cls):
        return _restore_model(cls, value, state)
    if dataclasses.is_dataclass(cls) and not issubclass(cls, _JSON_LIKE):
        return _restore_dataclass(cls, value, state)
    raise UnfitError(
        "it is not an enum, a named tuple, a dataclass, a pydantic model or registered"
    )


def _fields(names: Iterable[str], holder: Mapping[str, Any], walk: Walk) -> Any:
    encoded = {}
    for name in names:
        if name in holder:
            encoded[name] = walk.child(holder[name], f".{name}")
    return encoded


def _encode_enum(value: Enum, walk: Walk) -> Any:
    # A combination of flags has no name of its own.
    stored = value.value if isinstance(value, Flag) else value.name
    return tagged(known_reference(type(value)), walk.child(stored, ""))


def _restore_enum(cls: type[Enum], value: Any) -> Enum:
    if issubclass(cls, Flag):
        return cls(value)
    member = cls.__members__.get(value) if isinstance(value, str) else None
    if member is None:
        raise UnfitError("it has no member of the stored name")
    return member


def _encode_namedtuple(value: Any, walk: Walk) -> Any:
    names = type(value)._fields
    return tagged(
        known_reference(type(value)), _fields(names, dict(zip(names, value, strict=True)), walk)
    )


def _restore_namedtuple(cls: Any, value: dict[str, Any]) -> Any:
    defaults = cls._field_defaults
    items = []
    for name in cls._fields:
        if name not in value and name not in defaults:
            raise UnfitError(f"the field {name!r} is missing and has no default")
        items.append(value[name] if name in value else defaults[name])
    return tuple.__new__(cls, items)


def _encode_dataclass(value: Any, walk: Walk) -> Any:
    cls = type(value)
    name = known_reference(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    holder = {field: getattr(value, field) for field in names if hasattr(value, field)}
    more = {
        attribute: item
        for attribute, item in getattr(value, "__dict__", {}).items()
        if attribute not in holder and not _is_derived(cls, attribute)
    }
    return tagged(name, _fields(names, holder, walk), _fields(more, more, walk))


def _is_derived(cls: type, attribute: str) -> bool:
    """Say whether an attribute is a cache or Python's own rather than part of the value."""
    if attribute.startswith("__") and attribute.endswith("__"):
        return True
    return any(isinstance(vars(base).get(attribute), cached_property) for base in cls.__mro__)


def _restore_dataclass(cls: type, value: dict[str, Any], state: Mapping[str, Any]) -> Any:
    instance: Any = object.__new__(cls)
    for field in dataclasses.fields(cls):
        if field.name in value:
            item = value[field.name]
        elif field.default is not dataclasses.MISSING:
            item = field.default
        elif field.default_factory is not dataclasses.MISSING:
            item = field.default_factory()
        elif not field.init:
            continue
        else:
            raise UnfitError(f"the field {field.name!r} is missing and has no default")
        object.__setattr__(instance, field.name, item)
    if hasattr(instance, "__dict__"):
        instance.__dict__.update(state)
    return instance


def _model_base() -> Any:
    """Give pydantic's BaseModel if the application has imported it; nobody else has models."""
    return getattr(sys.modules.get("pydantic.main"), "BaseModel", None)


def _is_model(cls: type) -> bool:
    base = _model_base()
    return base is not None and issubclass(cls, base) and hasattr(cls, "__pydantic_fields__")


def _encode_model(value: Any, walk: Walk) -> Any:
    cls = type(value)
    name = known_reference(cls)
    declared = cls.__pydantic_fields__
    state: dict[str, Any] = {}
    fields_set = value.__pydantic_fields_set__
    if fields_set != set(declared):
        state["set"] = walk.child(sorted(fields_set), ".model_fields_set")
    if value.__pydantic_extra__:
        state["extra"] = encode_dict(value.__pydantic_extra__, walk)
    private = {
        attribute: item
        for attribute, item in (value.__pydantic_private__ or {}).items()
        if type(item).__name__ != "PydanticUndefinedType"
    }
    if private:
        state["private"] = _fields(private, private, walk)
    return tagged(name, _fields(declared, vars(value), walk), state)


def _restore_model(cls: Any, value: dict[str, Any], state: Mapping[str, Any]) -> Any:
    holder = {}
    for name, field in cls.__pydantic_fields__.items():
        if name in value:
            holder[name] = value[name]
        elif field.is_required():
            raise UnfitError(f"the field {name!r} is missing and has no default")
        else:
            holder[name] = field.get_default(call_default_factory=True)
    instance = cls.__new__(cls)
    attributes: dict[str, Any] = {
        "__dict__": holder,
        "__pydantic_fields_set__": set(state.get("set", value)),
    }
    if not cls.__pydantic_root_model__:
        allows_extra = cls.model_config.get("extra") == "allow"
        attributes["__pydantic_extra__"] = dict(state.get("extra", {})) if allows_extra else None
        attributes["__pydantic_private__"] = _private_attributes(cls, state.get("private", {}))
    for name, item in attributes.items():
        object.__setattr__(instance, name, item)
    return instance


def _private_attributes(cls: Any, stored: Mapping[str, Any]) -> dict[str, Any] | None:
    declared = cls.__private_attributes__
    if not declared:
        return None
    private = {name: stored[name] for name in declared if name in stored}
    for name, attribute in declared.items():
        default = attribute.get_default()
        if name not in private and type(default).__name__ != "PydanticUndefinedType":
            private[name] = default
    return private
