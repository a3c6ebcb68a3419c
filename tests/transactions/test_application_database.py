"""An application database of its own: writes and checkpoint in it, the workflow in the engine's database."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql as query

from pyengine import DBOS, SetWorkflowID, embedded, error, schema
from tests.transactions.conftest import Sql

Launch = Callable[..., None]
INSERT = "insert into orders (item) values (%s) returning id"
calls: list[str] = []


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


@pytest.fixture
def shop_url(server: embedded.Server, engine_url: str) -> Iterator[str]:
    """The URL of an empty database on the same server."""
    name = str(psycopg.conninfo.conninfo_to_dict(engine_url)["dbname"]) + "_shop"
    database = query.Identifier(name)
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(query.SQL("create database {}").format(database))
        yield server.url(name)
        connection.execute(query.SQL("drop database {} with (force)").format(database))


@pytest.fixture
def shop(shop_url: str, sql: Sql) -> Iterator[Sql]:
    with psycopg.connect(shop_url, autocommit=True) as connection:
        connection.execute(
            "create table orders (id bigint generated always as identity, item text)"
        )
        yield connection


@pytest.fixture
def launch_shop(shop: Sql, shop_url: str, launch: Launch) -> Launch:
    def start(**keys: Any) -> None:
        launch(application_database_url=shop_url, **keys)

    return start


def items(shop: Sql) -> list[str]:
    return [row[0] for row in shop.execute("select item from orders order by id")]


@DBOS.transaction()
def shop_insert(item: str) -> int:
    calls.append(item)
    row = DBOS.sql_connection.execute(INSERT, [item]).fetchone()
    return int(row[0])


@DBOS.transaction()
async def shop_insert_async(item: str) -> int:
    calls.append(item)
    cursor = await DBOS.sql_connection.execute(INSERT, [item])
    return int((await cursor.fetchone())[0])


@DBOS.workflow()
def shop_order(item: str) -> int:
    return shop_insert(item)


@DBOS.workflow()
async def shop_order_async(item: str) -> int:
    return await shop_insert_async(item)


def call(is_async: bool, item: str) -> int:
    return asyncio.run(shop_order_async(item)) if is_async else shop_order(item)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_writes_and_their_checkpoint_are_one_commit_there(
    shop: Sql, launch_shop: Launch, is_async: bool
) -> None:
    launch_shop()

    with SetWorkflowID("w"):
        assert call(is_async, "bread") == 1

    written = shop.execute("select xmin::text from orders").fetchall()
    assert (
        shop.execute("select xmin::text from pyengine.transaction_checkpoints").fetchall()
        == written
    )
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == [1]


def test_a_replay_without_the_engines_row_finds_the_checkpoint_there(
    sql: Sql, shop: Sql, launch_shop: Launch, run_again: Callable[[str], None], is_async: bool
) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        call(is_async, "bread")

    sql.execute("delete from pyengine.steps")  # as if the process had died between the two commits
    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == 1
    assert items(shop) == calls == ["bread"]
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == [1]


@DBOS.transaction()
def shop_fail(item: str) -> None:
    DBOS.sql_connection.execute(INSERT, [item])
    raise ValueError("out of stock")


@DBOS.workflow()
def failing_shop_order(item: str) -> None:
    shop_fail(item)


def test_an_error_is_recorded_in_the_engines_database_only(shop: Sql, launch_shop: Launch) -> None:
    launch_shop()

    with SetWorkflowID("w"), pytest.raises(ValueError, match="out of stock"):
        failing_shop_order("bread")

    assert items(shop) == []
    assert shop.execute("select * from pyengine.transaction_checkpoints").fetchall() == []
    [step] = DBOS.list_workflow_steps("w")
    assert isinstance(step["error"], ValueError)


first_is_in, second_is_in, first_may_go = threading.Event(), threading.Event(), threading.Event()
both_are_out = threading.Event()
outcomes: list[str] = []


@DBOS.transaction("READ COMMITTED")
def slow_shop_insert(item: str) -> str:
    calls.append(item)
    mark = f"{item} of run {len(calls)}"
    if len(calls) == 1:
        first_is_in.set()
        first_may_go.wait(10)
    else:
        second_is_in.set()
    DBOS.sql_connection.execute(INSERT, [mark])
    return mark


@DBOS.workflow()
def slow_shop_order(item: str) -> str:
    mark = slow_shop_insert(item)
    outcomes.append(mark)
    if len(outcomes) == 2:
        both_are_out.set()
    return mark


def test_of_two_racing_runs_the_loser_adopts_the_winners_outcome(
    sql: Sql, shop: Sql, launch_shop: Launch
) -> None:
    launch_shop()
    handle = DBOS.start_workflow(slow_shop_order, "bread")
    assert first_is_in.wait(10)

    sql.execute("update pyengine.workflows set status = 'ENQUEUED', lease_token = null")
    sql.execute("select pyengine._wake(array[pyengine.wait_key('work', '')])")
    assert second_is_in.wait(10)
    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == "bread of run 2"
    first_may_go.set()

    assert both_are_out.wait(10)
    assert outcomes == ["bread of run 2"] * 2
    assert items(shop) == ["bread of run 2"]


def test_a_run_that_lost_its_lease_commits_nothing_there(
    sql: Sql, shop: Sql, launch_shop: Launch
) -> None:
    launch_shop()
    handle = DBOS.start_workflow(fenced_shop_order, "bread")
    assert fenced_in.wait(10)

    sql.execute("update pyengine.workflows set lease_token = gen_random_uuid()")
    fenced_go.set()

    assert fenced_out.wait(10)
    assert items(shop) == []
    assert handle.get_status().status == "PENDING"


fenced_in, fenced_go, fenced_out = threading.Event(), threading.Event(), threading.Event()


@DBOS.transaction()
def fenced_shop_insert(item: str) -> None:
    DBOS.sql_connection.execute(INSERT, [item])
    fenced_in.set()
    fenced_go.wait(10)


@DBOS.workflow()
def fenced_shop_order(item: str) -> None:
    try:
        fenced_shop_insert(item)
    finally:
        fenced_out.set()


def test_the_table_is_created_once_by_concurrent_launches(shop_url: str) -> None:
    created: list[bool] = []
    start = threading.Barrier(4)

    def prepare() -> None:
        with psycopg.connect(shop_url, autocommit=True) as connection:
            start.wait(10)
            created.append(schema.prepare_application(connection, schema="Eigenes Schema"))

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(created) == [False, False, False, True]


def test_a_custom_schema_has_the_same_name_in_both_databases(
    shop: Sql, launch_shop: Launch
) -> None:
    launch_shop(dbos_system_schema="shop_engine")

    assert shop_order("bread") == 1
    found = shop.execute("select count(*) from shop_engine.transaction_checkpoints").fetchone()
    assert found == (1,)


def test_without_migrations_a_missing_table_is_an_error_that_says_what_to_do(
    launch_shop: Launch,
) -> None:
    with pytest.raises(error.DBOSInitializationError, match="run_migrations"):
        launch_shop(run_migrations=False)


CHECKPOINTS = "select workflow_id, step_id from pyengine.transaction_checkpoints order by 1, 2"


def test_a_rewound_transaction_runs_again(shop: Sql, launch_shop: Launch, is_async: bool) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        call(is_async, "bread")

    if is_async:

        async def rewind() -> None:
            await (await DBOS.rewind_workflow_async("w")).get_result()

        asyncio.run(rewind())
    else:
        DBOS.rewind_workflow("w").get_result()

    assert items(shop) == ["bread", "bread"]
    assert shop.execute(CHECKPOINTS).fetchall() == [("w", 1)]


def test_a_rewind_that_is_refused_forgets_nothing(shop: Sql, launch_shop: Launch, sql: Sql) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")
    sql.execute(
        "update pyengine.workflows set status = 'ENQUEUED', finished_at = null, queue_name = 'q'"
    )

    with pytest.raises(error.DBOSException, match="only a workflow that has ended"):
        DBOS.rewind_workflow("w")

    assert shop.execute(CHECKPOINTS).fetchall() == [("w", 1)]


def test_a_fork_does_not_repeat_a_transaction_whose_answer_was_lost(
    shop: Sql, launch_shop: Launch, sql: Sql
) -> None:
    """As when the process died between the commit there and the record of it here."""
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")
    sql.execute("delete from pyengine.steps")

    assert DBOS.fork_workflow("w", 2).get_result() == 1
    assert items(shop) == ["bread"]

    assert DBOS.fork_workflow("w", 1).get_result() == 2
    assert items(shop) == ["bread", "bread"]


def test_a_deleted_workflow_leaves_nothing_there(shop: Sql, launch_shop: Launch) -> None:
    launch_shop()
    with SetWorkflowID("w"):
        shop_order("bread")

    DBOS.delete_workflow("w")
    assert shop.execute(CHECKPOINTS).fetchall() == []

    with SetWorkflowID("w"):
        assert shop_order("bread") == 2
