"""What the code around a wait sees when its run is given up: blocks end, nothing more is written, nothing is lost."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.error import DBOSException
from tests.workflows.support import Gate, Signal, hibernates, stored, wait_until

Sql = psycopg.Connection[Any]


class Seen:
    """What the workflows note, and where they stop."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.gate = Gate()
        self.left = Signal()


seen = Seen()


@pytest.fixture(autouse=True)
def fresh(launch: Callable[..., None]) -> None:
    """An engine that gives up a wait at once, and nothing noted."""
    global seen  # noqa: PLW0603 - the workflows are of this module
    seen = Seen()
    launch(hibernate_after=0)


@contextmanager
def resource() -> Iterator[None]:
    seen.notes.append("opened")
    try:
        yield
    finally:
        seen.notes.append("closed")


@DBOS.step()
def work() -> None:
    seen.notes.append("work")


@DBOS.step()
async def slow_work() -> str:
    seen.gate.reached.set()
    await asyncio.to_thread(seen.gate.open.wait)
    seen.notes.append("work")
    return "worked"


@DBOS.workflow()
def in_blocks() -> Any:
    with resource():
        try:
            return DBOS.recv("topic", timeout_seconds=600)
        finally:
            seen.notes.append("finally")
            work()
            DBOS.set_event("key", "value")


@DBOS.workflow()
def swallowing() -> Any:
    try:
        return DBOS.recv("topic", timeout_seconds=600)
    except:  # noqa: E722 - what a careless program does
        seen.notes.append("swallowed")
    return "nothing"


@DBOS.workflow()
def catching() -> Any:
    try:
        return DBOS.recv("topic", timeout_seconds=600)
    except Exception:
        seen.notes.append("caught")
        raise


@DBOS.workflow()
async def together() -> list[Any]:
    waiting = DBOS.recv_async("topic", timeout_seconds=600)
    return list(await asyncio.gather(waiting, DBOS.sleep_async(0.5)))


@DBOS.workflow()
async def beside_a_step() -> list[Any]:
    step = asyncio.create_task(slow_work())
    await asyncio.to_thread(seen.gate.reached.wait)
    message = await DBOS.recv_async("topic", timeout_seconds=600)
    return [message, await step]


@DBOS.workflow()
def in_another_thread() -> Any:
    scope = contextvars.copy_context()
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(scope.run(DBOS.recv, "topic", timeout_seconds=600))
    )
    thread.start()
    thread.join()
    return found[0]


def start(sql: Sql, workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(workflow)
    wait_until(sql, hibernates("w"))
    wait_until_left()
    return handle


def wait_until_left() -> None:
    """Wait until the code of the given-up run has ended."""
    runs = get_runtime("test").engine.runs
    deadline = threading.Event()
    for _ in range(2000):
        if len(runs) == 0:
            return
        deadline.wait(0.005)
    raise TimeoutError("the run has not ended")


def waits_in_memory(sql: Sql) -> None:
    """Wait until the message is waited for, and make sure that nothing hibernates."""
    waiter = (
        "select 1 from pyengine.waiters where wait_key = pyengine.wait_key('message', 'w', 'topic')"
    )
    wait_until(sql, f"exists ({waiter})")
    threading.Event().wait(0.2)
    assert stored(sql, "w", "lease_token") is not None


def test_blocks_end_and_what_they_write_is_refused(sql: Sql) -> None:
    handle = start(sql, in_blocks)

    assert seen.notes == ["opened", "finally", "closed"]
    assert sql.execute("select count(*) from pyengine.events").fetchone() == (0,)
    assert sql.execute("select array_agg(name) from pyengine.steps").fetchone() == (["DBOS.sleep"],)

    DBOS.send("w", "mail", topic="topic")
    assert handle.get_result() == "mail"
    assert seen.notes[3:] == ["opened", "finally", "work", "closed"]


def test_a_program_that_swallows_everything_still_hibernates(sql: Sql) -> None:
    handle = start(sql, swallowing)
    assert stored(sql, "w", "status") == "PENDING"

    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == "mail"


def test_except_exception_does_not_see_it(sql: Sql) -> None:
    handle = start(sql, catching)
    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == "mail"
    assert seen.notes == []


def test_several_waits_at_once_stay_in_memory(sql: Sql) -> None:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(together)
    waits_in_memory(sql)

    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == ["mail", None]


def test_nothing_hibernates_while_a_step_of_it_runs(sql: Sql) -> None:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(beside_a_step)
    waits_in_memory(sql)

    seen.gate.open.set()
    wait_until(sql, hibernates("w"))
    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == ["mail", "worked"]
    assert seen.notes == ["work"]


def test_a_wait_in_another_thread_of_the_workflow_stays_in_memory(sql: Sql) -> None:
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(in_another_thread)
    waits_in_memory(sql)

    DBOS.send("w", "mail", topic="topic")

    assert handle.get_result() == "mail"


def test_who_waits_for_the_result_in_the_same_process_goes_on_waiting(sql: Sql) -> None:
    handle = start(sql, catching)
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(handle.get_result()))
    waiting.start()

    DBOS.send("w", "mail", topic="topic")
    waiting.join(20)

    assert results == ["mail"]


def test_an_error_after_the_wait_is_the_workflows(sql: Sql) -> None:
    handle = start(sql, failing)
    DBOS.send("w", "mail", topic="topic")

    with pytest.raises(DBOSException, match="no good"):
        handle.get_result()


@DBOS.workflow()
def failing() -> None:
    DBOS.recv("topic", timeout_seconds=600)
    raise DBOSException("no good")
