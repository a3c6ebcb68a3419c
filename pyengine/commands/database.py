"""The options by which commands are told their database, and the connection they make of them."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg

from pyengine import config, embedded, urls
from pyengine.assembly import readable_errors
from pyengine.database import calls
from pyengine.database.calls import Call
from pyengine.database.session import Session
from pyengine.effects import Flow, drive
from pyengine.errors import DBOSInitializationError

R = TypeVar("R")
T = TypeVar("T")

_CONNECT_SECONDS = 10
_NAME = "pyengine-cli"


@dataclass(frozen=True)
class Target:
    """A database that is ready for connections, and the engine's schema in it.

    Attributes:
        dsn: the URL or connection string, password included; never to be shown.
        shown: a description that may be shown.
        schema: the engine's schema.
        bindir: PostgreSQL's programs, when the server is the embedded one.
    """

    dsn: str
    shown: str
    schema: str
    bindir: Path | None

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection, in autocommit mode; raises DBOSInitializationError."""
        with readable_errors():
            return psycopg.connect(
                self.dsn,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=_CONNECT_SECONDS,
                application_name=_NAME,
            )


class Engine:
    """The engine's functions, as a command calls them."""

    def __init__(self, target: Target, connection: psycopg.Connection[Any]) -> None:
        self.target = target
        self.connection = connection
        self._session = Session(connection, prepare=False)

    def rows(self, call: Call[T]) -> list[T]:
        """Call a function that returns rows."""
        return self._session.call(call, self.target.schema)

    def run(self, flow: Flow[T]) -> T:
        """Run a flow that does nothing but call functions."""

        def answer(call: object) -> list[Any]:
            assert isinstance(call, Call), "the flow has only calls"
            return self._session.call(call, self.target.schema)

        return drive(flow, answer)

    def now(self) -> datetime:
        """The engine's time, which workflows' times are to be compared with."""
        moment: datetime = self.values(calls.now())[0]
        return moment

    def values(self, call: Call[None]) -> list[Any]:
        """Call a function that returns values of a scalar type, or none."""
        return self._session.call(call, self.target.schema)


@dataclass(frozen=True)
class Database:
    """What the options said of the database."""

    url: str | None
    schema: str

    @contextmanager
    def open(self) -> Iterator[Target]:
        """Find the database, starting the embedded server if it is that one.

        Raises:
            DBOSInitializationError: the URL or the schema's name cannot be used.
        """
        settings = config.resolve(
            {
                "name": _NAME,
                "system_database_url": _checked_url(self.url),
                "dbos_system_schema": self.schema,
                "log_level": "WARNING",
            }
        )
        url = settings.system_database_url
        if url is not None:
            yield Target(url, config.redact(url), settings.schema, None)
            return
        with embedded.start() as server:
            shown = f"the embedded server in {server.root}"
            yield Target(server.dsn(), shown, settings.schema, server.bindir)

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """Connect, to call the engine's functions."""
        with self.open() as target, target.connect() as connection:
            yield Engine(target, connection)


def takes_database(function: Callable[..., R]) -> Callable[..., R]:
    """Give a command the options --database-url and --schema; it gets a `Database` as its first argument."""

    @click.option(
        "-s",
        "--database-url",
        "--sys-db-url",
        metavar="URL",
        help="The database; by default that of DBOS_SYSTEM_DATABASE_URL, PYENGINE_DATABASE_URL or "
        "libpq's own variables, else the embedded server.",
    )
    @click.option(
        "--schema",
        default="pyengine",
        show_default=True,
        metavar="NAME",
        help="The engine's schema.",
    )
    @functools.wraps(function)
    def wrapper(*, database_url: str | None, schema: str, **arguments: Any) -> R:
        return function(Database(database_url, schema), **arguments)

    return wrapper


def _checked_url(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        return str(urls.parse(url))
    except urls.MalformedUrlError as exc:
        problem = str(exc)
    # Raised outside the handler, so that no context of it can show a part of the URL.
    msg = f"--database-url cannot be used: {problem}"
    raise DBOSInitializationError(msg)
