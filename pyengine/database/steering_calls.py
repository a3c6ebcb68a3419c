"""Calls of the SQL functions that change the course of workflows."""

from __future__ import annotations

from collections.abc import Sequence

from pyengine.database.calls import Call


def cancel_workflows(*, workflow_ids: Sequence[str], cancel_children: bool) -> Call[None]:
    """Cancel those that have not succeeded or failed; the results are the ids that are cancelled now."""
    return Call(
        "cancel_workflows",
        {"workflow_ids": list(workflow_ids), "cancel_children": cancel_children},
    )


def resume_workflows(
    *, workflow_ids: Sequence[str], queue_name: str | None, request_token: str
) -> Call[None]:
    """Make those that have not succeeded or failed runnable again; the results are the ids that it resumed."""
    return Call(
        "resume_workflows",
        {
            "workflow_ids": list(workflow_ids),
            "queue_name": queue_name,
            "request_token": request_token,
        },
    )


def delete_workflows(*, workflow_ids: Sequence[str], delete_children: bool) -> Call[None]:
    """Remove workflows whole; the results are the ids that it removed."""
    return Call(
        "delete_workflows",
        {"workflow_ids": list(workflow_ids), "delete_children": delete_children},
    )


def fork_workflow(
    *,
    workflow_id: str,
    start_step: int,
    new_workflow_id: str,
    application_version: str | None,
    queue_name: str | None,
    partition_key: str | None,
    replacement_children: str | None,
    timeout_ms: float | None,
    request_token: str,
) -> Call[None]:
    """Start a new workflow from an old one; the scalar result is the new id."""
    return Call(
        "fork_workflow",
        {
            "workflow_id": workflow_id,
            "start_step": start_step,
            "new_workflow_id": new_workflow_id,
            "application_version": application_version,
            "queue_name": queue_name,
            "partition_key": partition_key,
            "replacement_children": replacement_children,
            "timeout_ms": timeout_ms,
            "request_token": request_token,
        },
    )


def rewind_workflow(
    *,
    workflow_id: str,
    start_step: int,
    application_version: str | None,
    queue_name: str | None,
    partition_key: str | None,
    request_token: str,
) -> Call[None]:
    """Let a workflow that has ended run again from a step on."""
    return Call(
        "rewind_workflow",
        {
            "workflow_id": workflow_id,
            "start_step": start_step,
            "application_version": application_version,
            "queue_name": queue_name,
            "partition_key": partition_key,
            "request_token": request_token,
        },
    )


def update_workflow_attributes(
    *, workflow_id: str, attributes: str | None, merge: bool
) -> Call[None]:
    """Replace or merge the attributes of a workflow."""
    return Call(
        "update_workflow_attributes",
        {"workflow_id": workflow_id, "attributes": attributes, "merge": merge},
    )
