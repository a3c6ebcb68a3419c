"""Changing the course of workflows: cancel, resume, delete, fork, rewind, attributes.

Databases of the application other than the engine's have checkpoints of their own. They follow what is done here.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyengine.arguments import check_ids
from pyengine.database import calls, steering_calls
from pyengine.database.checkpoints import Checkpoints, Statement
from pyengine.database.rows import WorkflowOrigin, WorkflowRow
from pyengine.effects import Flow, Invoke
from pyengine.errors import DBOSNonExistentWorkflowError

_FORKS = uuid.UUID("5a0c6f0e-9c53-4d5f-8f0a-6c1d1f4b7f10")


@dataclass(frozen=True, slots=True)
class ElsewhereStored:
    """The checkpoints that are in other databases than the engine's, each with what runs a statement there."""

    places: Sequence[tuple[Checkpoints, Callable[[Statement], Any]]]

    def forget(self, workflow_ids: Sequence[str], from_step: int) -> Flow[None]:
        """Remove those of workflows, from a step on."""
        owner: str = (yield calls.engine_id())[0] if self.places else ""
        for checkpoints, execute in self.places:
            yield Invoke(execute, (checkpoints.forget(workflow_ids, from_step, owner),))

    def copy(self, source: WorkflowOrigin, target_id: str, before_step: int) -> Flow[None]:
        """Give a fork those of its original before a step."""
        owner: str = (yield calls.engine_id())[0] if self.places else ""
        for checkpoints, execute in self.places:
            yield Invoke(execute, (checkpoints.copy(source, target_id, before_step, owner),))


@dataclass(frozen=True, slots=True)
class Fork:
    """How a workflow is forked; see `DBOS.fork_workflow`."""

    workflow_id: str
    start_step: int
    new_workflow_id: str
    application_version: str | None = None
    queue_name: str | None = None
    partition_key: str | None = None
    replacement_children: Mapping[str, str] | None = None
    timeout_ms: float | None = None


def cancel(workflow_ids: Sequence[str], *, cancel_children: bool = False) -> Flow[list[str]]:
    """Cancel workflows: the ids that are cancelled now."""
    check_ids(workflow_ids)
    cancelled: list[str] = yield steering_calls.cancel_workflows(
        workflow_ids=workflow_ids, cancel_children=cancel_children
    )
    return cancelled


def resume(workflow_ids: Sequence[str], queue_name: str | None) -> Flow[list[str]]:
    """Resume workflows: the ids that were resumed. A workflow that has succeeded or failed is left alone."""
    check_ids(workflow_ids)
    resumed: list[str] = yield steering_calls.resume_workflows(
        workflow_ids=workflow_ids, queue_name=queue_name, request_token=str(uuid.uuid4())
    )
    return resumed


def resume_existing(workflow_ids: Sequence[str], queue_name: str | None) -> Flow[list[str]]:
    """As `resume`, once it is sure that all of them exist.

    Raises:
        DBOSNonExistentWorkflowError: One does not; none is resumed.
    """
    check_ids(workflow_ids)
    rows: list[WorkflowRow] = yield calls.find_workflows(workflow_ids=workflow_ids)
    found = {row.workflow_id for row in rows}
    for workflow_id in workflow_ids:
        if workflow_id not in found:
            raise DBOSNonExistentWorkflowError("target", workflow_id)
    return (yield from resume(workflow_ids, queue_name))


def delete(
    workflow_ids: Sequence[str], elsewhere: ElsewhereStored, *, delete_children: bool = False
) -> Flow[list[str]]:
    """Remove workflows whole: the ids that were removed."""
    check_ids(workflow_ids)
    removed: list[str] = yield steering_calls.delete_workflows(
        workflow_ids=workflow_ids, delete_children=delete_children
    )
    yield from elsewhere.forget([*workflow_ids, *removed], 0)
    return removed


def fork(request: Fork, elsewhere: ElsewhereStored) -> Flow[str]:
    """Fork a workflow: the new id. The same request repeated finds its fork."""
    if elsewhere.places:
        yield from _copy_elsewhere(request, elsewhere)
    children = request.replacement_children
    ids: list[str] = yield steering_calls.fork_workflow(
        workflow_id=request.workflow_id,
        start_step=request.start_step,
        new_workflow_id=request.new_workflow_id,
        application_version=request.application_version,
        queue_name=request.queue_name,
        partition_key=request.partition_key,
        replacement_children=None if children is None else json.dumps(dict(children)),
        timeout_ms=request.timeout_ms,
        request_token=fork_token(request.workflow_id, request.new_workflow_id),
    )
    return ids[0]


def _copy_elsewhere(request: Fork, elsewhere: ElsewhereStored) -> Flow[None]:
    """Copy the checkpoints before the fork exists: it runs as soon as it does."""
    rows: list[WorkflowOrigin] = yield calls.find_origins(
        workflow_ids=[request.workflow_id, request.new_workflow_id]
    )
    known = {row.workflow_id: row for row in rows}
    if request.workflow_id in known and request.new_workflow_id not in known:
        yield from elsewhere.copy(
            known[request.workflow_id], request.new_workflow_id, request.start_step
        )


def fork_token(workflow_id: str, new_workflow_id: str) -> str:
    """By which a fork is known again: whoever forks the same workflow under the same id means the same fork."""
    return str(uuid.uuid5(_FORKS, f"{len(workflow_id)}:{workflow_id}:{new_workflow_id}"))


def rewind(
    workflow_id: str,
    start_step: int,
    elsewhere: ElsewhereStored,
    *,
    application_version: str | None = None,
    queue_name: str | None = None,
    partition_key: str | None = None,
) -> Flow[None]:
    """Rewind a workflow that has ended. Its checkpoints elsewhere go first: it runs as soon as it is rewound."""
    if elsewhere.places:
        rows: list[WorkflowRow] = yield calls.find_workflows(workflow_ids=[workflow_id])
        if rows and rows[0].finished_at is not None:
            yield from elsewhere.forget([workflow_id], start_step)
    yield steering_calls.rewind_workflow(
        workflow_id=workflow_id,
        start_step=start_step,
        application_version=application_version,
        queue_name=queue_name,
        partition_key=partition_key,
        request_token=str(uuid.uuid4()),
    )


def update_attributes(workflow_id: str, attributes: str | None, *, merge: bool) -> Flow[None]:
    """Replace or merge a workflow's attributes."""
    yield steering_calls.update_workflow_attributes(
        workflow_id=workflow_id, attributes=attributes, merge=merge
    )
