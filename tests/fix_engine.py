"""Fixtures: an engine on the run's server, launched and destroyed around each test.

The schema is made once for each database; a test that needs it empty gets it emptied, which is quicker than
making it anew.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import psycopg
import pytest

from pyengine import DBOS, schema
from pyengine.config import DBOSConfig


@pytest.fixture(scope="session")
def engine_url(database_url: str) -> str:
    """The URL of a database with the engine's schema."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        schema.migrate(connection)
    return database_url


@pytest.fixture
def sql(engine_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection (autocommit) to an empty engine."""
    with psycopg.connect(engine_url, autocommit=True) as connection:
        _empty(connection)
        yield connection


def _empty(connection: psycopg.Connection[Any]) -> None:
    """Empty the engine; again if that met the last statement of a program that is gone, which a pooler lets end."""
    for _ in range(3):
        with suppress(psycopg.errors.DeadlockDetected):
            schema.reset(connection, truncate=True)
            return
    schema.reset(connection, truncate=True)


@pytest.fixture
def config(engine_config: DBOSConfig) -> DBOSConfig:
    """A configuration for an empty engine."""
    return {
        "name": "test-app",
        **engine_config,
        "executor_id": f"test-{secrets.token_hex(4)}",
        "log_level": "WARNING",
    }


@pytest.fixture
def launch(sql: psycopg.Connection[Any], config: DBOSConfig) -> Iterator[Callable[..., None]]:
    """Launch the engine: `launch()`, or `launch(application_version="2")` with other configuration keys."""

    def start(**keys: Any) -> None:
        DBOS.destroy()
        DBOS(config=cast("DBOSConfig", {**config, **keys}))
        DBOS.launch()

    DBOS.destroy()
    yield start
    DBOS.destroy()


@pytest.fixture
def dbos(launch: Callable[..., None]) -> type[DBOS]:
    """A launched engine with nothing in it."""
    launch()
    return DBOS
