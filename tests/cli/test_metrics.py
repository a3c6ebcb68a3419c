"""pyengine metrics, and the measurements of SQL and Python behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from pyengine import DBOS
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.openmetrics import Family, render
from tests.cli.conftest import Process, Run, Session

Enqueue = Callable[..., None]


def samples(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What an OpenMetrics parser reads."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def key(metric: str, /, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return metric, frozenset(labels.items())


def test_the_metrics_are_openmetrics(
    run: Run, sql: Session, process: Process, enqueue: Enqueue
) -> None:
    sql.execute("select pyengine.register_queue('q', concurrency => 3)")
    sql.execute("select pyengine.pause_queue('q')")
    for name in ("a", "b", "c"):
        enqueue(name)
    token = process.claim()
    process.finish("a", token, output=1)
    process.claim()
    enqueue("d", queue_name="q")

    found = samples(run("metrics").out)

    kind = {"application": "app", "name": "f"}
    assert found[key("pyengine_workflows", **kind, status="ENQUEUED")] == 1
    assert found[key("pyengine_workflows", **kind, status="PENDING")] == 1
    assert found[key("pyengine_workflows", **kind, status="ENQUEUED", queue="q")] == 1
    assert found[key("pyengine_outcomes_per_second", **kind, status="SUCCESS")] == pytest.approx(
        1 / 300
    )
    assert found[key("pyengine_run_seconds", **kind, status="SUCCESS", quantile="0.95")] < 5
    assert found[key("pyengine_queue_paused", queue="q")] == 1
    assert found[key("pyengine_queue_limit", queue="q", limit="concurrency")] == 3
    assert found[key("pyengine_executors", application="app", state="live")] == 1
    executor = {"application": "app", "executor": "one", "executor_id": str(process.executor_id)}
    assert found[key("pyengine_executor_workflows", **executor)] == 1
    assert 0 <= found[key("pyengine_executor_heartbeat_age_seconds", **executor)] < 60


def test_an_empty_engine_is_measured_too(run: Run, sql: Session) -> None:
    assert [name for name, _ in samples(run("metrics").out)] == ["pyengine_build_info"]


def test_labels_are_escaped_and_numbers_written_as_the_format_wants() -> None:
    family = Family("x_seconds", 'a "help"\nof \\ two lines', unit="seconds")
    hostile = 'quote " backslash \\ newline \n end}'
    family.add(0.25, {"name": hostile, "absent": None})
    family.add(float("inf"), {"name": "inf"})
    family.add(None, {"name": "nothing"})

    assert samples(render([family])) == {
        key("pyengine_x_seconds", name=hostile): 0.25,
        key("pyengine_x_seconds", name="inf"): float("inf"),
    }


def history(sql: Session, count: int) -> None:
    """So many workflows that ended a second apart, the last now, and as many steps."""
    sql.execute(
        "insert into pyengine.workflows"
        " (workflow_id, status, name, created_at, updated_at, started_at, finished_at, serialization, inputs)"
        " select 'w' || i, 'SUCCESS', 'f', t - interval '3 seconds', t, t - interval '2 seconds', t, 'json', '[]'"
        " from generate_series(0, %s - 1) i"
        " cross join lateral (select pyengine.now() - i * interval '1 second' as t) x",
        [count],
    )
    sql.execute(
        "insert into pyengine.steps"
        " (workflow_id, step_id, name, attempt, started_at, completed_at, serialization, error)"
        " select workflow_id, 1, 's', 1, started_at, finished_at, 'json',"
        " case when workflow_id = 'w7' then '{}'::json end from pyengine.workflows where name = 'f'"
    )
    sql.execute("vacuum analyze pyengine.workflows")


def test_rates_and_durations_are_of_the_window(sql: Session) -> None:
    history(sql, 1000)
    query = "select workflow_count, per_second, wait_seconds, run_seconds from {}"

    ((count, rate, waits, runs),) = sql.execute(
        query.format("pyengine.list_outcomes(100)")
    ).fetchall()
    assert count in (99, 100)
    assert rate == count / 100
    assert waits == [1, 1, 1]
    assert runs == [2, 2, 2]
    ((count, *_),) = sql.execute(query.format("pyengine.recent_outcomes")).fetchall()
    assert count in (299, 300)
    with pytest.raises(psycopg.Error, match="between 1 and 604800"):
        sql.execute("select pyengine.list_outcomes(0)")


def blocks(sql: Session, query: str) -> int:
    sql.execute(query.encode())
    explain = "explain (analyze, buffers, format json) " + query
    ((plan,),) = sql.execute(explain.encode()).fetchall()
    return int(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


def test_measuring_reads_what_waits_runs_or_ended_lately_and_no_history(sql: Session) -> None:
    history(sql, 20_000)
    ((size,),) = sql.execute(
        "select relpages from pg_class where oid = 'pyengine.workflows'::regclass"
    ).fetchall()
    assert size > 300

    for view in ("active_workflows", "queue_depth", "recent_outcomes"):
        assert blocks(sql, f"select * from pyengine.{view}") < size / 4, view


@DBOS.workflow()
def measured(number: int) -> int:
    return DBOS.run_step({"name": "halve"}, lambda: number // 2)


def test_python_aggregates_the_workflows_of_its_application(dbos: type[DBOS], sql: Session) -> None:
    for number in range(3):
        measured(number)
    history(sql, 5)
    sql.execute("update pyengine.workflows set application_name = 'other' where name = 'f'")

    (group,) = DBOS.get_workflow_aggregates(["name", "status"])
    assert group["group"] == {"name": "measured", "status": "SUCCESS"}
    assert group["count"] == 3
    assert group["oldest_created_at"] <= group["newest_created_at"]
    assert (group["run_seconds"]["p50"] or 9) < 5

    (other,) = DBOS.get_workflow_aggregates(
        "day", application_name="other", where="finished_at > now() - interval '1 hour'"
    )
    assert other["count"] == 5
    assert DBOS.get_workflow_aggregates(start_time="2100-01-01") == []
    assert asyncio.run(DBOS.get_workflow_aggregates_async(end_time="2100-01-01"))[0]["count"] == 3
    with pytest.raises(DBOSInvalidArgumentError, match="group_by"):
        DBOS.get_workflow_aggregates(["inputs"])
    with pytest.raises(DBOSInvalidArgumentError, match="group_by"):
        DBOS.get_workflow_aggregates([])


def test_python_aggregates_steps(dbos: type[DBOS], sql: Session) -> None:
    measured(8)
    history(sql, 20)

    steps = DBOS.get_step_aggregates()

    assert [
        (step["workflow_name"], step["step_name"], step["count"], step["error_count"])
        for step in steps
    ] == [
        ("f", "s", 20, 1),
        ("measured", "halve", 1, 0),
    ]
    assert steps[0]["run_seconds"] == {"p50": 2, "p95": 2, "p99": 2}
    assert asyncio.run(DBOS.get_step_aggregates_async(where="name = 'f'")) == steps[:1]


def test_python_measures_for_an_endpoint(dbos: type[DBOS]) -> None:
    measured(8)

    found = samples(DBOS.get_metrics())

    assert found[key("pyengine_executors", application="test-app", state="live")] == 1
    assert set(found) == set(samples(asyncio.run(DBOS.get_metrics_async())))
