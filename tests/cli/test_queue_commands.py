"""pyengine queue and pyengine executor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.cli.conftest import Process, Run

Session = psycopg.Connection[Any]


@pytest.fixture
def queue(sql: Session) -> None:
    sql.execute(
        "select pyengine.register_queue('mails', concurrency => 2, limiter_limit => 5, limiter_period_seconds => 90)"
    )


def test_queues_are_listed_with_their_load_and_limits(
    run: Run, queue: None, enqueue: Callable[..., None], process: Process, sql: Session
) -> None:
    for name in ("a", "b", "c"):
        enqueue(name, queue_name="mails")
    enqueue("d", queue_name="mails", delay_ms=60_000)
    process.claim()
    sql.execute("select pyengine.register_queue('idle')")

    lines = run("queue", "list").out.splitlines()
    assert lines[2].startswith("mails  open          2  ")
    assert lines[2].rstrip().split("  ")[-1].strip() != ""
    assert "concurrency=2, limiter=5 per 1m 30s" in lines[2]
    shown = {row["queue_name"]: row for row in run("queue", "list", "--json").json}
    assert [shown["mails"][key] for key in ("enqueued", "delayed", "running", "hibernated")] == [
        2,
        1,
        1,
        0,
    ]
    assert shown["mails"]["limiter_period"] == 90
    assert shown["idle"]["enqueued"] == 0


def test_work_in_a_queue_that_is_not_registered_is_pointed_out(
    run: Run, queue: None, enqueue: Callable[..., None], sql: Session
) -> None:
    enqueue("a", queue_name="mails")
    sql.execute("select pyengine.delete_queue('mails')")

    assert run("queue", "list").err.splitlines() == [
        "no queues",
        "work waits in queues that are not registered: mails",
    ]


def test_a_queue_is_paused_and_resumed(run: Run, queue: None) -> None:
    assert run("queue", "pause", "mails").out == "paused mails\n"
    assert run("queue", "list", "--json").json[0]["is_paused"]
    assert run("queue", "resume", "mails").out == "resumed mails\n"
    assert not run("queue", "list", "--json").json[0]["is_paused"]


def test_limits_are_changed_and_removed(run: Run, queue: None) -> None:
    done = run("queue", "set", "mails", "--concurrency", "none", "--max-depth", "7")

    assert done.out == "mails: max_depth=7, limiter=5 per 1m 30s\n"
    changed = run("queue", "set", "mails", "--limiter-period-seconds", "0.5", "--json").json
    assert changed["limiter_period"] == 0.5
    assert run("queue", "set", "mails").status == 2
    assert run("queue", "set", "mails", "--concurrency", "many").status == 2


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        (["--concurrency", "0"], "concurrency is 0: it must be more than 0"),
        (
            ["--worker-concurrency", "3"],
            "worker_concurrency is 3, more than concurrency, which is 2",
        ),
        (["--limiter-limit", "none"], "--limiter-limit and --limiter-period-seconds go together"),
        (["--limiter-limit", "-1"], "limit and period must be more than 0"),
        (["--concurrency", "many"], "'many' is neither a number nor none"),
    ],
)
def test_limits_that_cannot_be_are_refused_with_the_reason(
    run: Run, queue: None, limits: list[str], problem: str
) -> None:
    done = run("queue", "set", "mails", *limits)

    assert done.status == 2
    assert problem in done.err


@pytest.mark.parametrize("command", [["pause"], ["resume"], ["set", "--concurrency", "1"]])
def test_an_unknown_queue_is_exit_status_3(run: Run, sql: Session, command: list[str]) -> None:
    assert run("queue", *command, "nothing") == (3, "", "Error: there is no queue nothing\n")


def test_executors_are_listed_with_their_state(
    run: Run, process: Process, enqueue: Callable[..., None], sql: Session
) -> None:
    enqueue("a")
    process.claim()
    gone = Process(sql, "gone")
    sql.execute("select pyengine.leave_executor(%s)", [gone.executor_id])

    (row,) = run("executor", "list", "--json").json
    assert (row["name"], row["state"], row["running_count"]) == ("one", "live", 1)
    every = run("executor", "list", "--all").out.splitlines()
    assert every[1].split()[1:3] == ["gone", "left"]
    assert run("executor", "list", "-a", "other").err == "no process runs workflows now\n"
