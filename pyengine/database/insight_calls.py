"""Calls of the SQL functions that tell people what goes on."""

from __future__ import annotations

from pyengine.database import rows
from pyengine.database.calls import Call


def explain_workflow(*, workflow_id: str) -> Call[rows.ExplanationRow]:
    """Why a workflow is where it is."""
    return Call("explain_workflow", {"workflow_id": workflow_id}, rows.ExplanationRow)


def list_executors(
    *, application_name: str | None, include_finished: bool, row_limit: int | None
) -> Call[rows.ExecutorRow]:
    """Processes that run workflows, newest first."""
    return Call(
        "list_executors",
        {
            "application_name": application_name,
            "include_finished": include_finished,
            "row_limit": row_limit,
        },
        rows.ExecutorRow,
    )
