from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql as query

from pyengine import embedded
from tests.transactions.proxy import CommitProxy

Sql = psycopg.Connection[Any]


@pytest.fixture
def orders(sql: Sql) -> Sql:
    """A connection, and the tables that transactional steps write: without any unique constraint."""
    sql.execute("drop table if exists orders, stock")
    sql.execute("create table orders (id bigint generated always as identity, item text)")
    sql.execute("create table stock (item text, quantity int)")
    return sql


@pytest.fixture
def items(orders: Sql) -> Callable[[], list[str]]:
    """What is in the table, in order."""

    def read() -> list[str]:
        rows = orders.execute("select item from orders order by id").fetchall()
        return [row[0] for row in rows]

    return read


@pytest.fixture
def run_again(sql: Sql) -> Callable[[str], None]:
    """Make a finished workflow runnable again, as if its process had died after the last step."""

    def make_runnable(workflow_id: str) -> None:
        sql.execute(
            "update pyengine.workflows set status = 'ENQUEUED', lease_token = null, output = null, "
            "error = null, finished_at = null where workflow_id = %s",
            [workflow_id],
        )
        sql.execute("select pyengine._wake(array[pyengine.wait_key('work', '')])")

    return make_runnable


@pytest.fixture
def proxy(engine_url: str) -> Iterator[CommitProxy]:
    with CommitProxy(engine_url) as running:
        yield running


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
