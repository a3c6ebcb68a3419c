"""Enqueueing in a transaction of the application: the workflow exists if, and only if, that commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from pyengine.database.calls import BATCHES, Call
from pyengine.database.rows import StartAnswer
from pyengine.errors import DBOSException, translate
from pyengine.execution import Runtime
from pyengine.flows.workflows import start_error, start_write
from pyengine.preparation import Prepared


def run_in_transaction(connection: Any, runtime: Runtime, prepared: Prepared) -> str:
    """Enqueue a prepared workflow on the caller's connection; the caller commits. The id of the workflow.

    Raises:
        DBOSException: The connection is of an unknown kind, or the enqueue was refused.
    """
    request = prepared.request
    if request.placement is not None and request.placement.return_existing:
        raise DBOSException(
            "duplication_policy 'return-existing' needs a transaction of its own: use Queue.enqueue"
        )
    write = start_write(request)
    function, row = BATCHES[write.kind]
    call: Call[Any] = Call(function, {"requests": f"[{write.document}]"}, row)
    text = call.text(runtime.engine.options.schema)
    try:
        found = _execute(connection, text, f"[{write.document}]")
    except psycopg.Error as error:
        raise translate(error) from None
    answers = [StartAnswer(*values) for values in found]
    refused = start_error(request, answers[0], None) if answers else None
    if refused is not None:
        raise refused
    return request.workflow_id


def _execute(connection: Any, text: str, requests: str) -> Sequence[Sequence[Any]]:
    """Run the statement, which has one parameter, on a connection of psycopg or SQLAlchemy."""
    driver = _driver_connection(connection)
    with psycopg.RawCursor(driver) as cursor:
        cursor.execute(text.encode(), [requests])
        return [tuple(values) for values in cursor.fetchall()]


def _driver_connection(connection: Any) -> psycopg.Connection[Any]:
    """The psycopg connection under a connection or session.

    Raises:
        DBOSException: It is none of psycopg's.
    """
    if isinstance(connection, psycopg.Connection):
        return connection
    if callable(getattr(connection, "connection", None)):
        connection = connection.connection()
    pooled = getattr(connection, "connection", None)
    driver = getattr(pooled, "driver_connection", None)
    if not isinstance(driver, psycopg.Connection):
        raise DBOSException(
            "enqueue_in_transaction takes a psycopg.Connection, or a SQLAlchemy Connection or Session "
            f"that uses psycopg; it was given {type(connection).__name__}"
        )
    return driver
