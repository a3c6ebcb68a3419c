"""One server session at the level of libpq, usable from any thread or event loop, by one user at a time.

Why below `psycopg.Connection`: its cursors belong either to threads or to one event loop, and cost twice as much
processor time per statement as a prepared statement with ready-made parameters does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg import adapt, errors, pq
from psycopg.types.string import TextBinaryLoader

from pyengine.database.calls import Call
from pyengine.errors import DBOSInvalidArgumentError

Parameters = Sequence["pq.abc.Buffer | None"]

BINARY = pq.Format.BINARY
_OWN_PID = b"select pg_catalog.pg_backend_pid()"
_OK = frozenset((pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK))

# A prepared statement is gone (a pooler, DISCARD ALL) or its result type changed (an upgrade beside us).
_STALE_STATEMENT = frozenset(("26000", "0A000"))


class _Context:
    """Adapters of the engine's own statements: json stays text."""

    def __init__(self) -> None:
        self.adapters = adapt.AdaptersMap(psycopg.adapters)
        self.adapters.register_loader("json", TextBinaryLoader)
        self.connection = None


_CONTEXT = _Context()


def encode_parameter(value: object) -> bytes | None:
    """A parameter in PostgreSQL's text format."""
    if value is None:
        return None
    if isinstance(value, str):
        if "\x00" in value:
            raise DBOSInvalidArgumentError(
                "PostgreSQL text cannot contain the NUL character (0x00)"
            )
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, (int, float, UUID)):
        return str(value).encode()
    if isinstance(value, datetime):
        return value.isoformat().encode()
    if isinstance(value, timedelta):
        return f"{value / timedelta(microseconds=1):.0f} microseconds".encode()
    if isinstance(value, (list, tuple)):
        return _encode_array(value).encode()
    hint = ": give its workflow_id" if hasattr(value, "workflow_id") else ""
    raise TypeError(f"a value of type {type(value).__name__} can't be an argument here{hint}")


def _encode_array(values: Sequence[object]) -> str:
    def element(value: object) -> str:
        if value is None:
            return "NULL"
        text = (encode_parameter(value) or b"").decode()
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return "{" + ",".join(map(element, values)) + "}"


def check_result(result: pq.abc.PGresult) -> pq.abc.PGresult:
    """The result of a statement that succeeded; raises psycopg.Error otherwise."""
    if result.status not in _OK:
        error = errors.error_from_result(result, "utf-8")
        # Only libpq itself fails without a code, when the server is gone: psycopg has no class for that.
        raise error if error.sqlstate else psycopg.OperationalError(str(error))
    return result


def is_pooled(connection: psycopg.Connection[Any]) -> bool:
    """Whether a pooler is in between: then the server process is not the one that the connection was told of.

    Statements must not be prepared there: the next one may go to another server process, where the name is unknown,
    or stands for another program's statement.
    """
    found = check_result(connection.pgconn.exec_(_OWN_PID))
    return found.get_value(0, 0) != str(connection.pgconn.backend_pid).encode()


class Session:
    """A connection that executes statements, blocking or on an event loop."""

    def __init__(self, connection: psycopg.Connection[Any], *, prepare: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._prepare = prepare
        self._prepared: dict[str, bytes] = {}

    @classmethod
    def connect(cls, url: str, *, application_name: str, prepare: bool = True) -> Session:
        """Open a session (blocking); raises psycopg.OperationalError."""
        connection = psycopg.connect(
            url,
            autocommit=True,
            application_name=application_name,
            connect_timeout=10,
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=2,
            tcp_user_timeout=15_000,
        )
        return cls(connection, prepare=prepare and not is_pooled(connection))

    @property
    def backend_pid(self) -> int:
        """Process id of the server side."""
        return self._pgconn.backend_pid

    @property
    def broken(self) -> bool:
        """True when the session is lost or in the middle of something."""
        pgconn = self._pgconn
        return (
            pgconn.status != pq.ConnStatus.OK
            or pgconn.transaction_status != pq.TransactionStatus.IDLE
        )

    def close(self) -> None:
        """Close the session; never raises."""
        self._connection.close()

    def execute(self, text: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Execute one statement and wait for its rows; raises psycopg.Error."""
        pgconn = self._pgconn
        try:
            if not self._prepare:
                result = pgconn.exec_params(text.encode(), parameters, result_format=BINARY)
            else:
                result = pgconn.exec_prepared(
                    self._statement(text),
                    parameters,  # type: ignore[arg-type]  # psycopg's annotation forgets None
                    result_format=BINARY,
                )
            return self._rows(result)
        except errors.Error as error:
            if not self._forget_if_stale(text, error):
                raise
        return self.execute(text, parameters)

    def call(self, call: Call[Any], schema: str) -> list[Any]:
        """Execute a call and wait: its rows as dataclasses, or the values of a scalar function."""
        parameters = [encode_parameter(value) for value in call.arguments.values()]
        return make_rows(call, self.execute(call.text(schema), parameters))

    def start(
        self,
        loop: asyncio.AbstractEventLoop,
        text: str,
        parameters: Parameters,
        done: Callable[[list[tuple[Any, ...]] | None, BaseException | None], None],
    ) -> None:
        """Send one statement and return; `done(rows, error)` is called on the loop with its outcome."""
        pgconn = self._pgconn
        try:
            name = self._statement(text) if self._prepare else b""
            pgconn.nonblocking = 1
            if self._prepare:
                pgconn.send_query_prepared(name, parameters, result_format=BINARY)
            else:
                pgconn.send_query_params(text.encode(), parameters, result_format=BINARY)
            socket = pgconn.socket
            unsent = pgconn.flush()
        except errors.Error as error:
            loop.call_soon(done, None, error)
            return

        def settle(rows: list[tuple[Any, ...]] | None, error: BaseException | None) -> None:
            loop.remove_reader(socket)
            loop.remove_writer(socket)
            if isinstance(error, errors.Error) and self._forget_if_stale(text, error):
                self.start(loop, text, parameters, done)
            else:
                done(rows, error)

        def readable() -> None:
            try:
                pgconn.consume_input()
                if pgconn.is_busy():
                    return
                rows = self._rows(self._collect())
            except BaseException as error:
                settle(None, error)
            else:
                settle(rows, None)

        def writable() -> None:
            try:
                if not pgconn.flush():
                    loop.remove_writer(socket)
            except errors.Error as error:
                settle(None, error)

        loop.add_reader(socket, readable)
        if unsent:
            loop.add_writer(socket, writable)

    def _collect(self) -> pq.abc.PGresult:
        # A statement that has answered may still fail: its commit comes after the answer, and so does its error.
        result: pq.abc.PGresult | None = None
        while (found := self._pgconn.get_result()) is not None:
            if result is None or found.status not in _OK:
                result = found
        self._pgconn.nonblocking = 0
        if result is None:
            raise psycopg.OperationalError("the server closed the connection")
        return result

    def _statement(self, text: str) -> bytes:
        """Name of the prepared statement; preparing it blocks, once per session and statement."""
        name = self._prepared.get(text)
        if name is None:
            name = b"pyengine_%d" % len(self._prepared)
            check_result(self._pgconn.prepare(name, text.encode()))
            self._prepared[text] = name
        return name

    def _forget_if_stale(self, text: str, error: errors.Error) -> bool:
        if error.sqlstate not in _STALE_STATEMENT or self._prepared.pop(text, None) is None:
            return False
        self._prepare = False
        return True

    def _rows(self, result: pq.abc.PGresult) -> list[tuple[Any, ...]]:
        check_result(result)
        count = result.ntuples
        if not count:
            return []
        transformer = adapt.Transformer(_CONTEXT)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, count, tuple)


def make_rows(call: Call[Any], found: list[tuple[Any, ...]]) -> list[Any]:
    """Rows of a call as its dataclass, or bare values when it is scalar."""
    if call.row is None:
        return [row[0] for row in found]
    return [call.row(*row) for row in found]
