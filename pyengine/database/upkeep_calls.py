"""Calls of the SQL functions that keep the engine in order."""

from __future__ import annotations

from datetime import timedelta

from pyengine.database import rows
from pyengine.database.calls import Call


def run_chores(*, batch_limit: int) -> Call[rows.ChoresResult]:
    """One round of upkeep, unless another process is at it."""
    return Call("run_chores", {"batch_limit": batch_limit}, rows.ChoresResult)


def list_runs(*, executor_id: int, older_than_seconds: float) -> Call[rows.RunLease]:
    """The runs that an executor owns and that began so long ago."""
    arguments = {"executor_id": executor_id, "older_than_seconds": older_than_seconds}
    return Call("list_runs", arguments, rows.RunLease)


def set_retention(
    *,
    application_name: str,
    success_age: timedelta | None,
    error_age: timedelta | None,
    cancelled_age: timedelta | None,
    dead_letter_age: timedelta | None,
    keep_newest: int | None,
) -> Call[None]:
    """Set how long and how many of an application's workflows are kept after their end."""
    return Call(
        "set_retention",
        {
            "application_name": application_name,
            "success_age": success_age,
            "error_age": error_age,
            "cancelled_age": cancelled_age,
            "dead_letter_age": dead_letter_age,
            "keep_newest": keep_newest,
        },
    )


def list_retention(*, application_name: str | None) -> Call[rows.RetentionRow]:
    """The retention policies of all applications, or of one."""
    return Call("list_retention", {"application_name": application_name}, rows.RetentionRow)


def verify(*, deep: bool) -> Call[rows.Violation]:
    """The invariants that are broken."""
    return Call("verify", {"deep": deep}, rows.Violation)


def export_workflow(*, workflow_id: str, with_children: bool) -> Call[None]:
    """A workflow with all that belongs to it; the scalar result is a json text."""
    arguments = {"workflow_id": workflow_id, "with_children": with_children}
    return Call("export_workflow", arguments)


def import_workflow(*, document: str, is_active: bool) -> Call[None]:
    """Store exported workflows; the results are their ids."""
    return Call("import_workflow", {"document": document, "is_active": is_active})
