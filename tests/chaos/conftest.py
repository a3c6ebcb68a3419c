"""Fixtures of the fault tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import schema
from tests.chaos.rig import Rig
from tests.chaos.worker import Options
from tests.fix_server import PrivateServer, PrivateServerFactory

# Deliberately without a unique constraint: a second row is a step that was done twice.
BUSINESS_TABLE = "create table if not exists public.business (workflow_id text, step text)"


@pytest.fixture
def business(sql: psycopg.Connection[Any]) -> psycopg.Connection[Any]:
    """A connection to an empty engine beside an empty business table."""
    sql.execute(BUSINESS_TABLE)
    sql.execute("truncate public.business")
    return sql


@pytest.fixture
def rig(engine_url: str, business: psycopg.Connection[Any], tmp_path: Path) -> Iterator[Rig]:
    """Workers on the shared server, with an empty engine."""
    made = Rig(Options(url=engine_url, ledger=tmp_path / "ledger"))
    yield made
    made.close()


@pytest.fixture
def doomed_server(private_server: PrivateServerFactory) -> PrivateServer:
    """A server of this test with the engine's schema."""
    server = private_server()
    with psycopg.connect(server.url(), autocommit=True) as connection:
        schema.migrate(connection)
        connection.execute(BUSINESS_TABLE)
    return server


@pytest.fixture
def doomed_rig(doomed_server: PrivateServer, tmp_path: Path) -> Iterator[Rig]:
    """Workers on the server of this test."""
    made = Rig(Options(url=doomed_server.url(), ledger=tmp_path / "ledger"))
    yield made
    made.close()
