"""Hibernated workflows of a queue: they keep their places in the queue, and take none of a process."""

from __future__ import annotations

import json
import uuid
from typing import Any

import psycopg
import pytest

from tests.queues.arena import claim, enqueue, finish, queue, register, request, status

Sql = psycopg.Connection[Any]


def hibernate(sql: Sql, lease: tuple[str, str]) -> None:
    """Let a claimed workflow hibernate until a message comes."""
    workflow_id, token = lease
    waits = json.dumps([{"kind": "message", "id": workflow_id, "name": ""}])
    text = "select pyengine.hibernate_workflow(workflow_id => %s, lease_token => %s, waits => %s)"
    assert sql.execute(text, [workflow_id, token, waits]).fetchone() == (True,)


def wake(sql: Sql, workflow_id: str) -> None:
    """Send the message."""
    document = {"destination_id": workflow_id, "message": 1, "serialization": "json"}
    text = "select 1 from pyengine.send_messages(messages => %s)"
    sql.execute(text, [json.dumps([document])])


def ids(leases: list[tuple[str, str]]) -> list[str]:
    return [workflow_id for workflow_id, _ in leases]


def fill(sql: Sql, count: int = 5, **keys: object) -> None:
    """Enqueue w0, w1, …"""
    for number in range(count):
        assert enqueue(sql, request("q", f"w{number}", **keys)) == []


@pytest.mark.parametrize("limits", [{"concurrency": 1}, {"partition_concurrency": 1}])
def test_a_hibernated_workflow_keeps_its_place_in_the_queue(
    sql: Sql, limits: dict[str, object]
) -> None:
    queue(sql, "q", **limits)
    fill(sql, 2, partition_key="k")
    executor = register(sql)
    (first,) = claim(sql, executor)

    hibernate(sql, first)

    assert claim(sql, executor) == []
    wake(sql, "w0")
    (again,) = claim(sql, executor)
    assert again[0] == "w0"
    finish(sql, again)
    assert ids(claim(sql, executor)) == ["w1"]


def test_serial_work_waits_for_a_hibernated_workflow_of_its_key(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 2, partition_key="k", is_serial=True)
    executor = register(sql)
    (first,) = claim(sql, executor)

    hibernate(sql, first)

    assert claim(sql, executor) == []


@pytest.mark.parametrize("limits", [{"worker_concurrency": 1}, {"partition_worker_concurrency": 1}])
def test_a_hibernated_workflow_takes_no_place_of_a_process_and_needs_one_to_return(
    sql: Sql, limits: dict[str, object]
) -> None:
    queue(sql, "q", **limits)
    fill(sql, 3, partition_key="k")
    one, two = register(sql), register(sql)
    (first,) = claim(sql, one)
    hibernate(sql, first)
    (second,) = claim(sql, one)
    hibernate(sql, second)
    (third,) = claim(sql, one)
    wake(sql, "w0")
    wake(sql, "w1")

    assert claim(sql, one) == []
    assert ids(claim(sql, two)) == ["w0"]

    finish(sql, third)
    assert ids(claim(sql, one)) == ["w1"]


def test_a_return_is_no_start_that_a_rate_limit_counts(sql: Sql) -> None:
    queue(sql, "q", limiter_limit=1, limiter_period_seconds=3600)
    fill(sql, 2)
    executor = register(sql)
    (first,) = claim(sql, executor)

    for _ in range(3):
        hibernate(sql, first)
        wake(sql, "w0")
        (first,) = claim(sql, executor)
        sql.execute("delete from pyengine.messages")

    assert first[0] == "w0"
    assert claim(sql, executor) == []
    assert sql.execute("select sum(start_count) from pyengine.queue_starts").fetchone() == (1,)


def test_a_hibernated_workflow_of_a_paused_queue_stays_where_it_is(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 1)
    executor = register(sql)
    (first,) = claim(sql, executor)
    hibernate(sql, first)
    wake(sql, "w0")

    sql.execute("select pyengine.pause_queue('q')")
    assert claim(sql, executor) == []
    sql.execute("select pyengine.resume_queue('q')")

    assert ids(claim(sql, executor)) == ["w0"]


def test_a_deduplication_id_stays_taken(sql: Sql) -> None:
    queue(sql, "q")
    enqueue(sql, request("q", "w0", deduplication_id="d"))
    hibernate(sql, claim(sql, register(sql))[0])

    assert enqueue(sql, request("q", "other", deduplication_id="d")) == [(1, "PE409")]


def test_the_depth_of_a_queue_shows_what_hibernates(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 3)
    leases = claim(sql, register(sql), 2)
    hibernate(sql, leases[0])

    row = sql.execute(
        "select enqueued, running, hibernated from pyengine.queue_depth where queue_name = 'q'"
    ).fetchone()

    assert row == (1, 1, 1)


def test_due_work_comes_before_work_that_has_not_begun(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 3)
    executor = register(sql)
    hibernate(sql, claim(sql, executor, 1)[0])
    wake(sql, "w0")

    assert ids(claim(sql, executor, 1)) == ["w0"]


def test_a_process_takes_only_due_work_of_the_queues_that_it_serves(sql: Sql) -> None:
    queue(sql, "q")
    queue(sql, "other")
    fill(sql, 1)
    executor = register(sql)
    hibernate(sql, claim(sql, executor)[0])
    wake(sql, "w0")

    assert claim(sql, executor, queues=["other"]) == []
    assert ids(claim(sql, executor, queues=["q"])) == ["w0"]


def test_another_version_leaves_a_pinned_workflow_to_its_own(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 1, version_is_pinned=True, application_version="1")
    one, two = register(sql, "1"), register(sql, "2")
    hibernate(sql, claim(sql, one)[0])
    wake(sql, "w0")

    assert claim(sql, two) == []
    assert ids(claim(sql, one)) == ["w0"]


def test_what_was_resumed_just_now_is_no_run_that_its_process_lost_sight_of(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 1)
    executor = register(sql)
    hibernate(sql, claim(sql, executor)[0])
    sql.execute("update pyengine.workflows set started_at = started_at - interval '1 hour'")
    wake(sql, "w0")
    claim(sql, executor)

    text = "select count(*) from pyengine.list_runs(executor_id => %s, older_than_seconds => 10)"
    assert sql.execute(text, [executor]).fetchone() == (0,)


def seconds_to_next(sql: Sql, executor: int) -> float | None:
    """What an idle process is told of its next timer."""
    text = "select pyengine.await_work(executor_id => %s, channel => %s)"
    row = sql.execute(text, [executor, str(uuid.uuid4())]).fetchone()
    assert row is not None
    return None if row[0] is None else float(row[0])


def test_an_idle_process_knows_when_the_next_one_is_due_and_looks_no_sooner(sql: Sql) -> None:
    queue(sql, "q")
    fill(sql, 1)
    executor = register(sql)
    lease = claim(sql, executor)[0]
    hibernate(sql, lease)
    assert seconds_to_next(sql, executor) is None

    sql.execute("update pyengine.hibernations set due_at = now() + interval '10 seconds'")
    soon = seconds_to_next(sql, executor)
    sql.execute("update pyengine.hibernations set due_at = now() - interval '10 seconds'")

    assert soon is not None
    assert 9 < soon <= 10.02
    assert seconds_to_next(sql, executor) is None
    assert status(sql, "w0") == "PENDING"
