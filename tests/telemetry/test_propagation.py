"""A workflow that runs elsewhere or later goes on with its caller's trace, if that was taken along."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from opentelemetry import trace
from opentelemetry.context import Context

from pyengine import (
    DBOS,
    DBOSClient,
    Debouncer,
    PropagateOtelContext,
    Queue,
    SetWorkflowAttributes,
    SetWorkflowID,
)
from pyengine.error import DBOSException
from tests.telemetry.conftest import Launch, Spans, trace_of
from tests.workflows.support import (
    Crashes,
    declare_dead,
    hibernates,
    pending_elsewhere,
    stored,
    wait_until,
)

Sql = psycopg.Connection[Any]
propagation_queue = Queue("propagation-queue")
crashes = Crashes()
CARRIER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
TRACE = int("0af7651916cd43dd8448eb211c80319c", 16)


@DBOS.step()
def propagation_step(text: str) -> str:
    return text


@DBOS.workflow()
def propagated(text: str) -> str:
    return propagation_step(text)


@DBOS.workflow()
async def propagated_async(text: str) -> str:
    return text


@DBOS.workflow()
def propagated_parent() -> str:
    return propagation_queue.enqueue(propagated, "child").get_result()


@DBOS.workflow()
def propagated_sleeper() -> str:
    DBOS.sleep(0.5)
    return propagation_step("awake")


@pytest.mark.parametrize("workflow", [propagated, propagated_async])
def test_an_enqueued_workflow_is_in_the_trace_of_who_enqueued_it(
    spans: Spans, sql: Sql, workflow: Any
) -> None:
    with DBOS.tracer.start_as_current_span("request") as request:
        with PropagateOtelContext():
            handle = propagation_queue.enqueue(workflow, "a")
        assert handle.get_result() == "a"

    context = request.get_span_context()
    carrier = stored(sql, handle.workflow_id, "attributes")["dbos.otelContext"]
    traceparent = "-".join(
        [
            "00",
            trace.format_trace_id(context.trace_id),
            trace.format_span_id(context.span_id),
            f"{context.trace_flags:02x}",
        ]
    )
    assert carrier == {"traceparent": traceparent}
    assert spans.parent(spans.one(workflow.__name__)) == "request"


def test_a_context_or_carrier_that_is_given_is_taken_along(spans: Spans) -> None:
    with PropagateOtelContext(CARRIER):
        assert propagation_queue.enqueue(propagated, "a").get_result() == "a"
    span = trace.NonRecordingSpan(
        trace.SpanContext(7, 9, is_remote=True, trace_flags=trace.TraceFlags(1))
    )
    with PropagateOtelContext(trace.set_span_in_context(span, Context())):
        assert propagated("b") == "b"

    assert [trace_of(span) for span in spans.named("propagated", 2)] == [TRACE, 7]


def test_a_client_takes_a_trace_along(spans: Spans, engine_url: str) -> None:
    with DBOSClient(system_database_url=engine_url) as client:
        handle: Any = client.enqueue(
            {
                "workflow_name": "propagated",
                "queue_name": "propagation-queue",
                "otel_context": CARRIER,
                "attributes": {"team": "billing"},
            },
            "a",
        )
        assert handle.get_result() == "a"

        assert handle.get_status().attributes == {"team": "billing", "dbos.otelContext": CARRIER}
    assert trace_of(spans.one("propagated")) == TRACE


def test_a_debounced_workflow_takes_a_trace_along(spans: Spans) -> None:
    with PropagateOtelContext(CARRIER):
        handle = Debouncer.create(propagated).debounce("key", 0.1, "a")

    assert handle.get_result() == "a"
    assert trace_of(spans.one("propagated")) == TRACE


def test_a_recovered_workflow_is_in_the_trace_it_was_given(spans: Spans, sql: Sql) -> None:
    executor = pending_elsewhere(
        sql, "recovered", "propagated", '{"positionalArgs":["theirs"],"namedArgs":{}}'
    )
    DBOS.update_workflow_attributes("recovered", {"dbos.otelContext": CARRIER})
    declare_dead(sql, executor)

    assert DBOS.get_result("recovered") == "theirs"
    assert trace_of(spans.one("propagated")) == TRACE


def test_the_runs_of_a_hibernated_workflow_are_in_one_trace(
    trace_launch: Launch, collected: Spans, sql: Sql
) -> None:
    trace_launch(hibernate_after=0.05)
    with SetWorkflowID("sleeper"):
        handle = DBOS.start_workflow(propagated_sleeper)
    wait_until(sql, hibernates("sleeper"))

    assert handle.get_result() == "awake"
    first, second = collected.named("propagated_sleeper", 2)
    assert [event.name for event in first.events] == ["hibernated"]
    assert first.status.status_code is trace.StatusCode.UNSET
    assert second.status.status_code is trace.StatusCode.OK
    assert trace_of(first) == trace_of(second) == trace_of(collected.one("propagation_step"))
    assert [event.name for event in collected.one("DBOS.sleep").events] == ["hibernated"]


def test_different_workflows_that_begin_a_trace_begin_different_ones(spans: Spans) -> None:
    propagated("a")
    propagated("b")

    first, second = spans.named("propagated", 2)
    assert trace_of(first) != trace_of(second)


def test_a_child_in_a_queue_is_in_a_trace_of_its_own(spans: Spans) -> None:
    with PropagateOtelContext(CARRIER):
        assert propagated_parent() == "child"

    assert trace_of(spans.one("propagated_parent")) == TRACE
    assert trace_of(spans.one("propagated")) != TRACE
    assert spans.parent(spans.one("propagated")) is None


def test_the_block_keeps_other_attributes_and_ends_with_the_block(spans: Spans, sql: Sql) -> None:
    with PropagateOtelContext(CARRIER), SetWorkflowAttributes({"a": 1}), SetWorkflowID("inside"):
        propagated("a")
    with SetWorkflowID("outside"):
        propagated("b")

    assert stored(sql, "inside", "attributes") == {"a": 1, "dbos.otelContext": CARRIER}
    assert stored(sql, "outside", "attributes") is None


def test_without_a_trace_nothing_is_taken_along(spans: Spans, sql: Sql) -> None:
    with PropagateOtelContext(), SetWorkflowID("no trace"):
        propagated("a")

    assert stored(sql, "no trace", "attributes") is None


def test_a_stored_carrier_that_makes_no_sense_is_no_trace(spans: Spans) -> None:
    for number, carrier in enumerate(["text", {"traceparent": 5}, {"traceparent": "x"}, {}]):
        with SetWorkflowAttributes({"dbos.otelContext": carrier}), SetWorkflowID(f"c-{number}"):
            assert propagation_queue.enqueue(propagated, "a").get_result() == "a"

    assert [spans.parent(span) for span in spans.named("propagated", 4)] == [None] * 4


@pytest.mark.parametrize("context", ["00-1-2-01", 5, {"traceparent": 5}, {}])
def test_what_is_no_context_is_refused(context: Any) -> None:
    with pytest.raises(DBOSException, match="context is a"):
        PropagateOtelContext(context)


def test_an_enqueue_option_that_is_no_context_is_refused(spans: Spans) -> None:
    with pytest.raises(DBOSException, match="otel_context is a int"):
        DBOS.enqueue_workflow_with_options(
            {"workflow_name": "propagated", "queue_name": "propagation-queue", "otel_context": 5}
        )


def test_coroutines_take_a_trace_along(spans: Spans) -> None:
    async def enqueue() -> str:
        with PropagateOtelContext(CARRIER):
            handle = await propagation_queue.enqueue_async(propagated_async, "a")
        return await handle.get_result()

    assert asyncio.run(enqueue()) == "a"
    assert trace_of(spans.one("propagated_async")) == TRACE
