"""Transactions that meet: the database refuses one of two, which is run again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from pyengine import DBOS
from tests.transactions.conftest import Sql

pytestmark = pytest.mark.race

attempts: list[str] = []
meeting = threading.Barrier(2)


@pytest.fixture(autouse=True)
def _no_attempts() -> None:
    attempts.clear()
    meeting.reset()


def meet_once(who: str) -> None:
    """Both are here together in their first attempts."""
    attempts.append(who)
    if attempts.count(who) == 1:
        meeting.wait(10)


@DBOS.transaction()
def count_and_add(item: str) -> int:
    connection = DBOS.sql_connection
    count = connection.execute("select count(*) from orders").fetchone()[0]
    meet_once(item)
    connection.execute("insert into orders (item) values (%s)", [item])
    return int(count)


@DBOS.workflow()
def counting(item: str) -> int:
    return count_and_add(item)


def in_parallel(function: Callable[..., Any], *arguments: tuple[Any, ...]) -> list[Any]:
    handles = [DBOS.start_workflow(function, *each) for each in arguments]
    return [handle.get_result() for handle in handles]


def test_a_serialization_failure_is_run_again(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    counts = in_parallel(counting, ("bread",), ("milk",))

    assert sorted(counts) == [0, 1]  # as if one had come after the other
    assert sorted(items()) == ["bread", "milk"]
    assert len(attempts) == 3


@DBOS.transaction("READ COMMITTED")
def move(source: str, target: str) -> None:
    connection = DBOS.sql_connection
    connection.execute("update stock set quantity = quantity - 1 where item = %s", [source])
    meet_once(source)
    connection.execute("update stock set quantity = quantity + 1 where item = %s", [target])


@DBOS.workflow()
def moving(source: str, target: str) -> None:
    move(source, target)


def test_a_deadlock_is_run_again(orders: Sql, dbos: type[DBOS]) -> None:
    orders.execute("insert into stock values ('left', 5), ('right', 5)")

    in_parallel(moving, ("left", "right"), ("right", "left"))

    assert orders.execute("select item, quantity from stock order by item").fetchall() == [
        ("left", 5),
        ("right", 5),
    ]
    assert len(attempts) == 3


def test_two_runs_of_one_workflow_write_once(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    """A takeover while the first run is inside its transaction: the first can't commit any more."""
    handle = DBOS.start_workflow(slow_order, "bread")
    assert inside.wait(10)

    orders.execute(
        "update pyengine.workflows set status = 'ENQUEUED', lease_token = null where workflow_id = %s",
        [handle.workflow_id],
    )
    orders.execute("select pyengine._wake(array[pyengine.wait_key('work', '')])")
    assert second.wait(10)
    leave.set()

    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == "bread"
    assert items() == ["bread"]


inside, second, leave = threading.Event(), threading.Event(), threading.Event()


@DBOS.transaction()
def slow_insert(item: str) -> str:
    if inside.is_set():
        second.set()
    inside.set()
    DBOS.sql_connection.execute("insert into orders (item) values (%s)", [item])
    leave.wait(10)
    return item


@DBOS.workflow()
def slow_order(item: str) -> str:
    return slow_insert(item)
