"""verify() is empty while all is well, and finds each thing that must never be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetWorkflowID
from tests.management.support import insert
from tests.workflows.support import pending_elsewhere, wait_until

Session = psycopg.Connection[Any]

checked = Queue("checked", concurrency=2)


@DBOS.workflow()
def sound() -> str:
    DBOS.set_event("e", 1)
    for number in range(3):
        DBOS.write_stream("s", number)
    DBOS.close_stream("s")
    DBOS.sleep(0.01)
    return DBOS.run_step({"name": "step"}, lambda: "done")


def found(sql: Session, *, deep: bool = True) -> list[tuple[str, str | None]]:
    query = "select invariant, workflow_id from pyengine.verify(deep => %s) order by 1, 2"
    return sql.execute(query, [deep]).fetchall()


def test_a_healthy_engine_breaks_no_invariant(dbos: type[DBOS]) -> None:
    handles = [checked.enqueue(sound) for _ in range(8)]
    during = DBOS.verify(deep=True)
    for handle in handles:
        handle.get_result()
    with SetWorkflowID("w"):
        sound()
    DBOS.send("w", "unread", idempotency_key="k")
    DBOS.cancel_workflow(DBOS.start_workflow(sound).workflow_id)

    assert during == []
    assert DBOS.verify() == []
    assert asyncio.run(DBOS.verify_async(deep=True)) == []


def served(sql: Session) -> int:
    """A process that lives and does the maintenance."""
    row = sql.execute(
        "insert into pyengine.executors (name, application_name, application_version, version_is_pinned, functions, "
        "channel, lease_duration, started_at, heartbeat_at) values ('living', 'test-app', '1', false, '{}', 'none', "
        "'1 hour', now() - interval '1 minute', now()) returning executor_id"
    ).fetchall()
    return int(row[0][0])


def running(sql: Session, workflow_id: str, executor_id: int, **columns: object) -> None:
    values: dict[str, object] = {
        "status": "PENDING", "executor_id": executor_id, "attempt_count": 1, "started_at": "2030-01-01",
        "lease_token": "7d0f6f0e-2d0c-4c0b-9a8e-1f5b7c3a2e10",
    }  # fmt: skip
    insert(sql, workflow_id, **{**values, **columns})


def owner_that_gave_up(sql: Session) -> None:
    executor = pending_elsewhere(sql, "w", "f")
    sql.execute(
        "update pyengine.executors set work_is_returned = true, finished_at = now(), finish_reason = 'left' "
        "where executor_id = %s",
        [executor],
    )


def owner_that_never_was(sql: Session) -> None:
    running(sql, "w", 999)


def shared_lease(sql: Session) -> None:
    running(sql, "v", served(sql))
    running(sql, "w", served(sql))


def silent_process(sql: Session) -> None:
    """All processes have time to come back after a start of the server, and this one may be seconds old."""
    wait_until(sql, "now() - pg_postmaster_start_time() > interval '10.1 seconds'")
    served(sql)
    sql.execute(
        "update pyengine.executors set lease_duration = '1 ms', heartbeat_at = now() - interval '1 minute' "
        "where executor_id = %s",
        [served(sql)],
    )


def hibernation_without_an_end(sql: Session) -> None:
    insert(sql, "w", status="PENDING")


def too_many_of_a_queue(sql: Session) -> None:
    sql.execute("select pyengine.register_queue('q', concurrency => 1)")
    executor = served(sql)
    running(sql, "v", executor, queue_name="q")
    running(sql, "w", executor, queue_name="q")


def too_many_of_a_key(sql: Session) -> None:
    sql.execute("select pyengine.register_queue('q', partition_concurrency => 1)")
    executor = served(sql)
    running(sql, "u", executor, queue_name="q", partition_key="other")
    running(sql, "v", executor, queue_name="q", partition_key="k")
    running(sql, "w", executor, queue_name="q", partition_key="k")


def too_many_in_a_process(sql: Session) -> None:
    sql.execute("select pyengine.register_queue('q', worker_concurrency => 1)")
    executor = served(sql)
    running(sql, "v", executor, queue_name="q")
    running(sql, "w", executor, queue_name="q")


def two_serial_ones(sql: Session) -> None:
    sql.execute("select pyengine.register_queue('q')")
    executor = served(sql)
    running(sql, "v", executor, queue_name="q", partition_key="k", is_serial=True)
    running(sql, "w", executor, queue_name="q", partition_key="k", is_serial=True)


def deduplication_after_the_end(sql: Session) -> None:
    insert(sql, "w", status="CANCELLED", queue_name="q", deduplication_id="d", finished_at="now")


def missed_deadline(sql: Session) -> None:
    served(sql)
    insert(sql, "w", status="ENQUEUED", deadline_at="2020-01-01")


def two_outcomes(sql: Session) -> None:
    insert(sql, "w", status="SUCCESS", error="{}", finished_at="now")


def step_after_the_end(sql: Session) -> None:
    insert(sql, "w", status="SUCCESS", finished_at="2020-01-01")
    sql.execute(
        "insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization) "
        "values ('w', 1, 's', 1, now(), now(), 'json')"
    )


def stream_with_a_gap(sql: Session) -> None:
    insert(sql, "w", status="ENQUEUED")
    sql.execute("insert into pyengine.streams values ('w', 's', 1, 1, false, 'json', '1')")


def stream_after_its_end(sql: Session) -> None:
    insert(sql, "w", status="ENQUEUED")
    sql.execute(
        "insert into pyengine.streams values ('w', 's', 0, 1, true, 'json', null), "
        "('w', 's', 1, 1, false, 'json', '1')"
    )


def contradiction(**columns: object) -> Callable[[Session], None]:
    def store(sql: Session) -> None:
        insert(sql, "w", **{"status": "ENQUEUED", **columns})

    return store


def part_of(statement: str) -> Callable[[Session], None]:
    def store(sql: Session) -> None:
        sql.execute(statement.encode())

    return store


BROKEN: dict[str, tuple[Callable[[Session], None], list[tuple[str, str | None]]]] = {
    "the owner gave up": (owner_that_gave_up, [("no orphans", "w")]),
    "there is no such owner": (owner_that_never_was, [("no orphans", "w")]),
    "two processes under one lease": (shared_lease, [("one owner", "v")]),
    "a dead process": (silent_process, [("dead processes are noticed", None)]),
    "a sleep without an end": (hibernation_without_an_end, [("who hibernates waits for something", "w")]),
    "concurrency": (too_many_of_a_queue, [("concurrency of a queue", "w")]),
    "partition concurrency": (too_many_of_a_key, [("concurrency of a partition key", "w")]),
    "worker concurrency": (too_many_in_a_process, [("concurrency in a process", "w")]),
    "serial": (two_serial_ones, [("one at a time", "w")]),
    "deduplication": (deduplication_after_the_end, [("deduplication ids are let go", "w")]),
    "a deadline": (missed_deadline, [("deadlines fire", "w")]),
    "two outcomes": (two_outcomes, [("one outcome", "w")]),
    "a late step": (step_after_the_end, [("nothing happens after the end", "w")]),
    "a gap": (stream_with_a_gap, [("streams have no gaps", "w")]),
    "a value after the end": (stream_after_its_end, [("streams have no gaps", "w")]),
    "a lease of what nobody runs": (
        contradiction(lease_token="7d0f6f0e-2d0c-4c0b-9a8e-1f5b7c3a2e10"), [("only what runs has a lease", "w")]
    ),
    "a lease without an owner": (
        contradiction(status="PENDING", lease_token="7d0f6f0e-2d0c-4c0b-9a8e-1f5b7c3a2e10"),
        [("a lease has an owner", "w"), ("who hibernates waits for something", "w")],
    ),
    "a delay without its end": (contradiction(status="DELAYED"), [("a delay has an end", "w")]),
    "a key without a queue": (contradiction(partition_key="k"), [("keys are keys of queues", "w")]),
    "one at a time of nothing": (contradiction(is_serial=True), [("what is serial has a key", "w")]),
    "a negative number": (contradiction(priority=-1), [("numbers are not negative", "w")]),
    "a step of nobody": (
        part_of("insert into pyengine.steps values ('x', 1, 's', 1, null, now(), now(), 'json')"),
        [("retention is whole", "x")],
    ),
    "a message to nobody": (
        part_of("insert into pyengine.messages (destination_id, topic, sent_at, serialization) "
                "values ('x', '', now(), 'json')"),
        [("retention is whole", "x")],
    ),
    "a message key of nobody": (
        part_of("insert into pyengine.message_keys values ('x', 'k')"), [("retention is whole", "x")]
    ),
    "an event of nobody": (
        part_of("insert into pyengine.events values ('x', 'k', 1, now(), 'json')"),
        [("retention is whole", "x")],
    ),
    "an event history of nobody": (
        part_of("insert into pyengine.event_history values ('x', 'k', 1, 'json')"),
        [("retention is whole", "x")],
    ),
    "a stream of nobody": (
        part_of("insert into pyengine.streams values ('x', 'k', 0, 1, false, 'json')"),
        [("retention is whole", "x")],
    ),
    "a hibernation of nobody": (
        part_of("insert into pyengine.hibernations values ('x', 1, 'result', 'y', '', '')"),
        [("retention is whole", "x")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_must_never_be_is_found(sql: Session, name: str) -> None:
    break_it, expected = BROKEN[name]

    break_it(sql)

    assert found(sql) == expected
    assert found(sql, deep=False) == expected


def test_a_limit_that_was_made_smaller_is_no_violation(sql: Session) -> None:
    too_many_of_a_queue(sql)
    sql.execute("update pyengine.queues set updated_at = '2031-01-01'")

    assert found(sql) == []


A_MILLION = b"""
insert into pyengine.workflows (
    workflow_id, status, name, created_at, updated_at, finished_at, serialization, inputs
)
select 'w' || n, 'SUCCESS', 'f', 'epoch', 'epoch', 'epoch', 'json', '{}' from generate_series(1, 1000000) n
"""
THEIR_STEPS = b"""
insert into pyengine.steps (workflow_id, step_id, name, attempt, started_at, completed_at, serialization)
select w.workflow_id, s, 's', 1, 'epoch', 'epoch', 'json' from pyengine.workflows w, generate_series(1, 2) s
"""


@pytest.mark.slow
def test_a_million_workflows_are_verified_in_a_second(sql: Session) -> None:
    sql.execute(A_MILLION)
    sql.execute(THEIR_STEPS)
    sql.execute("analyze pyengine.workflows, pyengine.steps")

    began = time.perf_counter()
    assert found(sql, deep=False) == []
    assert time.perf_counter() - began < 1.0
