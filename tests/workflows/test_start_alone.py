"""A start that is sent alone, as an object, does what a batch of one does: the same row, the same answer."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

Sql = psycopg.Connection[Any]
LEASE, PARENT_LEASE = str(uuid.uuid4()), str(uuid.uuid4())
_TIMES = ("created_at", "updated_at", "started_at", "delayed_until", "deadline_at")

STARTS: Mapping[str, dict[str, Any]] = {
    "a run": {"lease_token": LEASE, "max_attempts": 3, "start_token": str(uuid.uuid4())},
    "a run with a timeout": {"lease_token": LEASE, "timeout_ms": 60_000},
    "an enqueue": {"queue_name": "plain", "priority": 7, "attributes": {"team": "blue"}},
    "an enqueue with a timeout": {"queue_name": "plain", "timeout_ms": 60_000},
    "an enqueue with a deadline": {"queue_name": "plain", "deadline_epoch_ms": 4_000_000_000_000},
    "a serial key": {"queue_name": "plain", "partition_key": "north", "is_serial": True},
    "work without a queue": {},
    "a delay": {"queue_name": "plain", "delay_ms": 60_000},
    "a method for a version": {
        "class_name": "Shop",
        "config_name": "main",
        "queue_name": "plain",
        "application_name": "a",
        "application_version": "1",
        "version_is_pinned": True,
    },
    "somebody's workflow": {
        "queue_name": "plain",
        "authenticated_user": "ada",
        "assumed_role": "clerk",
        "authenticated_roles": ["clerk", "guest"],
    },
    "a deduplication id": {"queue_name": "plain", "deduplication_id": "free"},
    "a held deduplication id": {"queue_name": "plain", "deduplication_id": "held"},
    "a known id": {"workflow_id": "known", "queue_name": "plain"},
    "a full queue": {"queue_name": "full"},
    "a queue with room": {"queue_name": "roomy"},
    "a throttled key": {"queue_name": "plain", "throttle_key": "k", "throttle_ms": 60_000},
    "a child": {
        "queue_name": "plain",
        "parent_workflow_id": "parent",
        "step_name": "f",
        "parent_lease_token": PARENT_LEASE,
        "parent_step_id": 1,
    },
    "a fenced child": {
        "queue_name": "plain",
        "parent_workflow_id": "parent",
        "step_name": "f",
        "parent_lease_token": LEASE,
        "parent_step_id": 1,
    },
    "a nameless one": {"name": ""},
    "a negative priority": {"queue_name": "plain", "priority": -1},
    "a lease in a queue": {"lease_token": LEASE, "queue_name": "plain"},
}


@pytest.fixture
def executor_id(sql: Sql) -> int:
    """An executor, queues, a parent under a lease, and what stands in the way of some of the starts."""
    for limits in ("'plain'", "'full', max_depth => 1", "'roomy', max_depth => 5"):
        sql.execute(f"select * from pyengine.register_queue(queue_name => {limits})".encode())
    row: Any = sql.execute(
        """select pyengine.register_executor(
            name => 'e', application_name => 'a', application_version => '1', version_is_pinned => false,
            functions => '{}', channel => 'pe_e', lease_seconds => 60)"""
    ).fetchone()
    standing = [
        document("parent", lease_token=PARENT_LEASE),
        document("known", queue_name="plain"),
        document("holder", queue_name="plain", deduplication_id="held"),
        document("filler", queue_name="full"),
        document("throttler", queue_name="plain", throttle_key="k", throttle_ms=60_000),
    ]
    assert start(sql, row[0], standing) == []
    return int(row[0])


def document(workflow_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "workflow_id": workflow_id,
        "name": "f",
        "inputs": [[], {}],
        "serialization": "json",
        **fields,
    }


def start(sql: Sql, executor_id: int, requests: object) -> list[Any]:
    statement = "select * from pyengine.start_workflows(requests => %s, executor_id => %s)"
    return sql.execute(statement, [json.dumps(requests), executor_id]).fetchall()


def outcome(
    sql: Sql,
    executor_id: int,
    fields: Mapping[str, Any],
    send: Callable[[dict[str, Any]], object],
) -> tuple[Any, ...]:
    """What a start answers and leaves behind, with times as distances; all of it is undone."""
    request = {**document("new"), **fields}
    times = [time for time in _TIMES if time != "deadline_at" or "deadline_epoch_ms" not in fields]
    with sql.transaction(force_rollback=True):
        answers = start(sql, executor_id, send(request))
        distances = [
            f"round(extract(epoch from w.{time} - w.created_at))::int as {time}" for time in times
        ]
        row = sql.execute(
            f"""select to_jsonb(w) - %s::text[], {", ".join(distances)}
            from pyengine.workflows w where w.workflow_id = %s""".encode(),
            [times, request["workflow_id"]],
        ).fetchone()
        steps = sql.execute("select step_id, child_workflow_id from pyengine.steps").fetchall()
    # The messages of some refusals tell the moment.
    return [(answer[0], answer[1], *answer[3:]) for answer in answers if answer[0] == 1], row, steps


def in_a_batch(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [request]


def beside_a_throttle(request: dict[str, Any]) -> list[dict[str, Any]]:
    """In a batch that is looked at with care."""
    throttle = {"queue_name": "plain", "throttle_key": "another", "throttle_ms": 60_000}
    return [request, document("another", **throttle)]


@pytest.mark.parametrize("send", [in_a_batch, beside_a_throttle])
@pytest.mark.parametrize("name", STARTS)
def test_a_start_alone_is_as_one_of_a_batch(
    sql: Sql, executor_id: int, name: str, send: Callable[[dict[str, Any]], object]
) -> None:
    alone = outcome(sql, executor_id, STARTS[name], dict)

    assert alone == outcome(sql, executor_id, STARTS[name], send)


def test_an_enqueue_alone_takes_the_short_way(sql: Sql, executor_id: int, engine_url: str) -> None:
    with psycopg.connect(engine_url) as client:
        client.execute("set local track_functions = 'all'")
        client.execute(
            "select * from pyengine.start_workflows(requests => %s)",
            [json.dumps(document("short", queue_name="plain"))],
        )
        called = client.execute("select funcname from pg_stat_xact_user_functions").fetchall()

    names = {name for (name,) in called}
    assert {"start_workflows", "_start_alone", "_wake"} <= names
    assert not names & {"_start_batch", "_start_requests"}


def test_an_enqueue_alone_wakes_who_waits_for_work(
    sql: Sql, executor_id: int, engine_url: str
) -> None:
    with psycopg.connect(engine_url, autocommit=True) as idle:
        idle.execute("listen pe_e")
        idle.execute(
            "select pyengine.await_work(executor_id => %s, channel => 'pe_e')", [executor_id]
        )

        start(sql, executor_id, document("later", queue_name="plain", delay_ms=60_000))
        start(sql, executor_id, document("now", queue_name="plain"))

        key: Any = sql.execute("select pyengine.wait_key('work', 'plain')").fetchone()
        heard = [note.payload for note in idle.notifies(timeout=5, stop_after=1)]
        assert heard == [str(key[0])]


def test_a_batch_takes_one_document_in_place_of_an_array(sql: Sql, executor_id: int) -> None:
    step = {"workflow_id": "parent", "lease_token": PARENT_LEASE, "step_id": 1, "name": "s"}
    batch = {
        "starts": document("one", lease_token=LEASE),
        "steps": {**step, "serialization": "json", "output": 1},
        "finishes": {
            "workflow_id": "parent",
            "lease_token": PARENT_LEASE,
            "serialization": "json",
            "output": 2,
        },
    }

    answers = sql.execute(
        "select * from pyengine.apply_batch(batch => %s, executor_id => %s)",
        [json.dumps(batch), executor_id],
    ).fetchall()

    assert answers == []
    stored = sql.execute(
        "select workflow_id, status from pyengine.workflows where workflow_id in ('one', 'parent') order by 1"
    ).fetchall()
    assert stored == [("one", "PENDING"), ("parent", "SUCCESS")]
    assert sql.execute("select step_id from pyengine.steps").fetchall() == [(1,)]
