"""Datasources: exactly-once steps in SQLAlchemy sessions, in the engine's database and in others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import Session, sessionmaker

from pyengine import (
    DBOS,
    AsyncSQLAlchemyDatasource,
    SetWorkflowID,
    SQLAlchemyDatasource,
    datasource_places,
    error,
)
from pyengine.config import DBOSConfig
from pyengine.current import get_runtime
from pyengine.runtime.sweep import Sweep
from pyengine.serialization import PickleSerializer
from tests.transactions.conftest import Sql
from tests.transactions.proxy import CommitProxy

Launch = Callable[..., None]
Datasource = SQLAlchemyDatasource | AsyncSQLAlchemyDatasource
INSERT = sa.text("insert into orders (item) values (:item) returning id")
calls: list[str] = []


class Here:
    """The datasource of the running test, and what its step does after its insert."""

    datasource: Any = None
    then: Callable[[], Any] = staticmethod(lambda: None)


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    calls.clear()
    Here.then = staticmethod(lambda: None)
    yield
    DBOS.destroy()
    datasource_places.forget()


def insert(item: str) -> int:
    calls.append(item)
    number = Here.datasource.sql_session().execute(INSERT, {"item": item}).scalar_one()
    Here.then()
    return int(number)


async def insert_async(item: str) -> int:
    calls.append(item)
    result = await Here.datasource.sql_session().execute(INSERT, {"item": item})
    Here.then()
    return int(result.scalar_one())


@DBOS.workflow()
def order(item: str) -> int:
    return int(Here.datasource.run_tx_step({"name": "insert"}, insert, item))


@DBOS.workflow()
async def order_async(item: str) -> int:
    return int(await Here.datasource.run_tx_step_async({"name": "insert"}, insert_async, item))


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def create(is_async: bool, *args: Any, **keys: Any) -> Any:
    if is_async:
        Here.datasource = asyncio.run(AsyncSQLAlchemyDatasource.create(*args, **keys))
    else:
        Here.datasource = SQLAlchemyDatasource.create(*args, **keys)
    return Here.datasource


def call(is_async: bool, item: str) -> int:
    """Run the workflow; on a loop that stays, because an async engine's connections belong to it."""
    if not is_async:
        return order(item)
    return DBOS.start_workflow(order_async, item).get_result()


def outside(is_async: bool, item: str) -> Any:
    if not is_async:
        return Here.datasource.run_tx_step(None, insert, item)
    return asyncio.run(Here.datasource.run_tx_step_async(None, insert_async, item))


def items(connection: Sql) -> list[str]:
    return [row[0] for row in connection.execute("select item from orders order by id")]


def test_in_the_engines_database_writes_and_checkpoint_are_one_commit(
    orders: Sql, config: DBOSConfig, launch: Launch, is_async: bool
) -> None:
    create(is_async, config["system_database_url"])
    launch()

    with SetWorkflowID("w"):
        assert call(is_async, "bread") == 1

    written = orders.execute("select xmin::text from orders").fetchall()
    steps = orders.execute("select xmin::text from pyengine.steps where name = 'insert'").fetchall()
    assert steps == written
    assert orders.execute("select to_regclass('pyengine.transaction_checkpoints')").fetchone() == (
        None,
    )


def test_a_replay_runs_nothing_again(
    orders: Sql,
    engine_url: str,
    launch: Launch,
    run_again: Callable[[str], None],
    is_async: bool,
) -> None:
    create(is_async, engine_url)
    launch()
    with SetWorkflowID("w"):
        call(is_async, "bread")

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == 1
    assert items(orders) == calls == ["bread"]


def test_in_another_database_the_checkpoint_is_committed_with_the_writes(
    sql: Sql, shop: Sql, shop_url: str, launch: Launch, is_async: bool
) -> None:
    create(is_async, shop_url, schema="checkpoints")
    launch()

    with SetWorkflowID("w"):
        assert call(is_async, "bread") == 1

    written = shop.execute("select xmin::text from orders").fetchall()
    stored = shop.execute("select xmin::text from checkpoints.transaction_checkpoints").fetchall()
    assert stored == written
    assert [step["output"] for step in DBOS.list_workflow_steps("w")] == [1]


def test_checkpoints_of_removed_workflows_are_swept_there_too(
    shop: Sql, shop_url: str, launch: Launch
) -> None:
    create(False, shop_url)
    launch()
    with SetWorkflowID("w"):
        order("bread")
    runtime = get_runtime("test")
    shop.execute(
        "update pyengine.transaction_checkpoints set created_at = now() - interval '1 day'"
    )
    shop.execute("update pyengine.transaction_checkpoints set origin = 'of a removed workflow'")

    assert len(runtime.engine.upkeep.also) == 1
    Sweep(runtime.datasources[0], runtime.engine.threads.submit).next_batch()

    assert shop.execute("select from pyengine.transaction_checkpoints").fetchall() == []


def eventually(read: Callable[[], list[Any]]) -> list[Any]:
    """What is there, once it is."""
    deadline = time.monotonic() + 20
    while not (found := read()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


@DBOS.workflow()
def order_and_wait(item: str) -> int:
    number = order_here(item)
    DBOS.recv("go", 60)
    return number


def order_here(item: str) -> int:
    return int(Here.datasource.run_tx_step({"name": "insert"}, insert, item))


def test_a_crash_between_the_two_commits_replays_what_is_in_the_other_database(
    sql: Sql, shop: Sql, shop_url: str, launch: Launch
) -> None:
    create(False, shop_url, serializer=PickleSerializer())
    launch()
    with SetWorkflowID("w"):
        handle = DBOS.start_workflow(order_and_wait, "bread")
    eventually(lambda: sql.execute("select from pyengine.steps where name = 'insert'").fetchall())
    DBOS.destroy()

    sql.execute("delete from pyengine.steps where workflow_id = 'w'")
    launch()
    DBOS.send("w", "now", "go")

    assert DBOS.retrieve_workflow(handle.workflow_id).get_result() == 1
    assert items(shop) == calls == ["bread"]


def test_an_error_of_the_function_is_recorded_and_its_writes_are_rolled_back(
    orders: Sql, engine_url: str, launch: Launch, is_async: bool
) -> None:
    create(is_async, engine_url)
    launch()

    def fail() -> None:
        raise ValueError("sold out")

    Here.then = staticmethod(fail)
    with SetWorkflowID("failed"), pytest.raises(ValueError, match="sold out"):
        call(is_async, "bread")

    assert items(orders) == []
    (step,) = DBOS.list_workflow_steps("failed")
    assert isinstance(step["error"], ValueError)


def test_two_transactions_that_exclude_each_other_both_succeed(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    orders.execute("insert into stock values ('bread', 10)")
    datasource = create(False, engine_url)
    launch()
    both_have_read = threading.Barrier(2)
    attempts: list[int] = []

    def take(number: int) -> int:
        session = datasource.sql_session()
        left = session.execute(sa.text("select quantity from stock")).scalar_one()
        attempts.append(number)
        if len(attempts) <= 2:
            both_have_read.wait(20)
        session.execute(sa.text("update stock set quantity = :left"), {"left": left - 1})
        return int(left - 1)

    taking = [
        threading.Thread(target=datasource.run_tx_step, args=({"name": "take"}, take, number))
        for number in (1, 2)
    ]
    for thread in taking:
        thread.start()
    for thread in taking:
        thread.join()

    assert orders.execute("select quantity from stock").fetchone() == (8,)
    assert len(attempts) == 3


def test_a_lost_commit_in_a_workflow_happens_once(
    orders: Sql, proxy: CommitProxy, launch: Launch, is_async: bool
) -> None:
    create(is_async, proxy.url)
    launch(system_database_url=proxy.url)
    proxy.lose_next()

    assert call(is_async, "bread") == 1

    assert items(orders) == ["bread"]


def test_outside_of_workflows_and_in_steps_it_is_a_plain_transaction(
    orders: Sql, engine_url: str, launch: Launch, is_async: bool
) -> None:
    create(is_async, engine_url)

    assert outside(is_async, "before launch") == 1
    launch()
    assert outside(is_async, "bread") == 2

    assert items(orders) == ["before launch", "bread"]
    assert DBOS.list_workflows() == []


def test_the_function_can_not_end_the_transaction(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    datasource = create(False, engine_url)
    launch()

    def commit(how: str) -> None:
        session = datasource.sql_session()
        session.execute(INSERT, {"item": how})
        with session.begin_nested():
            session.execute(INSERT, {"item": "savepoint"})
        getattr(session, how)()

    for how in ("commit", "rollback", "close"):
        with pytest.raises(error.DBOSException, match="inside a transactional step"):
            datasource.run_tx_step(None, commit, how)

    assert items(orders) == []


def test_the_decorator_works_with_and_without_parentheses_and_the_facade_sees_the_session(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    datasource: SQLAlchemyDatasource = create(False, engine_url)
    launch()

    @datasource.transaction
    def bare(item: str) -> bool:
        DBOS.sql_session.execute(INSERT, {"item": item})
        return DBOS.sql_session is datasource.sql_session()

    @datasource.transaction(name="called", isolation_level="repeatable read")
    def level() -> str:
        return str(datasource.sql_session().execute(sa.text("show transaction_isolation")).scalar())

    assert bare("bread")
    assert level() == "repeatable read"
    assert items(orders) == ["bread"]
    with pytest.raises(AssertionError, match="in a transaction of this datasource"):
        datasource.sql_session()
    with pytest.raises(error.DBOSException, match="READ COMMITTED"):
        datasource.transaction(isolation_level="READ UNCOMMITTED")


class Noted(Session):
    """A session class of the user's."""


def test_an_engine_and_a_sessionmaker_of_the_users(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    engine = sa.create_engine(engine_url.replace("postgresql:", "postgresql+psycopg:"), pool_size=1)
    made = sessionmaker(class_=Noted)
    datasource = create(False, engine_url, engine=engine, sessionmaker=made)
    launch()
    kinds: list[tuple[type, ...]] = []

    Here.then = staticmethod(lambda: kinds.append(type(datasource.sql_session()).__mro__))
    with SetWorkflowID("w"):
        assert order("bread") == 1

    assert Noted in kinds[0]
    engine.dispose()


def test_arguments_that_cannot_work_are_refused(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    binds = sessionmaker(binds={Noted: sa.create_engine("sqlite://")})
    with pytest.raises(error.DBOSException, match="binds"):
        SQLAlchemyDatasource.create(engine_url, sessionmaker=binds)
    with pytest.raises(error.DBOSException, match="sqlite"):
        SQLAlchemyDatasource.create(engine_url, engine=sa.create_engine("sqlite://"))
    an_async_engine: Any = create_async_engine("postgresql+psycopg://")
    with pytest.raises(error.DBOSException, match="give a sqlalchemy Engine"):
        SQLAlchemyDatasource.create(engine_url, engine=an_async_engine)
    with pytest.raises(error.DBOSInitializationError, match="datasource"):
        SQLAlchemyDatasource.create("mysql://x")
    datasource = SQLAlchemyDatasource.create(engine_url)
    with pytest.raises(error.DBOSException, match="async def"):
        datasource.transaction(insert_async)
    other = asyncio.run(AsyncSQLAlchemyDatasource.create(engine_url))
    plain: Any = insert
    with pytest.raises(error.DBOSException, match="not async def"):
        other.transaction(plain)
    launch()
    with pytest.raises(error.DBOSException, match=r"after DBOS\.launch"):
        SQLAlchemyDatasource.create(engine_url)


def test_a_reserved_step_can_not_be_a_datasource_step(
    orders: Sql, engine_url: str, launch: Launch
) -> None:
    Here.datasource = create(False, engine_url)
    launch()

    with pytest.raises(error.DBOSException, match="reserved step"):
        reserved()


@DBOS.workflow()
def reserved() -> None:
    DBOS.reserve_step().run(None, Here.datasource.transaction(insert), "bread")


def test_the_table_is_created_verified_and_granted_ahead(shop: Sql, shop_url: str) -> None:
    datasource = create(False, shop_url, schema="ahead", run_migrations=False)
    with pytest.raises(error.DBOSInitializationError, match=r"ahead\.transaction_checkpoints"):
        datasource.verify_migrations()

    shop.execute("drop role if exists datasource_app")
    shop.execute("create role datasource_app")
    SQLAlchemyDatasource.migrate(shop_url, schema="ahead", application_role="datasource_app")

    datasource.verify_migrations()
    datasource.run_migrations()
    granted = shop.execute(
        "select has_table_privilege('datasource_app', 'ahead.transaction_checkpoints', 'insert')"
    ).fetchone()
    assert granted == (True,)
    shop.execute("drop schema ahead cascade")
    shop.execute("drop role datasource_app")


def test_forks_rewinds_and_deletions_take_the_checkpoints_along(
    sql: Sql, shop: Sql, shop_url: str, launch: Launch
) -> None:
    create(False, shop_url)
    launch()
    table = "pyengine.transaction_checkpoints"
    with SetWorkflowID("w"):
        DBOS.start_workflow(order_and_wait, "bread")
    eventually(lambda: sql.execute("select from pyengine.steps where name = 'insert'").fetchall())

    with SetWorkflowID("fork"):
        DBOS.fork_workflow("w", 2)
    copies = shop.execute(f"select workflow_id from {table} order by 1").fetchall()
    DBOS.delete_workflows(["w", "fork"])

    assert copies == [("fork",), ("w",)]
    assert shop.execute(f"select from {table}").fetchall() == []
    assert items(shop) == ["bread"]
