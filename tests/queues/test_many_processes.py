"""Several processes of an application share its queues: limits hold over all of them, and each gets its share."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.queues import arena
from tests.queues.arena import Session, call, enqueue, request

PROCESSES = 3

# executor, partition key, start and end of each run, by the database's clock
Run = tuple[int, str | None, datetime, datetime]


@pytest.fixture(scope="module")
def sql(engine_url: str) -> Iterator[Session]:
    """A connection to an engine that was empty when the processes were started; each test has its own queue."""
    with psycopg.connect(engine_url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
        command = [sys.executable, "-m", "tests.queues.worker", engine_url]
        workers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        for process in workers:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        yield connection
        for process in workers:
            process.communicate(timeout=30)


def run(sql: Session, queue_name: str, count: int, seconds: float, keys: int = 0) -> list[Run]:
    """Enqueue so many workflows and wait until all have ended; their runs by the time they started."""
    enqueue(
        sql,
        *(
            request(
                queue_name,
                name="busy",
                application_name="test-app",
                inputs={"positionalArgs": [seconds], "namedArgs": {}},
                **({"partition_key": f"key {number % keys}"} if keys else {}),
            )
            for number in range(count)
        ),
    )
    left = "select count(*) from pyengine.workflows where queue_name = %s and status <> 'SUCCESS'"
    give_up = time.monotonic() + 60
    while call(sql, left, queue_name) != [(0,)]:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    runs: list[Run] = call(
        sql,
        """select executor_id, partition_key, started_at, finished_at from pyengine.workflows
           where queue_name = %s order by started_at""",
        queue_name,
    )
    return runs


def most_at_once(runs: list[Run]) -> int:
    """How many ran at once at most. What ends at the moment when another starts has made room for it."""
    changes = sorted([(run[2], 1) for run in runs] + [(run[3], -1) for run in runs])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    return most


def most_started_within(runs: list[Run], window: timedelta) -> int:
    """How many started in any window of that length."""
    starts = [run[2] for run in runs]
    return max(sum(first <= start < first + window for start in starts) for first in starts)


def grouped(runs: list[Run], column: int) -> list[list[Run]]:
    get: Any = itemgetter(column)
    return [list(group) for _, group in groupby(sorted(runs, key=get), key=get)]


def test_a_global_limit_holds_over_all_processes(sql: Session) -> None:
    arena.queue(sql, "global", concurrency=4)

    runs = run(sql, "global", 40, 0.05)

    assert most_at_once(runs) == 4


def test_a_workers_limit_holds_in_each_process_and_each_gets_its_share(sql: Session) -> None:
    arena.queue(sql, "each", worker_concurrency=2)

    runs = run(sql, "each", 120, 0.05)

    assert {most_at_once(of_one) for of_one in grouped(runs, 0)} == {2}
    shares = Counter(run[0] for run in runs)
    assert len(shares) == PROCESSES
    # One that looks a quarter of a second later than the others misses ten of its forty.
    assert min(shares.values()) >= 20


def test_a_rate_limit_holds_over_all_processes(sql: Session) -> None:
    arena.queue(sql, "rated", limiter_limit=10, limiter_period_seconds=0.5)

    runs = run(sql, "rated", 40, 0.0)

    # A start is logged some milliseconds before the workflow's own time of start.
    assert most_started_within(runs, timedelta(seconds=0.45)) <= 10
    assert runs[-1][2] - runs[0][2] >= timedelta(seconds=1.4)


def test_keys_run_one_at_a_time_over_all_processes(sql: Session) -> None:
    arena.queue(sql, "keyed", partition_concurrency=1, worker_concurrency=2)

    runs = run(sql, "keyed", 40, 0.03, keys=8)

    assert {most_at_once(of_one) for of_one in grouped(runs, 1)} == {1}
    assert most_at_once(runs) > 1
    assert len({run[0] for run in runs}) > 1


def test_a_backlog_without_limits_is_shared(sql: Session) -> None:
    """No process takes more than it can start at once, however long the backlog is."""
    arena.queue(sql, "free")

    runs = run(sql, "free", 1500, 0.2)

    assert len({run[0] for run in runs}) > 1
    assert all(most_at_once(of_one) <= 500 for of_one in grouped(runs, 0))


def test_limits_that_change_hold_in_every_process_within_a_second(sql: Session) -> None:
    arena.queue(sql, "narrowed", concurrency=9)
    count = len(run(sql, "narrowed", 20, 0.01))
    sql.execute("select pyengine.change_queue('narrowed', '{\"concurrency\": 2}')")

    runs = run(sql, "narrowed", 30, 0.03)[count:]

    assert most_at_once(runs) == 2


def test_work_starts_within_two_seconds_when_the_listeners_are_killed(sql: Session) -> None:
    arena.queue(sql, "unheard")
    for number in range(3):
        sql.execute(
            """select pg_terminate_backend(pid) from pg_stat_activity
               where application_name = 'pyengine listener' and datname = current_database()"""
        )

        runs = run(sql, "unheard", 1, 0.0)

        assert len(runs) == number + 1
    lateness = (
        "select max(started_at - created_at) from pyengine.workflows where queue_name = 'unheard'"
    )
    assert call(sql, lateness)[0][0] < timedelta(seconds=2)


def test_a_paused_queue_starts_nothing_until_it_is_resumed(sql: Session) -> None:
    arena.queue(sql, "paused")
    sql.execute("select pyengine.pause_queue('paused')")
    enqueue(
        sql,
        request(
            "paused",
            "w",
            name="busy",
            application_name="test-app",
            inputs={"positionalArgs": [0.0], "namedArgs": {}},
        ),
    )
    time.sleep(1.2)  # longer than any process waits before it looks again
    assert arena.status(sql, "w") == "ENQUEUED"

    sql.execute("select pyengine.resume_queue('paused')")

    give_up = time.monotonic() + 2
    while arena.status(sql, "w") != "SUCCESS":
        assert time.monotonic() < give_up
        time.sleep(0.01)
