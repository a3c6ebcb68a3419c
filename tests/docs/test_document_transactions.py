"""The documents' examples with transactions and with FastAPI, on tables as the documents assume them."""

from __future__ import annotations

import asyncio
import sys
import types
import warnings
from typing import Any

import psycopg
import pytest
import sqlalchemy

from pyengine import DBOS, SetWorkflowID
from tests.docs.test_documents import ITEMS, Load, Service, database, dbos, load
from tests.workflows.support import steps_of

__all__ = ["database", "dbos", "load"]

Connection = psycopg.Connection[Any]
TABLES = """
    drop table if exists order_items, orders, inventory, users;
    create table orders (
        id serial primary key, order_id text, customer_id text, total numeric, status text, created_at timestamp);
    create table order_items (order_id int, product_id text, quantity int, price numeric);
    create table inventory (product_id text, quantity int);
    create table users (id text primary key, name text);
    insert into inventory values ('soap', 10);
"""


@pytest.fixture
def tables(database: Connection) -> Connection:
    """The tables that the examples write."""
    for statement in TABLES.split(";"):
        database.execute(statement.encode())
    return database


def rows(tables: Connection, query: str) -> list[tuple[Any, ...]]:
    return tables.execute(query.encode()).fetchall()


def test_transactions(dbos: type[DBOS], load: Load, tables: Connection) -> None:
    example = load("intro_transactions")

    with SetWorkflowID("order"):
        result = example.order_with_database_workflow("7", "ada", ITEMS)

    assert result == {"order_id": "7", "db_id": 1, "total": 40.0}
    assert rows(tables, "select order_id, status from orders") == [("7", "pending")]
    assert rows(tables, "select quantity from inventory") == [(8,)]
    assert [name for _, name in steps_of("order")] == [
        "calculate_total",
        "save_order",
        "update_inventory",
        "send_confirmation_email",
    ]


def test_the_complete_example(dbos: type[DBOS], load: Load, tables: Connection) -> None:
    gateway, mail = Service(charge="paid-1"), Service()
    example = load(
        "intro_complete",
        check_stock=lambda product, count: count < 5,
        payment_gateway=gateway,
        email_service=mail,
    )

    result = example.process_customer_order("7", "ada", "ada@example.com", ITEMS)

    assert result == {
        "order_id": "7",
        "db_id": 1,
        "transaction_id": "paid-1",
        "total": pytest.approx(53.2),
        "status": "completed",
    }
    assert rows(tables, "select order_id, product_id, quantity from order_items") == [
        (1, "soap", 2)
    ]
    assert gateway.asked == [("charge", "ada", pytest.approx(53.2))]
    assert [asked[0] for asked in mail.asked] == ["send"]


def test_the_complete_example_without_stock(
    dbos: type[DBOS], load: Load, tables: Connection
) -> None:
    example = load("intro_complete", check_stock=lambda product, count: False)

    with pytest.raises(Exception, match="Insufficient inventory"), SetWorkflowID("no-stock"):
        example.process_customer_order("7", "ada", "ada@example.com", ITEMS)

    assert rows(tables, "select count(*) from orders") == [(0,)]
    with pytest.raises(Exception, match="Insufficient inventory"):
        DBOS.get_result("no-stock")


def test_transactions_with_table_objects(dbos: type[DBOS], load: Load, tables: Connection) -> None:
    """The document's `dict(result)` needs a mapping, which rows of SQLAlchemy 2 are not: the step's error."""
    example = load("overview_transactions")

    with SetWorkflowID("user"), pytest.raises((TypeError, ValueError)):
        example.user_workflow("1", "Ada")

    assert rows(tables, "select id, name from users") == [("1", "Ada")]
    assert [name for _, name in steps_of("user")] == ["create_user", "get_user"]
    assert example.get_user("2") is None


def test_a_transaction_in_a_coroutine_workflow(
    dbos: type[DBOS], load: Load, tables: Connection
) -> None:
    statement = sqlalchemy.text("insert into users values ('async', :data)")
    example = load("async_transaction", STATEMENT=statement, data="Ada")

    with SetWorkflowID("async-transaction"):
        asyncio.run(example.async_workflow())

    assert rows(tables, "select name from users") == [("Ada",)]
    assert steps_of("async-transaction") == [(1, "sync_transaction")]


def test_fastapi(dbos: type[DBOS], load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # newer releases would rather have another HTTP client under it
        from fastapi.testclient import TestClient
    monkeypatch.setitem(sys.modules, "uvicorn", types.ModuleType("uvicorn"))
    example = load("overview_fastapi")
    client = TestClient(example.app)

    assert client.post("/orders/7").json() == {"order_id": "7", "status": "processed"}
    with SetWorkflowID("order-7"):
        example.create_order("7")
    status = client.get("/orders/order-7/status").json()

    assert (status["workflow_id"], status["status"]) == ("order-7", "SUCCESS")
    assert status["output"] == {"order_id": "7", "status": "processed"}
    assert client.get("/orders/nobody/status").json() is None
