"""What waiting workflows cost, in the numbers that are promised."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.bench.figures import Bench, percentile
from tests.bench.waits import Waiter, measure_asleep, sleepers, wait_for, waiter

Sql = psycopg.Connection[Any]


def statements_in(process: Waiter, seconds: float) -> int:
    """How many statements a process sends in a while."""
    before = process.figures("now").statements
    time.sleep(seconds)
    return process.figures("now").statements - before


@pytest.mark.parametrize("workflow", ["sleep", "recv"])
@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_waiting_workflows_need_few_threads_and_little_memory(
    engine_url: str, sql: Sql, workflow: str, count: int
) -> None:
    with waiter(engine_url, hibernate_after=0.2) as process:
        process.ask("start", workflow, count)
        wait_for(sql, f"(select count(*) from pyengine.hibernations) = {count}")
        time.sleep(6)  # threads that have nothing to do end after five seconds
        now = process.figures("now")

    print(now)
    assert now.threads <= 20
    assert now.megabytes <= 500


@pytest.mark.slow
@pytest.mark.parametrize("workflow", ["sleep_async", "recv_async"])
def test_many_async_workflows_wait_in_memory(engine_url: str, sql: Sql, workflow: str) -> None:
    with waiter(engine_url, hibernate_after=None) as process:
        process.ask("start", workflow, 10_000)
        wait_for(sql, "(select count(*) from pyengine.steps) = 10000")
        peak = process.figures("peak")

    print(peak)
    assert peak.threads <= 20
    assert peak.megabytes <= 500


def test_sleepers_wake_in_time_and_cost_an_idle_process_one_statement_a_second(
    engine_url: str, sql: Sql
) -> None:
    sleepers(sql, 1, 20_000, delay=86_400, step=0.01)
    sql.execute("vacuum analyze pyengine.workflows, pyengine.steps, pyengine.hibernations")
    with waiter(engine_url) as process:
        time.sleep(2)  # it looks some times more often before it is idle
        sent = statements_in(process, 5.0)
        sleepers(sql, 100_001, 300, delay=1.0, step=0.005)
        wait_for(
            sql, "(select count(*) from pyengine.workflows where status = 'SUCCESS') = 300", 60
        )

    late = [
        float(row[0])
        for row in sql.execute(
            "select extract(epoch from w.finished_at - s.completed_at) from pyengine.workflows w "
            "join pyengine.steps s using (workflow_id) where w.status = 'SUCCESS'"
        )
    ]
    assert sent <= 6
    assert min(late) >= 0
    assert percentile(late, 0.99) <= 1.0


@pytest.mark.slow
def test_a_million_sleepers_wake_in_time(engine_url: str, sql: Sql) -> None:
    figures = {
        figure.case: figure.value for figure in measure_asleep(Bench(engine_url, sql, 1_000_000))
    }

    print(figures)
    assert figures["statements of an idle process"] <= 1.1
    assert figures["1000 due a second: late, earliest"] >= 0
    assert figures["1000 due a second: late, p99"] <= 1.0
