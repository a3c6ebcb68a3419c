from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from pyengine import DBOS, SetWorkflowID, error
from pyengine.current import get_runtime
from tests.transactions.conftest import Sql
from tests.transactions.proxy import CommitProxy

Items = Callable[[], list[str]]
INSERT = "insert into orders (item) values (%s) returning id"
calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@DBOS.transaction()
async def add_async(item: str) -> int:
    calls.append(item)
    cursor = await DBOS.sql_connection.execute(INSERT, [item])
    row = await cursor.fetchone()
    return int(row[0])


@DBOS.transaction()
async def add_with_session(item: str) -> int:
    statement = sa.text("insert into orders (item) values (:item) returning id")
    result = await DBOS.sql_session.execute(statement, {"item": item})
    return int(result.scalar_one())


@DBOS.workflow()
async def two_orders_async(first: str, second: str) -> list[int]:
    return [await add_async(first), await add_with_session(second)]


def test_the_writes_and_the_checkpoint_are_one_commit(orders: Sql, dbos: type[DBOS]) -> None:
    assert asyncio.run(two_orders_async("bread", "milk")) == [1, 2]

    written = orders.execute("select xmin::text from orders order by id").fetchall()
    recorded = orders.execute("select xmin::text from pyengine.steps order by step_id").fetchall()
    assert written == recorded


def test_a_replay_does_not_run_a_transaction_again(
    items: Items, dbos: type[DBOS], run_again: Callable[[str], None]
) -> None:
    with SetWorkflowID("w"):
        asyncio.run(two_orders_async("bread", "milk"))

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == [1, 2]
    assert items() == ["bread", "milk"]
    assert calls == ["bread"]


@DBOS.transaction()
async def add_and_fail(item: str) -> None:
    await DBOS.sql_connection.execute(INSERT, [item])
    raise ValueError(f"no {item} today")


def test_an_error_rolls_everything_back(items: Items, dbos: type[DBOS]) -> None:
    with pytest.raises(ValueError, match="no bread today"):
        asyncio.run(add_and_fail("bread"))

    assert items() == []


@DBOS.transaction()
def add_in_thread(item: str) -> int:
    row = DBOS.sql_connection.execute(INSERT, [item]).fetchone()
    return int(row[0])


@DBOS.workflow()
async def order_through_thread(item: str) -> int:
    number: int = await asyncio.to_thread(add_in_thread, item)
    return number


def test_a_sync_transaction_works_through_to_thread(
    items: Items, dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    with SetWorkflowID("w"):
        assert asyncio.run(order_through_thread("bread")) == 1

    assert items() == ["bread"]
    [step] = DBOS.list_workflow_steps("w")
    assert (step["function_id"], step["function_name"]) == (1, "add_in_thread")
    assert "blocks" not in caplog.text


def test_outside_a_workflow_it_is_a_workflow_of_its_own(items: Items, dbos: type[DBOS]) -> None:
    with SetWorkflowID("alone"):
        assert asyncio.run(add_async("bread")) == 1

    assert DBOS.retrieve_workflow("alone").get_status().name == "<temp>.add_async"


@DBOS.workflow()
async def many_orders_async(count: int) -> list[int]:
    tasks = [asyncio.create_task(add_async(f"item {number}")) for number in range(count)]
    return sorted(await asyncio.gather(*tasks))


def test_concurrent_transactions_of_one_workflow_are_numbered_in_order(
    items: Items, launch: Callable[..., None]
) -> None:
    launch(sys_db_pool_size=2)

    with SetWorkflowID("w"):
        assert asyncio.run(many_orders_async(8)) == list(range(1, 9))

    assert len(items()) == 8
    assert [step["function_id"] for step in DBOS.list_workflow_steps("w")] == list(range(1, 9))


@pytest.mark.parametrize("how", ["commit", "rollback", "close"])
@pytest.mark.parametrize("what", ["connection", "session"])
def test_the_function_must_not_end_its_transaction(
    items: Items, dbos: type[DBOS], how: str, what: str
) -> None:
    @DBOS.transaction(name=f"async end {what} {how}")
    async def end_it() -> None:
        await DBOS.sql_connection.execute(INSERT, ["bread"])
        await getattr(getattr(DBOS, f"sql_{what}"), how)()

    with pytest.raises(error.DBOSException, match="the engine commits when the function returns"):
        asyncio.run(end_it())

    assert items() == []


def test_a_lost_answer_to_the_commit_leaves_exactly_one_row(
    proxy: CommitProxy, items: Items, launch: Callable[..., None]
) -> None:
    launch(system_database_url=proxy.url)

    async def lose_one() -> list[int]:
        await add_async("first")
        proxy.lose_next()
        return [await add_async("second"), await add_async("third")]

    assert asyncio.run(lose_one())[0] == 2

    assert proxy.lost == 1
    assert items() == calls == ["first", "second", "third"]


@DBOS.transaction()
async def terminate_once_async(item: str) -> None:
    calls.append(item)
    connection = DBOS.sql_connection
    await connection.execute(INSERT, [item])
    if len(calls) == 1:
        row = await (await connection.execute("select pg_backend_pid()")).fetchone()
        with psycopg.connect(get_runtime("test").engine.options.database_url) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", row)
        await connection.execute("select 1")


def test_a_connection_that_ends_inside_the_function_is_replaced(
    items: Items, dbos: type[DBOS]
) -> None:
    asyncio.run(terminate_once_async("bread"))

    assert items() == ["bread"]
    assert calls == ["bread", "bread"]


@DBOS.transaction()
async def wait_for_ever(item: str) -> None:
    await DBOS.sql_connection.execute(INSERT, [item])
    inside.set()
    await asyncio.sleep(3600)


@DBOS.workflow()
async def waiting_order_async(item: str) -> None:
    await wait_for_ever(item)


inside = asyncio.Event()


def test_a_task_that_is_cancelled_inside_a_transaction_rolls_back(
    orders: Sql, items: Items, dbos: type[DBOS]
) -> None:
    async def cancel_it() -> None:
        task = asyncio.create_task(waiting_order_async("bread"))
        await asyncio.wait_for(inside.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_it())

    assert items() == []
    idle = (
        "select count(*) from pg_stat_activity "
        "where state like 'idle in transaction%' and datname = current_database()"
    )
    assert orders.execute(idle).fetchone() == (0,)


def test_each_event_loop_has_its_own_connections_and_leaves_none_behind(
    items: Items, launch: Callable[..., None]
) -> None:
    launch()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for item in ("bread", "milk"):
            asyncio.run(add_async(item))
            asyncio.run(add_with_session(item))
        DBOS.destroy()
        gc.collect()

    assert items() == ["bread", "bread", "milk", "milk"]
