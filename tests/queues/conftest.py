"""A server whose history can be told: of one module, because it keeps commit times."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.fix_server import PrivateServer, server_directory
from tests.queues import history


@pytest.fixture(scope="module")
def recording_url() -> Iterator[str]:
    """The URL of an engine whose history is recorded."""
    directory = server_directory()
    settings = {"track_commit_timestamp": "on", "fsync": "off", "autovacuum": "off"}
    server = PrivateServer(directory / "server", settings)
    try:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            schema.migrate(connection)
            history.install(connection)
        yield server.url()
    finally:
        server.close()
        shutil.rmtree(directory)


@pytest.fixture
def recorded(recording_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty engine whose history begins now."""
    with psycopg.connect(recording_url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
        history.forget(connection)
        yield connection
