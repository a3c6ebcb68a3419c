"""Enqueues of children meet on one parent and one queue with a depth limit, alone and in a mixed batch."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

TOKEN = str(uuid.uuid4())


def start(workflow_id: str, **fields: Any) -> dict[str, Any]:
    inputs: dict[str, Any] = {"positionalArgs": [], "namedArgs": {}}
    document = {"workflow_id": workflow_id, "name": "f", "inputs": inputs, "serialization": "json"}
    return {**document, **fields}


def child(workflow_id: str, step_id: int) -> dict[str, Any]:
    parent = {"parent_workflow_id": "parent", "parent_lease_token": TOKEN}
    return start(workflow_id, queue_name="shallow", parent_step_id=step_id, step_name="f", **parent)


def in_thread(url: str, statement: str, argument: object) -> Callable[[], list[Any]]:
    """Run a statement that will wait for a lock; returns when it waits. Call the result for its rows."""
    outcome: list[Any] = []
    connection = psycopg.connect(url, autocommit=True)

    def run() -> None:
        try:
            outcome.append(connection.execute(statement, [json.dumps(argument)]).fetchall())
        except psycopg.Error as error:
            outcome.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with psycopg.connect(url, autocommit=True) as observer:
        blocked = "select pg_blocking_pids(%s) <> '{}'"
        while observer.execute(blocked, [connection.info.backend_pid]).fetchone() != (True,):
            assert thread.is_alive(), outcome
            time.sleep(0.005)

    def result() -> list[Any]:
        thread.join()
        connection.close()
        if isinstance(outcome[0], psycopg.Error):
            raise outcome[0]
        rows: list[Any] = outcome[0]
        return rows

    return result


@pytest.mark.race
def test_enqueues_alone_and_in_a_batch_lock_the_queue_before_the_parent(
    sql: psycopg.Connection[Any], engine_url: str
) -> None:
    sql.execute("select * from pyengine.register_queue(queue_name => 'shallow', max_depth => 10)")
    row = sql.execute(
        """select pyengine.register_executor(
            name => 'e', application_name => 'a', application_version => '1', version_is_pinned => false,
            functions => '{}', channel => 'pe_e', lease_seconds => 60)"""
    ).fetchone()
    assert row is not None
    sql.execute(
        "select * from pyengine.start_workflows(requests => %s, executor_id => %s)",
        [json.dumps([start("parent", lease_token=TOKEN)]), row[0]],
    )
    step = {"workflow_id": "parent", "lease_token": TOKEN, "step_id": 3, "name": "s"}
    batch = {
        "starts": [child("in-a-batch", 2)],
        "steps": [{**step, "serialization": "json", "output": 1}],
    }

    with psycopg.connect(engine_url) as holder:
        holder.execute("select from pyengine.queues where queue_name = 'shallow' for update")
        alone = in_thread(
            engine_url,
            "select * from pyengine.start_workflows(requests => %s)",
            [child("alone", 1)],
        )
        mixed = in_thread(engine_url, "select * from pyengine.apply_batch(batch => %s)", batch)

    assert (alone(), mixed()) == ([], [])
    stored = sql.execute("select step_id from pyengine.steps order by 1").fetchall()
    assert stored == [(1,), (2,), (3,)]


@pytest.mark.race
def test_a_claim_and_an_enqueue_lock_their_queues_in_one_order(
    sql: psycopg.Connection[Any], engine_url: str
) -> None:
    for name in ("a", "b"):
        sql.execute(
            "select from pyengine.register_queue(queue_name => %s, concurrency => 5, max_depth => 10)",
            [name],
        )
    sql.execute("select from pyengine.start_workflows(%s)", [
        json.dumps([start("in a", queue_name="a"), start("in b", queue_name="b")])
    ])  # fmt: skip
    sql.execute(
        """select pyengine.register_executor(
            name => 'e', application_name => 'a', application_version => '1', version_is_pinned => false,
            functions => '{f}', channel => 'pe_e', lease_seconds => 60)"""
    )

    with psycopg.connect(engine_url) as holder:
        holder.execute("select from pyengine.queues where queue_name = 'b' for update")
        claimed = in_thread(
            engine_url,
            "select workflow_id from pyengine.claim_workflows("
            "(select executor_id from pyengine.executors), (%s::json #>> '{}')::uuid, 10) order by 1",
            TOKEN,
        )
        enqueued = in_thread(
            engine_url,
            "select refusal from pyengine.start_workflows(%s)",
            [start("new in b", queue_name="b"), start("new in a", queue_name="a")],
        )

    assert claimed()[:2] == [("in a",), ("in b",)]
    assert enqueued() == []
