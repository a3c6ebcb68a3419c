"""One engine, three languages: each enqueues, each executes with a crash in between, each reads the result."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, embedded
from tests.languages import workers
from tests.languages.conformance.runner import Run, Worker
from tests.languages.conftest import NODE_MODULES, missing, not_here

# Many processes are started; `make test-languages` does, and `make test-all`.
pytestmark = pytest.mark.slow

# Whole numbers beyond 2 ** 53 and decimals are texts in the portable form: JavaScript has no such numbers.
VALUES = {
    "nothing": None,
    "numbers": [0, -1, 9007199254740991, 0.1, 1.5e-7],
    "texts": ["", "\u00e4\u00df\U0001f600", 'a"b\\c\n\t', "12345678901234567890", "19.90"],
    "nested": [[], {}, {"z": 1, "a": [True, False, {"": None}]}],
}

Enqueue = Callable[[str, str, list[Any]], None]
Result = Callable[[str], Any]


class Program:
    """A client in another language, on its command line."""

    def __init__(self, worker: Worker, client: Path, url: str) -> None:
        self._command = [*map(str, worker.command[:-1]), str(client)]
        self._environment = {**os.environ, **worker.environment, "PYENGINE_DATABASE_URL": url}

    def enqueue(self, workflow_id: str, name: str, args: list[Any]) -> None:
        self._run("enqueue", workflow_id, name, json.dumps(args))

    def result(self, workflow_id: str) -> Any:
        return json.loads(self._run("result", workflow_id))

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


class PythonClient:
    """pyengine's own."""

    def enqueue(self, workflow_id: str, name: str, args: list[Any]) -> None:
        DBOS.enqueue_workflow_with_options(
            {
                "workflow_name": name,
                "queue_name": "languages",
                "workflow_id": workflow_id,
                "application_name": "conformance",
            },
            *args,
        )

    def result(self, workflow_id: str) -> Any:
        return DBOS.retrieve_workflow(workflow_id).get_result()


@pytest.fixture
def clients(
    dbos: type[DBOS], server: embedded.Server, engine_url: str
) -> dict[str, Program | PythonClient]:
    """A client in each language that is here."""
    found: dict[str, Program | PythonClient] = {"python": PythonClient()}
    if not missing("node"):
        node = workers.node(NODE_MODULES)
        found["node"] = Program(node, workers.HERE / "node" / "client.js", engine_url)
    if not missing("psql"):
        psql = workers.psql(server.bindir)
        found["psql"] = Program(psql, workers.HERE / "psql" / "client.sh", engine_url)
    return found


@pytest.mark.parametrize("enqueuer", ["python", "node", "psql"])
def test_values_and_histories_cross_all_languages(
    enqueuer: str,
    worker: Worker,
    clients: dict[str, Any],
    sql: psycopg.Connection[Any],
    engine_url: str,
    tmp_path: Path,
) -> None:
    if enqueuer not in clients:
        not_here(missing(enqueuer) or "")
    sql.execute("select pyengine.register_queue('languages')")
    run = Run(worker, engine_url, tmp_path, sql)
    run.hold({"workflow_id": "crashed", "step": "b"})
    try:
        clients[enqueuer].enqueue("value", "echo", [VALUES])
        clients[enqueuer].enqueue("crashed", "visit", [["a", "b", "c"]])
        run.worker("one")
        run.expect_log({"crashed": ["a", "b"]})
        run.kill("one")
        run.release({"workflow_id": "crashed", "step": "b"})
        run.worker("two")

        for client in clients.values():
            assert client.result("value") == VALUES
            assert client.result("crashed") == ["a", "b", "c"]
        run.expect_log({"crashed": ["a", "b", "b", "c"]})
    finally:
        run._end()
