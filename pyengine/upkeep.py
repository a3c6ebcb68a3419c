"""The part of `DBOS` that keeps the engine in order: retention, self-check, export; sync and async twins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta

from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import upkeep_calls
from pyengine.database.rows import RetentionRow, Violation
from pyengine.effects import Flow
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.execution import Runtime

Age = float | timedelta


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """How long workflows are kept after their end, by how they ended; None is for ever.

    `keep_newest` is how many of them are kept at most, whatever their age.
    """

    success: timedelta | None = None
    error: timedelta | None = None
    cancelled: timedelta | None = None
    dead_letter: timedelta | None = None
    keep_newest: int | None = None


class Keeping:
    """The part of `DBOS` that keeps the engine in order."""

    @classmethod
    def set_retention(
        cls,
        *,
        success: Age | None = None,
        error: Age | None = None,
        cancelled: Age | None = None,
        dead_letter: Age | None = None,
        keep_newest: int | None = None,
        application_name: str | None = None,
    ) -> None:
        """Let the engine remove workflows that ended long ago, whole; called without a limit, keep everything again.

        The id of a removed workflow is free: a start with it runs anew. So keep workflows for longer than anybody
        may repeat a request. A workflow is kept as long as the one that started it.

        Args:
            success: How long workflows are kept that succeeded: seconds or a timedelta; None is for ever.
            error: The same for those that failed.
            cancelled: The same for those that were cancelled.
            dead_letter: The same for dead letters.
            keep_newest: How many of all these are kept at most.
            application_name: The application whose workflows are meant; None is this one.

        Raises:
            DBOSInvalidArgumentError: An age or the number is negative.
        """
        refuse_running_loop("set_retention")
        runtime = get_runtime("DBOS.set_retention")
        policy = _policy(success, error, cancelled, dead_letter, keep_newest)
        runtime.run(_set(runtime, policy, application_name))

    @classmethod
    async def set_retention_async(
        cls,
        *,
        success: Age | None = None,
        error: Age | None = None,
        cancelled: Age | None = None,
        dead_letter: Age | None = None,
        keep_newest: int | None = None,
        application_name: str | None = None,
    ) -> None:
        """As `set_retention`."""
        runtime = get_runtime("DBOS.set_retention_async")
        policy = _policy(success, error, cancelled, dead_letter, keep_newest)
        await runtime.run_async(_set(runtime, policy, application_name))

    @classmethod
    def get_retention(cls, *, application_name: str | None = None) -> RetentionPolicy | None:
        """The retention policy of this or another application; None if everything is kept."""
        refuse_running_loop("get_retention")
        runtime = get_runtime("DBOS.get_retention")
        return runtime.run(_get(runtime, application_name))

    @classmethod
    async def get_retention_async(
        cls, *, application_name: str | None = None
    ) -> RetentionPolicy | None:
        """As `get_retention`."""
        runtime = get_runtime("DBOS.get_retention_async")
        return await runtime.run_async(_get(runtime, application_name))

    @classmethod
    def verify(cls, *, deep: bool = False) -> list[Violation]:
        """Look for what must never be, in the stored state of the engine. Empty when all is well; may run at any time.

        Args:
            deep: Look at everything; otherwise at what is active and at a sample of what has ended, within a second.
        """
        refuse_running_loop("verify")
        return get_runtime("DBOS.verify").run(_verify(deep=deep))

    @classmethod
    async def verify_async(cls, *, deep: bool = False) -> list[Violation]:
        """As `verify`."""
        return await get_runtime("DBOS.verify_async").run_async(_verify(deep=deep))

    @classmethod
    def export_workflow(cls, workflow_id: str, *, with_children: bool = False) -> str:
        """A workflow with its steps, messages, events and streams as a JSON text, payloads included.

        Args:
            workflow_id: Its id.
            with_children: Export also what it started, directly and through others.

        Raises:
            DBOSNonExistentWorkflowError: It does not exist.
        """
        refuse_running_loop("export_workflow")
        flow = _export(workflow_id, with_children=with_children)
        return get_runtime("DBOS.export_workflow").run(flow)

    @classmethod
    async def export_workflow_async(cls, workflow_id: str, *, with_children: bool = False) -> str:
        """As `export_workflow`."""
        flow = _export(workflow_id, with_children=with_children)
        return await get_runtime("DBOS.export_workflow_async").run_async(flow)

    @classmethod
    def import_workflow(cls, document: str, *, is_active: bool = False) -> list[str]:
        """Store exported workflows under their ids, all or none: the ids. The same document again changes nothing.

        Args:
            document: What `export_workflow` returned.
            is_active: Enqueue again what had not ended; otherwise it is cancelled here, and runs when it is resumed.

        Raises:
            DBOSInvalidArgumentError: The document is no export.
            DBOSConflictError: Another workflow with one of the ids exists; nothing was stored.
        """
        refuse_running_loop("import_workflow")
        flow = _import(document, is_active=is_active)
        return get_runtime("DBOS.import_workflow").run(flow)

    @classmethod
    async def import_workflow_async(cls, document: str, *, is_active: bool = False) -> list[str]:
        """As `import_workflow`."""
        flow = _import(document, is_active=is_active)
        return await get_runtime("DBOS.import_workflow_async").run_async(flow)


def _verify(*, deep: bool) -> Flow[list[Violation]]:
    found: list[Violation] = yield upkeep_calls.verify(deep=deep)
    return found


def _export(workflow_id: str, *, with_children: bool) -> Flow[str]:
    documents: list[str] = yield upkeep_calls.export_workflow(
        workflow_id=workflow_id, with_children=with_children
    )
    return documents[0]


def _import(document: str, *, is_active: bool) -> Flow[list[str]]:
    try:
        json.loads(document)
    except ValueError as error:
        raise DBOSInvalidArgumentError(f"the document is not JSON: {error}") from None
    ids: list[str] = yield upkeep_calls.import_workflow(document=document, is_active=is_active)
    return ids


def _policy(
    success: Age | None,
    error: Age | None,
    cancelled: Age | None,
    dead_letter: Age | None,
    keep_newest: int | None,
) -> RetentionPolicy:
    if keep_newest is not None and keep_newest < 0:
        raise DBOSInvalidArgumentError(
            f"keep_newest is {keep_newest}: it must not be negative; None is no limit"
        )
    return RetentionPolicy(
        _age("success", success),
        _age("error", error),
        _age("cancelled", cancelled),
        _age("dead_letter", dead_letter),
        keep_newest,
    )


def _age(name: str, age: Age | None) -> timedelta | None:
    if age is None:
        return None
    try:
        duration = age if isinstance(age, timedelta) else timedelta(seconds=age)
    except (OverflowError, ValueError):
        raise DBOSInvalidArgumentError(f"{name} is {age}: too long; None is for ever") from None
    if duration < timedelta(0):
        raise DBOSInvalidArgumentError(f"{name} is {age}: an age must not be negative")
    return duration


def _set(runtime: Runtime, policy: RetentionPolicy, application_name: str | None) -> Flow[None]:
    yield upkeep_calls.set_retention(
        application_name=application_name or runtime.application.name or "",
        success_age=policy.success,
        error_age=policy.error,
        cancelled_age=policy.cancelled,
        dead_letter_age=policy.dead_letter,
        keep_newest=policy.keep_newest,
    )


def _get(runtime: Runtime, application_name: str | None) -> Flow[RetentionPolicy | None]:
    rows: list[RetentionRow] = yield upkeep_calls.list_retention(
        application_name=application_name or runtime.application.name or ""
    )
    if not rows:
        return None
    (row,) = rows
    return RetentionPolicy(
        row.success_age, row.error_age, row.cancelled_age, row.dead_letter_age, row.keep_newest
    )
