"""The part of `DBOS` that steers all workflows that match filters, page by page; sync and async twins."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import calls
from pyengine.database.rows import WorkflowPlace
from pyengine.effects import Delay, Flow
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.execution import Runtime, recorded
from pyengine.flows import steering as flows
from pyengine.flows.paging import Pages
from pyengine.flows.steering import ElsewhereStored, Fork
from pyengine.listing import WorkflowFilters, parameters_of
from pyengine.workflow_ids import generate_workflow_id

_logger = logging.getLogger("pyengine")

PAGE = 200

ACTIVE = ("ENQUEUED", "DELAYED", "PENDING")
STOPPED = ("CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


@dataclass(frozen=True, slots=True)
class BulkProgress:
    """How far an operation on many workflows has come: how many it has looked at, and how many it has changed."""

    seen: int
    changed: int


Progress = Callable[[BulkProgress], None]
Deed = Callable[[Sequence[str]], Flow[list[str]]]


class Bulk:
    """The part of `DBOS` that steers all workflows that match filters."""

    @classmethod
    def cancel_matching(
        cls,
        filters: WorkflowFilters,
        *,
        cancel_children: bool = False,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Cancel all workflows that match, the oldest first, in small transactions. Those that come meanwhile stay.

        When it is interrupted, what is done is done: call it again for the rest.

        Args:
            filters: As for `DBOS.list_workflows`, at least one. Without a status those that have not ended.
            cancel_children: Cancel also what they started, directly and through others.
            per_second: At most so many a second; None is as fast as it goes.
            progress: Called after each page of at most 200.

        Returns:
            The ids that are cancelled now.

        Raises:
            DBOSInvalidArgumentError: There is no filter, or one can't be read.
        """
        refuse_running_loop("cancel_matching")
        runtime = get_runtime("DBOS.cancel_matching")
        flow = _cancel(runtime, filters, per_second, progress, children=cancel_children)
        return runtime.run(recorded("DBOS.cancelMatching", flow))

    @classmethod
    async def cancel_matching_async(
        cls,
        filters: WorkflowFilters,
        *,
        cancel_children: bool = False,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """As `cancel_matching`."""
        runtime = get_runtime("DBOS.cancel_matching_async")
        flow = _cancel(runtime, filters, per_second, progress, children=cancel_children)
        return await runtime.run_async(recorded("DBOS.cancelMatching", flow))

    @classmethod
    def resume_matching(
        cls,
        filters: WorkflowFilters,
        *,
        to_queue: str | None = None,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Resume all workflows that match. See `cancel_matching`.

        Args:
            filters: As for `DBOS.list_workflows`, at least one. Without a status cancelled ones and dead letters.
            to_queue: The queue to run them through; None is none.
            per_second: At most so many a second.
            progress: Called after each page of at most 200.

        Returns:
            The ids that were resumed.
        """
        refuse_running_loop("resume_matching")
        runtime = get_runtime("DBOS.resume_matching")
        flow = _resume(runtime, filters, per_second, progress, to_queue)
        return runtime.run(recorded("DBOS.resumeMatching", flow))

    @classmethod
    async def resume_matching_async(
        cls,
        filters: WorkflowFilters,
        *,
        to_queue: str | None = None,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """As `resume_matching`."""
        runtime = get_runtime("DBOS.resume_matching_async")
        flow = _resume(runtime, filters, per_second, progress, to_queue)
        return await runtime.run_async(recorded("DBOS.resumeMatching", flow))

    @classmethod
    def fork_matching(
        cls,
        filters: WorkflowFilters,
        start_step: int,
        *,
        application_version: str | None = None,
        to_queue: str | None = None,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Fork all workflows that match. See `cancel_matching` and `fork_workflow`.

        Args:
            filters: As for `DBOS.list_workflows`, at least one.
            start_step: The first step that runs again.
            application_version: Only processes of this version run the forks.
            to_queue: The queue to run them through; None is none.
            per_second: At most so many a second.
            progress: Called after each page of at most 200.

        Returns:
            The ids of the forks.
        """
        refuse_running_loop("fork_matching")
        runtime = get_runtime("DBOS.fork_matching")
        stored = runtime.elsewhere()
        make = _forks(stored, start_step, application_version, to_queue)
        flow = _each_page(runtime, filters, make, per_second, progress)
        return runtime.run(recorded("DBOS.forkMatching", flow))

    @classmethod
    async def fork_matching_async(
        cls,
        filters: WorkflowFilters,
        start_step: int,
        *,
        application_version: str | None = None,
        to_queue: str | None = None,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """As `fork_matching`."""
        runtime = get_runtime("DBOS.fork_matching_async")
        stored = runtime.elsewhere_async()
        make = _forks(stored, start_step, application_version, to_queue)
        flow = _each_page(runtime, filters, make, per_second, progress)
        return await runtime.run_async(recorded("DBOS.forkMatching", flow))

    @classmethod
    def delete_matching(
        cls,
        filters: WorkflowFilters,
        *,
        delete_children: bool = False,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """Delete all workflows that match, whatever their status. See `cancel_matching` and `delete_workflow`.

        Args:
            filters: As for `DBOS.list_workflows`, at least one.
            delete_children: Delete also what they started, directly and through others.
            per_second: At most so many a second.
            progress: Called after each page of at most 200.

        Returns:
            The ids that were removed.
        """
        refuse_running_loop("delete_matching")
        runtime = get_runtime("DBOS.delete_matching")
        stored = runtime.elsewhere()
        make = _deletes(stored, children=delete_children)
        flow = _each_page(runtime, filters, make, per_second, progress)
        return runtime.run(recorded("DBOS.deleteMatching", flow))

    @classmethod
    async def delete_matching_async(
        cls,
        filters: WorkflowFilters,
        *,
        delete_children: bool = False,
        per_second: float | None = None,
        progress: Progress | None = None,
    ) -> list[str]:
        """As `delete_matching`."""
        runtime = get_runtime("DBOS.delete_matching_async")
        stored = runtime.elsewhere_async()
        make = _deletes(stored, children=delete_children)
        flow = _each_page(runtime, filters, make, per_second, progress)
        return await runtime.run_async(recorded("DBOS.deleteMatching", flow))


def _cancel(
    runtime: Runtime,
    filters: WorkflowFilters,
    per_second: float | None,
    progress: Progress | None,
    *,
    children: bool,
) -> Flow[list[str]]:
    def cancel(ids: Sequence[str]) -> Flow[list[str]]:
        return flows.cancel(ids, cancel_children=children)

    return _each_page(runtime, filters, cancel, per_second, progress, ACTIVE)


def _resume(
    runtime: Runtime,
    filters: WorkflowFilters,
    per_second: float | None,
    progress: Progress | None,
    to_queue: str | None,
) -> Flow[list[str]]:
    def resume(ids: Sequence[str]) -> Flow[list[str]]:
        return flows.resume(ids, to_queue)

    return _each_page(runtime, filters, resume, per_second, progress, STOPPED)


def _forks(
    stored: ElsewhereStored, start_step: int, version: str | None, to_queue: str | None
) -> Deed:
    def fork(ids: Sequence[str]) -> Flow[list[str]]:
        made: list[str] = []
        for workflow_id in ids:
            request = Fork(
                workflow_id, start_step, generate_workflow_id(), version, queue_name=to_queue
            )
            made.append((yield from flows.fork(request, stored)))
        return made

    return fork


def _deletes(stored: ElsewhereStored, *, children: bool) -> Deed:
    def delete(ids: Sequence[str]) -> Flow[list[str]]:
        return flows.delete(ids, stored, delete_children=children)

    return delete


def _each_page(
    runtime: Runtime,
    filters: WorkflowFilters,
    deed: Deed,
    per_second: float | None,
    progress: Progress | None,
    statuses: Sequence[str] | None = None,
) -> Flow[list[str]]:
    """Do something to all workflows that match now, the oldest first, a page at a time."""
    given: dict[str, Any] = {key: value for key, value in filters.items() if value is not None}
    if not given:
        raise DBOSInvalidArgumentError(
            'no filter was given, which would mean all workflows: give at least one, such as {"name": "order"}'
        )
    if per_second is not None and per_second <= 0:
        raise DBOSInvalidArgumentError(f"per_second is {per_second}: it must be positive")
    if statuses is not None:
        given.setdefault("status", statuses)
    size = page_size(per_second)
    return _pages(parameters_of(given, runtime.application.name), deed, size, per_second, progress)


def _pages(
    parameters: dict[str, Any],
    deed: Deed,
    size: int,
    per_second: float | None,
    progress: Progress | None,
) -> Flow[list[str]]:
    (now,) = yield calls.now()
    pages = Pages(parameters, now, size)
    seen, changed = 0, []
    while (call := pages.next_call()) is not None:
        rows: list[WorkflowPlace] = yield call
        page = pages.accept(rows)
        if not page:
            break
        changed += yield from deed(page)
        seen += len(page)
        _tell(progress, BulkProgress(seen, len(changed)))
        if per_second is not None:
            yield Delay(len(page) / per_second)
    return changed


def page_size(per_second: float | None) -> int:
    """How many are done between two pauses, so that a pace is kept."""
    return PAGE if per_second is None else max(1, min(PAGE, int(per_second)))


def _tell(progress: Progress | None, reached: BulkProgress) -> None:
    _logger.info("changed %d of %d workflows so far", reached.changed, reached.seen)
    if progress is not None:
        progress(reached)
