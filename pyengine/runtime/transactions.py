"""One attempt at a transactional step: begin, the user's function, the checkpoint, commit; and what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import AsyncRawCursor, RawCursor, pq
from psycopg.rows import tuple_row

from pyengine.attempts import (
    PLAIN_JSON,
    Committed,
    Encoded,
    Ending,
    Failed,
    Found,
    Repeat,
    Taken,
    Unrecorded,
)
from pyengine.database import calls
from pyengine.database.checkpoints import Checkpoints, Statement, origins
from pyengine.database.connections import (
    AsyncStepConnection,
    ConnectionOptions,
    LoopConnections,
    StepConnection,
    ThreadConnections,
)
from pyengine.database.rows import WorkflowOrigin
from pyengine.errors import DBOSUnexpectedStepError, translate
from pyengine.refusals import database_error, is_step_conflict
from pyengine.runs import Recorded, WorkflowRun
from pyengine.runtime.gateway import Gateway
from pyengine.runtime.open_transaction import Transaction, running
from pyengine.runtime.retries import Retries
from pyengine.serialization import Codec
from pyengine.sqlstates import retry_policy_of


class Transactions:
    """The application's database: its connections, for threads and for event loops, and where checkpoints go.

    Args:
        options: Where the user's statements go.
        checkpoints: Where the checkpoints of transactional steps go.
        gateway: Asks for the lease when checkpoints go to another database than the engine's.
        idle_timeout: Seconds after which the server ends an idle transaction; None leaves it to the server.
    """

    def __init__(
        self,
        options: ConnectionOptions,
        checkpoints: Checkpoints,
        gateway: Gateway,
        idle_timeout: float | None,
    ) -> None:
        self.checkpoints = checkpoints
        self.gateway = gateway
        self.idle_timeout = idle_timeout
        self.threads = ThreadConnections(options)
        self.loops = LoopConnections(options)
        self.known_owner = ""

    def owner(self) -> str:
        """Whose the checkpoints in a separate database are: the engine's id, which is asked for once."""
        if not self.known_owner:
            self.known_owner = self.gateway.run(calls.engine_id())[0]
        return self.known_owner

    async def owner_async(self) -> str:
        """As `owner`."""
        if not self.known_owner:
            self.known_owner = (await self.gateway.run_async(calls.engine_id()))[0]
        return self.known_owner

    def execute(self, statement: Statement) -> None:
        """Run one statement of the engine's own in the application's database and commit it."""
        with self.threads.use() as connection:
            RawCursor(connection).execute(statement.query, statement.values)
            connection.commit()

    async def execute_async(self, statement: Statement) -> None:
        """As `execute`, on the running loop."""
        async with self.loops.use() as connection:
            await AsyncRawCursor(connection).execute(statement.query, statement.values)
            await connection.commit()

    def close(self) -> None:
        """Close the connections that are not in use, and refuse to begin transactions."""
        self.threads.close()
        self.loops.close()


@dataclass(frozen=True, slots=True)
class Attempt:
    """One transactional step on its way, through as many attempts as it takes.

    Args:
        database: The application's database.
        run: The run of the workflow.
        name: The step's recorded name.
        step_id: The step's number.
        isolation_level: As SQL says it.
        function: The user's function; it is given what the driver gives.
        codec: Writes and reads the checkpoints of a separate database; the run's by default.
    """

    database: Transactions
    run: WorkflowRun
    name: str
    step_id: int
    isolation_level: str
    function: Callable[..., Any]
    retries: Retries = field(default_factory=Retries)
    codec: Codec | None = None

    def once(self, *arguments: Any) -> Ending:
        """Run the function in one transaction.

        Raises:
            DBOSBaseException: The run lost its lease, or its workflow was cancelled.
        """
        threads = self.database.threads
        self.know_origins()
        try:
            with threads.use() as connection:
                ending = self._transact(connection, arguments)
        except psycopg.OperationalError as error:
            return unreachable(error, self.retries)
        if connection.closed:
            threads.drop_broken()
        return ending

    async def once_async(self, *arguments: Any) -> Ending:
        """As `once`, on the running loop; the function returns an awaitable."""
        loops = self.database.loops
        await self.know_origins_async()
        try:
            async with loops.use() as connection:
                ending = await self._transact_async(connection, arguments)
        except psycopg.OperationalError as error:
            return unreachable(error, self.retries)
        if connection.closed:
            loops.drop_broken()
        return ending

    def _transact(self, connection: StepConnection, arguments: Sequence[Any]) -> Ending:
        transaction = Transaction(connection)
        is_storing = False
        try:
            earlier = self.find_earlier(connection)
            if earlier is not None:
                return earlier
            connection.begin(self._begin())
            began = time.perf_counter()
            with running(transaction, connection):
                output = self.function(*arguments)
                if transaction.open_session is not None:
                    transaction.open_session.flush()
            if not transaction.is_used:
                return Unrecorded(output)
            output = transaction.finish(output)
            checkpoint = self.checkpoint(output, began)
            is_storing = True
            self._store(connection, transaction.open_session, checkpoint)
        except Exception as error:
            return ending_of(error, self.retries, connection, is_storing=is_storing)
        else:
            return self.stored(output)
        finally:
            _end(connection, transaction.open_session)

    async def _transact_async(
        self, connection: AsyncStepConnection, arguments: Sequence[Any]
    ) -> Ending:
        transaction = Transaction(connection)
        is_storing = False
        try:
            earlier = await self.find_earlier_async(connection)
            if earlier is not None:
                return earlier
            await connection.execute(self._begin().encode(), prepare=False)
            began = time.perf_counter()
            with running(transaction, connection):
                output = await self.function(*arguments)
                if transaction.open_session is not None:
                    await transaction.open_session.flush()
            if not transaction.is_used:
                return Unrecorded(output)
            output = transaction.finish(output)
            checkpoint = self.checkpoint(output, began)
            is_storing = True
            await self._store_async(connection, transaction.open_session, checkpoint)
        except Exception as error:
            return ending_of(error, self.retries, connection, is_storing=is_storing)
        else:
            return self.stored(output)
        finally:
            await _end_async(connection, transaction.open_session)

    def _begin(self) -> str:
        """The transaction ends with the connection if this process falls silent inside it."""
        begin = f"begin isolation level {self.isolation_level}"
        timeout = self.database.idle_timeout
        if timeout is None:
            return begin
        milliseconds = max(int(timeout * 1000), 1)
        return f"{begin}; set local idle_in_transaction_session_timeout = {milliseconds}"

    def know_origins(self) -> None:
        """Ask by what the workflow knows its checkpoints in a separate database, once in a run."""
        if not self.database.checkpoints.is_separate:
            return
        self.database.owner()
        if self.run.origin is None:
            self.run.origin = next(iter(self.database.gateway.run(self._find_origin())), None)

    async def know_origins_async(self) -> None:
        """As `know_origins`."""
        if not self.database.checkpoints.is_separate:
            return
        await self.database.owner_async()
        if self.run.origin is None:
            found = await self.database.gateway.run_async(self._find_origin())
            self.run.origin = next(iter(found), None)

    def find_earlier(self, connection: psycopg.Connection[Any]) -> Ending | None:
        """How an earlier attempt ended whose checkpoint is in a separate database, if there was one."""
        if not self.database.checkpoints.is_separate:
            return None
        find = self._find()
        cursor = RawCursor(connection, row_factory=tuple_row)
        return self._earlier(cursor.execute(find.query, find.values).fetchone())

    async def find_earlier_async(self, connection: psycopg.AsyncConnection[Any]) -> Ending | None:
        """As `find_earlier`."""
        if not self.database.checkpoints.is_separate:
            return None
        find = self._find()
        cursor = AsyncRawCursor(connection, row_factory=tuple_row)
        return self._earlier(await (await cursor.execute(find.query, find.values)).fetchone())

    def checkpoint(self, output: Any, began: float) -> Statement:
        """The statement that stores the output; the function began at `began` (seconds of `perf_counter`).

        Raises:
            DBOSSerializationError: The output can't be stored.
        """
        codec = self._codec()
        is_encoded = isinstance(output, Encoded)
        return self.database.checkpoints.record(
            workflow_id=self.run.workflow_id,
            lease_token=self.run.lease_token,
            origin=next(iter(self._origins()), ""),
            owner=self.database.known_owner,
            step_id=self.step_id,
            name=self.name,
            serialization=PLAIN_JSON if is_encoded else codec.default_tag,
            output=output.text if is_encoded else codec.encode(output),
            elapsed_ms=(time.perf_counter() - began) * 1000,
        )

    def store(self, connection: psycopg.Connection[Any], checkpoint: Statement) -> None:
        """Store the checkpoint in the running transaction, and make sure that the run still owns its workflow."""
        RawCursor(connection).execute(checkpoint.query, checkpoint.values)
        if self.database.checkpoints.is_separate:
            self.database.gateway.run(self._lease_check())

    async def store_async(
        self, connection: psycopg.AsyncConnection[Any], checkpoint: Statement
    ) -> None:
        """As `store`."""
        await AsyncRawCursor(connection).execute(checkpoint.query, checkpoint.values)
        if self.database.checkpoints.is_separate:
            await self.database.gateway.run_async(self._lease_check())

    def _store(self, connection: StepConnection, session: Any, checkpoint: Statement) -> None:
        self.store(connection, checkpoint)
        (session or connection).commit()

    async def _store_async(
        self, connection: AsyncStepConnection, session: Any, checkpoint: Statement
    ) -> None:
        await self.store_async(connection, checkpoint)
        await (session or connection).commit()

    def stored(self, output: Any) -> Ending:
        """How the attempt ended, once it is committed."""
        return Unrecorded(output) if self.database.checkpoints.is_separate else Committed(output)

    def _find(self) -> Statement:
        return self.database.checkpoints.find(
            self.run.workflow_id, self.step_id, self._origins(), self.database.known_owner
        )

    def _origins(self) -> Sequence[str]:
        """None for a workflow that was removed under its run: the lease that is asked for before the commit says so."""
        return () if self.run.origin is None else origins(self.run.origin, self.step_id)

    def _find_origin(self) -> calls.Call[WorkflowOrigin]:
        return calls.find_origins(workflow_ids=[self.run.workflow_id])

    def _lease_check(self) -> calls.Call[None]:
        return calls.check_lease(workflow_id=self.run.workflow_id, lease_token=self.run.lease_token)

    def _codec(self) -> Codec:
        is_separate = self.database.checkpoints.is_separate
        return self.codec if self.codec is not None and is_separate else self.run.codec

    def _earlier(self, row: Sequence[Any] | None) -> Ending | None:
        if row is None:
            return None
        name, serialization, output = row
        if name != self.name:
            raise DBOSUnexpectedStepError(self.run.workflow_id, self.step_id, self.name, name)
        if self.codec is not None:
            return Unrecorded(self.codec.decode(output, serialization))
        return Found(Recorded(name, None, serialization, output, None))


def unreachable(error: psycopg.OperationalError, retries: Retries) -> Ending:
    """How an attempt ended that got no connection."""
    pause = retries.pause_after(error)
    return Failed(error) if pause is None else Repeat(pause)


def ending_of(
    error: Exception,
    retries: Retries,
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    *,
    is_storing: bool,
    is_undone: bool = False,
) -> Ending:
    """Judge an error before the transaction is rolled back, or, if `is_undone`, after that.

    The user's own errors are the step's outcome. What the database does to a transaction is not, but only
    if it was this transaction: an error of another database is the user's to handle.

    Raises:
        DBOSBaseException: The run lost its lease, or its workflow was cancelled.
    """
    cause = database_error(error)
    is_lost = connection.closed
    if cause is None:
        return Failed(error)
    translated = translate(cause)
    if is_storing and translated is not cause:
        if not isinstance(translated, Exception):
            raise translated from None
        return Failed(translated)
    if is_storing and is_step_conflict(cause):
        return Taken()
    policy = retry_policy_of(cause)
    is_broken = connection.info.transaction_status == pq.TransactionStatus.INERROR
    is_ours = is_lost or is_undone or is_broken
    if is_storing and (is_lost or policy != "fatal"):
        return Repeat(retries.pause_after(cause) or 0.0, in_doubt=is_lost)
    if not is_storing and is_ours and policy in ("outage", "conflict"):
        return Repeat(retries.pause_after(cause) or 0.0)
    return Failed(error)


def _end(connection: StepConnection, session: Any) -> None:
    """Leave no transaction open; a connection that can't do that is closed, and the server rolls back."""
    try:
        if connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            connection.rollback()
    except psycopg.Error:
        connection.close()
    if session is not None and connection.closed:
        session.invalidate()
    elif session is not None:
        session.close()


async def _end_async(connection: AsyncStepConnection, session: Any) -> None:
    try:
        await connection.rollback()
    except psycopg.Error:
        await connection.close()
    if session is not None and connection.closed:
        await session.invalidate()
    elif session is not None:
        await session.close()
