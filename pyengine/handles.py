"""Handles: a workflow that was started, seen from the outside."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar, runtime_checkable

from pyengine.context import current_options
from pyengine.execution import Runtime
from pyengine.status import WorkflowStatus

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@runtime_checkable
class WorkflowHandle(Protocol[R_co]):
    """A started workflow: its id, status and result."""

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        ...

    @property
    def shard_key(self) -> str | None:
        """The shard key it was started with."""
        ...

    def get_workflow_id(self) -> str:
        """The workflow's id."""
        ...

    def get_result(self, *, polling_interval_sec: float = 1.0) -> R_co:
        """Wait for the workflow to end: its output, or raise its error.

        Args:
            polling_interval_sec: Accepted for compatibility; a wait is woken when the workflow ends.

        Raises:
            DBOSAwaitedWorkflowCancelledError: It was cancelled.
            DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded: It is a dead letter.
        """
        ...

    def get_status(self) -> WorkflowStatus:
        """How the workflow stands.

        Raises:
            DBOSNonExistentWorkflowError: There is no such workflow.
        """
        ...


@runtime_checkable
class WorkflowHandleAsync(Protocol[R_co]):
    """As `WorkflowHandle`, with coroutines."""

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        ...

    @property
    def shard_key(self) -> str | None:
        """The shard key it was started with."""
        ...

    def get_workflow_id(self) -> str:
        """The workflow's id."""
        ...

    async def get_result(self, *, polling_interval_sec: float = 1.0) -> R_co:
        """As `WorkflowHandle.get_result`."""
        ...

    async def get_status(self) -> WorkflowStatus:
        """As `WorkflowHandle.get_status`."""
        ...


class _AnyHandle:
    def __init__(self, runtime: Runtime, workflow_id: str, shard_key: str | None = None) -> None:
        self._runtime = runtime
        self._workflow_id = workflow_id
        self._shard_key = current_options().shard_key if shard_key is None else shard_key

    @property
    def workflow_id(self) -> str:
        """The workflow's id."""
        return self._workflow_id

    @property
    def shard_key(self) -> str | None:
        """The shard key it was started with."""
        return self._shard_key

    def get_workflow_id(self) -> str:
        """The workflow's id."""
        return self._workflow_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._workflow_id!r})"


class Handle(_AnyHandle, Generic[R]):
    """The handle of sync code."""

    def get_result(self, *, polling_interval_sec: float = 1.0) -> R:
        """See `WorkflowHandle.get_result`."""
        del polling_interval_sec
        result: R = self._runtime.run(self._runtime.handle_result(self._workflow_id))
        return result

    def get_status(self) -> WorkflowStatus:
        """See `WorkflowHandle.get_status`."""
        return self._runtime.run(self._runtime.existing_status(self._workflow_id))


class HandleAsync(_AnyHandle, Generic[R]):
    """The handle of async code."""

    async def get_result(self, *, polling_interval_sec: float = 1.0) -> R:
        """See `WorkflowHandle.get_result`."""
        del polling_interval_sec
        result: R = await self._runtime.run_async(self._runtime.handle_result(self._workflow_id))
        return result

    async def get_status(self) -> WorkflowStatus:
        """See `WorkflowHandle.get_status`."""
        return await self._runtime.run_async(self._runtime.existing_status(self._workflow_id))
