"""Looking at workflows: each operation as a pair of twins, sync and async."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import calls
from pyengine.database.rows import StepRow
from pyengine.effects import Flow
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.execution import Runtime, recorded
from pyengine.flows.workflows import await_first
from pyengine.handles import Handle, HandleAsync, WorkflowHandle, WorkflowHandleAsync
from pyengine.status import StepInfo, WorkflowStatus, step_info


class Management:
    """The part of `DBOS` that looks at workflows."""

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
            ids.index(runtime.run(recorded("DBOS.waitFirst", await_first(ids, current_run()))))
        ]

    @classmethod
    async def wait_first_async(
        cls, handles: Sequence[WorkflowHandleAsync[Any]], *, polling_interval_sec: float = 1.0
    ) -> WorkflowHandleAsync[Any]:
        """As `wait_first`."""
        del polling_interval_sec
        runtime = get_runtime("DBOS.wait_first_async")
        ids = _distinct_ids(handles)
        first = await runtime.run_async(recorded("DBOS.waitFirst", await_first(ids, current_run())))
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
        return runtime.run(recorded("DBOS.listWorkflowSteps", flow))

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
        return await runtime.run_async(recorded("DBOS.listWorkflowSteps", flow))


def _steps(
    runtime: Runtime, workflow_id: str, *, load_output: bool, limit: int | None, offset: int | None
) -> Flow[list[StepInfo]]:
    rows: list[StepRow] = yield calls.list_steps(
        workflow_id=workflow_id,
        with_outcome=load_output,
        row_limit=_count("limit", limit),
        row_offset=_count("offset", offset),
    )
    return [step_info(row, runtime.codec) for row in rows]


def _count(name: str, value: int | None) -> int | None:
    if value is not None and value < 0:
        raise DBOSInvalidArgumentError(f"{name} is {value}: it must not be negative, 0 is none")
    return value or None


def _distinct_ids(
    handles: Sequence[WorkflowHandle[Any]] | Sequence[WorkflowHandleAsync[Any]],
) -> list[str]:
    ids = [handle.workflow_id for handle in handles]
    if not ids:
        raise ValueError("wait_first needs at least one handle")
    if len(set(ids)) < len(ids):
        raise ValueError("wait_first was given two handles of one workflow")
    return ids
