"""Schedules as the database and as users see them; and those that decorators declare."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypedDict, TypeVar, get_args

from pyengine.cron import parse
from pyengine.current import find_runtime
from pyengine.database import schedule_calls
from pyengine.database.rows import ScheduleRow
from pyengine.decorators import registered_workflow
from pyengine.effects import Effect, Flow
from pyengine.errors import DBOSException, DBOSInvalidArgumentError
from pyengine.execution import Runtime
from pyengine.flows.workflows import Target
from pyengine.registry import TEMPORARY_PREFIX, DeclaredSchedule, RegisteredWorkflow

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])

CatchUp = Literal["skip", "last", "all"]
Overlap = Literal["allow", "skip", "queue"]

GRACE_SECONDS = 60.0
# The native format: it can hold the times that the workflow is called with.
_SERIALIZATION = "json"


class _Options(TypedDict, total=False):
    context: Any
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    shard_key: str | None
    catch_up: CatchUp | None
    overlap: Overlap
    grace_seconds: float


class _Required(TypedDict):
    schedule_name: str
    workflow_fn: Callable[..., Any]
    schedule: str


class ScheduleInput(_Required, _Options):
    """A schedule for `DBOS.apply_schedules`; the keys are as the arguments of `DBOS.create_schedule`."""


class _RequiredOfClient(TypedDict):
    schedule_name: str
    workflow_name: str
    schedule: str


class ClientScheduleInput(_RequiredOfClient, _Options, total=False):
    """A schedule for `DBOSClient.apply_schedules`; the keys are as the arguments of `DBOSClient.create_schedule`."""

    workflow_class_name: str | None
    application_name: str | None


class WorkflowSchedule(TypedDict):
    """A schedule as it is registered. Times are ISO 8601 texts, by the database's clock."""

    schedule_id: str
    schedule_name: str
    workflow_name: str
    workflow_class_name: str | None
    schedule: str
    status: str
    context: Any
    last_fired_at: str | None
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    application_name: str | None
    shard_key: str | None
    catch_up: str
    overlap: str
    grace_seconds: float
    next_due_at: str | None
    last_missed_at: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Spec:
    """A schedule that is checked and can be stored."""

    schedule_name: str
    workflow_name: str
    workflow_class_name: str | None
    schedule: str
    context: str | None
    cron_timezone: str | None
    queue_name: str | None
    application_name: str | None
    catch_up: str
    overlap: str
    grace_seconds: float
    max_attempts: int | None
    serialization: str = _SERIALIZATION

    def document(self, **more: str) -> str:
        """The json object for `apply_schedules`."""
        names = [name for name in self.__slots__ if name != "context"]
        fields = [f"{json.dumps(name)}:{json.dumps(getattr(self, name))}" for name in names]
        fields += [f"{json.dumps(name)}:{json.dumps(value)}" for name, value in more.items()]
        return "{" + ",".join([*fields, f'"context":{self.context or "null"}']) + "}"


class ScheduleOptions(TypedDict, total=False):
    """See `DBOS.create_schedule`."""

    context: Any
    automatic_backfill: bool
    cron_timezone: str | None
    queue_name: str | None
    shard_key: str | None
    catch_up: CatchUp | None
    overlap: Overlap
    grace_seconds: float


def spec_of(
    runtime: Runtime,
    *,
    schedule_name: str,
    workflow_fn: Callable[..., Any],
    schedule: str,
    **options: Unpack[ScheduleOptions],
) -> Spec:
    """Check what `DBOS.create_schedule` was given.

    Raises:
        DBOSInvalidArgumentError: Names the argument, and what is wrong with it.
        DBOSException: The workflow can't be scheduled.
        DBOSSerializationError: The context can't be stored.
    """
    workflow, _ = registered_workflow(workflow_fn, f"schedule {schedule_name}")
    class_name, max_attempts = _schedulable(workflow)
    return spec_by_name(
        runtime,
        Target(workflow.name, class_name, None, max_attempts),
        schedule_name=schedule_name,
        schedule=schedule,
        application_name=runtime.application.name,
        **options,
    )


def spec_by_name(
    runtime: Runtime,
    target: Target,
    *,
    schedule_name: str,
    schedule: str,
    application_name: str | None,
    **options: Unpack[ScheduleOptions],
) -> Spec:
    """As `spec_of`, for a workflow that need not be registered here."""
    cron_timezone, context = options.get("cron_timezone"), options.get("context")
    overlap, grace_seconds = (
        options.get("overlap", "allow"),
        options.get("grace_seconds", GRACE_SECONDS),
    )
    parse(schedule, cron_timezone)
    catch_up = check_policies(
        options.get("automatic_backfill", False), options.get("catch_up"), overlap, grace_seconds
    )
    return Spec(
        schedule_name=schedule_name,
        workflow_name=target.name,
        workflow_class_name=target.class_name,
        schedule=schedule,
        context=None if context is None else runtime.codec.encode(context, _SERIALIZATION),
        cron_timezone=cron_timezone,
        queue_name=options.get("queue_name"),
        application_name=application_name,
        catch_up=catch_up,
        overlap=overlap,
        grace_seconds=grace_seconds,
        max_attempts=target.max_attempts,
    )


def specs_of(
    inputs: Sequence[Mapping[str, Any]], known: type[Any], make: Callable[..., Spec]
) -> list[Spec]:
    """Check what `apply_schedules` was given: dictionaries of the type `known`, of which `make` makes schedules.

    Raises:
        DBOSInvalidArgumentError: A key is missing, unknown, or has a wrong value; or a name is there twice.
    """
    names = [given.get("schedule_name") for given in inputs]
    for given in inputs:
        missing = sorted(key for key in known.__required_keys__ if given.get(key) is None)
        unknown = sorted(given.keys() - known.__required_keys__ - known.__optional_keys__)
        if missing or unknown:
            wrong = f"needs {' and '.join(missing)}" if missing else f"has no {', '.join(unknown)}"
            raise DBOSInvalidArgumentError(f"schedule {given.get('schedule_name', '?')!r} {wrong}")
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise DBOSInvalidArgumentError(f"schedules are given twice: {', '.join(twice)}")
    return [make(**given) for given in inputs]


def check_policies(
    automatic_backfill: bool,  # noqa: FBT001 - the name of the argument that is checked
    catch_up: str | None,
    overlap: str,
    grace_seconds: float,
) -> str:
    """The policy for missed ticks.

    Raises:
        DBOSInvalidArgumentError: Names the argument, and what is wrong with it.
    """
    if catch_up is not None and catch_up not in get_args(CatchUp):
        raise DBOSInvalidArgumentError(f"catch_up is {catch_up!r}: use 'skip', 'last' or 'all'")
    if automatic_backfill and catch_up not in (None, "all"):
        raise DBOSInvalidArgumentError(
            f"automatic_backfill means catch_up 'all', and catch_up is {catch_up!r}: give one of them"
        )
    if overlap not in get_args(Overlap):
        raise DBOSInvalidArgumentError(f"overlap is {overlap!r}: use 'allow', 'skip' or 'queue'")
    if not 0 <= grace_seconds < math.inf:
        raise DBOSInvalidArgumentError(
            f"grace_seconds is {grace_seconds}: it must be finite and not negative"
        )
    return catch_up or ("all" if automatic_backfill else "skip")


def schedule_of(row: ScheduleRow, runtime: Runtime) -> WorkflowSchedule:
    """A schedule's row as its users see it."""
    return WorkflowSchedule(
        schedule_id=str(row.schedule_id),
        schedule_name=row.schedule_name,
        workflow_name=row.workflow_name,
        workflow_class_name=row.workflow_class_name,
        schedule=row.schedule,
        status=row.status,
        context=None
        if row.context is None
        else runtime.codec.decode(row.context, row.serialization),
        last_fired_at=_iso(row.last_fired_at),
        automatic_backfill=row.catch_up == "all",
        cron_timezone=row.cron_timezone,
        queue_name=row.queue_name,
        application_name=row.application_name,
        shard_key=None,
        catch_up=row.catch_up,
        overlap=row.overlap,
        grace_seconds=row.grace.total_seconds(),
        next_due_at=_iso(row.next_due_at),
        last_missed_at=_iso(row.last_missed_at),
        error=row.error,
    )


def declare(schedule: DeclaredSchedule) -> Callable[[F], F]:
    """Note at a workflow when it is to be started; with a launched engine its schedule is stored at once."""

    def decorate(function: F) -> F:
        workflow, _ = registered_workflow(
            function, "DBOS.scheduled, which stands above @DBOS.workflow(),"
        )
        if workflow.name.startswith(TEMPORARY_PREFIX):
            raise DBOSException(
                f"{workflow.name.removeprefix(TEMPORARY_PREFIX)} is a step: schedule a workflow that calls it"
            )
        workflow.schedule = schedule
        runtime = find_runtime()
        if runtime is not None:
            runtime.run(_store_declared(runtime, [workflow]))
        return function

    return decorate


def register_declared(runtime: Runtime) -> None:
    """Store the schedules that decorators declare. A version that is not the latest changes none that exists."""
    declared = runtime.registry.scheduled()
    if declared:
        runtime.run(_store_declared(runtime, declared))


def _store_declared(runtime: Runtime, workflows: Sequence[RegisteredWorkflow]) -> Flow[None]:
    documents = [
        _declared_spec(runtime, each).document(second_argument="actual_time") for each in workflows
    ]
    yield apply(documents, "update_if_latest_version", runtime.application.version)
    runtime.engine.schedules_changed()


def apply(
    documents: Sequence[str], on_conflict: str = "always_update", version: str | None = None
) -> Effect:
    """The call that stores several schedules."""
    return schedule_calls.apply_schedules(
        schedules="[" + ",".join(documents) + "]",
        on_conflict=on_conflict,
        application_version=version,
    )


def _declared_spec(runtime: Runtime, workflow: RegisteredWorkflow) -> Spec:
    schedule = workflow.schedule
    assert schedule is not None
    class_name, max_attempts = _schedulable(workflow)
    return Spec(
        schedule_name=workflow.name,
        workflow_name=workflow.name,
        workflow_class_name=class_name,
        schedule=schedule.cron,
        context=None,
        cron_timezone=schedule.cron_timezone,
        queue_name=schedule.queue_name,
        application_name=runtime.application.name,
        catch_up=schedule.catch_up,
        overlap=schedule.overlap,
        grace_seconds=schedule.grace_seconds,
        max_attempts=max_attempts,
    )


def _schedulable(workflow: RegisteredWorkflow) -> tuple[str | None, int | None]:
    """The class name and number of attempts of a workflow that nobody's object is needed for."""
    if workflow.kind == "instance":
        raise DBOSException(
            f"workflow {workflow.name} is a method of configured instances and can't be scheduled: schedule a "
            "function, a static method or a class method that calls it"
        )
    return workflow.class_name, workflow.max_attempts


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def filters_of(
    given: Mapping[str, Any], application_name: str | None
) -> dict[str, list[str] | None]:
    """The filters of `DBOS.list_schedules` as those of the SQL function."""
    return {
        "statuses": _several(given.get("status")),
        "workflow_names": _several(given.get("workflow_name")),
        "name_prefixes": _several(given.get("schedule_name_prefix")),
        "application_names": _several(given.get("application_name") or application_name),
    }


def _several(value: str | Sequence[str] | None) -> list[str] | None:
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)
