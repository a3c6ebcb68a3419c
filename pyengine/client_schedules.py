"""What a client does with schedules: as `DBOS`, with workflows by their names."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyengine.current import get_runtime
from pyengine.execution import Runtime
from pyengine.flows.workflows import Target
from pyengine.schedule_control import ScheduleControl, apply_specs, create
from pyengine.schedules import (
    ClientScheduleInput,
    ScheduleOptions,
    Spec,
    spec_by_name,
    specs_of,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack


class ClientSchedules(ScheduleControl):
    """Schedules of workflows that run elsewhere."""

    @classmethod
    def create_schedule(
        cls,
        *,
        schedule_name: str,
        workflow_name: str,
        schedule: str,
        workflow_class_name: str | None = None,
        application_name: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """Start a workflow at the times of a cron expression.

        Args:
            schedule_name: A name that no schedule has.
            workflow_name: The workflow's name in its application.
            schedule: As for `DBOS.create_schedule`.
            workflow_class_name: The class of a class method.
            application_name: The application that runs it; the client's if not given.
            **options: As for `DBOS.create_schedule`.

        Raises:
            DBOSException: The name is taken, or an argument is wrong.
        """
        runtime = get_runtime("DBOSClient.create_schedule")
        spec = _spec(
            runtime,
            schedule_name=schedule_name,
            workflow_name=workflow_name,
            schedule=schedule,
            workflow_class_name=workflow_class_name,
            application_name=application_name,
            **options,
        )
        runtime.run(create(runtime, spec))

    @classmethod
    async def create_schedule_async(
        cls,
        *,
        schedule_name: str,
        workflow_name: str,
        schedule: str,
        workflow_class_name: str | None = None,
        application_name: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> None:
        """As `create_schedule`."""
        runtime = get_runtime("DBOSClient.create_schedule_async")
        spec = _spec(
            runtime,
            schedule_name=schedule_name,
            workflow_name=workflow_name,
            schedule=schedule,
            workflow_class_name=workflow_class_name,
            application_name=application_name,
            **options,
        )
        await runtime.run_async(create(runtime, spec))

    @classmethod
    def apply_schedules(cls, schedules: Sequence[ClientScheduleInput]) -> None:
        """Create or change schedules, all or none; others stay. See `DBOS.apply_schedules`."""
        runtime = get_runtime("DBOSClient.apply_schedules")
        runtime.run(apply_specs(runtime, _specs(runtime, schedules)))

    @classmethod
    async def apply_schedules_async(cls, schedules: Sequence[ClientScheduleInput]) -> None:
        """As `apply_schedules`."""
        runtime = get_runtime("DBOSClient.apply_schedules_async")
        await runtime.run_async(apply_specs(runtime, _specs(runtime, schedules)))


def _spec(
    runtime: Runtime,
    *,
    schedule_name: str,
    workflow_name: str,
    schedule: str,
    workflow_class_name: str | None = None,
    application_name: str | None = None,
    **options: Unpack[ScheduleOptions],
) -> Spec:
    return spec_by_name(
        runtime,
        Target(workflow_name, workflow_class_name),
        schedule_name=schedule_name,
        schedule=schedule,
        application_name=application_name or runtime.application.name,
        **options,
    )


def _specs(runtime: Runtime, schedules: Sequence[ClientScheduleInput]) -> list[Spec]:
    return specs_of(schedules, ClientScheduleInput, functools.partial(_spec, runtime))
