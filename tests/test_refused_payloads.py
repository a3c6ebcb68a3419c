"""Values that have no stored form, and stored text that is damaged or hostile."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest

from pyengine.errors import DBOSSerializationError
from pyengine.serialization import NATIVE, Codec
from tests import serialization_samples as samples

codec = Codec()


CYCLE: list[Any] = []
CYCLE.extend([CYCLE, CYCLE])


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class OddZone(tzinfo):
    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, dt: datetime | None) -> None:
        return None

    def tzname(self, dt: datetime | None) -> None:
        return None


REFUSED: list[tuple[Any, str, str]] = [
    (
        {"items": [1, 2, 3, samples.Unknown()]},
        "result['items'][3]",
        "serialization_samples.Unknown",
    ),
    (samples.Unknown, "result", "type"),
    (len, "result", "builtin_function_or_method"),
    ([object()], "result[0]", "object"),
    ({"a": samples.Label("x")}, "result['a']", "a subclass of str"),
    ({(1, samples.Unknown()): 1}, "result[key of type tuple][1]", "Unknown"),
    (samples.Item("a", tags=[samples.Unknown()]), "result.tags[0]", "Unknown"),  # type: ignore[list-item]
    (samples.Open(b=samples.Unknown()), "result['b']", "Unknown"),  # type: ignore[call-arg]
    (samples.local_class()(1), "result", "define it at module level or call register_type"),
    (datetime(2024, 1, 1, tzinfo=OddZone()), "result", "OddZone"),
    (defaultdict(lambda: 1), "result", "default_factory"),
    (memoryview(b"a"), "result", "memoryview"),
    (CYCLE, "result[0][0][0]", "refers to itself or is nested deeper than 200"),
    (nested(201), "result[0][0][0]", "nested deeper than 200"),
    (nested(100_000), "result[0][0][0]", "nested deeper than 200"),
    ((nested(500),), "result[0][0][0]", "nested deeper than 200"),
]


@pytest.mark.parametrize(("value", "place", "reason"), REFUSED, ids=[r[2][:40] for r in REFUSED])
def test_a_value_without_a_stored_form_is_refused_with_its_place_and_type(
    value: Any, place: str, reason: str
) -> None:
    with pytest.raises(DBOSSerializationError) as caught:
        codec.encode(value)

    assert f"cannot store {place}" in str(caught.value)
    assert reason in str(caught.value)
    assert isinstance(caught.value, TypeError)


def test_a_refusal_names_the_value_as_the_caller_does_and_never_shows_it() -> None:
    value = {"k" * 500: [samples.Label("secret")]}

    with pytest.raises(DBOSSerializationError, match=r"cannot store message\['kkk") as caught:
        codec.encode(value, what="message")

    assert "secret" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("args", "kwargs", "place"),
    [((1, {"a": len}), {}, r"args\[1\]\['a'\]"), ((), {"b": len}, r"kwargs\['b'\]")],
)
def test_a_refused_argument_is_named_by_its_position_or_name(
    args: tuple[Any, ...], kwargs: dict[str, Any], place: str
) -> None:
    with pytest.raises(DBOSSerializationError, match=f"cannot store {place}"):
        codec.encode_arguments(args, kwargs)


def test_values_nested_to_the_limit_come_back() -> None:
    assert codec.decode(codec.encode(nested(200)), NATIVE) == nested(200)
    assert codec.decode(codec.encode((nested(199),)), NATIVE) == (nested(199),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON at line 1 column 2"),
        ("NaN", "not JSON: it contains a bare NaN"),
        ("[1e400]", "too large for a float"),
        ("9" * 5000, "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"$type":"nonsense","value":1}', "'nonsense': no imported module"),
        ('{"$type":"os:system","value":"true"}', "'os:system': no imported module"),
        ('{"$type":"subprocess:Popen","value":{}}', "it is not an enum"),
        ('{"$type":"antigravity:X","value":{}}', "no imported module"),
        ('{"$type":"datetime","value":"secret"}', "does not fit it (ValueError)"),
        ('{"$type":"decimal","value":"secret"}', "does not fit it (InvalidOperation)"),
        ('{"$type":"set","value":[[1]]}', "does not fit it (TypeError)"),
        ('{"$type":"dict","value":[["secret"]]}', "does not fit it (ValueError)"),
        ('{"$type":"bytes","value":"secret!"}', "does not fit it (Error)"),
        ('{"$type":"datetime","value":"2024-01-01","state":{"zone":"../x"}}', "does not fit it"),
        ('{"$type":"datetime","value":"2024-01-01","state":{"zone":"No/Where"}}', "does not fit"),
        ('{"$type":"defaultdict","value":[],"state":{"factory":"exec"}}', "does not fit it"),
        ('{"$type":"tests.serialization_samples:Color","value":"GREEN"}', "no member"),
        ('{"$type":"tests.serialization_samples:Item","value":[]}', "are not an object"),
        ('{"$type":"tests.serialization_samples:Item","value":{}}', "the field 'name' is missing"),
        ('{"$type":"tests.serialization_samples:Point","value":{}}', "the field 'x' is missing"),
        ('{"$type":"tests.serialization_samples:Address","value":{}}', "the field 'city'"),
        ('{"$type":"tests.serialization_samples:date","value":{}}', "no imported module"),
    ],
    ids=lambda text: text[:50],
)
def test_damaged_or_hostile_text_is_refused_without_showing_it(text: str, reason: str) -> None:
    with pytest.raises(DBOSSerializationError) as caught:
        codec.decode(text, NATIVE)

    assert reason in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    "text", ['{"$type":1,"value":2}', '{"$type":"x"}', '{"$type":"a","value":1,"b":2}']
)
def test_an_object_of_another_language_that_only_resembles_a_tag_stays_an_object(text: str) -> None:
    assert codec.decode(text, NATIVE) == json.loads(text)


def test_a_null_column_is_none_and_no_arguments() -> None:
    assert codec.decode(None, NATIVE) is None
    assert codec.decode_arguments(None, NATIVE) == ((), {})


@pytest.mark.parametrize(
    "text",
    ["[1]", '{"positionalArgs":1}', '{"namedArgs":[]}', ('{"positionalArgs":[],"namedArgs":'
     '{"$type":"dict","value":[[1,2]]}}')],
)  # fmt: skip
def test_text_that_holds_no_arguments_is_refused(text: str) -> None:
    with pytest.raises(DBOSSerializationError, match="must be an object with a list"):
        codec.decode_arguments(text, NATIVE)


def test_arguments_written_by_hand_may_leave_out_a_kind() -> None:
    assert codec.decode_arguments('{"positionalArgs":[1]}', NATIVE) == ((1,), {})
    assert codec.decode_arguments('{"namedArgs":{"a":1}}', NATIVE) == ((), {"a": 1})
