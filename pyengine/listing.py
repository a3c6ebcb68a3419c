"""The part of `DBOS` that lists workflows; sync and async twins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

from pyengine.conditions import moment
from pyengine.context import current_run
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import calls
from pyengine.database.rows import WorkflowRow
from pyengine.effects import Flow
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.execution import Runtime
from pyengine.flows.steps import record_operation
from pyengine.status import WorkflowStatus, status_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

OneOrMore = str | Sequence[str]


class WorkflowFilters(TypedDict, total=False):
    """What to list. Filters are combined with "and"; of several values any may match; None filters nothing.

    Times are ISO 8601 texts or datetimes; one without a zone is UTC. `attributes` matches workflows whose attributes
    contain it. `load_input` and `load_output` leave payloads out when they are False. `where` is a condition in SQL,
    such as "status = 'ERROR' and created_at > now() - interval '1 day'", on the columns of `pyengine.filters.COLUMNS`.
    """

    workflow_id: OneOrMore | None
    workflow_ids: Sequence[str] | None
    status: OneOrMore | None
    start_time: str | datetime | None
    end_time: str | datetime | None
    completed_after: str | datetime | None
    completed_before: str | datetime | None
    dequeued_after: str | datetime | None
    dequeued_before: str | datetime | None
    name: OneOrMore | None
    app_version: OneOrMore | None
    forked_from: OneOrMore | None
    parent_workflow_id: OneOrMore | None
    user: OneOrMore | None
    queue_name: OneOrMore | None
    limit: int | None
    offset: int | None
    sort_desc: bool
    workflow_id_prefix: OneOrMore | None
    load_input: bool
    load_output: bool
    executor_id: OneOrMore | None
    queues_only: bool
    was_forked_from: bool | None
    is_fork: bool | None
    has_parent: bool | None
    attributes: Mapping[str, Any] | None
    schedule_name: OneOrMore | None
    application_name: str | None
    shard_key: str | None
    parent_shard_key: str | None
    where: str | None


_LISTS = {
    "status": "statuses",
    "name": "names",
    "app_version": "application_versions",
    "executor_id": "executor_names",
    "queue_name": "queue_names",
    "user": "authenticated_users",
    "parent_workflow_id": "parent_workflow_ids",
    "forked_from": "forked_from",
    "schedule_name": "schedule_names",
    "workflow_id_prefix": "id_prefixes",
}
_TIMES = {
    "start_time": "created_from",
    "end_time": "created_to",
    "dequeued_after": "started_from",
    "dequeued_before": "started_to",
    "completed_after": "finished_from",
    "completed_before": "finished_to",
}
_FLAGS = (
    "queues_only",
    "was_forked_from",
    "is_fork",
    "has_parent",
    "load_input",
    "load_output",
)
_COUNTS = {"limit": "row_limit", "offset": "row_offset"}


class Listing:
    """The part of `DBOS` that lists workflows."""

    @classmethod
    def list_workflows(cls, **filters: Unpack[WorkflowFilters]) -> list[WorkflowStatus]:
        """The workflows that match all filters, oldest first unless `sort_desc`. See `WorkflowFilters`.

        Raises:
            DBOSInvalidArgumentError: A filter is unknown or its value can't be read.
        """
        refuse_running_loop("list_workflows")
        runtime = get_runtime("DBOS.list_workflows")
        return runtime.run(_list(runtime, "DBOS.listWorkflows", filters))

    @classmethod
    async def list_workflows_async(cls, **filters: Unpack[WorkflowFilters]) -> list[WorkflowStatus]:
        """As `list_workflows`."""
        runtime = get_runtime("DBOS.list_workflows_async")
        return await runtime.run_async(_list(runtime, "DBOS.listWorkflows", filters))

    @classmethod
    def list_queued_workflows(cls, **filters: Unpack[WorkflowFilters]) -> list[WorkflowStatus]:
        """The workflows of queues that wait or run, as `list_workflows` with `queues_only`."""
        refuse_running_loop("list_queued_workflows")
        runtime = get_runtime("DBOS.list_queued_workflows")
        return runtime.run(_list(runtime, "DBOS.listQueuedWorkflows", _queued(filters)))

    @classmethod
    async def list_queued_workflows_async(
        cls, **filters: Unpack[WorkflowFilters]
    ) -> list[WorkflowStatus]:
        """As `list_queued_workflows`."""
        runtime = get_runtime("DBOS.list_queued_workflows_async")
        flow = _list(runtime, "DBOS.listQueuedWorkflows", _queued(filters))
        return await runtime.run_async(flow)


def _queued(filters: WorkflowFilters) -> WorkflowFilters:
    return {**filters, "queues_only": True}


def _list(runtime: Runtime, name: str, filters: WorkflowFilters) -> Flow[list[WorkflowStatus]]:
    given: dict[str, Any] = {key: value for key, value in filters.items() if value is not None}
    parameters = parameters_of(given, runtime.application.name)

    def read() -> Flow[list[WorkflowStatus]]:
        rows: list[WorkflowRow] = yield calls.list_workflows(filters=parameters)
        return [status_of(row, runtime.codec) for row in rows]

    run = current_run()
    return read() if run is None else record_operation(run, name, read())


def parameters_of(given: Mapping[str, Any], application_name: str | None) -> dict[str, object]:
    """The filters as parameters of the SQL function. Without ids only the own application is listed."""
    unknown = sorted(set(given) - set(WorkflowFilters.__annotations__))
    if unknown:
        known = ", ".join(sorted(WorkflowFilters.__annotations__))
        raise DBOSInvalidArgumentError(
            f"unknown filter {', '.join(unknown)}: the known ones are {known}"
        )
    parameters: dict[str, object] = {"newest_first": bool(given.get("sort_desc"))}
    ids = [*_several(given.get("workflow_ids")), *_several(given.get("workflow_id"))]
    if "workflow_ids" in given or "workflow_id" in given:
        parameters["workflow_ids"] = ids
    else:
        parameters["application_name"] = given.get("application_name", application_name)
    for key, value in given.items():
        if key in _LISTS:
            parameters[_LISTS[key]] = _several(value)
        elif key in _TIMES:
            parameters[_TIMES[key]] = moment(key, value)
        elif key in _FLAGS:
            parameters[key] = bool(value)
        elif key in _COUNTS:
            parameters[_COUNTS[key]] = _count(key, value)
        elif key == "attributes":
            parameters[key] = json.dumps(value)
        elif key == "where":
            from pyengine.filters import compile_condition  # whoever needs no parser loads none

            parameters["condition"] = json.dumps(compile_condition(value))
    return parameters


def _several(value: OneOrMore | None) -> list[str]:
    if value is None:
        return []
    values = [value] if isinstance(value, str) else list(value)
    return [str(getattr(each, "value", each)) for each in values]


def _count(key: str, value: Any) -> int | None:
    if not isinstance(value, int) or value < 0:
        raise DBOSInvalidArgumentError(f"{key} is {value!r}: it must be a whole number, 0 for none")
    return value or None
