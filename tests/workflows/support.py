"""What the behaviour tests share: runs that end abruptly, signals, and a look at the stored rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from pyengine import DBOS, schema
from pyengine.current import get_runtime

PATIENCE_SECONDS = 20.0


class Crash(BaseException):
    """Ends a run without deciding its outcome, as the end of a process does."""


class Crashes:
    """Crashes the first runs: `crashes.here()` raises as often as `crashes.arm(n)` said."""

    def __init__(self) -> None:
        self.left = 0

    def arm(self, count: int = 1) -> None:
        self.left = count

    def here(self) -> None:
        if self.left:
            self.left -= 1
            raise Crash


class Signal:
    """An event that fails the test instead of waiting for ever."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        self._event.set()

    def wait(self) -> None:
        assert self._event.wait(PATIENCE_SECONDS), "nobody gave the signal"


class Gate:
    """A place where a workflow stops until the test lets it go on."""

    def __init__(self) -> None:
        self.reached = Signal()
        self.open = Signal()

    def pass_through(self) -> None:
        self.reached.set()
        self.open.wait()


@contextmanager
def launched(url: str) -> Iterator[type[DBOS]]:
    """An engine with nothing in it, for all tests of a module: they choose different workflow ids."""
    with psycopg.connect(url, autocommit=True) as connection:
        schema.reset(connection, truncate=True)
    DBOS.destroy()
    DBOS(config={"name": "test-app", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    try:
        yield DBOS
    finally:
        DBOS.destroy()


def steps_of(workflow_id: str) -> list[tuple[int, str]]:
    """Number and name of each recorded step."""
    return [
        (step["function_id"], step["function_name"])
        for step in DBOS.list_workflow_steps(workflow_id)
    ]


def stored(database: psycopg.Connection[Any], workflow_id: str, column: str) -> Any:
    """One column of a workflow's row."""
    query = sql.SQL("select {} from pyengine.workflows where workflow_id = %s")
    found = database.execute(query.format(sql.Identifier(column)), [workflow_id]).fetchone()
    assert found is not None, f"there is no workflow {workflow_id}"
    return found[0]


def wait_until(database: psycopg.Connection[Any], condition: str) -> None:
    """Wait until an expression of the database is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while database.execute(f"select {condition}").fetchone() != (True,):
        assert time.monotonic() < deadline, f"never: {condition}"
        time.sleep(0.005)


def eventually(is_true: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something is true in this process."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def hibernates(workflow_id: str) -> str:
    """The condition that a workflow hibernates, for `wait_until`."""
    return (
        f"exists (select 1 from pyengine.workflows where workflow_id = '{workflow_id}'"
        " and status = 'PENDING' and lease_token is null)"
    )


def count_workflows(database: psycopg.Connection[Any], name: str | None = None) -> int:
    """How many workflows there are, or how many of one name."""
    query = "select count(*) from pyengine.workflows where name = coalesce(%s, name)"
    found = database.execute(query, [name]).fetchone()
    assert found is not None
    return int(found[0])


def pending_elsewhere(
    database: psycopg.Connection[Any],
    workflow_id: str,
    name: str,
    inputs: str = '{"positionalArgs":[],"namedArgs":{}}',
) -> int:
    """A workflow that another, living executor runs. Returns the executor's id."""
    found = database.execute(
        """
        insert into pyengine.executors (name, application_name, application_version, version_is_pinned, functions,
            channel, lease_duration, started_at, heartbeat_at)
        values ('elsewhere', 'test-app', '1', false, '{}', 'none', '1 hour', now(), now())
        returning executor_id
        """
    ).fetchone()
    assert found is not None
    database.execute(
        """
        insert into pyengine.workflows (workflow_id, status, name, application_name, executor_id, lease_token,
            attempt_count, created_at, updated_at, started_at, serialization, inputs)
        values (%s, 'PENDING', %s, 'test-app', %s, gen_random_uuid(), 1, now(), now(), now(), 'json', %s::json)
        """,
        [workflow_id, name, found[0], inputs],
    )
    return int(found[0])


def declare_dead(database: psycopg.Connection[Any], executor_id: int) -> None:
    """The lease of an executor is past; the next tick of this process finds that out, and it comes at once."""
    database.execute(
        "update pyengine.executors set heartbeat_at = now() - interval '1 hour', lease_duration = '1 ms'"
        " where executor_id = %s",
        [executor_id],
    )
    get_runtime("test").engine._maintenance.hurry()
