"""Enqueueing and sending in a transaction of the application: it happens if, and only if, that commits."""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg

from pyengine.database.calls import BATCHES, Call
from pyengine.database.rows import StartAnswer
from pyengine.effects import Flow, drive
from pyengine.errors import DBOSException, translate
from pyengine.execution import Runtime
from pyengine.flows.workflows import start_error, start_write
from pyengine.preparation import Prepared

T = TypeVar("T")


def run_in_transaction(connection: Any, runtime: Runtime, prepared: Prepared) -> str:
    """Enqueue a prepared workflow on the caller's connection; the caller commits. The id of the workflow.

    Raises:
        DBOSException: The connection is of an unknown kind, or the enqueue was refused.
    """
    request = prepared.request
    if request.placement is not None and request.placement.return_existing:
        raise DBOSException(
            "duplication_policy 'return-existing' needs a transaction of its own: enqueue without one"
        )
    write = start_write(request)
    function, row = BATCHES[write.kind]
    call: Call[StartAnswer] = Call(function, {"requests": f"[{write.document}]"}, row)
    answers = call_in_transaction(connection, runtime, call)
    refused = start_error(request, answers[0], None) if answers else None
    if refused is not None:
        raise refused
    return request.workflow_id


def flow_in_transaction(connection: Any, runtime: Runtime, flow: Flow[T]) -> T:
    """Run a flow that does nothing but call the engine on the caller's connection; the caller commits.

    Raises:
        DBOSException: The connection is of an unknown kind, or the engine refuses a call.
    """

    def answer(effect: object) -> list[Any]:
        if not isinstance(effect, Call):
            raise AssertionError(f"{type(effect).__name__} does not fit a transaction")
        return call_in_transaction(connection, runtime, effect)

    return drive(flow, answer)


def call_in_transaction(connection: Any, runtime: Runtime, call: Call[T]) -> list[T]:
    """Make a call on the caller's connection, of psycopg or SQLAlchemy; the caller commits.

    Raises:
        DBOSException: The connection is of an unknown kind, or the engine refuses the call.
    """
    driver = _driver_connection(connection)
    text = call.text(runtime.engine.options.schema).encode()
    try:
        with psycopg.RawCursor(driver) as cursor:
            cursor.execute(text, list(call.arguments.values()))
            found = cursor.fetchall()
    except psycopg.Error as error:
        raise translate(error) from None
    row = call.row
    return [] if row is None else [row(*values) for values in found]


def _driver_connection(connection: Any) -> psycopg.Connection[Any]:
    """The psycopg connection under a connection or session.

    Raises:
        DBOSException: It is none of psycopg's.
    """
    if isinstance(connection, psycopg.Connection):
        return connection
    if callable(getattr(connection, "connection", None)):
        connection = connection.connection()
    if callable(getattr(connection, "in_transaction", None)) and not connection.in_transaction():
        # What goes past SQLAlchemy does not begin the transaction that its commit would end.
        connection.begin()
    pooled = getattr(connection, "connection", None)
    driver = getattr(pooled, "driver_connection", None)
    if not isinstance(driver, psycopg.Connection):
        raise DBOSException(
            "a transaction of yours is a psycopg.Connection, or a SQLAlchemy Connection or Session "
            f"that uses psycopg; it was given {type(connection).__name__}"
        )
    return driver
