"""How workflows and steps look to users: `WorkflowStatus` and `StepInfo`, made from rows."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypedDict

from pyengine.database.rows import StepRow, WorkflowRow
from pyengine.serialization import Codec

_logger = logging.getLogger("pyengine")


class WorkflowStatusString(str, Enum):
    """The states of a workflow."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    MAX_RECOVERY_ATTEMPTS_EXCEEDED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
    CANCELLED = "CANCELLED"
    ENQUEUED = "ENQUEUED"
    DELAYED = "DELAYED"


class WorkflowInput(TypedDict):
    """The arguments of a workflow."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@dataclass(slots=True)
class WorkflowStatus:
    """One workflow as its users see it. Times are milliseconds since 1970, by the database's clock."""

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    authenticated_user: str | None
    assumed_role: str | None
    authenticated_roles: list[str] | None
    input: WorkflowInput | None
    output: Any
    error: Any
    created_at: int
    updated_at: int
    queue_name: str | None
    executor_id: str | None
    app_version: str | None
    workflow_timeout_ms: int | None
    workflow_deadline_epoch_ms: int | None
    deduplication_id: str | None
    priority: int
    queue_partition_key: str | None
    forked_from: str | None
    was_forked_from: bool
    parent_workflow_id: str | None
    dequeued_at: int | None
    delay_until_epoch_ms: int | None
    completed_at: int | None
    attributes: dict[str, Any] | None
    schedule_name: str | None
    application_name: str | None
    shard_key: str | None
    parent_shard_key: str | None
    app_id: str | None
    recovery_attempts: int


class StepInfo(TypedDict):
    """One recorded step of a workflow."""

    function_id: int
    function_name: str
    output: Any
    error: Any
    child_workflow_id: str | None
    child_shard_key: str | None
    started_at_epoch_ms: int | None
    completed_at_epoch_ms: int | None


def status_of(row: WorkflowRow, codec: Codec) -> WorkflowStatus:
    """A workflow's row as its users see it; a payload that can't be read comes as its text."""
    tag = row.serialization
    return WorkflowStatus(
        workflow_id=row.workflow_id,
        status=row.status,
        name=row.name,
        class_name=row.class_name,
        config_name=row.config_name,
        authenticated_user=row.authenticated_user,
        assumed_role=row.assumed_role,
        authenticated_roles=row.authenticated_roles,
        input=_readable(lambda: _input(row, codec), row.inputs, row.workflow_id),
        output=_readable(lambda: codec.decode(row.output, tag), row.output, row.workflow_id),
        error=_readable(lambda: _error(row.error, tag, codec), row.error, row.workflow_id),
        created_at=_milliseconds(row.created_at) or 0,
        updated_at=_milliseconds(row.updated_at) or 0,
        queue_name=row.queue_name,
        executor_id=row.executor_name,
        app_version=row.application_version,
        workflow_timeout_ms=None
        if row.timeout is None
        else round(row.timeout.total_seconds() * 1e3),
        workflow_deadline_epoch_ms=_milliseconds(row.deadline_at),
        deduplication_id=row.deduplication_id,
        priority=row.priority,
        queue_partition_key=row.partition_key,
        forked_from=row.forked_from,
        was_forked_from=row.was_forked_from,
        parent_workflow_id=row.parent_workflow_id,
        dequeued_at=_milliseconds(row.started_at),
        delay_until_epoch_ms=_milliseconds(row.delayed_until),
        completed_at=_milliseconds(row.finished_at),
        attributes=row.attributes,
        schedule_name=row.schedule_name,
        application_name=row.application_name,
        shard_key=None,
        parent_shard_key=None,
        app_id=None,
        recovery_attempts=row.attempt_count,
    )


def step_info(row: StepRow, codec: Codec) -> StepInfo:
    """A step's row as its users see it; a payload that can't be read comes as its text."""
    tag = row.serialization
    return StepInfo(
        function_id=row.step_id,
        function_name=row.name,
        output=_readable(lambda: codec.decode(row.output, tag), row.output, row.workflow_id),
        error=_readable(lambda: _error(row.error, tag, codec), row.error, row.workflow_id),
        child_workflow_id=row.child_workflow_id,
        child_shard_key=None,
        started_at_epoch_ms=_milliseconds(row.started_at),
        completed_at_epoch_ms=_milliseconds(row.completed_at),
    )


def _input(row: WorkflowRow, codec: Codec) -> WorkflowInput | None:
    if row.inputs is None:  # it was not asked for
        return None
    args, kwargs = codec.decode_arguments(row.inputs, row.serialization)
    return {"args": args, "kwargs": kwargs}


def _error(text: str | None, tag: str, codec: Codec) -> BaseException | None:
    return None if text is None else codec.decode_error(text, tag)


def _readable(read: Callable[[], Any], text: str | None, workflow_id: str) -> Any:
    try:
        return read()
    except Exception as error:
        _logger.warning(
            "a payload of workflow %s can't be read here (%s); it is shown as its text",
            workflow_id,
            type(error).__name__,
        )
        return text


def _milliseconds(moment: datetime | None) -> int | None:
    return None if moment is None else round(moment.timestamp() * 1000)
