"""The part of `DBOS` that schedules workflows; sync and async twins."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pyengine.cron import parse
from pyengine.current import get_runtime
from pyengine.effects import Flow
from pyengine.execution import Runtime
from pyengine.registry import DeclaredSchedule
from pyengine.schedule_control import ScheduleControl, apply_specs, create, refuse_in_workflow
from pyengine.schedules import (
    GRACE_SECONDS,
    CatchUp,
    Overlap,
    ScheduleInput,
    ScheduleOptions,
    check_policies,
    declare,
    spec_of,
    specs_of,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

F = TypeVar("F", bound=Callable[..., Any])


class Scheduling(ScheduleControl):
    """The part of `DBOS` that schedules workflows."""

    @classmethod
    def scheduled(
        cls,
        cron: str,
        *,
        cron_timezone: str | None = None,
        queue_name: str | None = None,
        catch_up: CatchUp = "skip",
        overlap: Overlap = "allow",
        grace_seconds: float = GRACE_SECONDS,
    ) -> Callable[[F], F]:
        """Start a workflow at the times of a cron expression, from the launch on. Stands above `@DBOS.workflow()`.

        The workflow is called with two datetimes: the time of the tick and the time at which it was started. At launch
        a schedule is stored that has the function's name.

        Args:
            cron: As for `create_schedule`.
            cron_timezone: As for `create_schedule`.
            queue_name: As for `create_schedule`.
            catch_up: As for `create_schedule`.
            overlap: As for `create_schedule`.
            grace_seconds: As for `create_schedule`.

        Raises:
            ValueError: The expression or another argument is wrong.
            DBOSException: The function is no workflow.
        """
        parse(cron, cron_timezone)
        check_policies(False, catch_up, overlap, grace_seconds)  # noqa: FBT003 - not an argument here
        return declare(
            DeclaredSchedule(cron, cron_timezone, queue_name, catch_up, overlap, grace_seconds)
        )

    @classmethod
    def create_schedule(
        cls,
        *,
        schedule_name: str,
        workflow_fn: Callable[..., Any],
        schedule: str,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """Start a workflow at the times of a cron expression: `workflow_fn(scheduled_at, context)`.

        Args:
            schedule_name: A name that no schedule has.
            workflow_fn: The workflow. It is not a method of a configured instance.
            schedule: Minute, hour, day of the month, month and weekday; or with seconds before them.
            **options:
                context: What the workflow gets as its second argument; None by default.
                cron_timezone: An IANA name such as "Europe/Berlin"; UTC by default.
                queue_name: The queue of its workflows; none by default.
                catch_up: What happens to ticks that nobody fired in time, because no process ran, or the database was
                    down: "skip" (the default) forgets them, "last" runs the last of them, "all" runs all.
                automatic_backfill: True is the same as `catch_up="all"`.
                overlap: What happens to a tick while a workflow of the schedule is active: "allow" (the default) starts
                    another, "skip" leaves the tick out, "queue" lets it wait.
                grace_seconds: How late a tick may be fired before it counts as missed; 60 by default.
                shard_key: Accepted for compatibility.

        Raises:
            DBOSException: The name is taken, or an argument is wrong.
        """
        runtime = get_runtime("DBOS.create_schedule")
        spec = spec_of(
            runtime,
            schedule_name=schedule_name,
            workflow_fn=workflow_fn,
            schedule=schedule,
            **options,
        )
        runtime.run(create(runtime, spec))

    @classmethod
    async def create_schedule_async(
        cls,
        *,
        schedule_name: str,
        workflow_fn: Callable[..., Any],
        schedule: str,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """As `create_schedule`."""
        runtime = get_runtime("DBOS.create_schedule_async")
        spec = spec_of(
            runtime,
            schedule_name=schedule_name,
            workflow_fn=workflow_fn,
            schedule=schedule,
            **options,
        )
        await runtime.run_async(create(runtime, spec))

    @classmethod
    def apply_schedules(cls, schedules: Sequence[ScheduleInput]) -> None:
        """Create or change schedules, all or none; others stay. One whose times do not change keeps its place.

        Raises:
            DBOSException: A schedule is wrong or another application's; or this is called in a workflow.
        """
        runtime = get_runtime("DBOS.apply_schedules")
        runtime.run(_apply(runtime, schedules))

    @classmethod
    async def apply_schedules_async(cls, schedules: Sequence[ScheduleInput]) -> None:
        """As `apply_schedules`."""
        runtime = get_runtime("DBOS.apply_schedules_async")
        await runtime.run_async(_apply(runtime, schedules))


def _apply(runtime: Runtime, schedules: Sequence[ScheduleInput]) -> Flow[None]:
    refuse_in_workflow("apply_schedules")
    return apply_specs(
        runtime, specs_of(schedules, ScheduleInput, functools.partial(spec_of, runtime))
    )
