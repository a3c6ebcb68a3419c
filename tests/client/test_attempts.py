"""What was enqueued without a number of attempts has that of the function of the process that claims it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSClient, Queue
from pyengine.error import DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded

Connection = psycopg.Connection[Any]

attempts = Queue("client-attempts")

# A process that ends whenever it runs the workflow, which may run twice.
WORKER = """
import os, sys, time
from pyengine import DBOS, Queue

DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "executor_id": "mortal"})
Queue("client-attempts")

@DBOS.workflow(max_recovery_attempts=1)
def short_lived():
    os._exit(9)

DBOS.launch()
time.sleep(30)
"""


@DBOS.workflow(max_recovery_attempts=1)
def short_lived() -> None:
    raise AssertionError("it has no attempt left")


@DBOS.workflow(max_recovery_attempts=None)
def stubborn() -> int:
    return 1


@DBOS.workflow()
def ordinary() -> int:
    return 2


@DBOS.workflow(max_recovery_attempts=4)
def at_times(scheduled_at: datetime, context: Any) -> int:
    return 3


def limit_of(sql: Connection, workflow_id: str) -> int | None:
    query = "select max_attempts from pyengine.workflows where workflow_id = %s"
    row = sql.execute(query, [workflow_id]).fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def test_a_client_s_workflow_that_ends_its_process_is_a_dead_letter_after_its_own_attempts(
    sql: Connection, launch: Callable[..., None], engine_url: str
) -> None:
    with DBOSClient(system_database_url=engine_url, application_name="test-app") as client:
        handle = client.enqueue({"workflow_name": "short_lived", "queue_name": "client-attempts"})
        for _ in range(2):
            ended = subprocess.run(
                [sys.executable, "-c", WORKER, engine_url], timeout=60, check=False
            )
            assert ended.returncode == 9
            # The next process is given it at once, and without the pause after a failure.
            sql.execute("select pyengine.leave_executor(executor_id) from pyengine.executors")
            sql.execute(
                "update pyengine.workflows set delayed_until = now() where status = 'DELAYED'"
            )
        launch()

        with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded):
            handle.get_result()

    assert limit_of(sql, handle.workflow_id) == 2


@pytest.mark.parametrize(("name", "limit"), [("stubborn", None), ("ordinary", 101)])
def test_each_function_has_its_own_number(
    sql: Connection, dbos: type[DBOS], engine_url: str, name: str, limit: int | None
) -> None:
    with DBOSClient(system_database_url=engine_url) as client:
        handle = client.enqueue({"workflow_name": name, "queue_name": "client-attempts"})
        handle.get_result()

    assert limit_of(sql, handle.workflow_id) == limit


def test_a_client_s_schedule_respects_it_too(
    sql: Connection, dbos: type[DBOS], engine_url: str
) -> None:
    with DBOSClient(system_database_url=engine_url, application_name="test-app") as client:
        client.create_schedule(
            schedule_name="rarely", workflow_name="at_times", schedule="0 0 1 1 *"
        )
        handle = client.trigger_schedule("rarely")
        assert handle.get_result() == 3

    assert limit_of(sql, handle.workflow_id) == 5


def test_a_number_that_the_caller_gives_holds(sql: Connection, dbos: type[DBOS]) -> None:
    call = "select pyengine.start_workflow('stubborn', max_attempts => 7)"
    (workflow_id,) = sql.execute(call.encode()).fetchone() or ("",)
    DBOS.retrieve_workflow(workflow_id).get_result()

    assert limit_of(sql, workflow_id) == 7


def test_a_function_that_is_registered_later_brings_its_number(
    sql: Connection, dbos: type[DBOS], engine_url: str
) -> None:
    @DBOS.workflow(name="late", max_recovery_attempts=2)
    def late() -> int:
        return 4

    with DBOSClient(system_database_url=engine_url) as client:
        handle = client.enqueue({"workflow_name": "late", "queue_name": "client-attempts"})
        assert handle.get_result() == 4

    assert limit_of(sql, handle.workflow_id) == 3
