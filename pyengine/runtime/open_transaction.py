"""The transaction that a transactional step's function runs in, as the function sees it."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from psycopg import pq

from pyengine.database.connections import AsyncStepConnection, StepConnection, refuse
from pyengine.errors import DBOSException

_IDLE = pq.TransactionStatus.IDLE
_INTEGRATION = "pyengine.integrations.sqlalchemy"


class Transaction:
    """What the user's function reaches: the connection, and a session on it."""

    def __init__(self, connection: StepConnection | AsyncStepConnection) -> None:
        self._connection = connection
        self._session: Any = None
        self.is_used = False

    @property
    def connection(self) -> StepConnection | AsyncStepConnection:
        """The connection of the running transaction."""
        self.is_used = True
        return self._connection

    @property
    def session(self) -> Any:
        """A SQLAlchemy session in the running transaction; made when it is first asked for.

        Raises:
            DBOSException: SQLAlchemy is not installed.
        """
        self.is_used = True
        if self._session is None:
            integration = _integration()
            if isinstance(self._connection, AsyncStepConnection):
                self._session = integration.open_async_session(self._connection)
            else:
                self._session = integration.open_session(self._connection)
        return self._session

    @property
    def open_session(self) -> Any:
        """The session, if the function asked for one."""
        return self._session

    def finish(self, output: Any) -> Any:
        """The function has returned: its output, as it can be stored.

        Raises:
            DBOSException: The function has ended the transaction itself; there is nothing to store a checkpoint in.
        """
        if self._connection.is_rolled_back:
            raise refuse("rollback()")
        if self._connection.info.transaction_status == _IDLE:
            raise refuse("COMMIT or ROLLBACK, as a statement,")
        return output if self._session is None else _integration().plain_names(output)


class SessionTransaction:
    """What the function of a datasource's step reaches: the session that the datasource opened.

    Args:
        owner: The datasource.
        session: The session; of a coroutine function an AsyncSession.
        connection: The driver's connection under it.
    """

    def __init__(self, owner: object, session: Any, connection: Any) -> None:
        self.owner = owner
        self.session = session
        self.connection = connection
        self.is_guarded = False
        self._begun = session.get_transaction()

    @property
    def is_undone(self) -> bool:
        """Whether the transaction has been rolled back."""
        return self.session.get_transaction() is not self._begun or not self._begun.is_active

    def refuse_commit(self, session: Any) -> None:
        """Called by the session before it commits: the user's function may only release savepoints."""
        if self.is_guarded and not session.in_nested_transaction():
            raise refuse("session.commit()")

    def finish(self, output: Any) -> Any:
        """As `Transaction.finish`."""
        if self.session.get_transaction() is not self._begun:
            raise refuse("session.rollback() or session.close()")
        if self.connection.info.transaction_status == _IDLE:
            raise refuse("COMMIT or ROLLBACK, as a statement,")
        return _integration().plain_names(output)


def _integration() -> Any:
    try:
        return importlib.import_module(_INTEGRATION)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sqlalchemy", "greenlet"):
            raise
        raise DBOSException(
            "DBOS.sql_session needs SQLAlchemy: pip install 'pyengine[sqlalchemy]', or use DBOS.sql_connection, "
            "the psycopg connection of the same transaction"
        ) from None


AnyTransaction = Transaction | SessionTransaction

_current: ContextVar[AnyTransaction | None] = ContextVar("pyengine_transaction", default=None)


def current_transaction() -> AnyTransaction | None:
    """The transaction whose function the calling code belongs to."""
    return _current.get()


@contextmanager
def running(
    transaction: AnyTransaction, guarded: StepConnection | AsyncStepConnection | SessionTransaction
) -> Iterator[None]:
    """The user's function runs: it finds the transaction and can't end it."""
    token = _current.set(transaction)
    guarded.is_guarded = True
    try:
        yield
    finally:
        guarded.is_guarded = False
        _current.reset(token)
