"""Calls of the SQL functions of queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyengine.database import rows
from pyengine.database.calls import Call


def claim_workflows(
    *,
    executor_id: int,
    lease_token: str,
    claim_limit: int,
    queue_names: Sequence[str] | None,
    channel: str | None,
) -> Call[rows.ClaimedWorkflow]:
    """Take up to `claim_limit` runnable workflows under one new lease token; `channel` waits for work no longer."""
    return Call(
        "claim_workflows",
        {
            "executor_id": executor_id,
            "lease_token": lease_token,
            "claim_limit": claim_limit,
            "queue_names": queue_names,
            "channel": channel,
            "is_repeated": False,
        },
        rows.ClaimedWorkflow,
        repeated={"is_repeated": True},
    )


def enqueue_workflows(
    *, requests: Sequence[str], common: str | None = None
) -> Call[rows.StartAnswer]:
    """Enqueue workflows (the documents of starts), all or none; `common` has what the documents leave out."""
    return Call(
        "enqueue_workflows",
        {"requests": f"[{','.join(requests)}]", "common": common},
        rows.StartAnswer,
    )


def await_work(*, executor_id: int, channel: str, queue_names: Sequence[str] | None) -> Call[None]:
    """Wait for work; the scalar result is the seconds until the next timer, or None."""
    return Call(
        "await_work",
        {"executor_id": executor_id, "channel": channel, "queue_names": queue_names},
    )


def debounce_workflow(
    *, request: str, debounce_key: str, period_ms: float, timeout_ms: float | None
) -> Call[rows.DebounceAnswer]:
    """Put a workflow off; `request` is the document of its start."""
    return Call(
        "debounce_workflow",
        {
            "request": request,
            "debounce_key": debounce_key,
            "period_ms": period_ms,
            "timeout_ms": timeout_ms,
        },
        rows.DebounceAnswer,
    )


def register_queue(
    *,
    queue_name: str,
    application_name: str | None,
    application_version: str | None,
    on_conflict: str,
    limits: Mapping[str, object],
) -> Call[rows.QueueRow]:
    """Register a queue; `limits` has the names of the SQL function's parameters."""
    arguments: dict[str, object] = {
        "queue_name": queue_name,
        "application_name": application_name,
        "application_version": application_version,
        "on_conflict": on_conflict,
    }
    return Call("register_queue", {**arguments, **limits}, rows.QueueRow)


def register_kafka_queues() -> Call[None]:
    """Make the queues of the workflows that Kafka messages start."""
    return Call("register_kafka_queues", {})


def change_queue(*, queue_name: str, changes: str) -> Call[rows.QueueRow]:
    """Change the named properties of a queue (a json object)."""
    return Call("change_queue", {"queue_name": queue_name, "changes": changes}, rows.QueueRow)


def list_queues(
    *, application_name: str | None, queue_names: Sequence[str] | None
) -> Call[rows.QueueRow]:
    """Queues by name."""
    arguments = {"application_name": application_name, "queue_names": queue_names}
    return Call("list_queues", arguments, rows.QueueRow)


def delete_queue(*, queue_name: str) -> Call[None]:
    """Remove a queue."""
    return Call("delete_queue", {"queue_name": queue_name})


def pause_queue(*, queue_name: str) -> Call[None]:
    """Hand out no more work of a queue."""
    return Call("pause_queue", {"queue_name": queue_name})


def resume_queue(*, queue_name: str) -> Call[None]:
    """Hand out work of a queue again."""
    return Call("resume_queue", {"queue_name": queue_name})


def set_workflow_delay(
    *, workflow_id: str, delayed_until_ms: int | None, delay_ms: float | None
) -> Call[None]:
    """Change when a delayed workflow becomes claimable."""
    return Call(
        "set_workflow_delay",
        {"workflow_id": workflow_id, "delay_ms": delay_ms, "delayed_until_ms": delayed_until_ms},
    )
