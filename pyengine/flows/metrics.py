"""Measuring the engine: what waits and runs, what ended lately, the queues and the processes."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from pyengine._version import __version__
from pyengine.database import calls, insight_calls, queue_calls
from pyengine.database.rows import ActiveRow, ExecutorRow, OutcomesRow, QueueRow
from pyengine.effects import Flow
from pyengine.openmetrics import Family, render

WINDOW_SECONDS = 300.0
"""What ended within this time is what rates and durations are of."""


def metrics() -> Flow[str]:
    """All measurements as OpenMetrics text."""
    now: datetime = (yield calls.now())[0]
    active: list[ActiveRow] = yield insight_calls.active_workflows()
    outcomes: list[OutcomesRow] = yield insight_calls.list_outcomes(window_seconds=WINDOW_SECONDS)
    queues: list[QueueRow] = yield queue_calls.list_queues(application_name=None, queue_names=None)
    executors: list[ExecutorRow] = yield insight_calls.list_executors(
        application_name=None, include_finished=False, row_limit=None
    )
    build = Family("build", "The version of the library that measured.", kind="info")
    build.add(1, {"version": __version__})
    return render(
        [
            build,
            *_of_active(active, now),
            *_of_outcomes(outcomes),
            *_of_queues(queues),
            *_of_executors(executors, now),
        ]
    )


def _of_active(rows: list[ActiveRow], now: datetime) -> list[Family]:
    counts = Family("workflows", "Workflows that have not ended.")
    ages = Family(
        "oldest_workflow_age_seconds",
        "How long ago the oldest workflow that has not ended was created.",
        unit="seconds",
    )
    for row in rows:
        labels = _kind(row)
        counts.add(row.workflow_count, labels)
        ages.add(max((now - row.oldest_created_at).total_seconds(), 0), labels)
    return [counts, ages]


def _of_outcomes(rows: list[OutcomesRow]) -> list[Family]:
    rates = Family("outcomes_per_second", "Workflows that ended, over the last 5 minutes.")
    waits = Family(
        "wait_seconds",
        "From creation to the last start, of workflows that ended in the last 5 minutes.",
        unit="seconds",
    )
    runs = Family(
        "run_seconds",
        "From the last start to the end, of workflows that ended in the last 5 minutes.",
        unit="seconds",
    )
    for row in rows:
        labels = _kind(row)
        rates.add(row.per_second, labels)
        waits.add_quantiles(row.wait_seconds, labels)
        runs.add_quantiles(row.run_seconds, labels)
    return [rates, waits, runs]


def _of_queues(rows: list[QueueRow]) -> list[Family]:
    paused = Family("queue_paused", "1 if the queue is paused.")
    limits = Family("queue_limit", "How many workflows of the queue may run (or wait) at once.")
    for row in rows:
        paused.add(int(row.is_paused), {"queue": row.queue_name})
        for limit in ("concurrency", "worker_concurrency", "partition_concurrency", "max_depth"):
            limits.add(getattr(row, limit), {"queue": row.queue_name, "limit": limit})
    return [paused, limits]


def _of_executors(rows: list[ExecutorRow], now: datetime) -> list[Family]:
    counts = Family("executors", "Processes that run workflows, by state.")
    running = Family("executor_workflows", "Workflows that the process runs.")
    heartbeats = Family(
        "executor_heartbeat_age_seconds",
        "How long ago the process was last heard of.",
        unit="seconds",
    )
    for (application, state), count in sorted(
        Counter((row.application_name, row.state) for row in rows).items()
    ):
        counts.add(count, {"application": application, "state": state})
    for row in rows:
        labels = {
            "application": row.application_name,
            "executor": row.name,
            "executor_id": str(row.executor_id),
        }
        running.add(row.running_count, labels)
        heartbeats.add(max((now - row.heartbeat_at).total_seconds(), 0), labels)
    return [counts, running, heartbeats]


def _kind(row: ActiveRow | OutcomesRow) -> dict[str, str | None]:
    return {
        "application": row.application_name,
        "name": row.name,
        "queue": row.queue_name,
        "status": row.status,
    }
