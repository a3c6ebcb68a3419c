"""Enqueueing in a transaction of the application."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import sqlalchemy.orm

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.error import DBOSException

orders = Queue("orders-in-transaction")


@DBOS.workflow()
def ship(order_id: int) -> str:
    return f"shipped {order_id}"


@DBOS.transaction()
def place(order_id: int) -> str:
    return orders.enqueue_in_transaction(DBOS.sql_connection, ship, order_id).workflow_id


@DBOS.workflow()
def place_and_ship(order_id: int) -> Any:
    return DBOS.retrieve_workflow(place(order_id)).get_result()


def test_an_enqueue_exists_only_if_its_transaction_commits(
    dbos: type[DBOS], engine_url: str
) -> None:
    with psycopg.connect(engine_url) as connection:
        with SetWorkflowID("rolled-back"):
            orders.enqueue_in_transaction(connection, ship, 1)
        connection.rollback()
        with SetWorkflowID("committed"):
            handle = orders.enqueue_in_transaction(connection, ship, 2)
        assert DBOS.get_workflow_status("committed") is None

    assert handle.get_result() == "shipped 2"
    assert DBOS.get_workflow_status("rolled-back") is None


def test_a_sqlalchemy_session_will_do(dbos: type[DBOS], engine_url: str) -> None:
    engine = sa.create_engine(engine_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with sa.orm.Session(engine) as session:
        handle = orders.enqueue_in_transaction(session, ship, 3)
        session.commit()
    engine.dispose()

    assert handle.get_result() == "shipped 3"


def test_a_sqlalchemy_connection_will_do_even_if_nothing_was_executed_on_it(
    dbos: type[DBOS], engine_url: str
) -> None:
    engine = sa.create_engine(engine_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        handle = orders.enqueue_in_transaction(connection, ship, 5)
        connection.commit()
    engine.dispose()

    assert DBOS.get_workflow_status(handle.workflow_id) is not None


def test_a_transactional_step_enqueues_with_its_own_commit(dbos: type[DBOS]) -> None:
    assert place_and_ship(4) == "shipped 4"


def test_what_can_not_work_is_refused(dbos: type[DBOS], engine_url: str) -> None:
    with pytest.raises(DBOSException, match=r"psycopg\.Connection"):
        orders.enqueue_in_transaction("not a connection", ship, 1)
    with (
        psycopg.connect(engine_url) as connection,
        SetEnqueueOptions(deduplication_id="d", duplication_policy="return-existing"),
        pytest.raises(DBOSException, match="transaction of its own"),
    ):
        orders.enqueue_in_transaction(connection, ship, 1)
