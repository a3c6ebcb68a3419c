"""Connections for the user's own statements: psycopg connections that only the engine may commit.

They are in autocommit mode and transactions are begun and ended by explicit statements. So whatever the user's
code does with `connection.transaction()` is a savepoint, and nothing but the engine ends the transaction.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import psycopg_pool
from psycopg import pq
from psycopg.rows import tuple_row

from pyengine.database.session import check_result
from pyengine.errors import DBOSException

_KEEPALIVE: Mapping[str, Any] = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 15_000,
}
_MAX_IDLE_SECONDS = 60.0
_HINT = (
    "the engine commits when the function returns, together with the step's checkpoint, and rolls back when it "
    "raises; use a savepoint (session.begin_nested(), connection.transaction()) to undo a part"
)


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionOptions:
    """Where the user's statements go, and with how many connections.

    Args:
        url: The database, for libpq.
        application_name: Shown by the server.
        size: The most connections at a time.
        timeout: Seconds to wait for a free one.
        arguments: Further libpq parameters.
        prepare: Whether statements may be prepared; not behind a transaction pooler.
    """

    url: str
    application_name: str
    size: int
    timeout: float
    arguments: Mapping[str, Any] = field(default_factory=dict)
    prepare: bool = True

    def parameters(self) -> dict[str, Any]:
        """What psycopg is to be given besides the URL."""
        return {
            "autocommit": True,
            "application_name": self.application_name,
            "connect_timeout": 10,
            "prepare_threshold": 5 if self.prepare else None,
            **_KEEPALIVE,
            **self.arguments,
        }


def refuse(what: str) -> DBOSException:
    """The error for an attempt to end the engine's transaction."""
    return DBOSException(f"{what} was called inside a transactional step: {_HINT}")


class StepConnection(psycopg.Connection[Any]):
    """A connection whose user can't end the transaction while `is_guarded`.

    A rollback only marks it, because SQLAlchemy rolls back on its own when a flush fails: the transaction
    then stays open and can't be committed any more.
    """

    is_guarded = False
    is_rolled_back = False
    bind: Any = None

    def begin(self, text: str) -> None:
        """Begin a transaction by this text, for one who has the connection to himself."""
        self._execute_plainly(text.encode())

    def commit(self) -> None:
        """Commit; refused while the user's function runs.

        At the level of libpq, which takes a fraction of the driver's time.
        """
        if self.is_guarded:
            raise refuse("commit()")
        if self.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            self._execute_plainly(b"COMMIT")

    def _execute_plainly(self, text: bytes) -> None:
        try:
            check_result(self.pgconn.exec_(text))
        except psycopg.OperationalError as error:
            # Without a code it is libpq that failed, which may not count the connection as lost yet.
            if error.sqlstate is None:
                self.close()
            raise

    def rollback(self) -> None:
        """Roll back; while the user's function runs this only marks the transaction."""
        if self.is_guarded:
            self.is_rolled_back = True
        else:
            super().rollback()

    def close(self) -> None:
        """Close; refused while the user's function runs. SQLAlchemy does so with one that is lost: it stays lost."""
        if not self.is_guarded:
            super().close()
        elif not self.broken:
            raise refuse("close()")


class AsyncStepConnection(psycopg.AsyncConnection[Any]):
    """As `StepConnection`, for coroutines."""

    is_guarded = False
    is_rolled_back = False
    bind: Any = None

    async def commit(self) -> None:
        """Commit; refused while the user's function runs."""
        if self.is_guarded:
            raise refuse("commit()")
        await super().commit()

    async def rollback(self) -> None:
        """Roll back; while the user's function runs this only marks the transaction."""
        if self.is_guarded:
            self.is_rolled_back = True
        else:
            await super().rollback()

    async def close(self) -> None:
        """As `StepConnection.close`."""
        if not self.is_guarded:
            await super().close()
        elif not self.broken:
            raise refuse("close()")


_OWN_PID = "select pg_catalog.pg_backend_pid()"


def _configure(connection: StepConnection) -> None:
    """Prepare no statements behind a transaction pooler; see `pyengine.database.session.is_pooled`."""
    row = connection.execute(_OWN_PID, prepare=False).fetchone()
    if row != (connection.info.backend_pid,):
        connection.prepare_threshold = None


async def _configure_async(connection: AsyncStepConnection) -> AsyncStepConnection:
    """As `_configure`."""
    row = await (await connection.execute(_OWN_PID, prepare=False)).fetchone()
    if row != (connection.info.backend_pid,):
        connection.prepare_threshold = None
    return connection


def _reset(connection: StepConnection | AsyncStepConnection) -> None:
    """Forget what the last user set on the connection."""
    connection.is_guarded = connection.is_rolled_back = False
    if connection.row_factory is not tuple_row:
        connection.row_factory = tuple_row


class ThreadConnections:
    """A pool for threads; it opens nothing until the first is asked for."""

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pool: psycopg_pool.ConnectionPool[StepConnection] | None = None
        self._is_closed = False

    @contextmanager
    def use(self) -> Iterator[StepConnection]:
        """A connection for the length of the block, in which it must begin and end its transaction.

        Raises:
            psycopg.OperationalError: The database can't be reached, or none was free in time.
        """
        pool = self._open()
        connection = pool.getconn()
        try:
            yield connection
        finally:
            _reset(connection)
            pool.putconn(connection)

    def drop_broken(self) -> None:
        """Close idle connections that the server has closed: after an outage all of them have to be replaced."""
        if self._pool is not None:
            self._pool.check()

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they are returned."""
        with self._lock:
            self._is_closed = True
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _open(self) -> psycopg_pool.ConnectionPool[StepConnection]:
        pool = self._pool
        if pool is not None:
            return pool
        with self._lock:
            if self._is_closed:
                raise DBOSException("pyengine is shutting down: no transaction can begin")
            if self._pool is None:
                self._pool = psycopg_pool.ConnectionPool(
                    self._options.url,
                    connection_class=StepConnection,
                    kwargs=self._options.parameters(),
                    configure=_configure,
                    min_size=0,
                    max_size=self._options.size,
                    timeout=self._options.timeout,
                    max_idle=_MAX_IDLE_SECONDS,
                    num_workers=1,
                    name="pyengine-transactions",
                    open=True,
                )
            return self._pool


class _LoopPool:
    """The connections of one event loop."""

    def __init__(self, size: int) -> None:
        self.slots = asyncio.Semaphore(size)
        self.idle: deque[tuple[float, AsyncStepConnection]] = deque()

    def finish(self, idle_since: float) -> None:
        """Close the idle connections that nobody used since then (monotonic seconds), without awaiting."""
        while self.idle and self.idle[0][0] <= idle_since:
            finish(self.idle.popleft()[1])


class LoopConnections:
    """Connections for coroutines: each event loop has its own, and they end with it."""

    def __init__(self, options: ConnectionOptions) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._pools: dict[asyncio.AbstractEventLoop, _LoopPool] = {}
        self._is_closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator[AsyncStepConnection]:
        """As `ThreadConnections.use`, on the running loop."""
        pool = self._pool_of(asyncio.get_running_loop())
        try:
            await asyncio.wait_for(pool.slots.acquire(), self._options.timeout)
        except asyncio.TimeoutError:
            raise psycopg.OperationalError(
                f"no free connection within {self._options.timeout:g} s: all {self._options.size} are in use"
            ) from None
        try:
            connection = await self._take(pool)
            try:
                yield connection
            finally:
                self._give_back(pool, connection)
        finally:
            pool.slots.release()

    def drop_broken(self) -> None:
        """Close the idle connections of the running loop: after an outage the server has closed them."""
        pool = self._pools.get(asyncio.get_running_loop())
        if pool is not None:
            pool.finish(time.monotonic())

    def close(self) -> None:
        """Close all idle connections; those in use are closed when they are returned."""
        with self._lock:
            self._is_closed = True
            for pool in self._pools.values():
                pool.finish(time.monotonic())
            self._pools.clear()

    async def _take(self, pool: _LoopPool) -> AsyncStepConnection:
        while pool.idle:
            connection = pool.idle.pop()[1]
            if not connection.closed:
                return connection
        return await _configure_async(
            await AsyncStepConnection.connect(self._options.url, **self._options.parameters())
        )

    def _give_back(self, pool: _LoopPool, connection: AsyncStepConnection) -> None:
        _reset(connection)
        now = time.monotonic()
        is_idle = connection.info.transaction_status == pq.TransactionStatus.IDLE
        if self._is_closed or not is_idle:
            finish(connection)
        else:
            pool.idle.append((now, connection))
        pool.finish(now - _MAX_IDLE_SECONDS)

    def _pool_of(self, loop: asyncio.AbstractEventLoop) -> _LoopPool:
        pool = self._pools.get(loop)
        if pool is not None:
            return pool
        with self._lock:
            if self._is_closed:
                raise DBOSException("pyengine is shutting down: no transaction can begin")
            for ended in [each for each in self._pools if each.is_closed()]:
                self._pools.pop(ended).finish(time.monotonic())
            return self._pools.setdefault(loop, _LoopPool(self._options.size))


def finish(connection: psycopg.AsyncConnection[Any]) -> None:
    """Close a connection without its loop, which may have ended: closing sends a farewell and waits for nothing."""
    closing = connection.close()
    try:
        closing.send(None)
    except StopIteration:
        return
    closing.close()
