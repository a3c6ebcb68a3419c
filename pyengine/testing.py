"""Fixtures for the tests of an application, and a clock that can be put forward.

In `conftest.py`, or in the only test file:

    pytest_plugins = ["pyengine.testing"]

Fixtures: `dbos` (a launched engine with nothing in it), `pyengine_clock` (its time can be put forward),
`pyengine_url` (their database, new in each run of the tests) and `pyengine_config` (override it to
change the configuration).
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, cast

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import scalar_row

from pyengine import embedded, schema, urls
from pyengine.config import DBOSConfig
from pyengine.current import find_runtime
from pyengine.dbos import DBOS
from pyengine.errors import DBOSException
from pyengine.schema.sources import SOURCE_SCHEMA, rename_schema, repeatables

__all__ = ["Clock", "dbos", "pyengine_clock", "pyengine_config", "pyengine_server", "pyengine_url"]

_HOST = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]
_DATABASE = re.compile(r"pyengine_test_(?P<host>[0-9a-f]{8})_(?P<process>\d+)")
# What marks a database whose clock may be changed, and holds how far each engine's is ahead.
_MARK = """
    create schema if not exists pyengine_testing;
    create table if not exists pyengine_testing.clocks (
        engine_schema text primary key,
        ahead interval not null
    );
    grant usage on schema pyengine_testing to public;
    grant select on pyengine_testing.clocks to public;
"""


class Clock:
    """The engine's clock, which a test can put forward. A context manager that puts it back.

    It replaces `pyengine.now()`, so it moves the time of the whole engine: leases, deadlines and all
    times that are stored. The processes' own clocks and `datetime.now()` are not touched.

    Args:
        database_url: The engine's database.
        schema: The engine's schema.
        allow: Change the clock of a database that these fixtures did not make. Never do that where
            others work: their leases run out.

    Raises:
        DBOSException: The database is not one of these fixtures', and `allow` is False.
    """

    def __init__(
        self, database_url: str, *, schema: str = SOURCE_SCHEMA, allow: bool = False
    ) -> None:
        self._url = database_url
        self._schema = schema
        with psycopg.connect(self._url, autocommit=True) as connection:
            if not allow and not _is_marked(connection):
                raise DBOSException(
                    "this database was not made by pyengine.testing, so its clock stays as it is: use the "
                    "fixture pyengine_url, or Clock(..., allow=True) if nobody else works there"
                )
            connection.execute(_MARK)

    def __enter__(self) -> Clock:
        with psycopg.connect(self._url) as connection:
            connection.execute(
                "insert into pyengine_testing.clocks values (%s, interval '0') "
                "on conflict (engine_schema) do update set ahead = interval '0'",
                [self._schema],
            )
            _replace_now(connection, self._schema, _ADJUSTABLE_NOW)
        return self

    def advance(self, seconds: float) -> None:
        """Put the clock forward; what is due by then happens soon, not at once: wait for it.

        Args:
            seconds: How far; not less than 0, because the engine's time never goes back.

        Raises:
            ValueError: `seconds` is negative.
            DBOSException: The clock is not in use (`with Clock(...) as clock`).
        """
        if not seconds >= 0:
            raise ValueError(f"seconds is {seconds}: a clock can only be put forward")
        with psycopg.connect(self._url, autocommit=True) as connection:
            updated = connection.execute(
                "update pyengine_testing.clocks set ahead = ahead + make_interval(secs => %s) "
                "where engine_schema = %s",
                [seconds, self._schema],
            ).rowcount
        if not updated:
            raise DBOSException("the clock is not in use: write `with Clock(...) as clock:`")
        runtime = find_runtime()
        if runtime is not None:
            runtime.engine.look_again()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with psycopg.connect(self._url) as connection:
            _replace_now(connection, self._schema, _original_now())
            connection.execute(
                "delete from pyengine_testing.clocks where engine_schema = %s", [self._schema]
            )


_ADJUSTABLE_NOW = """
    create or replace function pyengine.now()
    returns timestamptz
    language sql
    volatile
    as $$
        select pg_catalog.clock_timestamp() + coalesce(
            (select c.ahead from pyengine_testing.clocks as c where c.engine_schema = {schema}),
            interval '0'
        )
    $$;
"""


def _original_now() -> str:
    return next(source.sql for source in repeatables() if source.path == "functions/base/now.sql")


def _replace_now(connection: psycopg.Connection[Any], schema_name: str, text: str) -> None:
    named = text.replace("{schema}", sql.Literal(schema_name).as_string(connection))
    connection.execute(rename_schema(named, schema_name).encode())


def _is_marked(connection: psycopg.Connection[Any]) -> bool:
    with connection.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("select to_regclass('pyengine_testing.clocks') is not null")
        return cursor.fetchone() is True


def _with_database(url: str, name: str) -> str:
    return str(replace(urls.parse(url), database=name))


def _drop_leftovers(connection: psycopg.Connection[Any]) -> None:
    """Drop the databases of runs on this machine that were killed."""
    with connection.cursor(row_factory=scalar_row) as cursor:
        names = cursor.execute("select datname from pg_database where datname ~ '^pyengine_test_'")
        for name in names.fetchall():
            match = _DATABASE.fullmatch(name)
            if match is None or match["host"] != _HOST or _is_alive(int(match["process"])):
                continue
            drop = sql.SQL("drop database if exists {} with (force)")
            cursor.execute(drop.format(sql.Identifier(name)))


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # alive, and somebody else's
    return True


@pytest.fixture(scope="session")
def pyengine_server() -> Iterator[str]:
    """URL of the server that the tests use: PYENGINE_TEST_SERVER_URL, or the embedded server.

    The login needs the right to create databases.
    """
    given = os.environ.get("PYENGINE_TEST_SERVER_URL")
    if given:
        yield given
        return
    with embedded.start() as server:
        yield server.url()


@pytest.fixture(scope="session")
def pyengine_url(pyengine_server: str) -> Iterator[str]:
    """URL of a database with the engine in it, made for this run of the tests and dropped afterwards."""
    name = f"pyengine_test_{_HOST}_{os.getpid()}"
    with psycopg.connect(pyengine_server, autocommit=True) as connection:
        _drop_leftovers(connection)
        drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
        connection.execute(drop)
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        url = _with_database(pyengine_server, name)
        with psycopg.connect(url, autocommit=True) as made:
            schema.migrate(made)
            made.execute(_MARK)
        yield url
        connection.execute(drop)


@pytest.fixture
def pyengine_config() -> DBOSConfig:
    """The configuration of `dbos`, without its database. Override it to change it."""
    return {"name": "test-app", "log_level": "WARNING"}


@pytest.fixture
def dbos(pyengine_url: str, pyengine_config: DBOSConfig) -> Iterator[type[DBOS]]:
    """The engine, launched and with nothing in it; the decorated functions stay registered."""
    DBOS.destroy()
    DBOS(config=cast("DBOSConfig", {**pyengine_config, "system_database_url": pyengine_url}))
    DBOS.reset_system_database(truncate=True)
    DBOS.launch()
    yield DBOS
    DBOS.destroy()


@pytest.fixture
def pyengine_clock(pyengine_url: str) -> Iterator[Clock]:
    """The clock of the engine, to be put forward; put back after the test."""
    with Clock(pyengine_url) as clock:
        yield clock
