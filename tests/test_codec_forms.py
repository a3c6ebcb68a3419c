"""The other forms of payloads: portable JSON, pickle for who asks for it, users' serializers."""

from __future__ import annotations

import json
import sys
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyengine.errors import (
    DBOSInvalidArgumentError,
    DBOSSerializationError,
    DBOSStepTimeoutError,
    PortableWorkflowError,
)
from pyengine.serialization import (
    NATIVE,
    PORTABLE,
    Codec,
    DBOSPortableJSONSerializer,
    PickleSerializer,
    Serializer,
    WorkflowSerializationFormat,
    make_pydantic_args_validator,
    parse_portable_dates,
    pydantic_args_validator,
)
from tests import serialization_samples as samples

codec = Codec()


class Reversed(Serializer):
    """Stores the text of JSON backwards; knows no exceptions."""

    def serialize(self, data: Any) -> str:
        return json.dumps(data)[::-1]

    def deserialize(self, serialized_data: str) -> Any:
        return json.loads(serialized_data[::-1])

    def name(self) -> str:
        return "reversed"


class Renamed(Reversed):
    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        return self._name


class Broken(Serializer):
    def serialize(self, data: Any) -> str:
        return data  # type: ignore[no-any-return]

    def deserialize(self, serialized_data: str) -> Any:
        raise KeyError("x")


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ({"b": 1, "a": [True, None, 1.5]}, '{"b":1,"a":[true,null,1.5]}'),
        ("é\0", '"é\\u0000"'),
        ({"$type": "x", "value": 1}, '{"$type":"x","value":1}'),
        ((1, (2,)), "[1,[2]]"),
        ({1}, "[1]"),
        (frozenset(), "[]"),
        (Decimal("1.10"), '"1.10"'),
        (date(2024, 1, 2), '"2024-01-02"'),
        (datetime(2024, 1, 2, 3, 4, 5, 678901), '"2024-01-02T03:04:05.678Z"'),  # noqa: DTZ001
        (
            datetime(2024, 1, 2, 3, tzinfo=timezone(timedelta(hours=2))),
            '"2024-01-02T01:00:00.000Z"',
        ),
        (samples.Level.HIGH, "2"),
        (samples.Word.YES, '"yes"'),
        (samples.Label("x"), '"x"'),
        (samples.Point(1, 2), "[1,2]"),
        (2**70, "1180591620717411303424"),
    ],
    ids=ascii,
)
def test_the_portable_form_reduces_every_type_to_one_of_json(value: Any, stored: str) -> None:
    assert codec.encode(value, PORTABLE) == stored
    assert codec.decode(stored, PORTABLE) == json.loads(stored)


@pytest.mark.parametrize(
    ("value", "place", "reason"),
    [
        ({"a": [float("nan")]}, "result['a'][0]", "no NaN"),
        ([float("-inf")], "result[0]", "no infinity"),
        ({1: 2}, "result", "a key is of type int"),
        ([{"a": "\ud800"}], "result[0]['a']", "surrogate"),
        ({"\ud800": 1}, "result", "surrogate"),
        (b"x", "result", "type bytes"),
        (samples.Color.RED, "result", "Color"),
        (samples.Item("a"), "result", "Item"),
        (timedelta(1), "result", "datetime.timedelta"),
        (10**5000, "result", "an integer of this size"),
    ],
    ids=lambda part: ascii(part)[:30] if isinstance(part, str) else "value",
)
def test_the_portable_form_refuses_what_other_languages_could_not_read(
    value: Any, place: str, reason: str
) -> None:
    with pytest.raises(DBOSSerializationError) as caught:
        codec.encode(value, PORTABLE)

    assert f"cannot store {place}: " in str(caught.value)
    assert reason in str(caught.value)


def test_portable_arguments_have_two_named_parts() -> None:
    text = codec.encode_arguments((1, (2,)), {"a": Decimal("1")}, PORTABLE)

    assert text == '{"namedArgs":{"a":"1"},"positionalArgs":[1,[2]]}'
    assert codec.decode_arguments(text, PORTABLE) == ((1, [2]), {"a": "1"})


def test_a_portable_error_has_four_parts_and_comes_back_as_portable() -> None:
    error = samples.KeywordError(code=3, reason="full")
    vars(error)["details"] = {"when": date(2024, 1, 2)}

    text = codec.encode_error(error, PORTABLE)
    again = codec.decode_error(text, PORTABLE)

    assert json.loads(text) == {
        "name": "KeywordError",
        "message": "full (3)",
        "code": 3,
        "data": {"when": "2024-01-02"},
    }
    assert isinstance(again, PortableWorkflowError)
    assert (again.name, again.message, again.code) == ("KeywordError", "full (3)", 3)
    assert again.data == {"when": "2024-01-02"}
    assert codec.encode_error(again, PORTABLE) == text


@pytest.mark.parametrize(
    "error",
    [
        samples.MuteError(),
        samples.HoldingError("a", object()),
        samples.PlainError("\ud800\0", len),
        DBOSStepTimeoutError("s", 1),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_has_a_portable_form(error: BaseException) -> None:
    again = codec.decode_error(codec.encode_error(error, PORTABLE), PORTABLE)

    assert isinstance(again, PortableWorkflowError)
    assert again.name == type(error).__name__


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=15,
    )
)  # fmt: skip
def test_json_values_come_back_equal_in_both_json_forms(value: Any) -> None:
    for tag in (NATIVE, PORTABLE):
        assert codec.decode(codec.encode(value, tag), tag) == value


class Tripwire:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("serializer", [None, DBOSPortableJSONSerializer(), Reversed()])
def test_a_reader_that_did_not_ask_for_pickle_never_unpickles(
    serializer: Serializer | None, tmp_path: Path
) -> None:
    tripwire = tmp_path / "tripwire"
    text = Codec(PickleSerializer()).encode(Tripwire(tripwire))
    reader = Codec(serializer)

    for read in (reader.decode, reader.decode_arguments, reader.decode_error):
        with pytest.raises(DBOSSerializationError, match="'py_pickle', which is not configured"):
            read(text, "py_pickle")
    for tag in (NATIVE, PORTABLE, reader.default_tag):
        for read in (reader.decode, reader.decode_error):
            try:
                read(text, tag)
            except DBOSSerializationError:
                assert tag == "reversed"
    assert not tripwire.exists()
    Codec(PickleSerializer()).decode(text, "py_pickle")
    assert tripwire.exists()


def test_pickle_round_trips_what_it_is_asked_to() -> None:
    pickling = Codec(PickleSerializer())
    value = {1: (samples.Unknown, {2})}

    assert pickling.default_tag == "py_pickle"
    assert pickling.decode(pickling.encode(value), "py_pickle") == value
    text = pickling.encode_arguments((1, (2,)), {"a": {3}})
    assert pickling.decode_arguments(text, "py_pickle") == ((1, (2,)), {"a": {3}})
    assert isinstance(json.loads(text), str)


def test_a_codec_with_pickle_still_reads_and_writes_the_json_forms() -> None:
    pickling = Codec(PickleSerializer())

    assert pickling.decode(pickling.encode((1,), NATIVE), NATIVE) == (1,)
    assert pickling.encode((1,), PORTABLE) == "[1]"


def test_a_pickled_error_comes_back_or_becomes_a_plain_exception() -> None:
    pickling = Codec(PickleSerializer())

    def again(error: BaseException) -> Any:
        return pickling.decode_error(pickling.encode_error(error), "py_pickle")

    assert again(samples.ReducingError(5)).value == 5
    # Its constructor needs keywords that pickle does not give it.
    unfit = again(samples.KeywordError(code=1, reason="full"))
    assert (type(unfit), str(unfit)) == (Exception, "KeywordError: full (1)")
    unpicklable = again(samples.HoldingError("lost", lambda: 1))
    assert (type(unpicklable), str(unpicklable)) == (Exception, "HoldingError: lost")


def test_a_value_that_cannot_be_pickled_is_refused_with_its_type() -> None:
    with pytest.raises(
        DBOSSerializationError, match=r"cannot store message: .* of type function"
    ) as caught:
        Codec(PickleSerializer()).encode(lambda: 1, what="message")

    assert caught.value.__cause__ is not None


def test_a_serializer_of_a_user_is_stored_as_a_json_string_under_its_name() -> None:
    custom = Codec(Reversed())

    assert custom.default_tag == "reversed"
    assert custom.encode([1, 2]) == '"]2 ,1["'
    assert custom.decode('"]2 ,1["', "reversed") == [1, 2]
    text = custom.encode_arguments((1, 2), {"a": 3})
    assert custom.decode_arguments(text, "reversed") == ((1, 2), {"a": 3})


def test_a_serializer_without_exceptions_stores_errors_as_every_language_reads_them() -> None:
    custom = Codec(Reversed())

    text = custom.encode_error(samples.PlainError("bad"))
    again = custom.decode_error(text, "reversed")

    assert json.loads(text) == {"name": "PlainError", "message": "bad"}
    assert (type(again), str(again)) == (PortableWorkflowError, "bad")


def test_what_a_serializer_gets_wrong_is_a_clean_error() -> None:
    broken = Codec(Broken())

    with pytest.raises(DBOSSerializationError, match="must return text"):
        broken.encode(3)
    with pytest.raises(DBOSSerializationError, match="must return text"):
        broken.encode("\ud800")
    with pytest.raises(DBOSSerializationError, match="cannot read the stored payload"):
        broken.decode('"x"', "custom_serializer")
    with pytest.raises(DBOSSerializationError, match="not text of that serializer"):
        broken.decode("[1]", "custom_serializer")
    assert (
        str(broken.decode_error(broken.encode_error(ValueError("a")), "custom_serializer")) == "a"
    )


@pytest.mark.parametrize("name", ["", "json", "portable_json"])
def test_a_serializer_cannot_take_the_name_of_a_built_in_form(name: str) -> None:
    with pytest.raises(DBOSInvalidArgumentError, match="return a name of its own"):
        Codec(Renamed(name))


def test_an_unknown_tag_is_refused_in_both_directions() -> None:
    with pytest.raises(DBOSSerializationError, match="'yaml', which is not configured here"):
        codec.decode("1", "yaml")
    with pytest.raises(DBOSSerializationError, match="'yaml', which is not configured here"):
        codec.encode(1, "yaml")


def test_the_portable_serializer_makes_portable_the_default() -> None:
    portable = Codec(DBOSPortableJSONSerializer())

    assert portable.default_tag == PORTABLE
    assert portable.encode((1,)) == "[1]"
    serializer = DBOSPortableJSONSerializer()
    assert serializer.deserialize(serializer.serialize((1,))) == [1]
    assert json.loads(serializer.serialize(ValueError("a")))["name"] == "ValueError"
    assert serializer.name() == PORTABLE


def test_the_format_of_a_workflow_chooses_the_tag() -> None:
    pickling = Codec(PickleSerializer())

    assert [pickling.tag_for(form) for form in (*WorkflowSerializationFormat, None)] == [
        PORTABLE,
        NATIVE,
        "py_pickle",
        "py_pickle",
    ]
    assert [form.value for form in WorkflowSerializationFormat] == ["portable", "native", "None"]


def shop(self: object, when: datetime, day: date, *rest: int, count: int = 1, **more: str) -> None:
    """A workflow method."""


def test_arguments_are_converted_to_the_type_hints_without_calling_the_workflow() -> None:
    validate = make_pydantic_args_validator(shop)

    args, kwargs = validate(("2024-01-02T03:04:05Z", "2024-01-02", "7"), {"count": "3", "x": "y"})

    assert args == (datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone.utc), date(2024, 1, 2), 7)
    assert kwargs == {"count": 3, "x": "y"}


@pytest.mark.parametrize(
    ("args", "kwargs"), [((), {}), (("x", "2024-01-02"), {}), ((1, 2), {"x": 3})]
)
def test_arguments_that_do_not_fit_the_hints_are_refused(
    args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    with pytest.raises(pydantic.ValidationError):
        make_pydantic_args_validator(shop)(args, kwargs)


def test_validation_without_pydantic_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)

    with pytest.raises(DBOSInvalidArgumentError, match="install pydantic 2"):
        make_pydantic_args_validator(shop)


def test_the_marker_for_validation_shows_its_name() -> None:
    assert repr(pydantic_args_validator) == "pydantic_args_validator"


def test_portable_text_becomes_a_date_only_where_the_hint_is_exactly_one() -> None:
    args = ("2024-01-02T03:04:05.678Z", "2024-01-02", "2024-01-02")

    parsed, named = parse_portable_dates(shop, args, {"count": "2024-01-02", "day": "no date"})

    assert parsed == (
        datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=timezone.utc),
        date(2024, 1, 2),
        "2024-01-02",
    )
    assert named == {"count": "2024-01-02", "day": "no date"}


def test_arguments_stay_as_they_are_when_the_hints_cannot_be_resolved() -> None:
    def workflow(when: OnlyForCheckers) -> None:  # type: ignore[name-defined]  # noqa: F821
        """Takes something that does not exist at run time."""

    assert parse_portable_dates(workflow, ("2024-01-02",), {}) == (("2024-01-02",), {})
