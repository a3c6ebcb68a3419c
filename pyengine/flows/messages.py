"""Messages, events, streams and sleep: what workflows say to each other and wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pyengine.database import calls, message_calls
from pyengine.database.calls import Call
from pyengine.database.rows import AppendAnswer, EventRow, Receipt, StepAnswer, StreamValue
from pyengine.effects import Await, Flow, WaitFor
from pyengine.errors import DBOSException
from pyengine.flows.steps import record_error
from pyengine.flows.tracing import observed
from pyengine.refusals import refusal
from pyengine.runs import Recorded, WorkflowRun
from pyengine.serialization import Codec
from pyengine.spans import OPERATION

SLEEP = "DBOS.sleep"
SEND = "DBOS.send"
SEND_BULK = "DBOS.send_bulk"
RECV = "DBOS.recv"
SET_EVENT = "DBOS.setEvent"
GET_EVENT = "DBOS.getEvent"
WRITE_STREAM = "DBOS.writeStream"
CLOSE_STREAM = "DBOS.closeStream"

READ_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends or publishes: the body of a run (recorded as a step), or one of its steps (only fenced)."""

    run: WorkflowRun
    step_id: int
    is_step: bool


def sleep(run: WorkflowRun, step_id: int, seconds: float) -> Flow[None]:
    """Sleep durably: the wake time is recorded first, and only the database's clock ends the sleep."""
    return observed(run, OPERATION, SLEEP, step_id, _sleep(run, step_id, seconds))


def _sleep(run: WorkflowRun, step_id: int, seconds: float) -> Flow[None]:
    recorded = run.recorded(step_id, SLEEP)
    if recorded is not None and _is_past(run, recorded):
        return

    def call(channel: str | None) -> Call[Any]:
        return message_calls.sleep_until(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=step_id,
            duration_ms=seconds * 1000,
            channel=channel,
        )

    wanted = [WaitFor("result", run.workflow_id)]
    wait = Await(
        call, wanted, left=lambda rows: rows[0] / 1000 or None, waiter=run, timer_step_id=step_id
    )
    yield from ended(run, wait)


def _is_past(run: WorkflowRun, sleep: Recorded) -> bool:
    """Whether a recorded sleep was over, by the database's clock, when the run was claimed."""
    if run.claimed_at is None or sleep.output is None:
        return False
    return float(sleep.output) <= run.claimed_at.timestamp()


def receive(run: WorkflowRun, step_id: int, topic: str | None, timeout_seconds: float) -> Flow[Any]:
    """Receive the next message of a topic; None after the timeout. Two steps: the message, and the wait's end."""
    flow = _receive(run, step_id, topic, timeout_seconds)
    return observed(run, OPERATION, RECV, step_id, flow)


def _receive(
    run: WorkflowRun, step_id: int, topic: str | None, timeout_seconds: float
) -> Flow[Any]:
    recorded = run.recorded(step_id, RECV)
    if recorded is not None:
        return run.replay(recorded)
    name = topic or ""

    def call(channel: str | None) -> Call[Receipt]:
        return message_calls.receive_message(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=step_id,
            topic=name,
            timeout_ms=max(timeout_seconds, 0.0) * 1000,
            channel=channel,
        )

    wanted = WaitFor("message", run.workflow_id, name)
    return (yield from _wait(run, call, wanted, step_id + 1))


def receive_event(
    run: WorkflowRun, step_id: int, source_id: str, key: str, timeout_seconds: float
) -> Flow[Any]:
    """Wait for an event of another workflow, as two steps; None after the timeout."""
    flow = _receive_event(run, step_id, source_id, key, timeout_seconds)
    return observed(run, OPERATION, GET_EVENT, step_id, flow)


def _receive_event(
    run: WorkflowRun, step_id: int, source_id: str, key: str, timeout_seconds: float
) -> Flow[Any]:
    recorded = run.recorded(step_id, GET_EVENT)
    if recorded is not None:
        return run.replay(recorded)

    def call(channel: str | None) -> Call[Receipt]:
        return message_calls.receive_event(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=step_id,
            source_id=source_id,
            key=key,
            timeout_ms=max(timeout_seconds, 0.0) * 1000,
            channel=channel,
        )

    return (yield from _wait(run, call, WaitFor("event", source_id, key), step_id + 1))


def _wait(run: WorkflowRun, call: Any, wanted: WaitFor, timer_step_id: int) -> Flow[Any]:
    """Wait for a receipt; the end of the own workflow (a cancel) ends the wait too."""
    own_end = WaitFor("result", run.workflow_id)
    wait = Await(call, [wanted, own_end], left=_left, waiter=run, timer_step_id=timer_step_id)
    receipts: list[Receipt] = yield from ended(run, wait)
    receipt = receipts[0]
    tag = receipt.serialization or run.codec.default_tag
    if receipt.error is not None:
        raise run.codec.decode_error(receipt.error, tag)
    return run.codec.decode(receipt.output, tag)


def _left(receipts: list[Receipt]) -> float | None:
    return None if receipts[0].is_done else receipts[0].remaining_ms / 1000


def ended(run: WorkflowRun, wait: Await) -> Flow[Any]:
    """Wait; a refusal that ends the run is remembered by the run."""
    try:
        return (yield wait)
    except BaseException as error:
        run.end(error)
        raise


def find_event(workflow_id: str, key: str, timeout_seconds: float, codec: Codec) -> Flow[Any]:
    """The value of an event, waited for from outside workflows; None after the timeout."""

    def call(channel: str | None) -> Call[EventRow]:
        return message_calls.find_event(workflow_id=workflow_id, key=key, channel=channel)

    rows: list[EventRow] = yield Await(
        call, [WaitFor("event", workflow_id, key)], timeout=max(timeout_seconds, 0.0)
    )
    return codec.decode(rows[0].value, rows[0].serialization) if rows else None


def list_events(workflow_id: str, codec: Codec) -> Flow[dict[str, Any]]:
    """The last values of all events of a workflow."""
    rows: list[EventRow] = yield message_calls.list_events(workflow_id=workflow_id)
    return {row.key: codec.decode(row.value, row.serialization) for row in rows}


def send(
    messages: Sequence[str], sender: Sender | None, *, is_bulk: bool, send_to_forks: bool
) -> Flow[None]:
    """Send messages (json objects), all or none; from a workflow's body as one recorded step."""
    flow = _send(messages, sender, is_bulk=is_bulk, send_to_forks=send_to_forks)
    if sender is None:
        return flow
    name = SEND_BULK if is_bulk else SEND
    return observed(sender.run, OPERATION, name, sender.step_id, flow)


def _send(
    messages: Sequence[str], sender: Sender | None, *, is_bulk: bool, send_to_forks: bool
) -> Flow[None]:
    if sender is None or sender.is_step:
        lease = None if sender is None else (sender.run.workflow_id, sender.run.lease_token)
        yield message_calls.send_messages(
            messages=messages, step=None, send_to_forks=send_to_forks, sender=lease
        )
        return
    run, name = sender.run, SEND_BULK if is_bulk else SEND
    recorded = run.recorded(sender.step_id, name)
    if recorded is not None:
        run.replay(recorded)
        return
    step = calls.record_step(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        step_id=sender.step_id,
        name=name,
        serialization=run.codec.default_tag,
    )
    try:
        answers: list[StepAnswer] = yield message_calls.send_messages(
            messages=messages, step=step, send_to_forks=send_to_forks, sender=None
        )
        run.accept(answers[0] if answers else None)
    except DBOSException as error:
        yield from record_error(run, name, sender.step_id, error)


def set_event(sender: Sender, key: str, value: str, serialization: str) -> Flow[None]:
    """Publish an event of the own workflow."""
    flow = _set_event(sender, key, value, serialization)
    return observed(sender.run, OPERATION, SET_EVENT, sender.step_id, flow)


def _set_event(sender: Sender, key: str, value: str, serialization: str) -> Flow[None]:
    run = sender.run
    if not sender.is_step and run.recorded(sender.step_id, SET_EVENT) is not None:
        return
    try:
        yield message_calls.set_event(
            workflow_id=run.workflow_id,
            lease_token=run.lease_token,
            step_id=sender.step_id,
            key=key,
            serialization=serialization,
            value=value,
            step_name=None if sender.is_step else SET_EVENT,
        )
    except BaseException as error:
        run.end(error)
        raise


def append(sender: Sender, key: str, value: str | None, serialization: str) -> Flow[None]:
    """Append a value to a stream of the own workflow; None is its end."""
    name = CLOSE_STREAM if value is None else WRITE_STREAM
    flow = _append(sender, name, key, value, serialization)
    return observed(sender.run, OPERATION, name, sender.step_id, flow)


def _append(
    sender: Sender, name: str, key: str, value: str | None, serialization: str
) -> Flow[None]:
    run = sender.run
    if not sender.is_step and run.recorded(sender.step_id, name) is not None:
        return
    answer: AppendAnswer | None = yield message_calls.append_stream(
        workflow_id=run.workflow_id,
        lease_token=run.lease_token,
        step_id=sender.step_id,
        step_name=None if sender.is_step else name,
        key=key,
        serialization=serialization,
        value="null" if value is None else value,
        is_end=value is None,
    )
    if answer is not None:
        raise run.end(refusal(answer.refusal or "", answer.message or "", run.workflow_id))


def read_batch(
    workflow_id: str,
    key: str,
    position: int,
    timeout_seconds: float | None,
    waiter: WorkflowRun | None = None,
) -> Flow[list[StreamValue]]:
    """The next values of a stream, waited for; an empty list after the timeout."""

    def call(channel: str | None) -> Call[StreamValue]:
        return message_calls.read_stream(
            workflow_id=workflow_id,
            key=key,
            position=position,
            read_limit=READ_LIMIT,
            channel=channel,
        )

    wanted = [WaitFor("stream", workflow_id, key, position), WaitFor("result", workflow_id)]
    values: list[StreamValue] = yield Await(call, wanted, timeout=timeout_seconds, waiter=waiter)
    return values
