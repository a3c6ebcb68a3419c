"""A connection breaks before a call arrives, or after its commit: the call is repeated, and harmless."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.database import calls, steering_calls
from tests.chaos.proxy import Proxy

effects: list[str] = []
moments = pytest.mark.parametrize(
    "after",
    [
        pytest.param(False, id="request lost", marks=pytest.mark.chaos),
        pytest.param(True, id="reply lost"),
    ],
)


@DBOS.step(name="lost_reply.note")
def note(text: str) -> str:
    effects.append(text)
    return text.upper()


@DBOS.workflow(name="lost_reply.sync")
def notes(text: str) -> str:
    return note(text) + note(text)


@DBOS.step(name="lost_reply.note_async")
async def note_async(text: str) -> str:
    effects.append(text)
    return text.upper()


@DBOS.workflow(name="lost_reply.async")
async def notes_async(text: str) -> str:
    return await note_async(text) + await note_async(text)


@pytest.fixture
def proxy(engine_url: str) -> Iterator[Proxy]:
    """A proxy before the server."""
    with Proxy(engine_url) as made:
        yield made


@pytest.fixture
def engine(proxy: Proxy, launch: Callable[..., None]) -> Proxy:
    """A launched engine that reaches the server through the proxy."""
    launch(system_database_url=proxy.url)
    effects.clear()
    return proxy


@moments
@pytest.mark.parametrize("workflow", [notes, notes_async])
@pytest.mark.parametrize("function", ["start_workflows", "record_steps", "finish_workflows"])
def test_a_workflow_ends_as_if_nothing_had_been_lost(
    engine: Proxy, sql: psycopg.Connection[Any], workflow: Any, function: str, after: bool
) -> None:
    cut = engine.cut(function, after=after)

    with SetWorkflowID("w"):
        result = asyncio.run(workflow("x")) if workflow is notes_async else workflow("x")

    assert result == "XX"
    assert cut.done.is_set()
    assert effects == ["x", "x"]
    row = sql.execute("select status, attempt_count, output from pyengine.workflows").fetchall()
    assert row == [("SUCCESS", 1, "XX")]
    assert sql.execute("select count(*) from pyengine.steps").fetchall() == [(2,)]


@moments
def test_a_claim_strands_nothing(engine: Proxy, sql: psycopg.Connection[Any], after: bool) -> None:
    cut = engine.cut("claim_workflows", after=after, rows=after)
    request = {
        "workflow_id": "w",
        "name": "lost_reply.sync",
        "serialization": "json",
        "inputs": {"positionalArgs": ["x"], "namedArgs": {}},
    }

    sql.execute("select pyengine.start_workflows(requests => %s)", [json.dumps([request])])

    assert DBOS.retrieve_workflow("w").get_result() == "XX"
    assert cut.done.is_set()
    assert effects == ["x", "x"]
    assert sql.execute("select attempt_count from pyengine.workflows").fetchall() == [(1,)]


@moments
def test_a_process_registers_once(
    proxy: Proxy, launch: Callable[..., None], sql: psycopg.Connection[Any], after: bool
) -> None:
    cut = proxy.cut("register_executor", after=after)

    launch(system_database_url=proxy.url)

    assert cut.done.is_set()
    alive = sql.execute("select executor_id from pyengine.executors where finished_at is null")
    assert alive.fetchall() == [(get_runtime("test").engine.executor_id,)]
    assert notes("x") == "XX"


@moments
def test_a_schedule_is_triggered_once(
    engine: Proxy, sql: psycopg.Connection[Any], after: bool
) -> None:
    schedule = (
        '[{"schedule_name": "s", "workflow_name": "lost_reply.sync", "schedule": "0 0 1 1 *"}]'
    )
    sql.execute("select from pyengine.apply_schedules(%s)", [schedule])
    cut = engine.cut("trigger_schedule", after=after)

    DBOS.trigger_schedule("s")

    assert cut.done.is_set()
    assert sql.execute("select count(*) from pyengine.workflows").fetchall() == [(1,)]


TOKEN = str(uuid.uuid4())
CALLS: dict[str, Callable[[], Any]] = {
    "cancel_workflows": lambda: steering_calls.cancel_workflows(
        workflow_ids=["w"], cancel_children=True
    ),
    "resume_workflows": lambda: steering_calls.resume_workflows(
        workflow_ids=["w"], queue_name="idle", request_token=TOKEN
    ),
    "delete_workflows": lambda: steering_calls.delete_workflows(
        workflow_ids=["w"], delete_children=True
    ),
    "fork_workflow": lambda: steering_calls.fork_workflow(
        workflow_id="w",
        start_step=1,
        new_workflow_id="v",
        application_version=None,
        queue_name="idle",
        partition_key=None,
        replacement_children=None,
        timeout_ms=None,
        request_token=TOKEN,
    ),
    "rewind_workflow": lambda: steering_calls.rewind_workflow(
        workflow_id="ended",
        start_step=1,
        application_version=None,
        queue_name="idle",
        partition_key=None,
        request_token=TOKEN,
    ),
    "update_workflow_attributes": lambda: steering_calls.update_workflow_attributes(
        workflow_id="w", attributes='{"a": 1}', merge=True
    ),
    "release_workflows": lambda: calls.release_workflows(leases=[("w", TOKEN)]),
    "leave_executor": lambda: calls.leave_executor(executor_id=2_000_000),
    "set_executor_functions": lambda: calls.set_executor_functions(
        executor_id=1_000_000, functions=["another"], attempt_limits='{"another": 3}'
    ),
    "tick_executor": lambda: calls.tick_executor(
        executor_id=1_000_000, session_pid=None, heartbeat_seconds=0.0, queue_names=None
    ),
    "await_workflows": lambda: calls.await_workflows(workflow_ids=["w"], channel="a"),
    "forget_waits": lambda: calls.forget_waits(wait_keys=[1], channel="a"),
    "set_max_payload_bytes": lambda: calls.set_max_payload_bytes(max_payload_bytes=1 << 21),
}
STATE = """
select (select json_agg(json_build_array(w.workflow_id, w.status, w.lease_token, w.attempt_count, w.queue_name,
            w.attributes) order by w.workflow_id)
        from pyengine.workflows w),
       (select json_agg(json_build_array(e.name, e.functions, e.finish_reason)) from pyengine.executors e
        where e.name = 'other'),
       (select json_agg(x.wait_key) from pyengine.waiters x where x.channel = 'a'),
       (select s.max_payload_bytes from pyengine.settings s)
"""


@moments
def test_a_repeated_call_leaves_the_state_that_one_call_leaves(
    engine: Proxy, sql: psycopg.Connection[Any], after: bool
) -> None:
    for function in CALLS:
        undisturbed = state_after(sql, function)
        cut = engine.cut(function, after=after)

        assert state_after(sql, function) == undisturbed, function
        assert cut.done.wait(0), function
    sql.execute("update pyengine.settings set max_payload_bytes = 1048576")


def state_after(sql: psycopg.Connection[Any], function: str) -> list[Any]:
    """What a call leaves behind."""
    prepare(sql)
    get_runtime("test").engine.gateway.run(CALLS[function]())
    return sql.execute(STATE).fetchall()


def prepare(sql: psycopg.Connection[Any]) -> None:
    """One workflow that a process which is not this one runs, and one wait."""
    sql.execute("delete from pyengine.workflows")
    sql.execute("delete from pyengine.executors where name = 'other'")
    sql.execute("delete from pyengine.waiters where channel = 'a'")
    sql.execute("update pyengine.settings set max_payload_bytes = 1048576")
    sql.execute(
        "insert into pyengine.executors (executor_id, name, application_name, application_version, "
        "version_is_pinned, functions, channel, lease_duration, started_at, heartbeat_at) "
        "overriding system value select id, 'other', 'other', '1', false, '{}', 'other', '1 hour', "
        "pyengine.now(), pyengine.now() from unnest(array[1000000, 2000000]) id"
    )
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, executor_id, lease_token, attempt_count, "
        "created_at, updated_at, serialization, inputs, application_name) values ('w', 'PENDING', 'other', 2000000, "
        "%s, 1, pyengine.now(), pyengine.now(), 'json', '{}', 'other')",
        [TOKEN],
    )
    sql.execute(
        "insert into pyengine.workflows (workflow_id, status, name, created_at, updated_at, finished_at, "
        "serialization, inputs, application_name) values ('ended', 'SUCCESS', 'other', pyengine.now(), "
        "pyengine.now(), pyengine.now(), 'json', '{}', 'other')"
    )
    sql.execute("insert into pyengine.waiters values (1, 'a', pyengine.now() + interval '1 hour')")
