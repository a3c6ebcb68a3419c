"""A background workflow that waits for long is given up and goes on by replay when the wait is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID, SetWorkflowTimeout, WorkflowHandle
from pyengine.current import get_runtime
from pyengine.error import DBOSAwaitedWorkflowCancelledError
from pyengine.runtime import hibernation
from tests.workflows.support import hibernates, stored, wait_until

Sql = psycopg.Connection[Any]

# What the workflows of this module note about their runs.
seen: list[str] = []


def note(text: str) -> None:
    seen.append(text)


@DBOS.step()
def work(text: str) -> str:
    note(text)
    return text


@DBOS.workflow()
def sleeper(seconds: float) -> str:
    work("before")
    DBOS.sleep(seconds)
    work("after")
    return "awake"


@DBOS.workflow()
def direct_sleeper(seconds: float) -> str:
    note("run")
    return sleeper_in_place(seconds)


@DBOS.workflow()
def sleeper_in_place(seconds: float) -> str:
    DBOS.sleep(seconds)
    note("after")
    return "awake"


@DBOS.workflow()
async def sleeper_async(seconds: float) -> str:
    await DBOS.sleep_async(seconds)
    return "awake"


@DBOS.workflow()
def napper(count: int) -> str:
    for _ in range(count):
        DBOS.sleep(0.2)
    return "awake"


@DBOS.workflow()
def receiver(timeout: float) -> Any:
    return DBOS.recv("topic", timeout_seconds=timeout)


@DBOS.workflow()
async def receiver_async(timeout: float) -> Any:
    return await DBOS.recv_async("topic", timeout_seconds=timeout)


@DBOS.workflow()
def reader(workflow_id: str) -> Any:
    return DBOS.get_event(workflow_id, "key", timeout_seconds=600)


@DBOS.workflow()
def stream_reader(workflow_id: str) -> list[Any]:
    return list(DBOS.read_stream(workflow_id, "key"))


@DBOS.workflow()
def offset_reader(workflow_id: str) -> Any:
    return DBOS.read_stream_offset(workflow_id, "key", 0)


@DBOS.workflow()
def follower(workflow_id: str) -> Any:
    return DBOS.retrieve_workflow(workflow_id).get_result()


@DBOS.workflow()
def first_follower(workflow_id: str) -> Any:
    handles: list[WorkflowHandle[Any]] = [DBOS.retrieve_workflow(workflow_id)]
    return DBOS.wait_first(handles).get_result()


@DBOS.workflow()
def source() -> str:
    assert DBOS.recv("go", timeout_seconds=600) == "go"
    DBOS.set_event("key", "value")
    DBOS.write_stream("key", "value")
    DBOS.close_stream("key")
    return "value"


@DBOS.workflow()
def parent(seconds: float) -> str:
    return "child " + sleeper(seconds)


@DBOS.workflow()
async def parent_async(seconds: float) -> str:
    return "child " + await sleeper_async(seconds)


@pytest.fixture(autouse=True)
def fresh() -> None:
    seen.clear()


@pytest.fixture
def hibernating(launch: Callable[..., None]) -> type[DBOS]:
    """An engine that gives up a wait at once."""
    launch(hibernate_after=0)
    return DBOS


def start(
    sql: Sql, workflow: Callable[..., Any], *args: Any, name: str = "w"
) -> WorkflowHandle[Any]:
    """Start a workflow and wait until it hibernates."""
    with SetWorkflowID(name):
        handle = DBOS.start_workflow(workflow, *args)
    wait_until(sql, hibernates(name))
    return handle


@pytest.mark.parametrize("workflow", [sleeper, sleeper_async])
def test_a_sleeping_workflow_belongs_to_nobody_and_wakes_in_time(
    hibernating: type[DBOS], sql: Sql, workflow: Callable[..., Any]
) -> None:
    handle = start(sql, workflow, 0.7)

    assert handle.get_status().status == "PENDING"
    assert len(get_runtime("test").engine.runs) == 0
    assert handle.get_result() == "awake"

    late = sql.execute(
        "select extract(epoch from w.finished_at - s.completed_at)::float, w.attempt_count "
        "from pyengine.workflows w join pyengine.steps s using (workflow_id) "
        "where workflow_id = 'w' and s.name = 'DBOS.sleep'"
    ).fetchone()
    assert late is not None
    assert 0 <= late[0] < 0.5
    assert late[1] == 1
    assert sql.execute("select count(*) from pyengine.hibernations").fetchone() == (0,)


def test_what_was_done_before_the_wait_is_not_done_again(hibernating: type[DBOS], sql: Sql) -> None:
    assert start(sql, sleeper, 0.5).get_result() == "awake"

    assert seen == ["before", "after"]


@pytest.mark.parametrize("workflow", [receiver, receiver_async])
def test_a_message_resumes_its_receiver(
    hibernating: type[DBOS], sql: Sql, workflow: Callable[..., Any]
) -> None:
    handle = start(sql, workflow, 600)

    DBOS.send("w", {"some": "mail"}, topic="topic")

    assert handle.get_result() == {"some": "mail"}


@pytest.mark.parametrize(
    ("workflow", "outcome"),
    [
        (reader, "value"),
        (stream_reader, ["value"]),
        (offset_reader, "value"),
        (follower, "value"),
        (first_follower, "value"),
    ],
)
def test_an_event_a_stream_and_a_result_resume_who_waits_for_them(
    hibernating: type[DBOS], sql: Sql, workflow: Callable[..., Any], outcome: Any
) -> None:
    start(sql, source, name="source")
    handle = start(sql, workflow, "source")

    DBOS.send("source", "go", topic="go")

    assert handle.get_result() == outcome


def test_a_message_that_never_comes_is_waited_for_until_the_recorded_time(
    hibernating: type[DBOS], sql: Sql
) -> None:
    handle = start(sql, receiver, 0.6)

    assert handle.get_result() is None

    early = sql.execute(
        "select count(*) from pyengine.workflows w join pyengine.steps s using (workflow_id) "
        "where s.name = 'DBOS.sleep' and w.finished_at < s.completed_at"
    ).fetchone()
    assert early == (0,)


def test_a_replayed_sleep_costs_no_statement(hibernating: type[DBOS], sql: Sql) -> None:
    gateway = get_runtime("test").engine.gateway
    called: list[str] = []
    run = gateway.run

    def spy(item: Any) -> Any:
        called.append(getattr(item, "function", "write"))
        return run(item)

    gateway.run = spy  # type: ignore[method-assign]
    assert start(sql, napper, 4).get_result() == "awake"

    # Each sleep: once to record it, then it hibernates; the last three find the earlier ones over.
    assert called.count("sleep_until") == 4
    assert called.count("hibernate_workflow") == 4


@pytest.mark.parametrize("workflow", [parent, parent_async])
def test_a_child_that_is_called_directly_hibernates_with_its_parent(
    hibernating: type[DBOS], sql: Sql, workflow: Callable[..., Any]
) -> None:
    handle = start(sql, workflow, 0.8)

    wait_until(sql, hibernates("w-1"))
    assert len(get_runtime("test").engine.runs) == 0
    assert handle.get_result() == "child awake"


def test_a_direct_call_waits_in_the_stack_of_its_caller(hibernating: type[DBOS], sql: Sql) -> None:
    with SetWorkflowID("w"):
        assert direct_sleeper(0.3) == "awake"

    assert seen == ["run", "after"]


def test_nothing_hibernates_when_that_is_off(launch: Callable[..., None], sql: Sql) -> None:
    launch(hibernate_after=None)
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(sleeper, 0.3)

    wait_until(sql, "exists (select 1 from pyengine.steps where name = 'DBOS.sleep')")
    assert stored(sql, "w", "lease_token") is not None
    assert handle.get_result() == "awake"
    assert stored(sql, "w", "executor_id") is not None


def test_a_short_wait_stays_in_memory(launch: Callable[..., None], sql: Sql) -> None:
    launch(hibernate_after=60)
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(receiver, 600)
    wait_until(sql, "exists (select 1 from pyengine.steps where name = 'DBOS.sleep')")

    assert stored(sql, "w", "lease_token") is not None
    DBOS.send("w", "mail", topic="topic")
    assert handle.get_result() == "mail"


def test_a_long_sleep_of_a_thread_is_given_up_at_once(
    launch: Callable[..., None], sql: Sql
) -> None:
    launch(hibernate_after=60)

    start(sql, sleeper, 3600)


def test_a_cancelled_workflow_does_not_sleep_on(hibernating: type[DBOS], sql: Sql) -> None:
    handle = start(sql, sleeper, 3600)

    DBOS.cancel_workflow("w")

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert sql.execute("select count(*) from pyengine.hibernations").fetchone() == (0,)


def test_a_cancelled_and_resumed_workflow_sleeps_the_rest(
    hibernating: type[DBOS], sql: Sql
) -> None:
    start(sql, sleeper, 1.0)
    DBOS.cancel_workflow("w")

    handle: WorkflowHandle[Any] = DBOS.resume_workflow("w")

    assert handle.get_result() == "awake"
    assert seen == ["before", "after"]


def test_a_deadline_ends_a_hibernation(hibernating: type[DBOS], sql: Sql) -> None:
    with SetWorkflowTimeout(1.0), SetWorkflowID("w"):
        handle = DBOS.start_workflow(sleeper, 3600)
    wait_until(sql, hibernates("w"))

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert sql.execute("select count(*) from pyengine.hibernations").fetchone() == (0,)


def test_a_fork_of_a_hibernated_workflow_goes_its_own_way(
    hibernating: type[DBOS], sql: Sql
) -> None:
    original = start(sql, receiver, 600)

    fork: WorkflowHandle[Any] = DBOS.fork_workflow("w", 1)
    wait_until(sql, hibernates(fork.workflow_id))
    DBOS.send(fork.workflow_id, "to the fork", topic="topic")

    assert fork.get_result() == "to the fork"
    assert original.get_status().status == "PENDING"
    DBOS.send("w", "to the original", topic="topic")
    assert original.get_result() == "to the original"


def test_deleting_a_hibernated_workflow_leaves_nothing(hibernating: type[DBOS], sql: Sql) -> None:
    start(sql, receiver, 600)

    DBOS.cancel_workflow("w")
    DBOS.delete_workflow("w")

    tables = ("workflows", "steps", "hibernations", "messages")
    left = [sql.execute(f"select count(*) from pyengine.{t}").fetchone() for t in tables]
    assert left == [(0,)] * 4


def test_a_process_with_a_crowd_of_waiting_threads_gives_up_further_waits_at_once(
    launch: Callable[..., None], sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hibernation, "CROWD", 3)
    launch(hibernate_after=60)
    for number in range(6):
        with SetWorkflowID(f"w{number}"):
            DBOS.start_workflow(receiver, 600)

    wait_until(sql, "(select count(*) from pyengine.hibernations) = 3")
    assert sql.execute(
        "select count(*) from pyengine.workflows where lease_token is not null"
    ).fetchone() == (3,)
    DBOS.cancel_workflows([f"w{number}" for number in range(6)])


def test_another_process_resumes_what_a_stopped_one_gave_up(
    launch: Callable[..., None], sql: Sql
) -> None:
    launch(hibernate_after=0, executor_id="first")
    start(sql, receiver, 600)
    launch(hibernate_after=0, executor_id="second")

    DBOS.send("w", "mail", topic="topic")

    handle: WorkflowHandle[Any] = DBOS.retrieve_workflow("w")
    assert handle.get_result() == "mail"
    assert stored(sql, "w", "executor_name") == "second"
    assert stored(sql, "w", "attempt_count") == 1


def test_without_notifications_a_hibernated_workflow_is_resumed_within_two_seconds(
    launch: Callable[..., None], sql: Sql
) -> None:
    launch(hibernate_after=0, use_listen_notify=False)
    handle = start(sql, receiver, 600)
    time.sleep(1.2)  # the process has looked for work for the last time

    began = time.monotonic()
    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == "mail"
    assert time.monotonic() - began < 2.0


def test_a_due_workflow_waits_for_a_process_that_has_its_function(
    hibernating: type[DBOS], sql: Sql
) -> None:
    start(sql, receiver, 600)
    sql.execute("update pyengine.workflows set name = 'elsewhere'")

    DBOS.send("w", "mail", topic="topic")
    wait_until(sql, "exists (select 1 from pyengine.hibernations where due_at <= now())")
    time.sleep(0.1)

    assert stored(sql, "w", "status") == "PENDING"


def test_async_workflows_that_wait_cost_no_thread_and_no_run(
    hibernating: type[DBOS], sql: Sql
) -> None:
    async def run() -> list[Any]:
        handles = [await DBOS.start_workflow_async(receiver_async, 600) for _ in range(20)]
        hibernating_count = (
            "(select count(*) from pyengine.workflows where lease_token is null) = 20"
        )
        await asyncio.to_thread(wait_until, sql, hibernating_count)
        for handle in handles:
            await DBOS.send_async(handle.workflow_id, "mail", topic="topic")
        return [await handle.get_result() for handle in handles]

    assert asyncio.run(run()) == ["mail"] * 20
