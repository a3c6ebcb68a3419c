"""Many workflows are enqueued in one commit, all or none."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions
from pyengine.error import DBOSBackpressureError, DBOSInvalidArgumentError

plain = Queue("plain-many")
shallow = Queue("shallow-many", max_depth=2)


@DBOS.workflow()
def total(first: int, second: int = 0) -> int:
    return first + second


@DBOS.workflow()
def fan_out(count: int) -> int:
    handles = plain.enqueue_many(total, [(number, 1) for number in range(count)])
    return sum(handle.get_result() for handle in handles)


@DBOS.workflow()
def overflow() -> str:
    try:
        shallow.enqueue_many(total, [(number,) for number in range(3)])
    except DBOSBackpressureError:
        return "refused"
    return "stored"


def test_each_set_of_arguments_is_a_workflow(dbos: Any) -> None:
    handles = plain.enqueue_many(total, [(1, 2), [3], {"first": 4, "second": 5}])

    assert [handle.get_result() for handle in handles] == [3, 3, 9]


def test_the_async_twin_enqueues_too(dbos: Any) -> None:
    async def run() -> list[int]:
        handles = await plain.enqueue_many_async(total, [(1, 2), (3, 4)])
        return [await handle.get_result() for handle in handles]

    assert asyncio.run(run()) == [3, 7]


def test_no_arguments_enqueue_nothing(dbos: Any) -> None:
    assert plain.enqueue_many(total, []) == []


def test_they_are_one_commit(dbos: Any, sql: psycopg.Connection[Any]) -> None:
    DBOS.pause_queue(plain.name)

    handles = plain.enqueue_many(total, [(number,) for number in range(100)])

    ids = [handle.workflow_id for handle in handles]
    found = sql.execute(
        "select count(*), count(distinct xmin::text) from pyengine.workflows where workflow_id = any (%s)",
        (ids,),
    ).fetchone()
    assert found == (100, 1)
    DBOS.resume_queue(plain.name)


def test_without_room_for_all_none_is_stored(dbos: Any) -> None:
    DBOS.pause_queue(shallow.name)

    with pytest.raises(DBOSBackpressureError, match="request 3 of 3: queue shallow-many is full"):
        shallow.enqueue_many(total, [(number,) for number in range(3)])

    assert DBOS.list_queued_workflows(queue_name=shallow.name) == []


def test_in_a_workflow_they_are_children_and_steps(dbos: Any) -> None:
    handle = DBOS.start_workflow(fan_out, 20)

    assert handle.get_result() == sum(range(20)) + 20
    steps = DBOS.list_workflow_steps(handle.workflow_id)
    assert [step["child_workflow_id"] for step in steps[:20]] == [
        f"{handle.workflow_id}-{number}" for number in range(1, 21)
    ]


def test_in_a_workflow_a_refusal_is_replayed(dbos: Any) -> None:
    DBOS.pause_queue(shallow.name)
    handle = DBOS.start_workflow(overflow)
    assert handle.get_result() == "refused"
    DBOS.resume_queue(shallow.name)

    fork = DBOS.fork_workflow(handle.workflow_id, start_step=2)

    assert fork.get_result() == "refused"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ab"], r"arguments\[0\] is a str"),
        ([(1,), 2], r"arguments\[1\] is a int"),
        ([(1,)] * 10_001, "10001 workflows: at most 10000"),
    ],
)
def test_what_cannot_be_read_is_refused(dbos: Any, arguments: list[Any], message: str) -> None:
    with pytest.raises(DBOSInvalidArgumentError, match=message):
        plain.enqueue_many(total, arguments)


def test_one_deduplication_id_for_many_is_refused(dbos: Any) -> None:
    with (
        SetEnqueueOptions(deduplication_id="one"),
        pytest.raises(DBOSInvalidArgumentError, match="only one workflow can hold"),
    ):
        plain.enqueue_many(total, [(1,), (2,)])
