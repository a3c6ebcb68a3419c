"""What is traced: a span for each workflow, step, transaction and operation, inside one another."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

from pyengine import DBOS, DBOSContextEnsure, DBOSContextSetAuth, Queue, SetWorkflowID
from tests.telemetry.conftest import Launch, Spans, trace_of

SECRET = "card 4000-1234"
spans_queue = Queue("spans-queue")
attempts: list[int] = []
seen: list[Any] = []


@DBOS.step()
def spans_step(text: str) -> str:
    seen.append(DBOS.span)
    return text


@DBOS.step()
async def spans_step_async(text: str) -> str:
    seen.append(DBOS.span)
    await asyncio.sleep(0)
    return text


@DBOS.transaction()
def spans_transaction() -> int:
    seen.append(DBOS.span)
    return int(DBOS.sql_connection.execute("select 1").fetchone()[0])


@DBOS.sql_step("select 2")
def spans_statement() -> int:  # type: ignore[empty-body]
    """Two."""


@DBOS.step(retries_allowed=True, interval_seconds=0.0, max_attempts=3)
def spans_retried() -> None:
    attempts.append(1)
    if len(attempts) < 3:
        raise ValueError(SECRET)


@DBOS.step()
def spans_failing() -> None:
    raise ValueError(SECRET)


@DBOS.workflow()
def spans_child(text: str) -> str:
    return spans_step(text)


@DBOS.workflow()
def spans_workflow(text: str) -> str:
    seen.append(DBOS.span)
    spans_step(text)
    spans_transaction()
    spans_statement()
    DBOS.set_event("key", text)
    DBOS.send(str(DBOS.workflow_id), text)
    DBOS.recv()
    DBOS.get_event(str(DBOS.workflow_id), "key")
    DBOS.write_stream("stream", text)
    DBOS.sleep(0.001)
    spans_child(text)
    return DBOS.start_workflow(spans_child, text).get_result()


@DBOS.workflow()
async def spans_workflow_async(text: str) -> str:
    seen.append(DBOS.span)
    with DBOS.tracer.start_as_current_span("own"):
        await asyncio.gather(spans_step_async(text), spans_step_async(text))
    await DBOS.set_event_async("key", text)
    return text


@DBOS.workflow()
def spans_workflow_failing() -> None:
    spans_failing()


@DBOS.workflow()
def spans_workflow_retried() -> None:
    spans_retried()


@DBOS.workflow()
def spans_log() -> None:
    DBOS.logger.warning("in a workflow")


@pytest.fixture(autouse=True)
def _empty() -> None:
    seen.clear()
    attempts.clear()


def test_everything_in_a_workflow_has_a_span_inside_the_workflows(spans: Spans) -> None:
    with SetWorkflowID("traced"):
        assert spans_workflow("a") == "a"

    children = spans.named("spans_child", 2)
    inside = [
        span.name
        for span in spans.all()
        if spans.parent(span) == "spans_workflow" and span.context != children[1].context
    ]
    assert inside == [
        "spans_step",
        "spans_transaction",
        "spans_statement",
        "DBOS.setEvent",
        "DBOS.send",
        "DBOS.recv",
        "DBOS.getEvent",
        "DBOS.writeStream",
        "DBOS.sleep",
        "spans_child",
        "DBOS.getResult",
    ]
    assert spans.parent(children[1]) == "spans_workflow"
    assert [spans.parent(span) for span in spans.named("spans_step", 3)] == [
        "spans_workflow",
        "spans_child",
        "spans_child",
    ]
    assert spans.parent(spans.one("spans_workflow")) is None
    assert len({trace_of(span) for span in spans.all()}) == 1
    assert {span.status.status_code for span in spans.all()} == {StatusCode.OK}


def test_the_code_of_a_workflow_step_or_transaction_runs_in_its_span(spans: Spans) -> None:
    spans_workflow("a")

    assert [span.name for span in seen] == [
        "spans_workflow",
        "spans_step",
        "spans_transaction",
        "spans_step",
        "spans_step",
    ]


def test_coroutines_are_in_their_spans_and_in_those_of_the_user(spans: Spans) -> None:
    asyncio.run(spans_workflow_async("a"))

    assert [span.name for span in seen] == [
        "spans_workflow_async",
        "spans_step_async",
        "spans_step_async",
    ]
    assert seen[1] is not seen[2]
    assert [spans.parent(span) for span in spans.named("spans_step_async", 2)] == ["own", "own"]
    assert spans.parent(spans.one("own")) == "spans_workflow_async"
    assert spans.parent(spans.one("DBOS.setEvent")) == "spans_workflow_async"


def test_attributes_say_what_ran_where_and_on_whose_behalf(
    trace_launch: Launch, collected: Spans
) -> None:
    trace_launch(application_version="v7", executor_id="box-1", otlp_attributes={"team": "billing"})
    with DBOSContextSetAuth("ann", ["clerk", "admin"]), SetWorkflowID("attributes"):
        handle = spans_queue.enqueue(spans_child, "a")
    assert handle.get_result() == "a"

    expected = {
        "team": "billing",
        "operationUUID": "attributes",
        "applicationVersion": "v7",
        "executorID": "box-1",
        "authenticatedUser": "ann",
        "authenticatedUserRoles": ("clerk", "admin"),
        "queueName": "spans-queue",
    }
    assert collected.one("spans_child").attributes == {**expected, "operationType": "workflow"}
    assert collected.one("spans_step").attributes == {**expected, "operationType": "step"}


def test_the_semantic_conventions_format_has_its_names(
    trace_launch: Launch, collected: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBOS__APPID", "app-1")
    trace_launch(otel_attribute_format="semconv", application_version="v8", executor_id="box")

    with SetWorkflowID("conventions"):
        spans_child("a")

    assert collected.one("spans_step").attributes == {
        "dbos.operation.uuid": "conventions",
        "dbos.operation.type": "step",
        "dbos.application.id": "app-1",
        "dbos.application.version": "v8",
        "dbos.executor.id": "box",
    }


def test_an_operation_says_that_it_is_one_and_a_transaction_too(spans: Spans) -> None:
    spans_workflow("a")

    kinds = {span.name: (span.attributes or {})["operationType"] for span in spans.all()}
    assert kinds["DBOS.recv"] == "operation"
    assert kinds["spans_transaction"] == kinds["spans_statement"] == "transaction"


def test_an_error_is_told_by_its_type_and_nothing_of_its_message(spans: Spans) -> None:
    with pytest.raises(ValueError, match="card"):
        spans_workflow_failing()

    for name in ("spans_failing", "spans_workflow_failing"):
        span = spans.one(name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.status.description == "ValueError"
        assert (span.attributes or {})["error.type"] == "ValueError"
        assert SECRET not in span.to_json()


def test_each_retry_is_an_event_of_the_steps_span(spans: Spans) -> None:
    spans_workflow_retried()

    events = spans.one("spans_retried").events
    assert [event.name for event in events] == ["retry", "retry"]
    assert "attempt 2 of 3" in str((events[1].attributes or {})["message"])
    assert SECRET not in spans.one("spans_retried").to_json()


def test_a_step_that_is_replayed_has_no_second_span(spans: Spans) -> None:
    with SetWorkflowID("replayed"):
        spans_child("a")
    spans.exporter.clear()

    forked = DBOS.fork_workflow("replayed", start_step=2)

    assert forked.get_result() == "a"
    spans.one("spans_child")
    assert [span.name for span in spans.all()] == ["spans_child"]


def test_log_records_carry_the_trace_and_the_ids(
    spans: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    with SetWorkflowID("logged"), caplog.at_level(logging.WARNING, "pyengine"):
        spans_log()

    (record,) = [each for each in caplog.records if each.getMessage() == "in a workflow"]
    trace_id = trace_of(spans.one("spans_log"))
    assert record.__dict__["traceId"] == trace.format_trace_id(trace_id)
    assert record.__dict__["operationUUID"] == "logged"
    assert record.__dict__["executorID"].startswith("test-")
    assert record.__dict__["applicationVersion"]


def test_the_span_is_that_of_the_caller_where_a_context_is_and_refused_elsewhere(
    spans: Spans,
) -> None:
    with pytest.raises(AssertionError, match=r"DBOS\.span"):
        _ = DBOS.span
    with DBOSContextEnsure():
        assert DBOS.span is None
        with DBOS.tracer.start_as_current_span("mine") as mine:
            assert DBOS.span is mine


def test_nothing_is_traced_unless_asked_for(dbos: type[DBOS]) -> None:
    assert spans_workflow("a") == "a"

    assert seen == [None] * 5
