"""The part of `DBOS` that changes the course of workflows; sync and async twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyengine.arguments import check_text
from pyengine.context import current_run, encode_attributes, take_chosen_id, timeout_in_ms
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.effects import Flow
from pyengine.errors import DBOSException, DBOSInvalidArgumentError
from pyengine.execution import Runtime, recorded
from pyengine.flows import steering as flows
from pyengine.flows.steering import ElsewhereStored, Fork
from pyengine.flows.steps import record_operation
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.workflow_ids import child_workflow_id, generate_workflow_id

CANCEL, RESUME, DELETE = "DBOS.cancelWorkflow", "DBOS.resumeWorkflow", "DBOS.deleteWorkflow"
FORK, REWIND = "DBOS.forkWorkflow", "DBOS.rewindWorkflow"
UPDATE_ATTRIBUTES = "DBOS.updateWorkflowAttributes"


class Steering:
    """The part of `DBOS` that changes the course of workflows."""

    @classmethod
    def cancel_workflow(
        cls, workflow_id: str, *, cancel_children: bool = False, shard_key: str | None = None
    ) -> bool:
        """Cancel a workflow: its run is refused every further write, and its place in a queue is free at once.

        Args:
            workflow_id: Its id.
            cancel_children: Cancel also what it started, directly and through others.
            shard_key: Accepted for compatibility.

        Returns:
            True if it is cancelled now; False if it had succeeded or failed before, or does not exist.
        """
        refuse_running_loop("cancel_workflow")
        cancelled = cls.cancel_workflows(
            [workflow_id], cancel_children=cancel_children, shard_key=shard_key
        )
        return workflow_id in cancelled

    @classmethod
    async def cancel_workflow_async(
        cls, workflow_id: str, *, cancel_children: bool = False, shard_key: str | None = None
    ) -> bool:
        """As `cancel_workflow`."""
        cancelled = await cls.cancel_workflows_async(
            [workflow_id], cancel_children=cancel_children, shard_key=shard_key
        )
        return workflow_id in cancelled

    @classmethod
    def cancel_workflows(
        cls,
        workflow_ids: Sequence[str],
        *,
        cancel_children: bool = False,
        shard_key: str | None = None,
    ) -> list[str]:
        """Cancel several workflows in one transaction: the ids that are cancelled now. See `cancel_workflow`."""
        del shard_key
        refuse_running_loop("cancel_workflows")
        flow = flows.cancel(workflow_ids, cancel_children=cancel_children)
        return get_runtime("DBOS.cancel_workflows").run(recorded(CANCEL, flow))

    @classmethod
    async def cancel_workflows_async(
        cls,
        workflow_ids: Sequence[str],
        *,
        cancel_children: bool = False,
        shard_key: str | None = None,
    ) -> list[str]:
        """As `cancel_workflows`."""
        del shard_key
        flow = flows.cancel(workflow_ids, cancel_children=cancel_children)
        return await get_runtime("DBOS.cancel_workflows_async").run_async(recorded(CANCEL, flow))

    @classmethod
    def resume_workflow(
        cls, workflow_id: str, *, queue_name: str | None = None, shard_key: str | None = None
    ) -> WorkflowHandle[Any]:
        """Let a workflow run again from its last completed step, with fresh attempts and without a deadline.

        One that has succeeded or failed is left alone. One that runs is taken from its run and begins again.

        Args:
            workflow_id: Its id.
            queue_name: The queue to run it through; None is none.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: It does not exist.
        """
        refuse_running_loop("resume_workflow")
        return cls.resume_workflows([workflow_id], queue_name=queue_name, shard_key=shard_key)[0]

    @classmethod
    async def resume_workflow_async(
        cls, workflow_id: str, *, queue_name: str | None = None, shard_key: str | None = None
    ) -> WorkflowHandleAsync[Any]:
        """As `resume_workflow`."""
        handles = await cls.resume_workflows_async(
            [workflow_id], queue_name=queue_name, shard_key=shard_key
        )
        return handles[0]

    @classmethod
    def resume_workflows(
        cls,
        workflow_ids: Sequence[str],
        *,
        queue_name: str | None = None,
        shard_key: str | None = None,
    ) -> list[WorkflowHandle[Any]]:
        """Resume several workflows in one transaction, or none if one does not exist. See `resume_workflow`."""
        refuse_running_loop("resume_workflows")
        runtime = get_runtime("DBOS.resume_workflows")
        runtime.run(recorded(RESUME, flows.resume_existing(workflow_ids, queue_name)))
        return [Handle(runtime, workflow_id, shard_key) for workflow_id in workflow_ids]

    @classmethod
    async def resume_workflows_async(
        cls,
        workflow_ids: Sequence[str],
        *,
        queue_name: str | None = None,
        shard_key: str | None = None,
    ) -> list[WorkflowHandleAsync[Any]]:
        """As `resume_workflows`."""
        runtime = get_runtime("DBOS.resume_workflows_async")
        flow = flows.resume_existing(workflow_ids, queue_name)
        await runtime.run_async(recorded(RESUME, flow))
        return [HandleAsync(runtime, workflow_id, shard_key) for workflow_id in workflow_ids]

    @classmethod
    def delete_workflow(
        cls, workflow_id: str, *, delete_children: bool = False, shard_key: str | None = None
    ) -> None:
        """Remove a workflow with its steps, messages, events and streams, whatever its status.

        A run that is under way is refused every further write. An id that does not exist is left alone. A removed
        id is free: a start with it runs anew.

        Args:
            workflow_id: Its id.
            delete_children: Remove also what it started, directly and through others.
            shard_key: Accepted for compatibility.
        """
        refuse_running_loop("delete_workflow")
        cls.delete_workflows([workflow_id], delete_children=delete_children, shard_key=shard_key)

    @classmethod
    async def delete_workflow_async(
        cls, workflow_id: str, *, delete_children: bool = False, shard_key: str | None = None
    ) -> None:
        """As `delete_workflow`."""
        await cls.delete_workflows_async(
            [workflow_id], delete_children=delete_children, shard_key=shard_key
        )

    @classmethod
    def delete_workflows(
        cls,
        workflow_ids: Sequence[str],
        *,
        delete_children: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """Remove several workflows in one transaction. See `delete_workflow`."""
        del shard_key
        refuse_running_loop("delete_workflows")
        runtime = get_runtime("DBOS.delete_workflows")
        stored = runtime.elsewhere()
        runtime.run(recorded(DELETE, _delete(workflow_ids, stored, children=delete_children)))

    @classmethod
    async def delete_workflows_async(
        cls,
        workflow_ids: Sequence[str],
        *,
        delete_children: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """As `delete_workflows`."""
        del shard_key
        runtime = get_runtime("DBOS.delete_workflows_async")
        stored = runtime.elsewhere_async()
        flow = _delete(workflow_ids, stored, children=delete_children)
        await runtime.run_async(recorded(DELETE, flow))

    @classmethod
    def fork_workflow(
        cls,
        workflow_id: str,
        start_step: int,
        *,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        replacement_children: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> WorkflowHandle[Any]:
        """Start a new workflow from an old one: its inputs, and the outcomes of its steps before `start_step`.

        The old one stays as it is, in whatever status. Messages are not copied. The first fork in a `SetWorkflowID`
        block gets that id.

        Args:
            workflow_id: The old one.
            start_step: The first step that runs again; 1 runs all of them again.
            application_version: Only processes of this version run it; None is any that has the function.
            queue_name: The queue to run it through; None is none.
            queue_partition_key: Its key there.
            replacement_children: New ids for children, by their old ids: the copied steps name these instead.
            timeout_seconds: Cancel it when it has run for so long.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: The old one does not exist.
            DBOSConflictError: A workflow that is no fork of it has the chosen id.
        """
        refuse_running_loop("fork_workflow")
        runtime = get_runtime("DBOS.fork_workflow")
        request, step_id = _fork_request(
            workflow_id,
            start_step,
            application_version,
            queue_name,
            queue_partition_key,
            replacement_children,
            timeout_seconds,
        )
        stored = runtime.elsewhere()
        new_id = runtime.run(_fork(runtime, request, step_id, stored))
        return Handle(runtime, new_id, shard_key)

    @classmethod
    async def fork_workflow_async(
        cls,
        workflow_id: str,
        start_step: int,
        *,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        replacement_children: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
        shard_key: str | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As `fork_workflow`."""
        runtime = get_runtime("DBOS.fork_workflow_async")
        request, step_id = _fork_request(
            workflow_id,
            start_step,
            application_version,
            queue_name,
            queue_partition_key,
            replacement_children,
            timeout_seconds,
        )
        stored = runtime.elsewhere_async()
        new_id = await runtime.run_async(_fork(runtime, request, step_id, stored))
        return HandleAsync(runtime, new_id, shard_key)

    @classmethod
    def rewind_workflow(
        cls,
        workflow_id: str,
        *,
        start_step: int | None = None,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        shard_key: str | None = None,
    ) -> WorkflowHandle[Any]:
        """Let a workflow that has ended run again under its own id from a step on.

        What it recorded and published from that step on is removed, and mail that it did not receive. Values of
        streams stay. Children that it started keep their outcomes.

        Args:
            workflow_id: Its id.
            start_step: The first step that runs again; None is the first of all.
            application_version: Only processes of this version run it.
            queue_name: The queue to run it through; None is none.
            queue_partition_key: Its key there.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: It does not exist.
            DBOSException: It has not ended.
            ValueError: `start_step` is less than 1.
        """
        refuse_running_loop("rewind_workflow")
        runtime = get_runtime("DBOS.rewind_workflow")
        flow = flows.rewind(
            workflow_id,
            _first_step(start_step),
            runtime.elsewhere(),
            application_version=application_version,
            queue_name=queue_name,
            partition_key=queue_partition_key,
        )
        runtime.run(recorded(REWIND, flow))
        return Handle(runtime, workflow_id, shard_key)

    @classmethod
    async def rewind_workflow_async(
        cls,
        workflow_id: str,
        *,
        start_step: int | None = None,
        application_version: str | None = None,
        queue_name: str | None = None,
        queue_partition_key: str | None = None,
        shard_key: str | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As `rewind_workflow`."""
        runtime = get_runtime("DBOS.rewind_workflow_async")
        flow = flows.rewind(
            workflow_id,
            _first_step(start_step),
            runtime.elsewhere_async(),
            application_version=application_version,
            queue_name=queue_name,
            partition_key=queue_partition_key,
        )
        await runtime.run_async(recorded(REWIND, flow))
        return HandleAsync(runtime, workflow_id, shard_key)

    @classmethod
    def update_workflow_attributes(
        cls,
        workflow_id: str,
        attributes: Mapping[str, Any] | None,
        *,
        merge: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """Replace a workflow's attributes; an unknown id is left alone.

        Args:
            workflow_id: Its id.
            attributes: The new ones; None removes them all.
            merge: Keep those that are not named in `attributes`.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSException: They can't be stored, or None was to be merged.
        """
        del shard_key
        refuse_running_loop("update_workflow_attributes")
        flow = _update_attributes(workflow_id, attributes, merge=merge)
        get_runtime("DBOS.update_workflow_attributes").run(recorded(UPDATE_ATTRIBUTES, flow))

    @classmethod
    async def update_workflow_attributes_async(
        cls,
        workflow_id: str,
        attributes: Mapping[str, Any] | None,
        *,
        merge: bool = False,
        shard_key: str | None = None,
    ) -> None:
        """As `update_workflow_attributes`."""
        del shard_key
        runtime = get_runtime("DBOS.update_workflow_attributes_async")
        flow = _update_attributes(workflow_id, attributes, merge=merge)
        await runtime.run_async(recorded(UPDATE_ATTRIBUTES, flow))


def _delete(workflow_ids: Sequence[str], stored: ElsewhereStored, *, children: bool) -> Flow[None]:
    yield from flows.delete(workflow_ids, stored, delete_children=children)


def _fork_request(
    workflow_id: str,
    start_step: int,
    application_version: str | None,
    queue_name: str | None,
    partition_key: str | None,
    replacement_children: Mapping[str, str] | None,
    timeout_seconds: float | None,
) -> tuple[Fork, int | None]:
    """The fork, and the step of the calling workflow that it is; its id is made from that, as a child's is."""
    check_text("workflow_id", workflow_id)
    _check_step(start_step)
    if timeout_seconds is not None and timeout_in_ms("timeout_seconds", timeout_seconds) <= 0:
        raise DBOSException(f"timeout_seconds is {timeout_seconds}: it must be positive")
    chosen = take_chosen_id()
    run = current_run()
    step_id = None if run is None else run.next_step_id()
    if chosen is not None:
        new_id = chosen.workflow_id
    elif run is not None:
        new_id = child_workflow_id(run.workflow_id, step_id)
    else:
        new_id = generate_workflow_id()
    request = Fork(
        workflow_id=workflow_id,
        start_step=start_step,
        new_workflow_id=new_id,
        application_version=application_version,
        queue_name=queue_name,
        partition_key=partition_key,
        replacement_children=replacement_children,
        timeout_ms=None
        if timeout_seconds is None
        else timeout_in_ms("timeout_seconds", timeout_seconds),
    )
    return request, step_id


def _fork(
    runtime: Runtime, request: Fork, step_id: int | None, stored: ElsewhereStored
) -> Flow[str]:
    flow = flows.fork(request, stored)
    run = current_run()
    if run is None:
        return (yield from flow)
    new_id: str = yield from record_operation(run, FORK, flow, step_id)
    yield from runtime.existing_status(new_id)
    return new_id


def _check_step(start_step: object) -> None:
    if not isinstance(start_step, int):
        raise DBOSInvalidArgumentError(
            f"start_step is {start_step!r}: it must be a whole number, the first step that runs again"
        )


def _first_step(start_step: int | None) -> int:
    if start_step is None:
        return 1
    _check_step(start_step)
    if start_step < 1:
        raise DBOSInvalidArgumentError(
            f"start_step is {start_step}: it must be at least 1, the first step"
        )
    return start_step


def _update_attributes(
    workflow_id: str, attributes: Mapping[str, Any] | None, *, merge: bool
) -> Flow[None]:
    encoded = encode_attributes(attributes)
    if merge and encoded is None:
        raise DBOSException("attributes is None: with merge=True there must be some to merge")
    return flows.update_attributes(workflow_id, encoded, merge=merge)
