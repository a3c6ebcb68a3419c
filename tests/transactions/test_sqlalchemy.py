"""`DBOS.sql_session`: the examples of the tutorials, and what a session may and may not do."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Column, MetaData, String, Table
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pyengine import DBOS, SetWorkflowID, error
from pyengine.current import get_runtime
from tests.transactions.conftest import Sql

metadata = MetaData()
users = Table("users", metadata, Column("id", String, primary_key=True), Column("name", String))


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(sa.Identity(always=True), primary_key=True)
    item: Mapped[str]


@pytest.fixture
def people(sql: Sql) -> Sql:
    sql.execute("drop table if exists users, customer_orders, inventory")
    sql.execute("create table users (id text primary key, name text)")
    sql.execute(
        "create table customer_orders (id bigint generated always as identity, order_id text, "
        "customer_id text, total float8, status text)"
    )
    sql.execute("create table inventory (product_id text, quantity int)")
    sql.execute("insert into inventory values ('p', 10)")
    return sql


@DBOS.transaction()
def save_order(order_id: str, customer_id: str, total: float) -> int:
    result = DBOS.sql_session.execute(
        sa.text(
            "INSERT INTO customer_orders (order_id, customer_id, total, status) "
            "VALUES (:order_id, :customer_id, :total, 'pending') "
            "RETURNING id"
        ),
        {"order_id": order_id, "customer_id": customer_id, "total": total},
    )
    row = result.fetchone()
    return int(row[0])


@DBOS.transaction()
def update_inventory(items: list[dict[str, Any]]) -> None:
    for item in items:
        DBOS.sql_session.execute(
            sa.text("UPDATE inventory SET quantity = quantity - :qty WHERE product_id = :pid"),
            {"qty": item["quantity"], "pid": item["product_id"]},
        )


@DBOS.workflow()
def order_with_database_workflow(order_id: str, items: list[dict[str, Any]]) -> int:
    number = save_order(order_id, "c", 12.5)
    update_inventory(items)
    return number


backends: list[int] = []


@DBOS.transaction()
def lose_the_session_once() -> int:
    session = DBOS.sql_session
    pid = session.scalar(sa.text("select pg_backend_pid()"))
    backends.append(pid)
    if len(backends) == 1:
        with psycopg.connect(get_runtime("test").engine.options.database_url) as other:
            other.execute("select pg_terminate_backend(%s, 5000)", [pid])
        session.scalar(sa.text("select 1"))
    return len(backends)


def test_a_session_that_is_lost_is_replaced_without_an_outcry(
    people: Sql, dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    backends.clear()

    assert lose_the_session_once() == 2

    assert not [each for each in caplog.records if each.name.startswith("sqlalchemy")]


def test_the_order_tutorial_works(
    people: Sql, dbos: type[DBOS], run_again: Callable[[str], None]
) -> None:
    with SetWorkflowID("w"):
        assert order_with_database_workflow("o-1", [{"product_id": "p", "quantity": 3}]) == 1

    run_again("w")

    assert DBOS.retrieve_workflow("w").get_result() == 1
    assert people.execute("select order_id, total from customer_orders").fetchall() == [
        ("o-1", 12.5)
    ]
    assert people.execute("select quantity from inventory").fetchone() == (7,)
    steps = people.execute("select xmin::text from pyengine.steps order by step_id").fetchall()
    rows = people.execute(
        "select xmin::text from customer_orders union all select xmin::text from inventory"
    ).fetchall()
    assert steps == rows


@DBOS.transaction()
def create_user(user_id: str, name: str) -> None:
    DBOS.sql_session.execute(users.insert().values(id=user_id, name=name))


@DBOS.transaction()
def get_user(user_id: str) -> dict[str, Any] | None:
    result = DBOS.sql_session.execute(users.select().where(users.c.id == user_id)).fetchone()
    return dict(result._mapping) if result else None


@DBOS.workflow()
def user_workflow(user_id: str, name: str) -> dict[str, Any] | None:
    create_user(user_id, name)
    return get_user(user_id)


def test_the_user_tutorial_works(people: Sql, dbos: type[DBOS]) -> None:
    assert user_workflow("u", "Ada") == {"id": "u", "name": "Ada"}
    assert get_user("nobody") is None


def test_dict_of_a_row_is_refused_by_sqlalchemy_itself_and_recorded(
    people: Sql, dbos: type[DBOS]
) -> None:
    """`dict(row)` was right in SQLAlchemy 1.x; a Row of 2.x is a tuple, and `row._mapping` is the dict."""
    create_user("u", "Ada")

    with pytest.raises(ValueError, match="dictionary update sequence"):
        get_user_as_in_the_tutorial("u")


@DBOS.transaction()
def get_user_as_in_the_tutorial(user_id: str) -> dict[str, Any] | None:
    result = DBOS.sql_session.execute(users.select().where(users.c.id == user_id)).fetchone()
    return dict(result) if result else None


@DBOS.transaction()
def add_object(item: str) -> None:
    DBOS.sql_session.add(Order(item=item))


def test_objects_are_flushed_before_the_commit(
    items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    add_object("bread")

    assert items() == ["bread"]


def test_a_flush_that_fails_is_the_outcome_with_its_own_error(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    orders.execute("create unique index on orders (item)")
    add_object("bread")

    with pytest.raises(IntegrityError):
        add_object("bread")

    assert items() == ["bread"]


def test_a_swallowed_failure_of_a_flush_commits_nothing(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    orders.execute("create unique index on orders (item)")
    add_object("bread")

    with pytest.raises(Exception, match=r"rolled back|rollback"):
        swallow_failure("bread")

    assert items() == ["bread"]


@DBOS.transaction()
def swallow_failure(item: str) -> None:
    session = DBOS.sql_session
    session.execute(sa.text("insert into orders (item) values ('before')"))
    session.add(Order(item=item))
    with pytest.raises(IntegrityError):
        session.flush()


def test_a_nested_transaction_of_the_session_undoes_a_part(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    orders.execute("create unique index on orders (item)")

    add_twice("bread")

    assert items() == ["bread"]


@DBOS.transaction()
def add_twice(item: str) -> None:
    session = DBOS.sql_session
    session.add(Order(item=item))
    session.flush()
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(sa.text("insert into orders (item) values (:item)"), {"item": item})


def with_begin(session: Any) -> None:
    with session.begin():
        session.execute(sa.text("insert into orders (item) values ('bread')"))


@pytest.mark.parametrize(
    "end",
    [
        lambda session: session.commit(),
        lambda session: session.rollback(),
        lambda session: session.close(),
        lambda session: session.connection().connection.commit(),
        lambda session: session.execute(sa.text("COMMIT")),
    ],
    ids=["commit", "rollback", "close", "driver", "statement"],
)
def test_the_session_must_not_end_the_transaction(
    orders: Sql, dbos: type[DBOS], end: Callable[[Any], None], request: pytest.FixtureRequest
) -> None:
    @DBOS.transaction(name=f"end by {request.node.callspec.id}")
    def end_it() -> None:
        DBOS.sql_session.execute(sa.text("select 1"))
        end(DBOS.sql_session)

    with pytest.raises(error.DBOSException, match="the engine commits when the function returns"):
        end_it()


def test_a_block_that_commits_the_session_commits_nothing(
    items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    with pytest.raises(error.DBOSException, match="the engine commits when the function returns"):
        begin_in_transaction()

    assert items() == []
    add_object("milk")
    assert items() == ["milk"]


@DBOS.transaction()
def begin_in_transaction() -> None:
    with_begin(DBOS.sql_session)


@pytest.mark.parametrize("first", ["session", "connection"])
def test_the_session_and_the_connection_share_one_transaction(
    items: Callable[[], list[str]], dbos: type[DBOS], first: str
) -> None:
    assert use_both(first) == ["one", "two"]
    assert items() == ["one", "two"]


@DBOS.transaction()
def use_both(first: str) -> list[str]:
    insert = "insert into orders (item) values ('{}')"
    writes = {
        "session": lambda item: DBOS.sql_session.execute(sa.text(insert.format(item))),
        "connection": lambda item: DBOS.sql_connection.execute(insert.format(item)),
    }
    writes.pop(first)("one")
    writes.popitem()[1]("two")
    found = DBOS.sql_session.execute(sa.text("select item from orders order by id"))
    return [str(row[0]) for row in found]


def test_a_failed_serialization_inside_a_session_is_run_again(
    orders: Sql, items: Callable[[], list[str]], dbos: type[DBOS]
) -> None:
    tries.clear()
    fail_once("bread")

    assert items() == ["bread"]
    assert len(tries) == 2


tries: list[int] = []


@DBOS.transaction()
def fail_once(item: str) -> None:
    tries.append(1)
    DBOS.sql_session.add(Order(item=item))
    if len(tries) == 1:
        DBOS.sql_session.execute(
            sa.text("do $$ begin raise sqlstate '40001' using message = 'again'; end $$")
        )


def test_without_sqlalchemy_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "from pyengine.runtime.open_transaction import Transaction\n"
        "from types import SimpleNamespace\n"
        "try: Transaction(SimpleNamespace()).session\n"
        "except Exception as raised: print(raised)\n"
    )

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert "pyengine[sqlalchemy]" in shown
    assert "DBOS.sql_connection" in shown


def test_sqlalchemy_is_imported_only_when_a_session_is_asked_for() -> None:
    program = "import pyengine, sys; print('sqlalchemy' in sys.modules)"

    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert shown.strip() == "False"
