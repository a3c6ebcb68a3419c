"""Transactions of SQLAlchemy sessions: one attempt at a datasource's step, or at a plain transaction.

Imported only when a datasource is created: it needs SQLAlchemy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import psycopg
from psycopg import pq
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from pyengine.attempts import Committed, Ending, Failed, Repeat
from pyengine.database.connections import finish
from pyengine.errors import DBOSException
from pyengine.refusals import database_error
from pyengine.runtime.open_transaction import SessionTransaction, running
from pyengine.runtime.retries import Retries
from pyengine.runtime.transactions import Attempt, ending_of, unreachable

_BUSY_SECONDS = 0.05


class OwnEngine:
    """The engine of a datasource whose functions run in threads."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._engine = create_engine(**arguments)

    def get(self) -> Engine:
        """The engine."""
        return self._engine

    def close(self) -> None:
        """Close its idle connections; it opens new ones when it is used again."""
        self._engine.dispose()


class LoopEngines:
    """The engines of a datasource of coroutine functions: connections belong to the loop that opened them."""

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._arguments = arguments
        self._lock = threading.Lock()
        self._engines: dict[
            asyncio.AbstractEventLoop, tuple[AsyncEngine, WeakSet[psycopg.AsyncConnection[Any]]]
        ] = {}

    def get(self) -> AsyncEngine:
        """The engine of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            for ended in [each for each in self._engines if each.is_closed()]:
                self._close(ended)
            if loop not in self._engines:
                engine = create_async_engine(**self._arguments)
                opened: WeakSet[psycopg.AsyncConnection[Any]] = WeakSet()
                event.listen(
                    engine.sync_engine,
                    "connect",
                    lambda connection, _: opened.add(connection.driver_connection),
                )
                self._engines[loop] = engine, opened
            return self._engines[loop][0]

    def close(self) -> None:
        """As `OwnEngine.close`, for all loops."""
        with self._lock:
            for loop in tuple(self._engines):
                self._close(loop)

    def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        engine, opened = self._engines.pop(loop)
        engine.sync_engine.dispose(close=False)
        for connection in tuple(opened):
            if connection.info.transaction_status == pq.TransactionStatus.IDLE:
                finish(connection)


@dataclass(frozen=True, slots=True)
class SessionAttempt:
    """A function in a transaction of a session, through as many attempts as it takes.

    Args:
        owner: The datasource.
        open: Makes a session: an AsyncSession for `once_async`.
        isolation_level: As SQL says it.
        function: The user's function; it is given what the driver gives.
        retries: Counts the attempts.
        step: Finds and stores the checkpoint; None outside workflows, where nothing is recorded.
    """

    owner: object
    open: Callable[[], Any]
    isolation_level: str
    function: Callable[..., Any]
    retries: Retries
    step: Attempt | None = None

    def once(self, *arguments: Any) -> Ending:
        """Run the function in one transaction.

        Raises:
            DBOSBaseException: The run lost its lease, or its workflow was cancelled.
        """
        if self.step is not None:
            self.step.know_origins()
        session: Session = self.open()
        try:
            try:
                transaction = self._begin(session)
            except Exception as error:
                return self._not_begun(error)
            return self._transact(transaction, arguments)
        finally:
            session.close()

    async def once_async(self, *arguments: Any) -> Ending:
        """As `once`, on the running loop; the function returns an awaitable."""
        if self.step is not None:
            await self.step.know_origins_async()
        session: AsyncSession = self.open()
        try:
            try:
                transaction = await self._begin_async(session)
            except Exception as error:
                return self._not_begun(error)
            return await self._transact_async(transaction, arguments)
        finally:
            await session.close()

    def _begin(self, session: Session) -> SessionTransaction:
        connection = session.connection(execution_options={"isolation_level": self.isolation_level})
        driver = connection.connection.driver_connection
        transaction = SessionTransaction(self.owner, session, _checked(driver))
        event.listen(session, "before_commit", transaction.refuse_commit)
        return transaction

    async def _begin_async(self, session: AsyncSession) -> SessionTransaction:
        connection = await session.connection(
            execution_options={"isolation_level": self.isolation_level}
        )
        driver = (await connection.get_raw_connection()).driver_connection
        transaction = SessionTransaction(self.owner, session, _checked(driver))
        event.listen(session.sync_session, "before_commit", transaction.refuse_commit)
        return transaction

    def _transact(self, transaction: SessionTransaction, arguments: Sequence[Any]) -> Ending:
        step, connection, is_storing = self.step, transaction.connection, False
        try:
            earlier = None if step is None else _find_earlier(step, connection)
            if earlier is not None:
                return earlier
            began = time.perf_counter()
            with running(transaction, transaction):
                output = self.function(*arguments)
                transaction.session.flush()
            output = transaction.finish(output)
            checkpoint = None if step is None else step.checkpoint(output, began)
            is_storing = True
            if step is not None and checkpoint is not None:
                step.store(connection, checkpoint)
            transaction.session.commit()
        except Exception as error:
            return self._ending(error, transaction, is_storing=is_storing)
        return Committed(output) if step is None else step.stored(output)

    async def _transact_async(
        self, transaction: SessionTransaction, arguments: Sequence[Any]
    ) -> Ending:
        step, connection, is_storing = self.step, transaction.connection, False
        try:
            earlier = None if step is None else await _find_earlier_async(step, connection)
            if earlier is not None:
                return earlier
            began = time.perf_counter()
            with running(transaction, transaction):
                output = await self.function(*arguments)
                await transaction.session.flush()
            output = transaction.finish(output)
            checkpoint = None if step is None else step.checkpoint(output, began)
            is_storing = True
            if step is not None and checkpoint is not None:
                await step.store_async(connection, checkpoint)
            await transaction.session.commit()
        except Exception as error:
            return self._ending(error, transaction, is_storing=is_storing)
        return Committed(output) if step is None else step.stored(output)

    def _ending(
        self, error: Exception, transaction: SessionTransaction, *, is_storing: bool
    ) -> Ending:
        return ending_of(
            error,
            self.retries,
            transaction.connection,
            is_storing=is_storing,
            is_undone=transaction.is_undone,
        )

    def _not_begun(self, error: Exception) -> Ending:
        """There is no connection: the server is away, or all connections of the engine's pool are in use."""
        if isinstance(error, PoolTimeout):
            return Repeat(_BUSY_SECONDS)
        cause = database_error(error)
        if isinstance(cause, psycopg.OperationalError):
            return unreachable(cause, self.retries)
        return Failed(error)


def _find_earlier(step: Attempt, connection: psycopg.Connection[Any]) -> Ending | None:
    """How an earlier attempt ended, read outside of the transaction.

    Inside, reading the index of the checkpoints would make serializable transactions of unrelated workflows fail
    each other.
    """
    if not step.database.checkpoints.is_separate:
        return None
    connection.autocommit = True
    try:
        return step.find_earlier(connection)
    finally:
        connection.autocommit = False


async def _find_earlier_async(
    step: Attempt, connection: psycopg.AsyncConnection[Any]
) -> Ending | None:
    """As `_find_earlier`."""
    if not step.database.checkpoints.is_separate:
        return None
    await connection.set_autocommit(True)
    try:
        return await step.find_earlier_async(connection)
    finally:
        await connection.set_autocommit(False)


def _checked(connection: Any) -> Any:
    """The driver's connection.

    Raises:
        DBOSException: It is not psycopg's.
    """
    if isinstance(connection, (psycopg.Connection, psycopg.AsyncConnection)):
        return connection
    raise DBOSException(
        f"the datasource's engine uses {type(connection).__module__}: create it with a postgresql+psycopg:// URL"
    )
