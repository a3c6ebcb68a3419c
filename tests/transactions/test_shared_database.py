"""Several engines with one application database: each has its own checkpoints there, and leaves the others' alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql as query

from pyengine import DBOS, DBOSClient, SetWorkflowID, embedded, schema
from pyengine.current import get_runtime
from pyengine.runtime.sweep import Sweep
from tests.transactions.conftest import Sql

Launch = Callable[..., None]
INSERT = "insert into orders (item) values (%s) returning id"


@DBOS.transaction()
def shared_insert(item: str) -> int:
    row = DBOS.sql_connection.execute(INSERT, [item]).fetchone()
    return int(row[0])


@DBOS.workflow()
def shared_order(item: str) -> int:
    return shared_insert(item)


@pytest.fixture
def other_url(server: embedded.Server, engine_url: str) -> Iterator[str]:
    """The database of a second engine, of the same schema's name."""
    name = str(psycopg.conninfo.conninfo_to_dict(engine_url)["dbname"]) + "_other"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            query.SQL("drop database if exists {} with (force)").format(query.Identifier(name))
        )
        connection.execute(query.SQL("create database {}").format(query.Identifier(name)))
    with psycopg.connect(server.dsn(name), autocommit=True) as connection:
        schema.migrate(connection)
    yield server.url(name)
    DBOS.destroy()
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(
            query.SQL("drop database {} with (force)").format(query.Identifier(name))
        )


def checkpoints(shop: Sql) -> list[tuple[str, int]]:
    """How many checkpoints each workflow has."""
    return shop.execute(
        "select workflow_id, count(*) from pyengine.transaction_checkpoints group by 1 order by 1"
    ).fetchall()


def sweep() -> None:
    Sweep(get_runtime("test").transactions, lambda job: job()).next_batch()


def order(workflow_id: str) -> int:
    with SetWorkflowID(workflow_id):
        return shared_order(workflow_id)


def test_each_sweeps_only_what_its_own_workflows_left(
    sql: Sql, shop: Sql, shop_url: str, other_url: str, launch: Launch
) -> None:
    launch(application_database_url=shop_url)
    order("ours")
    order("ours, gone")
    sql.execute("select pyengine.delete_workflows(array['ours, gone'])")
    launch(
        application_database_url=shop_url, system_database_url=other_url, listen_database_url=None
    )
    order("theirs")
    shop.execute(
        "update pyengine.transaction_checkpoints set created_at = created_at - interval '2 hours'"
    )

    sweep()
    assert checkpoints(shop) == [("ours", 1), ("ours, gone", 1), ("theirs", 1)]
    launch(application_database_url=shop_url)
    sweep()

    assert checkpoints(shop) == [("ours", 1), ("theirs", 1)]
    owners = "select count(distinct owner) from pyengine.checkpoint_upkeep"
    assert shop.execute(owners).fetchall() == [(2,)]


def test_one_id_in_both_is_two_workflows(
    sql: Sql, shop: Sql, shop_url: str, other_url: str, launch: Launch
) -> None:
    launch(application_database_url=shop_url)
    assert order("w") == 1
    DBOS.fork_workflow("w", 2).get_result()
    launch(
        application_database_url=shop_url, system_database_url=other_url, listen_database_url=None
    )
    assert order("w") == 2
    assert checkpoints(shop)[-1] == ("w", 2)

    DBOS.delete_workflow("w")
    assert checkpoints(shop)[-1] == ("w", 1)

    launch(application_database_url=shop_url)
    sql.execute("delete from pyengine.steps")  # as if the process had died between the two commits
    assert DBOS.fork_workflow("w", 2).get_result() == 1
    DBOS.rewind_workflow("w").get_result()
    assert shop.execute("select count(*) from orders").fetchone() == (3,)


def test_a_client_of_one_engine_forgets_nothing_of_the_other(
    shop: Sql, shop_url: str, other_url: str, launch: Launch, engine_url: str
) -> None:
    for url in (engine_url, other_url):
        launch(application_database_url=shop_url, system_database_url=url, listen_database_url=None)
        order("w")
    DBOS.destroy()
    with DBOSClient(system_database_url=other_url, application_database_url=shop_url) as client:
        client.delete_workflow("w")
        assert client.list_workflows() == []

    assert checkpoints(shop) == [("w", 1)]


def test_an_emptied_engine_is_the_same_engine(sql: Sql) -> None:
    before = sql.execute("select pyengine.engine_id()").fetchone()
    schema.reset(sql, truncate=True)

    assert sql.execute("select pyengine.engine_id()").fetchone() == before


def test_a_stranger_with_the_advisory_lock_keeps_no_launch_waiting_for_long(
    shop: Sql, shop_url: str, launch: Launch
) -> None:
    key = "hashtextextended('pyengine application pyengine', 0)"
    with psycopg.connect(shop_url, autocommit=True) as stranger:
        stranger.execute(f"select pg_advisory_lock({key})".encode())
        began = time.monotonic()
        launch(application_database_url=shop_url)
        assert time.monotonic() - began < 15
        assert order("w") == 1


def test_launches_agree_without_the_advisory_lock(shop_url: str) -> None:
    key = "hashtextextended('pyengine application Eigenes', 0)"
    created: list[bool] = []
    start = threading.Barrier(4)

    def prepare() -> None:
        with psycopg.connect(shop_url, autocommit=True) as connection:
            start.wait(10)
            created.append(schema.prepare_application(connection, schema="Eigenes"))

    threads = [threading.Thread(target=prepare) for _ in range(4)]
    with psycopg.connect(shop_url, autocommit=True) as stranger:
        stranger.execute(f"select pg_advisory_lock({key})".encode())
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

    assert sorted(created) == [False, False, False, True]
