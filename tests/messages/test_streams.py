"""Streams: dense, in order, readable while they are written."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.error import DBOSNonExistentWorkflowError, DBOSStreamTimeoutError


@DBOS.workflow()
def write(count: int, close: bool = True) -> None:
    for number in range(count):
        DBOS.write_stream("numbers", number)
    if close:
        DBOS.close_stream("numbers")
        DBOS.write_stream("numbers", "after the end")


@DBOS.workflow()
async def write_concurrently(count: int) -> None:
    await asyncio.gather(*(DBOS.write_stream_async("numbers", n) for n in range(count)))
    await DBOS.close_stream_async("numbers")


@DBOS.workflow()
def read_all(workflow_id: str) -> list[Any]:
    return list(DBOS.read_stream(workflow_id, "numbers"))


@DBOS.workflow()
def write_on_request() -> None:
    while (value := DBOS.recv("value", timeout_seconds=30)) is not None:
        DBOS.write_stream("values", value)


def test_values_are_read_in_order_until_the_stream_is_closed(dbos: type[DBOS]) -> None:
    with SetWorkflowID("writer"):
        write(250)

    assert list(DBOS.read_stream("writer", "numbers")) == list(range(250))
    assert list(DBOS.read_stream("writer", "numbers", offset=248)) == [248, 249]


def test_a_stream_ends_with_its_workflow(dbos: type[DBOS]) -> None:
    with SetWorkflowID("writer"):
        write(3, close=False)

    assert list(DBOS.read_stream("writer", "numbers")) == [0, 1, 2]


def test_values_are_read_while_they_are_written(dbos: type[DBOS]) -> None:
    writer = DBOS.start_workflow(write_on_request)
    values = DBOS.read_stream(writer.workflow_id, "values", timeout_seconds=30)

    for number in range(5):
        DBOS.send(writer.workflow_id, number, topic="value")
        assert next(values) == number

    DBOS.send(writer.workflow_id, None, topic="value")
    assert list(values) == []


def test_concurrent_writers_leave_no_gap(dbos: type[DBOS], sql: psycopg.Connection[Any]) -> None:
    with SetWorkflowID("writer"):
        asyncio.run(write_concurrently(300))

    rows = sql.execute(
        "select position from pyengine.streams where workflow_id = 'writer' order by position"
    ).fetchall()
    assert [row[0] for row in rows] == list(range(301))
    assert sorted(DBOS.read_stream("writer", "numbers")) == list(range(300))


def test_reading_in_a_workflow_records_each_value_and_the_end(dbos: type[DBOS]) -> None:
    with SetWorkflowID("writer"):
        write(3)

    with SetWorkflowID("reader"):
        assert read_all("writer") == [0, 1, 2]

    names = [s["function_name"] for s in DBOS.list_workflow_steps("reader")]
    assert names == ["DBOS.readStream"] * 4


def test_one_position_is_read_and_waited_for(dbos: type[DBOS]) -> None:
    with SetWorkflowID("writer"):
        write(3)

    assert DBOS.read_stream_offset("writer", "numbers", 2) == 2
    with pytest.raises(DBOSStreamTimeoutError):
        DBOS.read_stream_offset("writer", "numbers", 3)


def test_a_value_that_does_not_come_and_a_missing_workflow_are_errors(dbos: type[DBOS]) -> None:
    writer = DBOS.start_workflow(write_on_request)

    with pytest.raises(DBOSStreamTimeoutError):
        next(DBOS.read_stream(writer.workflow_id, "values", timeout_seconds=0.05))
    with pytest.raises(DBOSNonExistentWorkflowError):
        next(DBOS.read_stream("nobody", "values"))
    with pytest.raises(ValueError, match="timeout_seconds"):
        next(DBOS.read_stream(writer.workflow_id, "values", timeout_seconds=-1))
    DBOS.send(writer.workflow_id, None, topic="value")


def test_async_readers_get_the_same(dbos: type[DBOS]) -> None:
    with SetWorkflowID("writer"):
        write(5)

    async def read() -> list[Any]:
        return [value async for value in DBOS.read_stream_async("writer", "numbers")]

    assert asyncio.run(read()) == [0, 1, 2, 3, 4]
