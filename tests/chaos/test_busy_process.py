"""A process that is held up keeps its lease, and gives back what it can't run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS
from pyengine.current import get_runtime
from pyengine.execution import Runtime
from pyengine.runtime.threads import ThreadPool


@DBOS.workflow(name="busy.double")
def double(value: int) -> int:
    return 2 * value


def enqueue(sql: psycopg.Connection[Any], *workflow_ids: str, name: str = "busy.double") -> None:
    """Workflows that any process may claim that has the function."""
    requests = [
        {
            "workflow_id": workflow_id,
            "name": name,
            "serialization": "json",
            "inputs": {"positionalArgs": [4], "namedArgs": {}},
        }
        for workflow_id in workflow_ids
    ]
    sql.execute("select pyengine.start_workflows(requests => %s)", [json.dumps(requests)])


def heartbeat(sql: psycopg.Connection[Any]) -> Any:
    query = "select max(heartbeat_at) from pyengine.executors where finished_at is null"
    return sql.execute(query).fetchall()[0][0]


def wait_until_blocked(sql: psycopg.Connection[Any], count: int) -> None:
    """Wait until so many sessions of the engine wait for a lock."""
    query = (
        "select count(*) from pg_stat_activity "
        "where wait_event_type = 'Lock' and datname = current_database()"
    )
    while sql.execute(query).fetchall()[0][0] < count:
        time.sleep(0.01)


def test_calls_that_wait_for_a_lock_do_not_stop_the_heartbeat(
    launch: Callable[..., None], sql: psycopg.Connection[Any], engine_url: str
) -> None:
    enqueue(sql, "w", name="of nobody here")
    launch(lease_seconds=3.0, heartbeat_seconds=0.1)
    with psycopg.connect(engine_url) as holder:
        holder.execute("select 1 from pyengine.workflows for update")
        callers = [
            threading.Thread(target=DBOS.cancel_workflow, args=("w",), daemon=True)
            for _ in range(8)
        ]
        for caller in callers:
            caller.start()
        wait_until_blocked(sql, 4)
        began, beats = time.monotonic(), {heartbeat(sql)}
        while len(beats) < 4 and time.monotonic() - began < 5.0:
            beats.add(heartbeat(sql))
            time.sleep(0.02)
        holder.rollback()

    assert len(beats) >= 4
    for caller in callers:
        caller.join(10)


def test_a_claimed_workflow_that_cannot_begin_here_is_given_back(
    launch: Callable[..., None], sql: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []
    execute = Runtime.execute_claimed

    def fail_once(self: Runtime, claimed: Any, lease_token: str) -> None:
        if not failed:
            failed.append(claimed[0].workflow_id)
            raise RuntimeError("cannot begin")
        execute(self, claimed, lease_token)

    monkeypatch.setattr(Runtime, "execute_claimed", fail_once)
    enqueue(sql, "first", "second")

    launch()

    assert [DBOS.retrieve_workflow(each).get_result() for each in ("first", "second")] == [8, 8]
    assert failed == ["first"]
    assert get_runtime("test").engine.executor_id is not None


def assert_set(event: threading.Event) -> None:
    assert event.wait(10)


def test_a_job_waits_for_a_thread_when_no_further_one_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = ThreadPool(limit=None)
    busy, done = threading.Event(), threading.Event()
    pool.submit(lambda: assert_set(busy))

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    pool.submit(done.set)
    monkeypatch.undo()
    busy.set()

    assert done.wait(5)
    pool.close()
