"""SQLAlchemy sessions on the engine's connections (extra `pyengine[sqlalchemy]`).

Each connection has an engine of its own with a pool of one, so that a session shares the transaction of
`DBOS.sql_connection`, and so that there is nothing to dispose of: the engine goes with its connection.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool
from sqlalchemy.sql.elements import quoted_name

from pyengine.database.connections import AsyncStepConnection, StepConnection, refuse

_URL = "postgresql+psycopg://"


class StepSession(Session):
    """A session whose user can't end the transaction while the step's function runs."""

    step_connection: StepConnection | AsyncStepConnection

    def commit(self) -> None:
        """Commit; refused inside the step's function."""
        self._refuse("session.commit()")
        super().commit()

    def rollback(self) -> None:
        """Roll back; refused inside the step's function."""
        self._refuse("session.rollback()")
        super().rollback()

    def close(self) -> None:
        """Close; refused inside the step's function."""
        self._refuse("session.close()")
        super().close()

    def _refuse(self, what: str) -> None:
        if self.step_connection.is_guarded:
            raise refuse(what)


def open_session(connection: StepConnection) -> StepSession:
    """A session in the transaction of this connection."""
    if connection.bind is None:
        connection.bind = create_engine(_URL, creator=lambda: connection, poolclass=StaticPool)
        _keep_transaction(connection.bind, connection)
    session = StepSession(connection.bind, expire_on_commit=False)
    session.step_connection = connection
    return session


def open_async_session(connection: AsyncStepConnection) -> AsyncSession:
    """As `open_session`, for coroutines."""

    async def creator() -> AsyncStepConnection:
        return connection

    if connection.bind is None:
        bind: AsyncEngine = create_async_engine(_URL, async_creator=creator, poolclass=StaticPool)
        connection.bind = bind
        _keep_transaction(bind.sync_engine, connection)
    session = AsyncSession(connection.bind, expire_on_commit=False, sync_session_class=StepSession)
    session.sync_session.step_connection = connection  # type: ignore[attr-defined]
    return session


def plain_names(value: Any) -> Any:
    """The value with SQLAlchemy's column names as plain text, as in `dict(row._mapping)`."""
    if type(value) is quoted_name:
        return "".join(value)
    if type(value) is dict:
        return {plain_names(key): plain_names(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(plain_names, value))
    return value


def _keep_transaction(engine: Engine, connection: StepConnection | AsyncStepConnection) -> None:
    """SQLAlchemy ends its first look at a server with a rollback, which must not count as the user's."""
    was_rolled_back = connection.is_rolled_back

    def connected(*_: Any) -> None:
        connection.is_rolled_back = was_rolled_back

    event.listen(engine.pool, "connect", connected)
