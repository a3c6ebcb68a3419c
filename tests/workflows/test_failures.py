"""Errors of workflows: recorded, raised again with their class, and terminal whatever the cause."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSPayloadTooLargeError, DBOSSerializationError
from tests.workflows.support import Crashes, count_workflows, eventually, stored

crashes = Crashes()
OVERSIZE = "x" * (1 << 20)


class OutOfStock(Exception):  # noqa: N818 - users name theirs as they like
    def __init__(self, product: str, left: int) -> None:
        super().__init__(f"{left} of {product} left")
        self.product = product
        self.left = left


class HoldsALock(Exception):  # noqa: N818 - as above
    """Neither json nor pickle can store it."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.lock = threading.Lock()

    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle a lock")


ERRORS: dict[str, Any] = {
    "built in": lambda: ValueError("wrong", 3),
    "own class": lambda: OutOfStock("soap", 2),
    "key error": lambda: KeyError("soap"),
    "no text": RuntimeError,
    "nul and emoji": lambda: ValueError("a\x00b😀"),
}


@DBOS.workflow()
def raise_one(kind: str) -> None:
    raise ERRORS[kind]()


@DBOS.workflow()
async def raise_one_async(kind: str) -> None:
    raise ERRORS[kind]()


@DBOS.workflow()
def raise_unstorable() -> None:
    raise HoldsALock("held")


@DBOS.workflow()
def identity(value: Any, **named: Any) -> Any:
    return value


@DBOS.workflow()
async def identity_async(value: Any) -> Any:
    return value


@DBOS.workflow()
def return_unstorable() -> Any:
    return {"items": [1, object()]}


@DBOS.step()
def unstorable_step() -> Any:
    return threading.Lock()


@DBOS.step()
def big_step() -> str:
    return OVERSIZE


@DBOS.workflow()
def survives_bad_steps() -> list[str]:
    seen = []
    for step in (unstorable_step, big_step):
        try:
            step()
        except (DBOSSerializationError, DBOSPayloadTooLargeError) as error:
            seen.append(type(error).__name__)
    crashes.here()
    return seen


@DBOS.workflow()
def return_too_much() -> str:
    return OVERSIZE


@DBOS.workflow()
def raise_too_much() -> None:
    raise ValueError(OVERSIZE)


@DBOS.workflow()
def pass_too_much_to_a_child() -> str:
    try:
        identity(OVERSIZE)
    except DBOSPayloadTooLargeError:
        crashes.here()
        return "refused"
    return "accepted"


def started(workflow_id: str, function: Any, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(function, *args)


@pytest.mark.parametrize("kind", ERRORS)
def test_an_error_comes_back_with_class_and_arguments_on_every_way(
    dbos: type[DBOS], kind: str
) -> None:
    def outcome(ask: Any) -> tuple[type, tuple[Any, ...]]:
        with pytest.raises(type(ERRORS[kind]())) as caught:
            ask()
        return type(caught.value), caught.value.args

    async def through_async_handle() -> None:
        handle = await DBOS.start_workflow_async(raise_one_async, kind)
        await handle.get_result()

    handle = started(f"error {kind}", raise_one, kind)
    ways = [
        lambda: raise_one(kind),
        lambda: asyncio.run(raise_one_async(kind)),
        handle.get_result,
        handle.get_result,
        lambda: DBOS.retrieve_workflow(handle.workflow_id).get_result(),
        lambda: asyncio.run(through_async_handle()),
        lambda: started(f"error {kind}", raise_one, kind).get_result(),
    ]

    expected = ERRORS[kind]()
    assert [outcome(way) for way in ways] == [(type(expected), expected.args)] * len(ways)
    status = handle.get_status()
    assert (status.status, type(status.error)) == ("ERROR", type(expected))


def test_an_own_exception_keeps_its_attributes(dbos: type[DBOS]) -> None:
    handle = started("own attributes", raise_one, "own class")
    with pytest.raises(OutOfStock):
        handle.get_result()

    with pytest.raises(OutOfStock, match="2 of soap left") as caught:
        DBOS.retrieve_workflow("own attributes").get_result()

    assert (caught.value.product, caught.value.left) == ("soap", 2)


def test_an_error_that_cannot_be_stored_is_stored_as_its_text(dbos: type[DBOS]) -> None:
    with pytest.raises(HoldsALock), SetWorkflowID("unstorable error"):
        raise_unstorable()

    with pytest.raises(Exception, match="held") as caught:
        DBOS.get_result("unstorable error")
    assert "HoldsALock" in f"{type(caught.value).__name__} {caught.value}"


def test_arguments_that_cannot_be_stored_start_nothing(dbos: type[DBOS], database: Any) -> None:
    before = count_workflows(database)

    with pytest.raises(DBOSSerializationError, match=r"object.*args\[0\]|args\[0\].*object"):
        identity({"deep": object()})
    with pytest.raises(DBOSSerializationError):
        DBOS.start_workflow(identity, 1, named=threading.Lock())
    with pytest.raises(DBOSSerializationError):
        asyncio.run(identity_async(object()))

    assert count_workflows(database) == before


def test_an_output_that_cannot_be_stored_is_the_workflows_error(dbos: type[DBOS]) -> None:
    with (
        pytest.raises(DBOSSerializationError, match=r"items.*1.*object|object.*items.*1"),
        SetWorkflowID("unstorable output"),
    ):
        return_unstorable()

    status = DBOS.get_workflow_status("unstorable output")
    assert status is not None
    assert status.status == "ERROR"
    with pytest.raises(DBOSSerializationError):
        DBOS.get_result("unstorable output")


def test_what_a_step_cannot_store_is_the_steps_error_and_replays_as_such(dbos: type[DBOS]) -> None:
    crashes.arm()

    handle = started("bad steps", survives_bad_steps)

    assert handle.get_result() == ["DBOSSerializationError", "DBOSPayloadTooLargeError"]
    errors = [type(step["error"]) for step in DBOS.list_workflow_steps("bad steps")]
    assert errors == [DBOSSerializationError, DBOSPayloadTooLargeError]


def test_inputs_that_are_too_large_start_nothing(dbos: type[DBOS], database: Any) -> None:
    before = count_workflows(database)

    for start in (identity, lambda value: DBOS.start_workflow(identity, value)):
        with pytest.raises(DBOSPayloadTooLargeError, match="limit of 1048576 bytes"):
            start(OVERSIZE)
    with pytest.raises(DBOSPayloadTooLargeError):
        asyncio.run(identity_async(OVERSIZE))

    assert count_workflows(database) == before


def test_inputs_of_a_child_that_are_too_large_are_the_steps_error(dbos: type[DBOS]) -> None:
    crashes.arm()

    assert started("big child", pass_too_much_to_a_child).get_result() == "refused"


@pytest.mark.parametrize("function", [return_too_much, raise_too_much])
def test_an_outcome_that_is_too_large_is_an_error(dbos: type[DBOS], function: Any) -> None:
    name = f"large {function.__name__}"

    with pytest.raises(DBOSPayloadTooLargeError, match="max_payload_bytes"), SetWorkflowID(name):
        function()

    with pytest.raises(DBOSPayloadTooLargeError):
        DBOS.get_result(name)


def test_an_error_message_does_not_show_the_payload(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSPayloadTooLargeError) as too_large:
        identity(OVERSIZE)
    with pytest.raises(DBOSSerializationError) as unstorable:
        identity({"password": "secret", "lock": threading.Lock()})

    assert len(str(too_large.value)) < 300
    assert "secret" not in str(unstorable.value)


@dataclass
class Money:
    amount: Decimal
    currency: str


VALUES: list[Any] = [
    None,
    "",
    "a\x00b",
    "😀 \u2028",
    float("inf"),
    (1, [2, (3,)]),
    {1: "int key", (2, 3): "tuple key"},
    {1, 2},
    b"\x00\xff",
    Money(Decimal("1.10"), "EUR"),
    datetime(2026, 2, 17, 23, 26, 51, 123456, timezone.utc),
    2**80,
    {"b": 1, "a": 2},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_is_stored_and_comes_back_as_it_was(dbos: type[DBOS], value: Any) -> None:
    with SetWorkflowID(f"value {value!r}"[:200].replace("\x00", "")):
        handle = DBOS.start_workflow(identity, value, named=value)
    handle.get_result()

    status = DBOS.retrieve_workflow(handle.workflow_id).get_status()

    assert status.output == value
    assert type(status.output) is type(value)
    assert status.input == {"args": (value,), "kwargs": {"named": value}}
    if isinstance(value, dict):
        assert list(status.output) == list(value)


def test_a_function_that_takes_other_arguments_ends_in_an_error(
    dbos: type[DBOS], database: Any
) -> None:
    with pytest.raises(TypeError, match="positional argument"), SetWorkflowID("arity"):
        identity(1, 2)  # type: ignore[call-arg]

    assert stored(database, "arity", "status") == "ERROR"


@DBOS.step()
async def answer_later() -> int:
    return 42


coroutines: list[Any] = []


@DBOS.workflow()
def forgets_to_await() -> Any:
    coroutines.append(answer_later())
    return coroutines[0]


def test_a_coroutine_that_was_not_awaited_is_named(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSSerializationError, match="a coroutine that was not awaited; await it"):
        forgets_to_await()

    coroutines.pop().close()


exit_codes: list[int] = []


@DBOS.workflow()
def exits_once() -> str:
    if exit_codes:
        raise SystemExit(exit_codes.pop())
    return "done"


def test_a_run_that_exits_is_no_end_and_the_log_says_so(
    dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    exit_codes.append(3)

    with caplog.at_level(logging.WARNING, "pyengine"):
        assert DBOS.start_workflow(exits_once).get_result() == "done"

        said = "was broken off by SystemExit: 3. It has no outcome, and runs again"
        eventually(lambda: said in caplog.text)
