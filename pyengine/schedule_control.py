"""Looking at schedules and steering them; sync and async twins, of `DBOS` and of clients."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, TypedDict

from pyengine.context import current_run, current_scope
from pyengine.cron import parse
from pyengine.current import get_runtime
from pyengine.database import schedule_calls
from pyengine.database.rows import ScheduledStart, ScheduleRow
from pyengine.effects import Effect, Flow
from pyengine.errors import DBOSBackpressureError, DBOSException
from pyengine.execution import Runtime
from pyengine.flows.steps import record_operation
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.schedules import Spec, WorkflowSchedule, apply, filters_of, schedule_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

OneOrMore = str | Sequence[str]

# Ticks that are backfilled in one statement.
_BACKFILL_CHUNK = 500


class ScheduleFilters(TypedDict, total=False):
    """Which schedules to list; of several values any may match. Without `application_name` those of the own one."""

    status: OneOrMore | None
    workflow_name: OneOrMore | None
    schedule_name_prefix: OneOrMore | None
    application_name: OneOrMore | None


class ScheduleControl:
    """Looking at schedules and steering them."""

    @classmethod
    def list_schedules(cls, **filters: Unpack[ScheduleFilters]) -> list[WorkflowSchedule]:
        """The schedules that match all filters, by name. See `ScheduleFilters`."""
        runtime = get_runtime("DBOS.list_schedules")
        return runtime.run(_list(runtime, filters))

    @classmethod
    async def list_schedules_async(
        cls, **filters: Unpack[ScheduleFilters]
    ) -> list[WorkflowSchedule]:
        """As `list_schedules`."""
        runtime = get_runtime("DBOS.list_schedules_async")
        return await runtime.run_async(_list(runtime, filters))

    @classmethod
    def get_schedule(cls, name: str) -> WorkflowSchedule | None:
        """A schedule; None if there is none of that name."""
        runtime = get_runtime("DBOS.get_schedule")
        return runtime.run(_get(runtime, name))

    @classmethod
    async def get_schedule_async(cls, name: str) -> WorkflowSchedule | None:
        """As `get_schedule`."""
        runtime = get_runtime("DBOS.get_schedule_async")
        return await runtime.run_async(_get(runtime, name))

    @classmethod
    def delete_schedule(cls, name: str) -> None:
        """Remove a schedule, if there is one of that name; the workflows that it started stay."""
        get_runtime("DBOS.delete_schedule").run(_delete(name))

    @classmethod
    async def delete_schedule_async(cls, name: str) -> None:
        """As `delete_schedule`."""
        await get_runtime("DBOS.delete_schedule_async").run_async(_delete(name))

    @classmethod
    def pause_schedule(cls, name: str) -> None:
        """Start nothing until `resume_schedule`, if there is a schedule of that name."""
        get_runtime("DBOS.pause_schedule").run(_pause(name))

    @classmethod
    async def pause_schedule_async(cls, name: str) -> None:
        """As `pause_schedule`."""
        await get_runtime("DBOS.pause_schedule_async").run_async(_pause(name))

    @classmethod
    def resume_schedule(cls, name: str) -> None:
        """Go on with a paused schedule. Its `catch_up` says what happens to the ticks that it missed."""
        runtime = get_runtime("DBOS.resume_schedule")
        runtime.run(_resume(runtime, name))

    @classmethod
    async def resume_schedule_async(cls, name: str) -> None:
        """As `resume_schedule`."""
        runtime = get_runtime("DBOS.resume_schedule_async")
        await runtime.run_async(_resume(runtime, name))

    @classmethod
    def trigger_schedule(cls, name: str) -> WorkflowHandle[Any]:
        """Start a schedule's workflow now, even if it is paused.

        Raises:
            DBOSException: There is no such schedule; or this is called in a workflow.
            DBOSBackpressureError: Its queue is full.
        """
        runtime = get_runtime("DBOS.trigger_schedule")
        return Handle(runtime, runtime.run(_trigger(name)))

    @classmethod
    async def trigger_schedule_async(cls, name: str) -> WorkflowHandleAsync[Any]:
        """As `trigger_schedule`."""
        runtime = get_runtime("DBOS.trigger_schedule_async")
        return HandleAsync(runtime, await runtime.run_async(_trigger(name)))

    @classmethod
    def backfill_schedule(
        cls, name: str, start: datetime, end: datetime
    ) -> list[WorkflowHandle[Any]]:
        """Start a schedule's workflow for its ticks after `start` and before `end`, but not for those that were fired.

        Args:
            name: The schedule.
            start: Without a time zone it is in UTC.
            end: As `start`.

        Returns:
            A handle for the workflow of each tick in the range, also of those that were fired before.

        Raises:
            DBOSException: There is no such schedule, or it is not known any more what ran so long ago; or this is
                called in a workflow.
            DBOSBackpressureError: Its queue is full: some ticks have started, the others may be tried again.
        """
        runtime = get_runtime("DBOS.backfill_schedule")
        ids = runtime.run(_backfill(runtime, name, start, end))
        return [Handle(runtime, workflow_id) for workflow_id in ids]

    @classmethod
    async def backfill_schedule_async(
        cls, name: str, start: datetime, end: datetime
    ) -> list[WorkflowHandleAsync[Any]]:
        """As `backfill_schedule`."""
        runtime = get_runtime("DBOS.backfill_schedule_async")
        ids = await runtime.run_async(_backfill(runtime, name, start, end))
        return [HandleAsync(runtime, workflow_id) for workflow_id in ids]


def recorded(name: str, flow: Flow[Any]) -> Flow[Any]:
    """Inside a workflow the operation is a recorded step."""
    run = current_run()
    return flow if run is None else record_operation(run, name, flow)


def nothing(effect: Effect) -> Flow[None]:
    """Perform a call, whatever it returns."""
    yield effect


def refuse_in_workflow(what: str) -> None:
    """Raise DBOSException inside a workflow: the operation is no step."""
    if current_scope() is not None:
        raise DBOSException(f"DBOS.{what} can't be called in a workflow: call it from outside")


def _list(runtime: Runtime, filters: ScheduleFilters) -> Flow[list[WorkflowSchedule]]:
    call = schedule_calls.list_schedules(**filters_of(filters, runtime.application.name))

    def read() -> Flow[list[WorkflowSchedule]]:
        rows: list[ScheduleRow] = yield call
        return [schedule_of(row, runtime) for row in rows]

    found: list[WorkflowSchedule] = yield from recorded("DBOS.listSchedules", read())
    return found


def _get(runtime: Runtime, name: str) -> Flow[WorkflowSchedule | None]:
    found: WorkflowSchedule | None = yield from recorded("DBOS.getSchedule", _find(runtime, name))
    return found


def _find(runtime: Runtime, name: str) -> Flow[WorkflowSchedule | None]:
    rows: list[ScheduleRow] = yield schedule_calls.list_schedules(schedule_names=[name])
    return schedule_of(rows[0], runtime) if rows else None


def _delete(name: str) -> Flow[None]:
    call = schedule_calls.delete_schedule(schedule_name=name)
    yield from recorded("DBOS.deleteSchedule", nothing(call))


def _pause(name: str) -> Flow[None]:
    call = schedule_calls.pause_schedule(schedule_name=name)
    yield from recorded("DBOS.pauseSchedule", nothing(call))


def _resume(runtime: Runtime, name: str) -> Flow[None]:
    call = schedule_calls.resume_schedule(schedule_name=name)
    yield from recorded("DBOS.resumeSchedule", nothing(call))
    runtime.engine.schedules_changed()


def _trigger(name: str) -> Flow[str]:
    refuse_in_workflow("trigger_schedule")
    found: list[str] = yield schedule_calls.trigger_schedule(
        schedule_name=name, request_token=str(uuid.uuid4())
    )
    return found[0]


def _backfill(runtime: Runtime, name: str, start: datetime, end: datetime) -> Flow[list[str]]:
    refuse_in_workflow("backfill_schedule")
    schedule = yield from _find(runtime, name)
    if schedule is None:
        raise DBOSException(f"there is no schedule {name}: create it first")
    cron = parse(schedule["schedule"], schedule["cron_timezone"])
    ticks = [tick.isoformat() for tick in cron.between(_aware(start), _aware(end))]
    started: list[ScheduledStart] = []
    for first in range(0, len(ticks), _BACKFILL_CHUNK):
        chunk = ticks[first : first + _BACKFILL_CHUNK]
        started += yield schedule_calls.backfill_schedule(schedule_name=name, ticks=chunk)
    refused = [each.tick for each in started if each.workflow_id is None]
    if refused:
        raise DBOSBackpressureError(
            f"queue {schedule['queue_name']} is full (max_depth): {len(refused)} of {len(ticks)} ticks of schedule "
            f"{name} were not started, try again later"
        )
    return [each.workflow_id for each in started if each.workflow_id is not None]


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


def create(runtime: Runtime, spec: Spec) -> Flow[None]:
    """Store a schedule whose name is not taken."""
    call = schedule_calls.create_schedule(**{name: getattr(spec, name) for name in spec.__slots__})
    yield from recorded("DBOS.createSchedule", nothing(call))
    runtime.engine.schedules_changed()


def apply_specs(runtime: Runtime, specs: Sequence[Spec]) -> Flow[None]:
    """Store schedules, all or none."""
    if specs:
        yield apply([spec.document() for spec in specs])
        runtime.engine.schedules_changed()
