"""The finer rules of messages, events and streams: bulk, forks, None, given-up waits, two readers at once."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SendMessage, SetWorkflowID, WorkflowHandle
from pyengine.error import (
    DBOSException,
    DBOSNonExistentWorkflowError,
    DBOSStreamNondeterminismError,
)
from tests.workflows.support import wait_until

Sql = psycopg.Connection[Any]


@DBOS.workflow()
def receive(timeout: float = 30) -> list[Any]:
    return [DBOS.recv("topic", timeout_seconds=timeout)]


@DBOS.workflow()
def receive_twice() -> list[Any]:
    return [DBOS.recv("topic", timeout_seconds=30) for _ in range(2)]


@DBOS.workflow()
def publish_nothing() -> None:
    DBOS.set_event("key", None)
    DBOS.write_stream("key", None)


@DBOS.workflow()
def get_nothing(source: str) -> Any:
    return DBOS.get_event(source, "key", timeout_seconds=30)


@DBOS.workflow()
async def give_up_and_receive() -> list[Any]:
    try:
        await asyncio.wait_for(DBOS.recv_async("topic", timeout_seconds=600), 0.05)
    except asyncio.TimeoutError:
        await DBOS.set_event_async("given up", value=True)
    return [await DBOS.recv_async("other", timeout_seconds=600)]


@DBOS.workflow()
def publish_twice() -> None:
    DBOS.set_event("key", 1)
    DBOS.set_event("key", 2)


@DBOS.workflow()
async def read_twice_at_once(source: str) -> None:
    async def first() -> Any:
        return await anext_of(DBOS.read_stream_async(source, "key"))

    await asyncio.gather(first(), first())


async def anext_of(values: Any) -> Any:
    async for value in values:
        return value
    return None


def start(workflow: Any, name: str, *args: Any) -> WorkflowHandle[Any]:
    with SetWorkflowID(name):
        handle: WorkflowHandle[Any] = DBOS.start_workflow(workflow, *args)
    return handle


def names(workflow_id: str) -> list[str]:
    return [step["function_name"] for step in DBOS.list_workflow_steps(workflow_id)]


def test_a_bulk_is_sent_whole_or_not_at_all(dbos: type[DBOS], sql: Sql) -> None:
    handle = start(receive, "there", 0.3)

    with pytest.raises(DBOSNonExistentWorkflowError):
        DBOS.send_bulk([SendMessage("there", 1, "topic"), SendMessage("nowhere", 2, "topic")])

    assert handle.get_result() == [None]


def test_a_key_is_used_once_in_a_bulk(dbos: type[DBOS]) -> None:
    start(receive, "there", 0.1)
    twice = [SendMessage("there", n, "topic", idempotency_key="same") for n in range(2)]

    with pytest.raises(DBOSException, match="idempotency_key"):
        DBOS.send_bulk(twice)


def test_a_message_to_the_forks_too_reaches_all_of_them(dbos: type[DBOS]) -> None:
    original = start(receive_twice, "original")
    DBOS.send("original", "first", topic="topic")
    fork: WorkflowHandle[Any] = DBOS.fork_workflow("original", 1)
    grandchild: WorkflowHandle[Any] = DBOS.fork_workflow(fork.workflow_id, 1)

    DBOS.send("original", "to all", topic="topic", send_to_forks=True)
    for handle in (fork, grandchild):
        DBOS.send(handle.workflow_id, "last", topic="topic")

    assert original.get_result() == ["first", "to all"]
    assert fork.get_result() == ["to all", "last"]
    assert grandchild.get_result() == ["to all", "last"]


def test_a_message_that_is_none_ends_the_wait(dbos: type[DBOS], sql: Sql) -> None:
    start(receive, "w", 600)
    wait_until(sql, "exists (select 1 from pyengine.steps where name = 'DBOS.sleep')")

    DBOS.send("w", None, topic="topic")

    handle: WorkflowHandle[Any] = DBOS.retrieve_workflow("w")
    assert handle.get_result() == [None]
    assert sql.execute("select count(*) from pyengine.messages").fetchone() == (0,)


def test_an_event_and_a_value_that_are_none_are_there(dbos: type[DBOS]) -> None:
    start(publish_nothing, "source").get_result()
    start(get_nothing, "w", "source").get_result()

    assert names("w") == ["DBOS.getEvent"]
    assert DBOS.get_event("source", "key") is None
    assert DBOS.get_all_events("source") == {"key": None}
    assert list(DBOS.read_stream("source", "key")) == [None]


def test_the_history_of_an_event_holds_each_of_its_values(dbos: type[DBOS], sql: Sql) -> None:
    start(publish_twice, "w").get_result()

    history = sql.execute("select step_id, value from pyengine.event_history order by step_id")
    assert history.fetchall() == [(1, 1), (2, 2)]


def test_a_wait_that_was_given_up_takes_nothing_and_leaves_nothing(
    dbos: type[DBOS], sql: Sql
) -> None:
    handle = start(give_up_and_receive, "w")
    assert DBOS.get_event("w", "given up") is True

    DBOS.send("w", "late", topic="topic")
    wait_until(sql, waits("topic", 0))

    assert sql.execute("select count(*) from pyengine.messages").fetchone() == (1,)
    wait_until(sql, waits("other", 1))
    DBOS.send("w", "mail", topic="other")
    assert handle.get_result() == ["mail"]
    wait_until(sql, waits("other", 0))


def waits(topic: str, count: int) -> str:
    """The condition that so many wait for mail of a topic."""
    key = f"pyengine.wait_key('message', 'w', '{topic}')"
    return f"(select count(*) from pyengine.waiters where wait_key = {key}) = {count}"


def test_two_streams_are_not_read_at_once_in_a_workflow(dbos: type[DBOS]) -> None:
    start(receive, "source", 600)

    with pytest.raises(DBOSStreamNondeterminismError):
        start(read_twice_at_once, "w", "source").get_result()
    DBOS.cancel_workflow("source")
