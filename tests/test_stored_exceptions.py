"""Exceptions in the native form: back as their own class, or as what says what happened."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import json
import sys
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from psycopg import errors as driver

from pyengine import errors
from pyengine.errors import DBOSSerializationError, PortableWorkflowError
from pyengine.serialization import NATIVE, PORTABLE, Codec
from tests import serialization_samples as samples
from tests.test_errors import CALLS
from tests.test_errors import IDS as CALL_IDS

codec = Codec()


def restored(error: BaseException) -> Any:
    return codec.decode_error(codec.encode_error(error), NATIVE)


def described(error: BaseException) -> tuple[Any, ...]:
    attributes = {name: repr(value) for name, value in vars(error).items()}
    return type(error), str(error), repr(error), attributes


ERRORS: list[BaseException] = [
    ValueError("bad"),
    ValueError(),
    ValueError(1, ("a", Decimal(2))),
    KeyError("k"),
    ZeroDivisionError("division by zero"),
    StopIteration(3),
    asyncio.CancelledError("stop"),
    asyncio.TimeoutError(),
    ImportError("no", name="x", path="/x"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    json.JSONDecodeError("bad", "{", 1),
    samples.PlainError("a", 1),
    samples.KeywordError(code=3, reason="full"),
    samples.FormattingError("size", 10),
    samples.SilentError(5),
    samples.ReducingError(5),
    samples.DataError("field", count=2),
    samples.ShopError(order=4),
    samples.StubbornError("no"),
    driver.UniqueViolation("duplicate key"),
    psycopg.OperationalError("gone"),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_exception_comes_back_as_its_own_class_with_its_attributes(error: BaseException) -> None:
    assert described(restored(error)) == described(error)
    assert described(codec.decode(codec.encode([error]), NATIVE)[0]) == described(error)


@pytest.mark.parametrize(("error_class", "args", "text"), CALLS, ids=CALL_IDS)
def test_every_exception_of_the_engine_comes_back(
    error_class: type[BaseException], args: tuple[Any, ...], text: str
) -> None:
    error = error_class(*args)

    again = restored(error)

    assert described(again) == described(error)
    assert repr(getattr(again, "errors", None)) == repr(getattr(error, "errors", None))


@pytest.mark.parametrize("error", [FileNotFoundError(2, "no", "/x"), samples.FileError("/x")])
def test_an_operating_system_error_keeps_its_number_and_file(error: OSError) -> None:
    again = restored(error)

    assert type(again) is type(error)
    assert (again.errno, again.strerror, again.filename) == (2, error.strerror, "/x")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups came with Python 3.11")
def test_an_exception_group_keeps_its_exceptions() -> None:
    group = vars(builtins)["ExceptionGroup"]("both", [ValueError("a"), KeyError("b")])

    again = restored(group)

    assert [repr(error) for error in again.exceptions] == ["ValueError('a')", "KeyError('b')"]


def test_causes_and_notes_come_back() -> None:
    error = samples.PlainError("outer")
    error.__cause__ = samples.KeywordError(code=1, reason="inner")
    error.__cause__.__cause__ = KeyError("innermost")
    vars(error)["__notes__"] = ["while shopping"]

    again = restored(error)

    assert again.__notes__ == ["while shopping"]
    assert again.__cause__.reason == "inner"
    assert repr(again.__cause__.__cause__) == "KeyError('innermost')"


def test_an_exception_that_is_its_own_cause_or_argument_is_stored() -> None:
    own_cause = ValueError("a")
    own_cause.__cause__ = own_cause
    own_argument = ValueError("b")
    own_argument.args = (own_argument,)
    own_data = samples.PlainError("c")
    vars(own_data)["data"] = own_data

    assert repr(restored(own_cause)) == "ValueError('a')"
    assert type(restored(own_argument)) is Exception
    assert repr(restored(own_data)) == "PlainError('c')"


def test_a_long_chain_of_causes_is_cut_and_not_refused() -> None:
    error = ValueError("0")
    for number in range(1, 3000):
        outer = ValueError(str(number))
        outer.__cause__ = error
        error = outer

    again, length = restored(error), 0
    while again is not None:
        again, length = again.__cause__, length + 1

    assert length == 20


def test_an_attribute_that_cannot_be_stored_is_left_out_and_the_class_stays() -> None:
    again = restored(samples.HoldingError("lost", object()))

    assert (type(again), str(again), again.hint) == (samples.HoldingError, "lost", "retry")
    assert not hasattr(again, "connection")


def test_an_argument_that_cannot_be_stored_makes_it_a_plain_exception() -> None:
    again = restored(samples.PlainError("lost", len))

    assert type(again) is Exception
    assert str(again).startswith("PlainError: ('lost', <built-in function len")
    value = codec.decode(codec.encode({"e": samples.PlainError(len)}), NATIVE)
    assert str(value["e"]).startswith("PlainError: <built-in function len")


def test_an_exception_whose_text_fails_is_stored() -> None:
    assert type(restored(samples.MuteError("x"))) is samples.MuteError


def test_text_that_postgresql_cannot_store_is_readable_in_the_message_and_exact_in_the_error(
    database_url: str,
) -> None:
    error = samples.PlainError("a\0b\ud800")
    text = codec.encode_error(error)

    with psycopg.connect(database_url) as connection:
        row = connection.execute("select %s::jsonb ->> 'message'", [text]).fetchone()

    assert row == ("a\ufffdb?",)
    assert restored(error).args == error.args


def test_every_language_reads_name_message_code_and_data() -> None:
    error = samples.KeywordError(code=3, reason="full")
    vars(error)["data"] = {"left": 0}

    document = json.loads(codec.encode_error(error))

    assert {part: document[part] for part in ("name", "message", "code", "data")} == {
        "name": "KeywordError",
        "message": "full (3)",
        "code": 3,
        "data": {"left": 0},
    }


def test_an_exception_of_a_class_that_is_not_known_here_is_portable() -> None:
    class LocalError(Exception):
        pass

    error = LocalError("here")
    vars(error)["code"] = "E7"

    again = restored(error)

    assert type(again) is PortableWorkflowError
    assert (str(again), again.name, again.code) == ("here", "LocalError", "E7")
    nested = codec.decode(codec.encode([error]), NATIVE)[0]
    assert (type(nested), nested.name) == (PortableWorkflowError, "LocalError")


def test_an_error_with_a_part_of_an_unknown_type_is_portable() -> None:
    text = codec.encode_error(samples.PlainError(samples.Color.RED)).replace(":Color", ":Gone")

    again = codec.decode_error(text, NATIVE)

    assert type(again) is PortableWorkflowError
    assert (again.name, again.message) == ("PlainError", "Color.RED")


def test_an_exception_whose_constructor_has_changed_is_portable() -> None:
    text = codec.encode_error(samples.ReducingError(5)).replace('"args":[5]', '"args":[5,6,7]')

    again = codec.decode_error(text, NATIVE)

    assert (type(again), str(again)) == (PortableWorkflowError, "value 5")


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_row_never_ends_the_process_that_reads_it(error: BaseException) -> None:
    again = restored(error)

    assert type(again) is PortableWorkflowError
    assert again.name == type(error).__name__


@pytest.mark.parametrize(
    "text",
    [
        '"text"',
        "[]",
        "null",
        "{}",
        '{"class":"os:system","args":["true"]}',
        '{"class":"subprocess:Popen","args":["true"]}',
        '{"class":"builtins:ValueError","args":5}',
        '{"class":"builtins:ValueError","args":[],"state":3}',
        '{"class":7,"message":[],"name":{},"code":[]}',
        '{"class":"builtins:UnicodeDecodeError","args":[]}',
        '{"class":"pyengine.errors:DBOSStepTimeoutError","args":[],"kwargs":{"x":1}}',
    ],
)
def test_a_hostile_or_foreign_error_is_portable(text: str) -> None:
    assert type(codec.decode_error(text, NATIVE)) is PortableWorkflowError


def test_a_hostile_state_cannot_change_what_an_exception_is() -> None:
    text = (
        '{"class":"builtins:ValueError","args":["a"],'
        '"state":{"__class__":"x","args":["b"],"__traceback__":1,"good":1}}'
    )

    again = codec.decode_error(text, NATIVE)

    assert repr(again) == "ValueError('a')"
    assert vars(again) == {"good": 1}


def test_an_error_that_is_not_json_is_refused() -> None:
    with pytest.raises(DBOSSerializationError, match="not JSON"):
        codec.decode_error("{", NATIVE)


def test_a_code_too_large_for_json_does_not_stop_an_error() -> None:
    error = samples.PlainError("big")
    vars(error)["code"] = 10**5000

    assert (type(restored(error)), str(restored(error))) == (samples.PlainError, "big")


def test_an_almost_exhausted_stack_refuses_a_value_and_still_stores_an_error() -> None:
    deep: Any = ()
    for _ in range(150):
        deep = (deep,)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 120)
    try:
        with pytest.raises(DBOSSerializationError, match="it is nested too deeply"):
            codec.encode(deep)
        native = codec.encode_error(samples.PlainError("a", deep))
        portable = codec.encode_error(samples.PlainError("a"), PORTABLE)
    finally:
        sys.setrecursionlimit(limit)

    assert str(codec.decode_error(native, NATIVE)).startswith("PlainError: ")
    assert json.loads(portable)["message"] == "a"


def test_errors_of_all_attempts_come_back_with_their_classes() -> None:
    failed = errors.DBOSMaxStepRetriesExceeded(
        "pay", 2, [samples.KeywordError(code=1, reason="a"), ValueError("b")]
    )

    again = restored(failed)

    assert [type(error) for error in again.errors] == [samples.KeywordError, ValueError]
