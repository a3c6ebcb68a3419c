"""Calls of the SQL functions that tell people what goes on."""

from __future__ import annotations

from collections.abc import Sequence

from pyengine.database import rows
from pyengine.database.calls import Call, View


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


def queue_depth() -> Call[rows.QueueDepthRow]:
    """How much waits and runs in each queue that has work."""
    return View("queue_depth", {}, rows.QueueDepthRow)


def active_workflows() -> Call[rows.ActiveRow]:
    """How many workflows have not ended, by application, function, queue and status."""
    return View("active_workflows", {}, rows.ActiveRow)


def list_outcomes(*, window_seconds: float) -> Call[rows.OutcomesRow]:
    """What ended within a window that ends now, by application, function, queue and status."""
    return Call("list_outcomes", {"window_seconds": window_seconds}, rows.OutcomesRow)


def aggregate_workflows(
    *, group_by: Sequence[str], condition: str | None, row_limit: int | None
) -> Call[rows.AggregateRow]:
    """Counts, ages and durations of the workflows that match a condition."""
    return Call(
        "aggregate_workflows",
        {"group_by": list(group_by), "condition": condition, "row_limit": row_limit},
        rows.AggregateRow,
    )


def aggregate_steps(*, condition: str | None, row_limit: int | None) -> Call[rows.StepAggregateRow]:
    """Counts and durations of the steps of the workflows that match a condition."""
    arguments = {"condition": condition, "row_limit": row_limit}
    return Call("aggregate_steps", arguments, rows.StepAggregateRow)
