"""Fixtures: the command line in this process, on the run's engine."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any, NamedTuple

import psycopg
import pytest

from pyengine.cli import main

Session = psycopg.Connection[Any]


class Done(NamedTuple):
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, read as JSON."""
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(
    engine_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Run]:
    """Run a command: `run("workflow", "list")`, with an answer to its question: `run("reset", answer="y")`."""
    for name in ("DBOS_SYSTEM_DATABASE_URL", "PGHOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYENGINE_DATABASE_URL", engine_url)
    logger = logging.getLogger("pyengine")
    level = logger.level

    def call(*arguments: str, answer: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", StringIO(f"{answer}\n" if answer else ""))
        status = main(arguments)
        return Done(status, *capsys.readouterr())

    yield call
    logger.setLevel(level)


@pytest.fixture
def enqueue(sql: Session) -> Callable[..., None]:
    """Enqueue a workflow: `enqueue("id", name="f", queue_name="q")`."""

    def start(workflow_id: str, **fields: object) -> None:
        request = {
            "workflow_id": workflow_id,
            "name": "f",
            "application_name": "app",
            "serialization": "json",
            "inputs": {"args": ["secret-input"]},
            **fields,
        }
        query = "select pyengine.start_workflows(%s)"
        assert sql.execute(query, [json.dumps([request])]).fetchall() == []

    return start


class Process:
    """A process that does nothing by itself."""

    def __init__(self, sql: Session, name: str) -> None:
        self._sql = sql
        (self.executor_id,) = self._one(
            "select pyengine.register_executor(name => %s, application_name => 'app', application_version => '1', "
            "version_is_pinned => false, functions => '{f,g}', channel => %s, lease_seconds => 15, host => 'h', "
            "process_id => 7)",
            name,
            f"channel {uuid.uuid4()}",
        )

    def claim(self, count: int = 1) -> str:
        """Claim workflows: the lease token."""
        token = str(uuid.uuid4())
        query = "select pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => %s)"
        claimed = self._sql.execute(query, [self.executor_id, token, count]).fetchall()
        assert len(claimed) == count
        return token

    def record(self, workflow_id: str, token: str, step_id: int, **outcome: object) -> None:
        """Record a step."""
        document = {
            "workflow_id": workflow_id,
            "lease_token": token,
            "step_id": step_id,
            "name": f"step_{step_id}",
            "serialization": "json",
            "elapsed_ms": 1500,
            **outcome,
        }
        self._sql.execute("select pyengine.record_steps(%s)", [json.dumps([document])])

    def finish(self, workflow_id: str, token: str, **outcome: object) -> None:
        """Record how a workflow ended."""
        document = {"workflow_id": workflow_id, "lease_token": token, **outcome}
        self._sql.execute("select pyengine.finish_workflows(%s)", [json.dumps([document])])

    def _one(self, query: str, *values: object) -> Any:
        return self._sql.execute(query.encode(), values).fetchone()


@pytest.fixture
def process(sql: Session) -> Process:
    """A process named "one" that has the functions f and g."""
    return Process(sql, "one")
