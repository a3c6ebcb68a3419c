"""The part of `DBOS` that tells what goes on; sync and async twins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict

from pyengine import conditions
from pyengine.conditions import Tree
from pyengine.current import get_runtime, refuse_running_loop
from pyengine.database import insight_calls as calls
from pyengine.database.rows import AggregateRow, ExplanationRow, StepAggregateRow
from pyengine.effects import Flow
from pyengine.execution import Runtime
from pyengine.flows.metrics import metrics


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about a workflow.

    Attributes:
        code: what it is, for programs, such as queue_paused.
        sentence: the same for people.
        detail: the ids, times (ISO 8601) and numbers in it.
    """

    code: str
    sentence: str
    detail: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a workflow is where it is; as a text it is its summary.

    Attributes:
        workflow_id: the workflow.
        status: its status.
        summary: a paragraph for people.
        facts: what the paragraph is made of.
    """

    workflow_id: str
    status: str
    summary: str
    facts: list[Fact]

    def __str__(self) -> str:
        return self.summary


class Percentiles(TypedDict):
    """Durations in seconds: half of the workflows took at most p50, 95 of a hundred at most p95."""

    p50: float | None
    p95: float | None
    p99: float | None


class WorkflowAggregate(TypedDict):
    """A group of workflows.

    `group` has the values by which they were grouped. Times are milliseconds since 1970, by the database's clock.
    `wait_seconds` is from creation to the last start, `run_seconds` from there to the end.
    """

    group: dict[str, str | None]
    count: int
    oldest_created_at: int
    newest_created_at: int
    wait_seconds: Percentiles
    run_seconds: Percentiles


class StepAggregate(TypedDict):
    """The steps of one name in the workflows of one name."""

    workflow_name: str
    step_name: str
    count: int
    error_count: int
    run_seconds: Percentiles


class Insight:
    """The part of `DBOS` that tells what goes on."""

    @classmethod
    def explain_workflow(cls, workflow_id: str) -> Explanation:
        """Why a workflow is where it is: who runs it, what it waits for, which limit holds it back.

        Args:
            workflow_id: Its id.

        Returns:
            A paragraph for people and the facts of it for programs.

        Raises:
            DBOSNonExistentWorkflowError: There is no such workflow.
        """
        refuse_running_loop("explain_workflow")
        return get_runtime("DBOS.explain_workflow").run(_explain(workflow_id))

    @classmethod
    async def explain_workflow_async(cls, workflow_id: str) -> Explanation:
        """As `explain_workflow`."""
        runtime = get_runtime("DBOS.explain_workflow_async")
        return await runtime.run_async(_explain(workflow_id))

    @classmethod
    def get_workflow_aggregates(
        cls,
        group_by: Sequence[str] = ("status",),
        *,
        where: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        application_name: str | None = None,
        limit: int = 1000,
    ) -> list[WorkflowAggregate]:
        """Counts, ages and durations of workflows, the largest groups first.

        It reads all workflows that it counts: give a `start_time` when the history is long.

        Args:
            group_by: Columns of a workflow such as "status", "name" and "queue_name"; "minute", "hour" and "day" group
                by the time of creation.
            where: A condition as `list_workflows` takes it.
            start_time: Only those created then or later: an ISO 8601 text or a datetime; without a zone it is UTC.
            end_time: Only those created then or earlier.
            application_name: Only those of this application; by default of the own one.
            limit: At most so many groups.

        Raises:
            DBOSInvalidArgumentError: An argument can't be read; says which.
        """
        refuse_running_loop("get_workflow_aggregates")
        runtime = get_runtime("DBOS.get_workflow_aggregates")
        condition = _condition(runtime, where, start_time, end_time, application_name)
        return runtime.run(_aggregates(group_by, condition, limit))

    @classmethod
    async def get_workflow_aggregates_async(
        cls,
        group_by: Sequence[str] = ("status",),
        *,
        where: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        application_name: str | None = None,
        limit: int = 1000,
    ) -> list[WorkflowAggregate]:
        """As `get_workflow_aggregates`."""
        runtime = get_runtime("DBOS.get_workflow_aggregates_async")
        condition = _condition(runtime, where, start_time, end_time, application_name)
        return await runtime.run_async(_aggregates(group_by, condition, limit))

    @classmethod
    def get_step_aggregates(
        cls,
        *,
        where: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        application_name: str | None = None,
        limit: int = 1000,
    ) -> list[StepAggregate]:
        """Counts, failures and durations of the steps of workflows, the most frequent first.

        The arguments choose the workflows, as those of `get_workflow_aggregates`.
        """
        refuse_running_loop("get_step_aggregates")
        runtime = get_runtime("DBOS.get_step_aggregates")
        condition = _condition(runtime, where, start_time, end_time, application_name)
        return runtime.run(_step_aggregates(condition, limit))

    @classmethod
    async def get_step_aggregates_async(
        cls,
        *,
        where: str | None = None,
        start_time: str | datetime | None = None,
        end_time: str | datetime | None = None,
        application_name: str | None = None,
        limit: int = 1000,
    ) -> list[StepAggregate]:
        """As `get_step_aggregates`."""
        runtime = get_runtime("DBOS.get_step_aggregates_async")
        condition = _condition(runtime, where, start_time, end_time, application_name)
        return await runtime.run_async(_step_aggregates(condition, limit))

    @classmethod
    def get_metrics(cls) -> str:
        """The engine's measurements as OpenMetrics text, for an endpoint that Prometheus reads.

        Counts and ages are of what has not ended; rates and durations of what ended in the last 5 minutes.
        """
        refuse_running_loop("get_metrics")
        return get_runtime("DBOS.get_metrics").run(metrics())

    @classmethod
    async def get_metrics_async(cls) -> str:
        """As `get_metrics`."""
        return await get_runtime("DBOS.get_metrics_async").run_async(metrics())


def explanation_of(row: ExplanationRow) -> Explanation:
    """An explanation as its users see it."""
    facts = [Fact(**fact) for fact in json.loads(row.facts)]
    return Explanation(row.workflow_id, row.status, row.summary, facts)


def _explain(workflow_id: str) -> Flow[Explanation]:
    (row,) = yield calls.explain_workflow(workflow_id=workflow_id)
    return explanation_of(row)


def _condition(
    runtime: Runtime,
    where: str | None,
    start_time: str | datetime | None,
    end_time: str | datetime | None,
    application_name: str | None,
) -> str | None:
    application = application_name or runtime.application.name
    chosen: list[Tree] = []
    if application is not None:
        nobodys = {"op": "is null", "args": [{"column": "application_name"}]}
        own = conditions.any_of("application_name", [application])
        chosen.append({"op": "or", "args": [nobodys, own]})
    for name, op, time in (("start_time", ">=", start_time), ("end_time", "<=", end_time)):
        if time is not None:
            chosen.append(conditions.compared("created_at", op, conditions.moment(name, time)))
    if where is not None:
        from pyengine.filters import compile_condition  # whoever needs no parser loads none

        chosen.append(compile_condition(where))
    return conditions.as_json(conditions.all_of(chosen))


def _aggregates(
    group_by: Sequence[str], condition: str | None, limit: int
) -> Flow[list[WorkflowAggregate]]:
    names = [group_by] if isinstance(group_by, str) else list(group_by)
    rows: list[AggregateRow] = yield calls.aggregate_workflows(
        group_by=names, condition=condition, row_limit=limit
    )
    return [
        WorkflowAggregate(
            group=json.loads(row.groups),
            count=row.workflow_count,
            oldest_created_at=round(row.oldest_created_at.timestamp() * 1000),
            newest_created_at=round(row.newest_created_at.timestamp() * 1000),
            wait_seconds=_percentiles(row.wait_seconds),
            run_seconds=_percentiles(row.run_seconds),
        )
        for row in rows
    ]


def _step_aggregates(condition: str | None, limit: int) -> Flow[list[StepAggregate]]:
    rows: list[StepAggregateRow] = yield calls.aggregate_steps(condition=condition, row_limit=limit)
    return [
        StepAggregate(
            workflow_name=row.workflow_name,
            step_name=row.step_name,
            count=row.step_count,
            error_count=row.error_count,
            run_seconds=_percentiles(row.run_seconds),
        )
        for row in rows
    ]


def _percentiles(values: Sequence[float | None] | None) -> Percentiles:
    p50, p95, p99 = values or (None, None, None)
    return Percentiles(p50=p50, p95=p95, p99=p99)
