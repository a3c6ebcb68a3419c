"""The clock that tests put forward."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetEnqueueOptions, schema
from pyengine.errors import DBOSException
from pyengine.testing import Clock

HOUR = timedelta(hours=1)


@DBOS.workflow()
def left_behind(value: int) -> int:
    return value + 1


@pytest.fixture
def sql(pyengine_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(pyengine_url, autocommit=True) as connection:
        yield connection


def time_of(connection: psycopg.Connection[Any], schema_name: str = "pyengine") -> datetime:
    """The engine's time, less the real time."""
    row = connection.execute(f'select "{schema_name}".now()').fetchone()
    assert row is not None
    moment: datetime = row[0]
    return moment


def ahead(connection: psycopg.Connection[Any], schema_name: str = "pyengine") -> timedelta:
    row = connection.execute(
        f'select "{schema_name}".now() - pg_catalog.clock_timestamp()'
    ).fetchone()
    assert row is not None
    difference: timedelta = row[0]
    return difference


def register_executor(connection: psycopg.Connection[Any], lease_seconds: int) -> int:
    row = connection.execute(
        """select pyengine.register_executor(
            name => 'silent', application_name => 'test-app', application_version => '1',
            version_is_pinned => false, functions => '{}', channel => 'pe_silent', lease_seconds => %s)""",
        [lease_seconds],
    ).fetchone()
    assert row is not None
    executor_id: int = row[0]
    return executor_id


def start_workflow(connection: psycopg.Connection[Any], executor_id: int, **fields: Any) -> None:
    document = {
        "workflow_id": "left-behind",
        "name": "left_behind",
        "application_name": "test-app",
        "lease_token": str(uuid.uuid4()),
        "serialization": "json",
        "inputs": {"positionalArgs": [41], "namedArgs": {}},
        **fields,
    }
    answers = connection.execute(
        "select * from pyengine.start_workflows(requests => %s, executor_id => %s)",
        [json.dumps([document]), executor_id],
    ).fetchall()
    assert answers == []


def test_time_moves_on_from_where_it_was_put(
    sql: psycopg.Connection[Any], pyengine_clock: Clock
) -> None:
    assert abs(ahead(sql)) < HOUR
    pyengine_clock.advance(7200)
    pyengine_clock.advance(0.5)
    assert abs(ahead(sql) - 2 * HOUR - timedelta(seconds=0.5)) < timedelta(seconds=0.1)
    assert time_of(sql) < time_of(sql)


def test_the_clock_is_put_back(sql: psycopg.Connection[Any], pyengine_url: str) -> None:
    definition = "select pg_get_functiondef('pyengine.now'::regproc)"
    before = sql.execute(definition).fetchone()
    with suppress(LookupError), Clock(pyengine_url) as clock:
        clock.advance(3600)
        assert sql.execute(definition).fetchone() != before
        raise LookupError("a failing test")
    assert sql.execute(definition).fetchone() == before
    assert abs(ahead(sql)) < HOUR


def test_a_silent_executor_loses_its_lease_when_time_passes(
    dbos: type[DBOS], pyengine_clock: Clock, sql: psycopg.Connection[Any]
) -> None:
    start_workflow(sql, register_executor(sql, lease_seconds=600))
    assert dbos.retrieve_workflow("left-behind").get_status().recovery_attempts == 1

    pyengine_clock.advance(599)
    assert dbos.retrieve_workflow("left-behind").get_status().recovery_attempts == 1
    pyengine_clock.advance(2)

    assert dbos.get_result("left-behind") == 42
    assert dbos.retrieve_workflow("left-behind").get_status().recovery_attempts == 2


def test_a_delayed_workflow_runs_when_its_time_has_come(
    dbos: type[DBOS], pyengine_clock: Clock
) -> None:
    queue = dbos.register_queue("later")
    with SetEnqueueOptions(delay_seconds=3600):
        handle = queue.enqueue(left_behind, 41)

    pyengine_clock.advance(3590)
    assert handle.get_status().status == "DELAYED"
    pyengine_clock.advance(10)

    assert handle.get_result() == 42


def test_the_launched_engine_keeps_its_own_lease(
    dbos: type[DBOS], pyengine_clock: Clock, sql: psycopg.Connection[Any]
) -> None:
    for day in range(1, 4):
        pyengine_clock.advance(86400)
        assert left_behind(day) == day + 1
    alive = sql.execute("select count(*) from pyengine.executors where finished_at is null")
    assert alive.fetchone() == (1,)


def test_a_deadline_counts_from_the_time_that_was_set(
    dbos: type[DBOS], pyengine_clock: Clock, sql: psycopg.Connection[Any]
) -> None:
    pyengine_clock.advance(86400)
    start_workflow(sql, register_executor(sql, lease_seconds=600), timeout_ms=60_000)
    left = sql.execute(
        "select deadline_at - clock_timestamp() from pyengine.workflows where workflow_id = 'left-behind'"
    ).fetchone()
    assert left is not None
    assert timedelta(0) < timedelta(days=1, seconds=60) - left[0] < timedelta(seconds=30)


def test_each_schema_has_its_own_clock(sql: psycopg.Connection[Any], pyengine_url: str) -> None:
    schema.migrate(sql, schema="Other engine")
    with Clock(pyengine_url, schema="Other engine") as clock, Clock(pyengine_url):
        clock.advance(3600)
        assert ahead(sql, "Other engine") > HOUR / 2
        assert abs(ahead(sql)) < HOUR / 2


def test_a_database_of_others_is_refused_unless_allowed(database_url: str, engine_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("drop schema if exists pyengine_testing cascade")
        with pytest.raises(DBOSException, match="allow=True"):
            Clock(database_url)
        try:
            with Clock(database_url, allow=True) as clock:
                clock.advance(3600)
                assert ahead(connection) > HOUR / 2
            assert abs(ahead(connection)) < HOUR / 2
        finally:
            connection.execute("drop schema if exists pyengine_testing cascade")


def test_time_never_goes_back(pyengine_clock: Clock) -> None:
    with pytest.raises(ValueError, match="seconds is -1"):
        pyengine_clock.advance(-1)
    with pytest.raises(ValueError, match="seconds is nan"):
        pyengine_clock.advance(float("nan"))


def test_a_clock_that_is_not_in_use_says_so(pyengine_url: str) -> None:
    with pytest.raises(DBOSException, match="with Clock"):
        Clock(pyengine_url).advance(1)
