"""A program as a user types it: `make types` checks every `assert_type`, and that each mistake is one.

Every `type: ignore` stands for an error that must be reported; one that is not needed fails the check.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from pyengine import (
    DBOS,
    DBOSConfig,
    DBOSConfiguredInstance,
    KafkaMessage,
    PropagateOtelContext,
    Queue,
    SetEnqueueOptions,
    SetWorkflowID,
    WorkflowHandle,
    WorkflowHandleAsync,
    WorkflowStatus,
)

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer
    from typing_extensions import assert_type

config: DBOSConfig = {"name": "typed", "log_level": "WARNING", "executor_id": "one"}
queue = Queue("typed", concurrency=2)


@DBOS.step(retries_allowed=True, max_attempts=5)
def measure(text: str) -> int:
    return len(text)


@DBOS.step()
async def measure_async(text: str) -> int:
    return len(text)


@DBOS.transaction()
def store(text: str) -> bytes:
    return text.encode()


@DBOS.sql_step("select id, name from items where id = :item_id")
def find_item(item_id: int) -> dict[str, Any] | None: ...


@DBOS.workflow()
def shout(text: str, *, times: int = 1) -> str:
    return text.upper() * times


@DBOS.workflow()
def received(message: KafkaMessage) -> int:
    return len(message.value or b"")


@DBOS.workflow(name="whisper")
async def whisper(text: str) -> str:
    return text.lower()


@DBOS.dbos_class()
class Counter(DBOSConfiguredInstance):
    def __init__(self, name: str, start: int) -> None:
        super().__init__(name)
        self.start = start

    @DBOS.workflow()
    def count(self, by: int) -> int:
        return self.start + by


def decorated_functions_keep_their_types() -> None:
    assert_type(measure("a"), int)
    assert_type(store("a"), bytes)
    assert_type(find_item(1), "dict[str, Any] | None")
    assert_type(shout("a", times=2), str)
    assert_type(Counter("c", 1).count(2), int)
    shout(1)  # type: ignore[arg-type]
    shout("a", time=2)  # type: ignore[call-arg]
    measure()  # type: ignore[call-arg]


async def decorated_coroutines_keep_their_types() -> None:
    assert_type(await measure_async("a"), int)
    assert_type(await whisper("a"), str)
    await whisper(1)  # type: ignore[arg-type]


def a_started_workflow_has_a_handle_of_its_result() -> None:
    handle = DBOS.start_workflow(shout, "a", times=2)
    assert_type(handle, WorkflowHandle[str])
    assert_type(handle.get_result(), str)
    assert_type(handle.get_status(), WorkflowStatus)
    assert_type(handle.workflow_id, str)
    assert_type(DBOS.start_workflow(whisper, "a"), WorkflowHandle[str])
    assert_type(DBOS.start_workflow(measure, "a"), WorkflowHandle[int])
    assert_type(DBOS.start_workflow(Counter("c", 1).count, 2), WorkflowHandle[int])
    DBOS.start_workflow(shout, 1)  # type: ignore[call-overload]


async def a_workflow_started_from_a_coroutine_has_one_too() -> None:
    handle = await DBOS.start_workflow_async(whisper, "a")
    assert_type(handle, WorkflowHandleAsync[str])
    assert_type(await handle.get_result(), str)
    assert_type(await DBOS.start_workflow_async(shout, "a"), WorkflowHandleAsync[str])
    await DBOS.start_workflow_async(whisper, 1)  # type: ignore[call-overload]


async def an_enqueued_workflow_has_a_handle_of_its_result() -> None:
    with SetWorkflowID("one"), SetEnqueueOptions(priority=3, deduplication_id="once"):
        assert_type(queue.enqueue(shout, "a", times=2), WorkflowHandle[str])
    assert_type(queue.enqueue(whisper, "a"), WorkflowHandle[str])
    assert_type(await queue.enqueue_async(whisper, "a"), WorkflowHandleAsync[str])
    assert_type(DBOS.enqueue_workflow("typed", shout, "a"), WorkflowHandle[str])
    assert_type(await DBOS.enqueue_workflow_async("typed", measure, "a"), WorkflowHandleAsync[int])
    DBOS.enqueue_workflow(shout, "a")  # type: ignore[call-overload]


async def a_function_that_is_run_as_a_step_keeps_its_result() -> None:
    assert_type(DBOS.run_step(None, len, "abc"), int)
    assert_type(DBOS.run_step({"name": "length", "max_attempts": 2}, len, "abc"), int)
    assert_type(await DBOS.run_step_async(None, measure_async, "abc"), int)
    assert_type(await DBOS.run_step_async(None, len, "abc"), int)


def the_context_may_be_missing() -> None:
    assert_type(DBOS.workflow_id, "str | None")
    assert_type(DBOS.step_id, "int | None")
    assert_type(DBOS.get_workflow_status("w"), "WorkflowStatus | None")


def a_trace_may_be_missing() -> None:
    assert_type(DBOS.tracer, Tracer)
    assert_type(DBOS.span, Span | None)
    with PropagateOtelContext(), PropagateOtelContext({"traceparent": "00-1-2-01"}):
        assert_type(queue.enqueue(shout, "a"), WorkflowHandle[str])
    PropagateOtelContext(5)  # type: ignore[arg-type]


def a_workflow_that_messages_start_keeps_its_type() -> None:
    consumer = DBOS.kafka_consumer({"group.id": "g"}, ["topic"], ordering="partition")
    assert_type(consumer(received)(message_of(b"a")), int)
    consumer(shout)  # type: ignore[type-var]
    DBOS.kafka_consumer({}, ["topic"], ordering="key")  # type: ignore[arg-type]


def message_of(value: bytes) -> KafkaMessage:
    return KafkaMessage(
        headers=None,
        key=None,
        latency=None,
        leader_epoch=None,
        offset=0,
        partition=0,
        timestamp=(1, 0),
        topic="topic",
        value=value,
    )


def decorated_functions_are_callables_of_their_types() -> None:
    plain: list[Callable[[str], int]] = [measure]
    coroutines: list[Callable[[str], Coroutine[Any, Any, str]]] = [whisper]
    plain.append(whisper)  # type: ignore[arg-type]
    coroutines.append(measure)  # type: ignore[arg-type]


def test_decorated_functions_keep_their_signature_and_name() -> None:
    assert str(inspect.signature(shout)) == "(text: 'str', *, times: 'int' = 1) -> 'str'"
    assert (shout.__name__, shout.__module__) == ("shout", __name__)
    assert inspect.iscoroutinefunction(whisper)
    assert inspect.iscoroutinefunction(measure_async)
    assert not inspect.iscoroutinefunction(shout)
