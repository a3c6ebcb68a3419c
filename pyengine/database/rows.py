"""What the SQL functions return, as frozen dataclasses whose field names are the column names.

Payload columns (inputs, output, error) stay text here; `pyengine.serialization` gives them a meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class StartAnswer:
    """A start that created nothing: refused, or the id exists (then the row as it is)."""

    item: int
    refusal: str | None
    message: str | None
    status: str | None
    name: str | None
    class_name: str | None
    config_name: str | None
    queue_name: str | None
    holder_id: str | None


@dataclass(frozen=True, slots=True)
class DebounceAnswer:
    """The workflow that will run for a debounced call; refused, the workflow that holds the key."""

    workflow_id: str
    is_new: bool
    refusal: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class StepAnswer:
    """A checkpoint that stored nothing: refused, or the step has an outcome already (which holds)."""

    item: int
    refusal: str | None
    message: str | None
    name: str | None
    child_workflow_id: str | None
    serialization: str | None
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class StatementResult:
    """What a declared statement gave: its rows as a json array, and how many rows it gave or touched."""

    rows: str
    row_count: int


@dataclass(frozen=True, slots=True)
class FinishAnswer:
    """An outcome that was refused."""

    item: int
    refusal: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class BatchAnswer:
    """An answer of one part of a mixed batch, as json text."""

    kind: str
    item: int
    answer: str


@dataclass(frozen=True, slots=True)
class AppendAnswer:
    """A stream value that was refused."""

    item: int
    refusal: str | None
    message: str | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a durable wait came to: done with an outcome, or how long it may still take."""

    is_done: bool
    serialization: str | None
    output: str | None
    error: str | None
    remaining_ms: float


@dataclass(frozen=True, slots=True)
class EventRow:
    """The last value of an event."""

    key: str
    serialization: str
    value: str | None


@dataclass(frozen=True, slots=True)
class StreamValue:
    """A value of a stream, or its end."""

    position: int | None
    is_end: bool
    serialization: str | None
    value: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a workflow ended."""

    workflow_id: str
    status: str
    serialization: str
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ClaimedWorkflow:
    """A workflow handed to this executor, with its whole history."""

    workflow_id: str
    name: str
    class_name: str | None
    config_name: str | None
    attempt_count: int
    queue_name: str | None
    deadline_at: datetime | None
    authenticated_user: str | None
    assumed_role: str | None
    authenticated_roles: list[str] | None
    serialization: str
    inputs: str
    step_ids: list[int] | None
    step_names: list[str] | None
    step_children: list[str | None] | None
    step_serializations: list[str] | None
    step_outputs: list[str | None] | None
    step_errors: list[str | None] | None
    claimed_at: datetime
    base_step_id: int


@dataclass(frozen=True, slots=True)
class TickResult:
    """What one maintenance tick found and did."""

    is_alive: bool
    reaped_executors: int
    requeued_workflows: int
    claimable: bool
    has_chores: bool
    running_workflows: int | None
    has_due_schedules: bool


@dataclass(frozen=True, slots=True)
class ChoresResult:
    """What a round of upkeep did, and whether there is more to do."""

    overdue_workflows: int
    pruned_workflows: int
    unlimited_history: int | None
    is_more: bool


@dataclass(frozen=True, slots=True)
class RunLease:
    """A run by its workflow and lease."""

    workflow_id: str
    lease_token: UUID


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never be: which invariant is broken, by which workflow (None if by none alone), and how."""

    invariant: str
    workflow_id: str | None
    detail: str


@dataclass(frozen=True, slots=True)
class RetentionRow:
    """How long an application's workflows are kept after their end; None is for ever."""

    application_name: str
    success_age: timedelta | None
    error_age: timedelta | None
    cancelled_age: timedelta | None
    dead_letter_age: timedelta | None
    keep_newest: int | None


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """One workflow as it is stored."""

    workflow_id: str
    status: str
    name: str
    class_name: str | None
    config_name: str | None
    application_name: str | None
    application_version: str | None
    executor_id: int | None
    executor_name: str | None
    lease_token: UUID | None
    attempt_count: int
    queue_name: str | None
    priority: int
    partition_key: str | None
    deduplication_id: str | None
    parent_workflow_id: str | None
    forked_from: str | None
    was_forked_from: bool
    schedule_name: str | None
    authenticated_user: str | None
    assumed_role: str | None
    authenticated_roles: list[str] | None
    attributes: Any
    timeout: timedelta | None
    deadline_at: datetime | None
    delayed_until: datetime | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    serialization: str
    inputs: str | None
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class WorkflowOrigin:
    """Which of the workflows that had an id after each other it is, of which it is a fork, and how it was rewound."""

    workflow_id: str
    created_at: datetime
    forked_from: str | None
    rewound_steps: list[int] | None


@dataclass(frozen=True, slots=True)
class WorkflowAttributes:
    """What is attached to a workflow."""

    workflow_id: str
    attributes: Any


@dataclass(frozen=True, slots=True)
class WorkflowPlace:
    """A workflow's place in the order of its list."""

    workflow_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One queue and its limits."""

    queue_name: str
    application_name: str | None
    worker_concurrency: int | None
    concurrency: int | None
    partition_concurrency: int | None
    partition_worker_concurrency: int | None
    limiter_limit: int | None
    limiter_period: timedelta | None
    partition_limiter_limit: int | None
    partition_limiter_period: timedelta | None
    polling_interval: timedelta
    max_depth: int | None
    is_paused: bool


@dataclass(frozen=True, slots=True)
class RenamedRows:
    """How much was given to another application; after `last_workflow_id` there is more."""

    queues: int
    schedules: int
    versions: int
    workflows: int
    steps: int
    last_workflow_id: str | None


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of an application."""

    version_name: str
    version_id: UUID
    application_name: str
    is_pinned: bool
    version_timestamp: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule as it is stored, without its plan."""

    schedule_name: str
    schedule_id: UUID
    application_name: str | None
    workflow_name: str
    workflow_class_name: str | None
    schedule: str
    cron_timezone: str | None
    status: str
    queue_name: str | None
    context: str | None
    serialization: str
    catch_up: str
    overlap: str
    grace: timedelta
    next_due_at: datetime | None
    error: str | None
    last_fired_at: datetime | None
    last_missed_at: datetime | None


@dataclass(frozen=True, slots=True)
class SchedulePlan:
    """A schedule whose next ticks this process is to compute."""

    schedule_name: str
    revision: int
    schedule: str
    cron_timezone: str | None
    catch_up: str
    planned_until: datetime
    plan_from: datetime
    planned_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduledStart:
    """The workflow that a tick started, or the code of the refusal."""

    tick: str
    workflow_id: str | None
    refusal: str | None


@dataclass(frozen=True, slots=True)
class ScheduleTick:
    """A tick that was fired."""

    schedule_name: str
    tick_at: datetime
    fired_at: datetime
    outcome: str
    workflow_id: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One recorded step."""

    workflow_id: str
    step_id: int
    name: str
    attempt: int
    child_workflow_id: str | None
    started_at: datetime
    completed_at: datetime
    serialization: str
    output: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class ExplanationRow:
    """Why a workflow is where it is: a paragraph, and a json array of its facts."""

    workflow_id: str
    status: str
    summary: str
    facts: str


@dataclass(frozen=True, slots=True)
class ExecutorRow:
    """A process that runs workflows, and what it runs now."""

    executor_id: int
    name: str
    application_name: str
    application_version: str
    version_is_pinned: bool
    state: str
    host: str | None
    process_id: int | None
    started_at: datetime
    heartbeat_at: datetime
    lease_seconds: float
    is_listening: bool
    finished_at: datetime | None
    functions: list[str]
    running_count: int


@dataclass(frozen=True, slots=True)
class QueueDepthRow:
    """How much waits and runs in a queue."""

    queue_name: str
    enqueued: int
    delayed: int
    running: int
    oldest_enqueued_at: datetime | None
    hibernated: int


@dataclass(frozen=True, slots=True)
class AggregateRow:
    """A group of workflows: how many, how old, and percentiles (50th, 95th, 99th) of their waits and runs."""

    groups: str
    workflow_count: int
    oldest_created_at: datetime
    newest_created_at: datetime
    wait_seconds: list[float | None] | None
    run_seconds: list[float | None] | None


@dataclass(frozen=True, slots=True)
class ActiveRow:
    """Workflows of one kind that have not ended."""

    application_name: str | None
    name: str
    queue_name: str | None
    status: str
    workflow_count: int
    oldest_created_at: datetime


@dataclass(frozen=True, slots=True)
class OutcomesRow:
    """Workflows of one kind that ended within the window; percentiles are the 50th, 95th and 99th."""

    application_name: str | None
    name: str
    queue_name: str | None
    status: str
    workflow_count: int
    per_second: float
    wait_seconds: list[float | None] | None
    run_seconds: list[float | None] | None


@dataclass(frozen=True, slots=True)
class StepAggregateRow:
    """Steps of one name: how many, how many failed, and percentiles (50th, 95th, 99th) of how long they ran."""

    workflow_name: str
    step_name: str
    step_count: int
    error_count: int
    run_seconds: list[float | None] | None
