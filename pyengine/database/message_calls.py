"""Calls of the SQL functions of messages, events, streams and sleep."""

from __future__ import annotations

from collections.abc import Sequence

from pyengine.database import rows
from pyengine.database.calls import Call, Write, json_object, json_string, quote


def sleep_until(
    *, workflow_id: str, lease_token: str, step_id: int, duration_ms: float, channel: str | None
) -> Call[None]:
    """Begin or continue a durable sleep; the scalar result is the milliseconds that are left."""
    return Call(
        "sleep_until",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "duration_ms": duration_ms,
            "channel": channel,
        },
    )


def receive_message(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    topic: str,
    timeout_ms: float,
    channel: str | None,
) -> Call[rows.Receipt]:
    """Take the oldest message of a topic, as a step of the run."""
    return Call(
        "receive_message",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "topic": topic,
            "timeout_ms": timeout_ms,
            "channel": channel,
        },
        rows.Receipt,
    )


def message(
    *,
    destination_id: str,
    topic: str | None,
    message: str,
    serialization: str,
    idempotency_key: str | None,
) -> str:
    """The json object of a message for `send_messages`."""
    return json_object(
        destination_id=quote(destination_id),
        topic=json_string(topic),
        message=message,
        serialization=quote(serialization),
        idempotency_key=json_string(idempotency_key),
    )


def send_messages(
    *,
    messages: Sequence[str],
    step: Write | None,
    send_to_forks: bool,
    sender: tuple[str, str] | None,
) -> Call[rows.StepAnswer]:
    """Send messages; `step` is recorded in the same commit, `sender` (id, lease token) must still own its run."""
    sender_id, sender_token = sender or (None, None)
    return Call(
        "send_messages",
        {
            "messages": "[" + ",".join(messages) + "]",
            "step": None if step is None else step.document,
            "send_to_forks": send_to_forks,
            "sender_id": sender_id,
            "sender_token": sender_token,
        },
        rows.StepAnswer,
    )


def set_event(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    key: str,
    serialization: str,
    value: str,
    step_name: str | None,
) -> Call[None]:
    """Publish an event of the run's workflow."""
    return Call(
        "set_event",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "key": key,
            "serialization": serialization,
            "value": value,
            "step_name": step_name,
        },
    )


def find_event(*, workflow_id: str, key: str, channel: str | None) -> Call[rows.EventRow]:
    """The value of an event; the channel waits for it when it is not set."""
    arguments = {"workflow_id": workflow_id, "key": key, "channel": channel}
    return Call("find_event", arguments, rows.EventRow)


def list_events(*, workflow_id: str) -> Call[rows.EventRow]:
    """The last values of all events of a workflow."""
    return Call("list_events", {"workflow_id": workflow_id}, rows.EventRow)


def receive_event(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    source_id: str,
    key: str,
    timeout_ms: float,
    channel: str | None,
) -> Call[rows.Receipt]:
    """Wait for an event of another workflow, as a step of the run."""
    return Call(
        "receive_event",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "step_id": step_id,
            "source_id": source_id,
            "key": key,
            "timeout_ms": timeout_ms,
            "channel": channel,
        },
        rows.Receipt,
    )


def append_stream(
    *,
    workflow_id: str,
    lease_token: str,
    step_id: int,
    step_name: str | None,
    key: str,
    serialization: str,
    value: str,
    is_end: bool,
) -> Write:
    """Append a value, or the end, to a stream of the run's workflow."""
    return Write(
        "streams",
        json_object(
            workflow_id=quote(workflow_id),
            lease_token=quote(lease_token),
            step_id=str(step_id),
            step_name=json_string(step_name),
            key=quote(key),
            is_end="true" if is_end else None,
            serialization=quote(serialization),
            value=value,
        ),
    )


def read_stream(
    *, workflow_id: str, key: str, position: int, read_limit: int, channel: str | None
) -> Call[rows.StreamValue]:
    """Values of a stream from a position on; the channel waits when there are none."""
    return Call(
        "read_stream",
        {
            "workflow_id": workflow_id,
            "key": key,
            "from_position": position,
            "read_limit": read_limit,
            "channel": channel,
        },
        rows.StreamValue,
    )


def hibernate_workflow(
    *, workflow_id: str, lease_token: str, timer_step_id: int | None, waits: str
) -> Call[None]:
    """Give up a run that waits; the scalar result is whether it hibernates now. `waits` as `look_again` takes them."""
    return Call(
        "hibernate_workflow",
        {
            "workflow_id": workflow_id,
            "lease_token": lease_token,
            "timer_step_id": timer_step_id,
            "waits": waits,
        },
    )
