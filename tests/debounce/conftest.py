"""One engine for a module, and a clock that stands still, so that times can be compared exactly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from pyengine.schema import sql_root
from tests.workflows.conftest import database, dbos

__all__ = ["database", "dbos"]


class StoppedClock:
    """`pyengine.now()` says one time until it is told another."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._time = datetime(2030, 1, 1, tzinfo=timezone.utc)
        self.advance(0)

    def advance(self, seconds: float) -> None:
        self._time += timedelta(seconds=seconds)
        self._connection.execute(
            "create or replace function pyengine.now() returns timestamptz language sql as"
            f" $$ select '{self._time.isoformat()}'::timestamptz $$"
        )


@pytest.fixture
def clock(sql: psycopg.Connection[Any]) -> Iterator[StoppedClock]:
    """The engine's clock, stopped."""
    yield StoppedClock(sql)
    sql.execute((sql_root() / "functions/base/now.sql").read_bytes())
