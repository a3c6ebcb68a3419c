"""The types of the standard library that JSON lacks, each as `{"$type": …, "value": …}`."""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path, PosixPath, PurePosixPath, PureWindowsPath, WindowsPath
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pyengine.serialization.jsontext import is_storable_text
from pyengine.serialization.registry import RefusedError, type_name
from pyengine.serialization.walk import Walk

TAG = "$type"
VALUE = "value"
STATE = "state"

Handler = Callable[[Any, Walk], Any]
Restorer = Callable[[Any, Mapping[str, Any]], Any]

# Integers beyond Python's default limit for decimal digits (4300) are stored in base 16.
_MAX_PLAIN_BITS = 14_000

# The only callables that a defaultdict may call again when it comes back.
_FACTORIES: Mapping[str, Callable[[], Any] | None] = {
    "None": None,
    **{factory.__name__: factory for factory in (bool, dict, float, int, list, set, str, tuple)},
}


def tagged(tag: str, value: Any, state: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make the stored form of a value that JSON lacks.

    Args:
        tag: A name of this module, or the name of a class.
        value: Plain JSON values.
        state: What else is needed to restore it; left out when empty.

    Returns:
        The object to store.
    """
    document = {TAG: tag, VALUE: value}
    if state:
        document[STATE] = state
    return document


def _unchanged(value: Any, _walk: Walk) -> Any:
    return value


def _encode_str(value: str, _walk: Walk) -> Any:
    if is_storable_text(value):
        return value
    return tagged("str", base64.b64encode(value.encode("utf-8", "surrogatepass")).decode())


def _encode_int(value: int, _walk: Walk) -> Any:
    return value if value.bit_length() <= _MAX_PLAIN_BITS else tagged("int", hex(value))


def _encode_float(value: float, _walk: Walk) -> Any:
    return value if math.isfinite(value) else tagged("float", str(value))


def _items(values: Iterable[Any], walk: Walk) -> list[Any]:
    encoded = []
    for index, value in enumerate(values):
        encoded.append(walk.child(value, index))
    return encoded


def _pairs(values: Mapping[Any, Any], walk: Walk) -> list[Any]:
    encoded = []
    for key, value in values.items():
        encoded.append([walk.child(key, (key,)), walk.child(value, (key,))])
    return encoded


def encode_dict(value: dict[Any, Any], walk: Walk) -> Any:
    """Encode a dictionary: as an object if its keys can be an object's, else as pairs."""
    encoded = {}
    for key, item in value.items():
        if type(key) is not str or key == TAG or not is_storable_text(key):
            return tagged("dict", _pairs(value, walk))
        encoded[key] = walk.child(item, (key,))
    return encoded


def _encode_list(value: list[Any], walk: Walk) -> Any:
    return _items(value, walk)


def _encode_defaultdict(value: defaultdict[Any, Any], walk: Walk) -> Any:
    factory = value.default_factory
    for name, known in _FACTORIES.items():
        if factory is known:
            return tagged("defaultdict", _pairs(value, walk), {"factory": name})
    raise RefusedError(
        "the default_factory of a defaultdict can only be None or one of "
        "bool, dict, float, int, list, set, str and tuple; convert it with dict(...)"
    )


def _encode_deque(value: deque[Any], walk: Walk) -> Any:
    return tagged("deque", _items(value, walk), {"maxlen": value.maxlen})


def _encode_zone(moment: datetime | time) -> dict[str, Any]:
    state: dict[str, Any] = {"fold": 1} if moment.fold else {}
    zone = moment.tzinfo
    if type(zone) is ZoneInfo and zone.key is not None:
        state["zone"] = zone.key
    elif type(zone) is timezone:
        offset = zone.utcoffset(None)
        if offset.microseconds:  # fromisoformat takes an offset of less than a second for UTC
            state["offset"] = [offset.days, offset.seconds, offset.microseconds]
        if zone.tzname(None) != timezone(offset).tzname(None):
            state["zone_name"] = zone.tzname(None)
    elif zone is not None:
        raise RefusedError(
            f"its time zone is a {type_name(type(zone))} without a name that others know; "
            "use zoneinfo.ZoneInfo(name) or datetime.timezone"
        )
    return state


def _decode_zone(state: Mapping[str, Any], zone: tzinfo | None) -> tzinfo | None:
    if "zone" in state:
        return ZoneInfo(state["zone"])
    if "offset" in state:
        zone = timezone(timedelta(*state["offset"]))
    if "zone_name" in state and isinstance(zone, timezone):
        return timezone(zone.utcoffset(None), state["zone_name"])
    return zone


def _encode_datetime(value: datetime, _walk: Walk) -> Any:
    return tagged("datetime", value.isoformat(), _encode_zone(value))


def _decode_datetime(value: Any, state: Mapping[str, Any]) -> datetime:
    # The wall time is kept, not the instant, should the rules of the zone have changed meanwhile.
    moment = datetime.fromisoformat(value)
    return moment.replace(
        tzinfo=_decode_zone(state, moment.tzinfo), fold=1 if state.get("fold") else 0
    )


def _encode_time(value: time, _walk: Walk) -> Any:
    return tagged("time", value.isoformat(), _encode_zone(value))


def _decode_time(value: Any, state: Mapping[str, Any]) -> time:
    moment = time.fromisoformat(value)
    return moment.replace(
        tzinfo=_decode_zone(state, moment.tzinfo), fold=1 if state.get("fold") else 0
    )


def _text(tag: str) -> Handler:
    return lambda value, _walk: tagged(tag, str(value))


def _base64(tag: str) -> Handler:
    return lambda value, _walk: tagged(tag, base64.b64encode(value).decode())


def _sequence(tag: str) -> Handler:
    return lambda value, walk: tagged(tag, _items(value, walk))


def _mapping(tag: str) -> Handler:
    return lambda value, walk: tagged(tag, _pairs(value, walk))


def _path(tag: str) -> Handler:
    return lambda value, walk: tagged(tag, walk.child(str(value), ""))


ENCODERS: Mapping[type, Handler] = {
    type(None): _unchanged,
    bool: _unchanged,
    str: _encode_str,
    int: _encode_int,
    float: _encode_float,
    list: _encode_list,
    dict: encode_dict,
    tuple: _sequence("tuple"),
    set: _sequence("set"),
    frozenset: _sequence("frozenset"),
    deque: _encode_deque,
    OrderedDict: _mapping("ordered_dict"),
    Counter: _mapping("counter"),
    defaultdict: _encode_defaultdict,
    bytes: _base64("bytes"),
    bytearray: _base64("bytearray"),
    complex: lambda value, walk: tagged("complex", _items((value.real, value.imag), walk)),
    Decimal: _text("decimal"),
    UUID: _text("uuid"),
    datetime: _encode_datetime,
    date: lambda value, _walk: tagged("date", value.isoformat()),
    time: _encode_time,
    timedelta: lambda value, _walk: tagged(
        "timedelta", [value.days, value.seconds, value.microseconds]
    ),
    PurePosixPath: _path("pure_posix_path"),
    PureWindowsPath: _path("pure_windows_path"),
    PosixPath: _path("path"),
    WindowsPath: _path("path"),
}

RESTORERS: Mapping[str, Restorer] = {
    "str": lambda value, _state: base64.b64decode(value).decode("utf-8", "surrogatepass"),
    "int": lambda value, _state: int(value, 16),
    "float": lambda value, _state: float(value),
    "dict": lambda value, _state: dict(value),
    "tuple": lambda value, _state: tuple(value),
    "set": lambda value, _state: set(value),
    "frozenset": lambda value, _state: frozenset(value),
    "deque": lambda value, state: deque(value, state["maxlen"]),
    "ordered_dict": lambda value, _state: OrderedDict(value),
    "counter": lambda value, _state: Counter(dict(value)),
    "defaultdict": lambda value, state: defaultdict(_FACTORIES[state["factory"]], value),
    "bytes": lambda value, _state: base64.b64decode(value, validate=True),
    "bytearray": lambda value, _state: bytearray(base64.b64decode(value, validate=True)),
    "complex": lambda value, _state: complex(*value),
    "decimal": lambda value, _state: Decimal(value),
    "uuid": lambda value, _state: UUID(value),
    "datetime": _decode_datetime,
    "date": lambda value, _state: date.fromisoformat(value),
    "time": _decode_time,
    "timedelta": lambda value, _state: timedelta(*value),
    "pure_posix_path": lambda value, _state: PurePosixPath(value),
    "pure_windows_path": lambda value, _state: PureWindowsPath(value),
    "path": lambda value, _state: Path(value),
}
