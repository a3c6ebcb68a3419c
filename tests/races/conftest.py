"""Two sessions that meet in an order that the test chooses."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.races.world import World

Session = psycopg.Connection[Any]


class Duel:
    """Two sessions, each in an explicit transaction, and a third that looks and prepares."""

    def __init__(self, url: str, look: Session) -> None:
        self.look = look
        self.url = url
        # Who waits for longer than any test lets him waits for ever.
        self.first = psycopg.connect(url, options="-c lock_timeout=10s")
        self.second = psycopg.connect(url, options="-c lock_timeout=10s")
        self._threads = ThreadPoolExecutor(1)

    def close(self) -> None:
        """End both."""
        self.first.close()
        self.second.close()
        self._threads.shutdown()

    def blocked(self, work: Callable[[], Any]) -> Future[Any]:
        """Let the second session do something, and wait until the first blocks it."""
        future = self._threads.submit(work)
        query = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
        for _ in range(1000):
            if self.look.execute(query, [self.second.info.backend_pid]).fetchall() == [(True,)]:
                return future
            assert not future.done(), f"it was not blocked: {future.result()}"
            time.sleep(0.005)
        raise TimeoutError("the second session was never blocked")

    def register(self, name: str = "one", functions: tuple[str, ...] = ("f",)) -> int:
        """An executor."""
        found = self.look.execute(
            "select pyengine.register_executor(name => %s, application_name => 'app', "
            "application_version => '1', version_is_pinned => false, functions => %s, channel => %s, "
            "lease_seconds => 15)",
            [name, list(functions), f"channel {uuid.uuid4()}"],
        )
        return int(found.fetchall()[0][0])

    def start(
        self, session: Session, workflow_id: str, token: object = None, executor: int | None = None
    ) -> list[Any]:
        """Start a workflow of the function f; the answers."""
        request: dict[str, Any] = {
            "workflow_id": workflow_id,
            "name": "f",
            "serialization": "json",
            "inputs": {},
            "lease_token": None if token is None else str(token),
        }
        return call(
            session,
            "select refusal, status from pyengine.start_workflows(requests => %s, executor_id => %s)",
            json.dumps([request]),
            executor,
        )

    def claim(self, session: Session, executor: int, limit: int = 10) -> list[str]:
        """Claim under a new token: the ids."""
        rows = call(
            session,
            "select workflow_id from pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => %s)",
            executor,
            uuid.uuid4(),
            limit,
        )
        return sorted(row[0] for row in rows)

    def row(self, workflow_id: str, columns: str = "status") -> tuple[Any, ...]:
        """Committed columns of a workflow."""
        query = f"select {columns} from pyengine.workflows where workflow_id = %s"
        return tuple(self.look.execute(query, [workflow_id]).fetchall()[0])


def call(session: Session, text: str, *values: object) -> list[Any]:
    """The rows of a statement."""
    return session.execute(text, values).fetchall()


@pytest.fixture
def duel(engine_url: str, sql: Session) -> Iterator[Duel]:
    """Two sessions on an empty engine."""
    made = Duel(engine_url, sql)
    yield made
    made.close()


@pytest.fixture(scope="module")
def world(engine_url: str) -> Iterator[World]:
    """The world of `actions`, for one module."""
    with psycopg.connect(engine_url, autocommit=True) as look:
        made = World(engine_url, look)
        yield made
        made.close()
