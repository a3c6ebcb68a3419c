"""Where a datasource is: its database, whether that is the engine's own, and its table of checkpoints if not."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pyengine.config import normalised_url
from pyengine.current import find_runtime
from pyengine.database.checkpoints import Checkpoints
from pyengine.database.connections import ConnectionOptions
from pyengine.errors import DBOSException, DBOSInitializationError
from pyengine.execution import Runtime
from pyengine.runtime.sweep import Sweep
from pyengine.runtime.transactions import Transactions
from pyengine.schema import check_schema_name, prepare_application
from pyengine.serialization import Codec
from pyengine.settings import Settings
from pyengine.urls import redact, same_database

F = TypeVar("F", bound=Callable[..., Any])

DEFAULT_SCHEMA = "pyengine"
_POOL: Mapping[str, Any] = {"pool_size": 20, "max_overflow": 0, "pool_timeout": 30}
_CONNECTIONS = 2  # for reads and removals of checkpoints outside of the sessions
_CONNECTION_TIMEOUT = 30.0
_MARK = "__pyengine_datasource__"


class _Process:
    """The engine that this process has configured, and the datasources that it has created."""

    settings: Settings | None = None
    places: list[DatasourcePlace] = []  # noqa: RUF012 - one list for the process


class DatasourcePlace:
    """One datasource's database.

    Args:
        database_url: The database.
        schema: The schema of the table of checkpoints; None is the engine's.
        serializer: Writes what is in that table; None is the application's.
        creates: Whether the table is created when it is missing.

    Raises:
        DBOSException: DBOS is launched.
        DBOSInitializationError: The URL can't be used.
    """

    def __init__(
        self, database_url: str, schema: str | None, serializer: Any, *, creates: bool
    ) -> None:
        if find_runtime() is not None:
            raise DBOSException(
                "a datasource was created after DBOS.launch: create it before, so that launch can prepare its database"
            )
        self.url = normalised_url("database_url of the datasource", database_url)
        if schema is not None:
            check_schema_name(schema)
        self.codec = None if serializer is None else Codec(serializer)
        self._schema = schema
        self._creates = creates
        self._database: Transactions | None = None
        self._engines: Any = None

    def engine_source(
        self, kind: str, given: Any, arguments: Mapping[str, Any] | None
    ) -> Callable[[], Any]:
        """What gives the engine: the user's, or an `OwnEngine` or the `LoopEngines` of this datasource.

        Raises:
            DBOSException: The user's is of another kind or driver; says which one is needed.
        """
        module = sqlalchemy("pyengine.runtime.datasources")
        if given is None:
            self._engines = getattr(module, kind)(self._engine_arguments(arguments))
            return cast("Callable[[], Any]", self._engines.get)
        wanted = module.Engine if kind == "OwnEngine" else module.AsyncEngine
        if not isinstance(given, wanted):
            raise DBOSException(
                f"engine is a {type(given).__name__}: give a sqlalchemy {wanted.__name__}"
            )
        dialect = given.dialect
        if dialect.name != "postgresql" or dialect.driver not in ("psycopg", "psycopg_async"):
            raise DBOSException(
                f"the datasource's engine uses {dialect.name}+{dialect.driver}: make it with a "
                "postgresql+psycopg:// URL"
            )
        return lambda: given

    def _engine_arguments(self, given: Mapping[str, Any] | None) -> dict[str, Any]:
        asked = dict(given or {})
        connect: dict[str, Any] = self._options("datasource", prepare=True).parameters()
        del connect["autocommit"], connect["prepare_threshold"]
        connect.update(conninfo_to_dict(self.url))
        connect.update(asked.pop("connect_args", None) or {})
        return {"url": "postgresql+psycopg://", **_POOL, **asked, "connect_args": connect}

    def register(self) -> None:
        """Prepare the database, if it is known yet which one is the engine's; launch does the rest."""
        settings = _Process.settings
        if settings is not None and self._creates:
            self.prepare(create=True)
        _Process.places.append(self)

    def prepare(self, *, create: bool) -> None:
        """Make sure that there is a table of checkpoints, if the datasource needs one.

        Raises:
            DBOSInitializationError: It is missing and may not be created.
        """
        if not self._is_the_engines(_Process.settings):
            with connected(self.url) as connection:
                prepare_application(connection, schema=self._table_schema(), create=create)

    def launch(self, runtime: Runtime, settings: Settings, system_url: str) -> None:
        """Prepare the database, and tell the runtime of its checkpoints.

        Raises:
            DBOSInitializationError: The database can't be reached or used; says what to do.
        """
        is_separate = not self._is_the_engines(settings, system_url)
        with connected(self.url) as connection:
            if is_separate:
                create = self._creates and settings.run_migrations
                prepare_application(connection, schema=self._table_schema(), create=create)
            else:
                _check_role(connection, settings.schema)
        options = self._options(settings.name, prepare=runtime.engine.options.prepare)
        schema = self._table_schema() if is_separate else settings.schema
        self._database = Transactions(
            options,
            Checkpoints(schema, is_separate=is_separate),
            runtime.engine.gateway,
            settings.idle_transaction_timeout,
        )
        runtime.datasources.append(self._database)
        if is_separate:
            engine = runtime.engine
            engine.upkeep.also.append(Sweep(self._database, engine.threads.submit).after_tick)

    def close(self) -> None:
        """Close the connections that are not in use; a datasource that is used again opens new ones."""
        if self._database is not None:
            self._database.close()
        if self._engines is not None:
            self._engines.close()

    def database(self, runtime: Runtime) -> Transactions:
        """Where the checkpoints go.

        Raises:
            DBOSException: The datasource does not belong to the launched engine.
        """
        if self._database is None or self._database not in runtime.datasources:
            raise DBOSException(
                "the datasource was forgotten when DBOS was destroyed with destroy_registry=True: create it again"
            )
        return self._database

    def _is_the_engines(self, settings: Settings | None, system_url: str | None = None) -> bool:
        if settings is None:
            return False
        url = system_url or settings.system_database_url
        return url is not None and same_database(url, self.url, os.environ)

    def _table_schema(self) -> str:
        settings = _Process.settings
        return self._schema or (DEFAULT_SCHEMA if settings is None else settings.schema)

    def _options(self, name: str, *, prepare: bool) -> ConnectionOptions:
        return ConnectionOptions(
            url=self.url,
            application_name=f"pyengine {name} datasource"[:63],
            size=_CONNECTIONS,
            timeout=_CONNECTION_TIMEOUT,
            prepare=prepare,
        )


def configure(settings: Settings | None) -> None:
    """Know the configuration of this process's engine; None when there is none any more."""
    _Process.settings = settings


def launch(runtime: Runtime, settings: Settings, system_url: str) -> None:
    """Prepare all datasources of this process. See `DatasourcePlace.launch`."""
    for place in tuple(_Process.places):
        place.launch(runtime, settings, system_url)


def close() -> None:
    """Close what the datasources of this process have open and is not in use."""
    for place in _Process.places:
        place.close()


def forget() -> None:
    """Forget all datasources, as the registry forgets its functions."""
    _Process.places.clear()


@contextmanager
def connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit mode.

    Raises:
        DBOSInitializationError: The database can't be reached; shows no password.
    """
    url = normalised_url("database_url of the datasource", url)
    try:
        connection = psycopg.connect(
            url, autocommit=True, connect_timeout=10, prepare_threshold=None
        )
    except psycopg.OperationalError as error:
        message = redact(str(error)).strip()
        raise DBOSInitializationError(
            f"the datasource's database can't be reached: {message}"
        ) from None
    with connection:
        yield connection


def _check_role(connection: psycopg.Connection[Any], schema: str) -> None:
    """Make sure that the datasource's login may record steps in the engine's database."""
    function = sql.Identifier(schema, "record_step_in_transaction").as_string(connection)
    row = connection.execute(
        "select has_function_privilege(p.oid, 'execute') and has_schema_privilege(n.oid, 'usage'), current_user "
        "from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace "
        "where n.nspname = %s and p.proname = 'record_step_in_transaction'",
        [schema],
    ).fetchone()
    if row is None or not row[0]:
        role = "the login" if row is None else f"role {row[1]}"
        raise DBOSInitializationError(
            f"a datasource is in the engine's own database, but {role} of its URL may not call {function}: grant it "
            f"the use of the engine, with DBOS.migrate(url, application_role=...)"
        )


def sqlalchemy(module: str) -> Any:
    """A module of SQLAlchemy.

    Raises:
        DBOSException: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("sqlalchemy", "greenlet"):
            raise
        raise DBOSException(
            "a datasource needs SQLAlchemy: pip install 'pyengine[sqlalchemy]'"
        ) from None


def session_maker(given: Any, kind: Any, get_engine: Callable[[], Any]) -> Callable[[], Any]:
    """What makes sessions of an engine.

    Raises:
        DBOSException: The given one is of another kind, or has `binds`.
    """
    if given is None:
        given = kind(expire_on_commit=False)
    if not isinstance(given, kind):
        raise DBOSException(
            f"sessionmaker is a {type(given).__name__}: give a sqlalchemy {kind.__name__}"
        )
    if given.kw.get("binds"):
        raise DBOSException(
            "sessionmaker has binds: a datasource is one database, make it without them"
        )
    return lambda: given(bind=get_engine())


def marked(function: F) -> F:
    """A datasource's step, by which others know it."""
    setattr(function, _MARK, True)
    return function


def is_datasource_step(function: object) -> bool:
    """Whether a function was decorated by a datasource."""
    return getattr(function, _MARK, False) is True
