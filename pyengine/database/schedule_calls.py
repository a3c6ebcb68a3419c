"""Calls of the SQL functions of schedules."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pyengine.database import rows
from pyengine.database.calls import Call


def apply_schedules(
    *, schedules: str, on_conflict: str, application_version: str | None
) -> Call[rows.ScheduleRow]:
    """Create or change a json array of schedules in one transaction."""
    return Call(
        "apply_schedules",
        {
            "schedules": schedules,
            "on_conflict": on_conflict,
            "application_version": application_version,
        },
        rows.ScheduleRow,
    )


def create_schedule(
    *,
    schedule_name: str,
    workflow_name: str,
    schedule: str,
    context: str | None,
    workflow_class_name: str | None,
    cron_timezone: str | None,
    queue_name: str | None,
    application_name: str | None,
    catch_up: str,
    overlap: str,
    grace_seconds: float,
    serialization: str,
    max_attempts: int | None,
) -> Call[rows.ScheduleRow]:
    """Create a schedule; raises when its name is taken."""
    return Call(
        "create_schedule",
        {
            "schedule_name": schedule_name,
            "workflow_name": workflow_name,
            "schedule": schedule,
            "context": context,
            "workflow_class_name": workflow_class_name,
            "cron_timezone": cron_timezone,
            "queue_name": queue_name,
            "application_name": application_name,
            "catch_up": catch_up,
            "overlap": overlap,
            "grace_seconds": grace_seconds,
            "serialization": serialization,
            "max_attempts": max_attempts,
        },
        rows.ScheduleRow,
    )


def list_schedules(
    *,
    schedule_names: Sequence[str] | None = None,
    statuses: Sequence[str] | None = None,
    workflow_names: Sequence[str] | None = None,
    name_prefixes: Sequence[str] | None = None,
    application_names: Sequence[str] | None = None,
) -> Call[rows.ScheduleRow]:
    """Schedules that match all filters, by name."""
    return Call(
        "list_schedules",
        {
            "schedule_names": schedule_names,
            "statuses": statuses,
            "workflow_names": workflow_names,
            "name_prefixes": name_prefixes,
            "application_names": application_names,
        },
        rows.ScheduleRow,
    )


def list_schedule_ticks(*, schedule_name: str, row_limit: int) -> Call[rows.ScheduleTick]:
    """The fired ticks of a schedule, the newest first."""
    arguments = {"schedule_name": schedule_name, "row_limit": row_limit}
    return Call("list_schedule_ticks", arguments, rows.ScheduleTick)


def delete_schedule(*, schedule_name: str) -> Call[None]:
    """Remove a schedule; the scalar result says whether there was one."""
    return Call("delete_schedule", {"schedule_name": schedule_name})


def pause_schedule(*, schedule_name: str) -> Call[None]:
    """Fire no more ticks; the scalar result says whether there is such a schedule."""
    return Call("pause_schedule", {"schedule_name": schedule_name})


def resume_schedule(*, schedule_name: str) -> Call[None]:
    """Fire ticks again; the scalar result says whether there is such a schedule."""
    return Call("resume_schedule", {"schedule_name": schedule_name})


def trigger_schedule(*, schedule_name: str, request_token: str) -> Call[None]:
    """Start a schedule's workflow now, once per token; the scalar result is its id."""
    arguments = {"schedule_name": schedule_name, "request_token": request_token}
    return Call("trigger_schedule", arguments)


def backfill_schedule(*, schedule_name: str, ticks: Sequence[str]) -> Call[rows.ScheduledStart]:
    """Fire ticks now that were not fired yet."""
    arguments = {"schedule_name": schedule_name, "ticks": list(ticks)}
    return Call("backfill_schedule", arguments, rows.ScheduledStart)


def claim_unplanned_schedules(*, executor_id: int, row_limit: int) -> Call[rows.SchedulePlan]:
    """Schedules whose next ticks this process is to compute."""
    arguments = {"executor_id": executor_id, "row_limit": row_limit}
    return Call("claim_unplanned_schedules", arguments, rows.SchedulePlan)


def plan_schedule(
    *,
    schedule_name: str,
    revision: int,
    known_until: datetime,
    ticks: Sequence[str],
    planned_until: datetime | None,
    error: str | None,
) -> Call[None]:
    """Store the next ticks of a schedule, or why they can't be computed."""
    return Call(
        "plan_schedule",
        {
            "schedule_name": schedule_name,
            "revision": revision,
            "known_until": known_until,
            "ticks": list(ticks),
            "planned_until": planned_until,
            "error": error,
        },
    )


def fire_schedules(*, executor_id: int) -> Call[None]:
    """Fire one of those that are due; the scalar result is when to call again, in seconds: 0 if it did, or None."""
    return Call("fire_schedules", {"executor_id": executor_id})
