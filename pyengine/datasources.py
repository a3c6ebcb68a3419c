"""Datasources: transactional steps in a database of the application, through SQLAlchemy sessions."""

from __future__ import annotations

import asyncio
import functools
import inspect
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, TypedDict, TypeVar, cast, overload

from pyengine import datasource_places as places
from pyengine.attempts import Committed, plain_outcome
from pyengine.context import Scope, entered
from pyengine.current import get_runtime
from pyengine.datasource_places import DatasourcePlace
from pyengine.errors import DBOSException
from pyengine.flows.steps import StepStatus
from pyengine.flows.transactions import run_transaction
from pyengine.runs import WorkflowRun
from pyengine.runtime.open_transaction import SessionTransaction, current_transaction
from pyengine.runtime.retries import Retries
from pyengine.runtime.transactions import Attempt
from pyengine.schema import grant_application, prepare_application
from pyengine.transactions import checked_level, run_for_transaction

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from pyengine.runtime.datasources import SessionAttempt
    from pyengine.serialization import Serializer

P = ParamSpec("P")
R = TypeVar("R")


class DatasourceOptions(TypedDict, total=False):
    """How a function runs as a transactional step: `name` is recorded, `isolation_level` as SQL says it."""

    name: str | None
    isolation_level: str


class _Datasource:
    """What both kinds have in common."""

    def __init__(self, place: DatasourcePlace, open_session: Callable[[], Any]) -> None:
        self._place = place
        self._open_session = open_session

    @staticmethod
    def migrate(
        database_url: str, *, schema: str | None = None, application_role: str | None = None
    ) -> None:
        """Create the table of checkpoints, with a privileged login.

        A datasource in the engine's own database needs none.

        Args:
            database_url: The datasource's database.
            schema: The table's schema; "pyengine" by default.
            application_role: A role that is given the use of the table.

        Raises:
            DBOSInitializationError: The table can't be created; says why.
        """
        name = schema or places.DEFAULT_SCHEMA
        with places.connected(database_url) as connection:
            prepare_application(connection, schema=name)
            if application_role is not None:
                grant_application(connection, application_role, schema=name)

    def _current(self) -> Any:
        found = current_transaction()
        if isinstance(found, SessionTransaction) and found.owner is self:
            return found.session
        raise AssertionError(
            "sql_session() is only there inside a function that runs in a transaction of this datasource"
        )

    def _attempt(
        self, name: str, level: str, function: Callable[..., Any]
    ) -> tuple[WorkflowRun | None, SessionAttempt]:
        """The run that the step belongs to, and the step; without a run a plain transaction."""
        from pyengine.runtime.datasources import SessionAttempt

        run = run_for_transaction(name, is_plain_in_steps=True)
        retries = Retries()
        if run is None:
            return None, SessionAttempt(self, self._open_session, level, function, retries)
        runtime = get_runtime(f"transaction {name}")
        database = self._place.database(runtime)
        step = Attempt(
            database,
            run,
            name,
            run.next_step_id(),
            level,
            function,
            retries,
            self._place.codec,
        )
        return run, SessionAttempt(self, self._open_session, level, function, retries, step)


class SQLAlchemyDatasource(_Datasource):
    """A database of the application, for transactional steps in SQLAlchemy sessions. Made by `create`.

    A function that `transaction` decorates runs in one transaction: in a workflow its writes and the step's checkpoint
    are one commit, so that it happens exactly once. In the engine's own database the checkpoint is the engine's own;
    in another one it is a row of the table `transaction_checkpoints` there. Conflicts and
    lost connections are tried again. Outside of workflows, and inside of steps, it is a plain transaction.
    """

    @staticmethod
    def create(
        database_url: str,
        engine_kwargs: Mapping[str, Any] | None = None,
        engine: Engine | None = None,
        schema: str | None = None,
        serializer: Serializer | None = None,
        sessionmaker: sessionmaker[Any] | None = None,
        run_migrations: bool = True,  # noqa: FBT001, FBT002 - given by the API this library is compatible with
    ) -> SQLAlchemyDatasource:
        """Make a datasource; before `DBOS.launch`.

        Args:
            database_url: The database, of PostgreSQL.
            engine_kwargs: For `sqlalchemy.create_engine`.
            engine: An engine of yours for the sessions, with the driver psycopg.
            schema: Where the table of checkpoints is; the engine's schema by default.
            serializer: Writes the checkpoints in that table; the application's by default.
            sessionmaker: Makes the sessions; by default sessions that don't expire on commit.
            run_migrations: Create the table, now or, if DBOS is not constructed yet, at launch.

        Raises:
            DBOSException: DBOS is launched, SQLAlchemy is not installed, or an argument can't be used.
            DBOSInitializationError: The database can't be reached or prepared; says what to do.
        """
        place = DatasourcePlace(database_url, schema, serializer, creates=run_migrations)
        orm = places.sqlalchemy("sqlalchemy.orm")
        get_engine = place.engine_source("OwnEngine", engine, engine_kwargs)
        make = places.session_maker(sessionmaker, orm.sessionmaker, get_engine)
        created = SQLAlchemyDatasource(place, make)
        place.register()
        return created

    def run_migrations(self) -> None:
        """Create the table of checkpoints, if the datasource needs it and it is missing.

        Raises:
            DBOSInitializationError: The table can't be created; says why.
        """
        self._place.prepare(create=True)

    def verify_migrations(self) -> None:
        """Check that the table of checkpoints is there, if the datasource needs it.

        Raises:
            DBOSInitializationError: It is missing.
        """
        self._place.prepare(create=False)

    @overload
    def transaction(self, func: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def transaction(
        self, func: None = None, *, name: str | None = None, isolation_level: str = "SERIALIZABLE"
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def transaction(
        self,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        isolation_level: str = "SERIALIZABLE",
    ) -> Any:
        """Make a function a transactional step; with or without parentheses.

        Args:
            func: The function, when written without parentheses.
            name: The recorded name; the qualified name by default.
            isolation_level: "SERIALIZABLE", "REPEATABLE READ" or "READ COMMITTED".

        Raises:
            DBOSException: There is no such level, or the function is `async def`.
        """
        level = checked_level(isolation_level)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            _refuse_coroutine(function)
            step_name = name or function.__qualname__

            @functools.wraps(function)
            def call(*args: P.args, **kwargs: P.kwargs) -> R:
                result: R = self._run(step_name, level, function, args, kwargs)
                return result

            return places.marked(call)

        return decorate if func is None else decorate(func)

    def run_tx_step(
        self,
        ds_options: DatasourceOptions | None,
        func: Callable[P, R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Run a function as a transactional step. See `transaction`.

        Args:
            ds_options: The name and the isolation level.
            func: The function.
            *args: Its arguments.
            **kwargs: Its keyword arguments.
        """
        _refuse_coroutine(func)
        name, level = _options(ds_options, func)
        result: R = self._run(name, level, func, args, kwargs)
        return result

    def sql_session(self) -> Session:
        """The session of the running transaction.

        Raises:
            AssertionError: No transaction of this datasource is running.
        """
        return cast("Session", self._current())

    def _run(
        self,
        name: str,
        level: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        bound = functools.partial(function, *args, **kwargs)

        def body(status: StepStatus | None = None) -> Any:
            if run is None or status is None:
                return bound()
            with entered(Scope(run, status)):
                return bound()

        run, attempt = self._attempt(name, level, body)
        if run is not None and attempt.step is not None:
            runtime = get_runtime(f"transaction {name}")
            flow = run_transaction(run, name, attempt.step.step_id, attempt.once)
            return runtime.run(flow)
        while True:
            outcome = plain_outcome(attempt.once())
            if isinstance(outcome, Committed):
                return outcome.output
            time.sleep(outcome)


class AsyncSQLAlchemyDatasource(_Datasource):
    """As `SQLAlchemyDatasource`, for coroutine functions in AsyncSessions."""

    @staticmethod
    async def create(
        database_url: str,
        engine_kwargs: Mapping[str, Any] | None = None,
        engine: AsyncEngine | None = None,
        schema: str | None = None,
        serializer: Serializer | None = None,
        sessionmaker: async_sessionmaker[Any] | None = None,
        run_migrations: bool = True,  # noqa: FBT001, FBT002 - as in SQLAlchemyDatasource
    ) -> AsyncSQLAlchemyDatasource:
        """As `SQLAlchemyDatasource.create`; each event loop has connections of its own, unless the engine is yours."""
        place = DatasourcePlace(database_url, schema, serializer, creates=run_migrations)
        orm = places.sqlalchemy("sqlalchemy.ext.asyncio")
        get_engine = place.engine_source("LoopEngines", engine, engine_kwargs)
        make = places.session_maker(sessionmaker, orm.async_sessionmaker, get_engine)
        created = AsyncSQLAlchemyDatasource(place, make)
        await asyncio.to_thread(place.register)
        return created

    async def run_migrations(self) -> None:
        """As `SQLAlchemyDatasource.run_migrations`."""
        await asyncio.to_thread(self._place.prepare, create=True)

    async def verify_migrations(self) -> None:
        """As `SQLAlchemyDatasource.verify_migrations`."""
        await asyncio.to_thread(self._place.prepare, create=False)

    @overload
    def transaction(
        self, func: Callable[P, Coroutine[Any, Any, R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]: ...

    @overload
    def transaction(
        self, func: None = None, *, name: str | None = None, isolation_level: str = "SERIALIZABLE"
    ) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]: ...

    def transaction(
        self,
        func: Callable[..., Any] | None = None,
        *,
        name: str | None = None,
        isolation_level: str = "SERIALIZABLE",
    ) -> Any:
        """As `SQLAlchemyDatasource.transaction`, for a coroutine function.

        Raises:
            DBOSException: There is no such level, or the function is not `async def`.
        """
        level = checked_level(isolation_level)

        def decorate(
            function: Callable[P, Coroutine[Any, Any, R]],
        ) -> Callable[P, Coroutine[Any, Any, R]]:
            _require_coroutine(function)
            step_name = name or function.__qualname__

            @functools.wraps(function)
            async def call(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self._run(step_name, level, function, args, kwargs)

            return places.marked(call)

        return decorate if func is None else decorate(func)

    async def run_tx_step_async(
        self,
        ds_options: DatasourceOptions | None,
        func: Callable[P, Coroutine[Any, Any, R]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """As `SQLAlchemyDatasource.run_tx_step`, for a coroutine function."""
        _require_coroutine(func)
        name, level = _options(ds_options, func)
        result: R = await self._run(name, level, func, args, kwargs)
        return result

    def sql_session(self) -> AsyncSession:
        """As `SQLAlchemyDatasource.sql_session`."""
        return cast("AsyncSession", self._current())

    async def _run(
        self,
        name: str,
        level: str,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Any:
        bound = functools.partial(function, *args, **kwargs)

        async def body(status: StepStatus | None = None) -> Any:
            if run is None or status is None:
                return await bound()
            with entered(Scope(run, status)):
                return await bound()

        run, attempt = self._attempt(name, level, body)
        if run is not None and attempt.step is not None:
            runtime = get_runtime(f"transaction {name}")
            flow = run_transaction(run, name, attempt.step.step_id, attempt.once_async)
            return await runtime.run_async(flow)
        while True:
            outcome = plain_outcome(await attempt.once_async())
            if isinstance(outcome, Committed):
                return outcome.output
            await asyncio.sleep(outcome)


def _options(options: DatasourceOptions | None, function: Callable[..., Any]) -> tuple[str, str]:
    given: dict[str, Any] = dict(options or {})
    name = given.pop("name", None) or getattr(function, "__qualname__", type(function).__name__)
    level = checked_level(given.pop("isolation_level", None) or "SERIALIZABLE")
    if given:
        raise DBOSException(
            f"transaction {name}: unknown option {next(iter(given))!r}; there are name and isolation_level"
        )
    return name, level


def _refuse_coroutine(function: Callable[..., Any]) -> None:
    if inspect.iscoroutinefunction(function):
        raise DBOSException(
            f"{function.__qualname__} is async def: its datasource must be an AsyncSQLAlchemyDatasource"
        )


def _require_coroutine(function: Callable[..., Any]) -> None:
    if not inspect.iscoroutinefunction(function):
        shown = getattr(function, "__qualname__", type(function).__name__)
        raise DBOSException(
            f"{shown} is not async def: its datasource must be a SQLAlchemyDatasource"
        )
