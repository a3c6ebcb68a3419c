"""Looking at workflows and steering them: each operation as a pair of twins, sync and async."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import calls
from pyengine.database.rows import StepRow
from pyengine.effects import Effect, Flow
from pyengine.execution import Runtime
from pyengine.flows.steps import record_operation
from pyengine.flows.workflows import await_first
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.status import StepInfo, WorkflowStatus, step_info


class Management:
    """The part of `DBOS` that looks at workflows and steers them."""

    @classmethod
    def retrieve_workflow(
        cls,
        workflow_id: str,
        existing_workflow: bool = True,  # noqa: FBT001, FBT002 - the compatible signature
        *,
        shard_key: str | None = None,
    ) -> WorkflowHandle[Any]:
        """A handle for a workflow.

        Args:
            workflow_id: Its id.
            existing_workflow: Check that it exists.
            shard_key: Accepted for compatibility.

        Raises:
            DBOSNonExistentWorkflowError: It does not exist.
        """
        refuse_running_loop("retrieve_workflow")
        runtime = get_runtime("DBOS.retrieve_workflow")
        if existing_workflow:
            runtime.run(runtime.existing_status(workflow_id))
        return Handle(runtime, workflow_id, shard_key)

    @classmethod
    async def retrieve_workflow_async(
        cls,
        workflow_id: str,
        existing_workflow: bool = True,  # noqa: FBT001, FBT002 - the compatible signature
        *,
        shard_key: str | None = None,
    ) -> WorkflowHandleAsync[Any]:
        """As `retrieve_workflow`."""
        runtime = get_runtime("DBOS.retrieve_workflow_async")
        if existing_workflow:
            await runtime.run_async(runtime.existing_status(workflow_id))
        return HandleAsync(runtime, workflow_id, shard_key)

    @classmethod
    def get_workflow_status(
        cls, workflow_id: str, *, shard_key: str | None = None
    ) -> WorkflowStatus | None:
        """How a workflow stands; None if there is none."""
        del shard_key
        refuse_running_loop("get_workflow_status")
        runtime = get_runtime("DBOS.get_workflow_status")
        return runtime.run(runtime.status(workflow_id))

    @classmethod
    async def get_workflow_status_async(
        cls, workflow_id: str, *, shard_key: str | None = None
    ) -> WorkflowStatus | None:
        """As `get_workflow_status`."""
        del shard_key
        runtime = get_runtime("DBOS.get_workflow_status_async")
        return await runtime.run_async(runtime.status(workflow_id))

    @classmethod
    def get_result(cls, workflow_id: str, *, shard_key: str | None = None) -> Any:
        """Wait for a workflow to end: its output, or raise its error."""
        del shard_key
        refuse_running_loop("get_result")
        runtime = get_runtime("DBOS.get_result")
        return runtime.run(runtime.result_of(workflow_id))

    @classmethod
    async def get_result_async(cls, workflow_id: str, *, shard_key: str | None = None) -> Any:
        """As `get_result`."""
        del shard_key
        runtime = get_runtime("DBOS.get_result_async")
        return await runtime.run_async(runtime.result_of(workflow_id))

    @classmethod
    def wait_first(
        cls, handles: Sequence[WorkflowHandle[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandle[Any]:
        """Wait until one of the workflows has ended: its handle.

        Raises:
            ValueError: No handles, or two for one workflow.
        """
        del polling_interval_sec
        refuse_running_loop("wait_first")
        runtime = get_runtime("DBOS.wait_first")
        ids = _distinct_ids(handles)
        return handles[
            ids.index(runtime.run(_recorded("DBOS.waitFirst", await_first(ids, current_run()))))
        ]

    @classmethod
    async def wait_first_async(
        cls, handles: Sequence[WorkflowHandleAsync[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandleAsync[Any]:
        """As `wait_first`."""
        del polling_interval_sec
        runtime = get_runtime("DBOS.wait_first_async")
        ids = _distinct_ids(handles)
        first = await runtime.run_async(
            _recorded("DBOS.waitFirst", await_first(ids, current_run()))
        )
        return handles[ids.index(first)]

    @classmethod
    def list_workflow_steps(
        cls,
        workflow_id: str,
        *,
        load_output: bool = True,
        limit: int | None = None,
        offset: int | None = None,
        shard_key: str | None = None,
    ) -> list[StepInfo]:
        """The recorded steps of a workflow in order.

        Args:
            workflow_id: Its id.
            load_output: False to leave output and error out.
            limit: At most so many.
            offset: Skip so many first.
            shard_key: Accepted for compatibility.
        """
        del shard_key
        refuse_running_loop("list_workflow_steps")
        runtime = get_runtime("DBOS.list_workflow_steps")
        flow = _steps(runtime, workflow_id, load_output=load_output, limit=limit, offset=offset)
        return runtime.run(_recorded("DBOS.listWorkflowSteps", flow))

    @classmethod
    async def list_workflow_steps_async(
        cls,
        workflow_id: str,
        *,
        load_output: bool = True,
        limit: int | None = None,
        offset: int | None = None,
        shard_key: str | None = None,
    ) -> list[StepInfo]:
        """As `list_workflow_steps`."""
        del shard_key
        runtime = get_runtime("DBOS.list_workflow_steps_async")
        flow = _steps(runtime, workflow_id, load_output=load_output, limit=limit, offset=offset)
        return await runtime.run_async(_recorded("DBOS.listWorkflowSteps", flow))

    @classmethod
    def cancel_workflow(cls, workflow_id: str) -> None:
        """Cancel a workflow: its run is refused every further write. No error when it has ended or does not exist."""
        refuse_running_loop("cancel_workflow")
        get_runtime("DBOS.cancel_workflow").run(_cancel([workflow_id]))

    @classmethod
    async def cancel_workflow_async(cls, workflow_id: str) -> None:
        """As `cancel_workflow`."""
        await cls.cancel_workflows_async([workflow_id])

    @classmethod
    def cancel_workflows(cls, workflow_ids: Sequence[str]) -> None:
        """Cancel several workflows in one transaction."""
        refuse_running_loop("cancel_workflows")
        get_runtime("DBOS.cancel_workflows").run(_cancel(workflow_ids))

    @classmethod
    async def cancel_workflows_async(cls, workflow_ids: Sequence[str]) -> None:
        """As `cancel_workflows`."""
        await get_runtime("DBOS.cancel_workflows_async").run_async(_cancel(workflow_ids))

    @classmethod
    def resume_workflow(
        cls, workflow_id: str, *, queue_name: str | None = None
    ) -> WorkflowHandle[Any]:
        """Make a workflow that has not succeeded or failed run again, from its last completed step.

        Raises:
            DBOSNonExistentWorkflowError: It does not exist.
        """
        refuse_running_loop("resume_workflow")
        runtime = get_runtime("DBOS.resume_workflow")
        runtime.run(_resume(runtime, workflow_id, queue_name))
        return Handle(runtime, workflow_id)

    @classmethod
    async def resume_workflow_async(
        cls, workflow_id: str, *, queue_name: str | None = None
    ) -> WorkflowHandleAsync[Any]:
        """As `resume_workflow`."""
        runtime = get_runtime("DBOS.resume_workflow_async")
        await runtime.run_async(_resume(runtime, workflow_id, queue_name))
        return HandleAsync(runtime, workflow_id)


def _recorded(name: str, flow: Flow[Any]) -> Flow[Any]:
    """Inside a workflow the operation is a recorded step."""
    run = current_run()
    if run is None:
        return (yield from flow)
    return (yield from record_operation(run, name, flow))


def _one(effect: Effect) -> Flow[None]:
    yield effect


def _cancel(workflow_ids: Sequence[str]) -> Flow[None]:
    call = calls.cancel_workflows(workflow_ids=workflow_ids)
    yield from _recorded("DBOS.cancelWorkflow", _one(call))


def _resume(runtime: Runtime, workflow_id: str, queue_name: str | None) -> Flow[None]:
    def resume() -> Flow[None]:
        yield from runtime.existing(workflow_id)
        yield calls.resume_workflows(workflow_ids=[workflow_id], queue_name=queue_name)

    yield from _recorded("DBOS.resumeWorkflow", resume())


def _steps(
    runtime: Runtime, workflow_id: str, *, load_output: bool, limit: int | None, offset: int | None
) -> Flow[list[StepInfo]]:
    rows: list[StepRow] = yield calls.list_steps(workflow_id=workflow_id)
    first = offset or 0
    chosen = rows[first : first + limit] if limit else rows[first:]
    steps = [step_info(row, runtime.codec) for row in chosen]
    if not load_output:
        for info in steps:
            info["output"] = info["error"] = None
    return steps


def _distinct_ids(
    handles: Sequence[WorkflowHandle[Any]] | Sequence[WorkflowHandleAsync[Any]],
) -> list[str]:
    ids = [handle.workflow_id for handle in handles]
    if not ids:
        raise ValueError("wait_first needs at least one handle")
    if len(set(ids)) < len(ids):
        raise ValueError("wait_first was given two handles of one workflow")
    return ids
