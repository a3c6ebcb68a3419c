"""Work of processes that are gone: any live process of the application carries on from the last step."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.current import get_runtime
from tests.workflows.support import (
    PATIENCE_SECONDS,
    Crashes,
    Gate,
    declare_dead,
    pending_elsewhere,
    steps_of,
    stored,
    wait_until,
)

Launch = Callable[..., None]
Connection = psycopg.Connection[Any]
crashes = Crashes()
effects: list[str] = []

PROGRAM = """
import sys
import threading
from pyengine import DBOS, SetWorkflowID

@DBOS.step()
def crossing_step(text):
    return text + " by the first process"

@DBOS.workflow()
def crossing_processes(text):
    result = crossing_step(text)
    print("stored", flush=True)
    sys.stdin.read()
    return result

DBOS(config={"name": "test-app", "system_database_url": sys.argv[1], "executor_id": sys.argv[2]})
DBOS.launch()
with SetWorkflowID("crossing"):
    crossing_processes("done")
"""


@DBOS.step()
def crossing_step(text: str) -> str:
    return text + " by the second process"


@DBOS.workflow()
def crossing_processes(text: str) -> str:
    return crossing_step(text)


@DBOS.step()
def recovery_step(text: str) -> str:
    effects.append(text)
    return text


@DBOS.workflow()
def recovery_workflow(text: str) -> str:
    return recovery_step(text)


def test_the_work_of_an_executor_whose_lease_is_past_is_taken_over(
    launch: Launch, sql: Connection
) -> None:
    launch()
    inputs = '{"positionalArgs":["theirs"],"namedArgs":{}}'
    executor = pending_elsewhere(sql, "taken-over", "recovery_workflow", inputs)

    declare_dead(sql, executor)

    assert DBOS.get_result("taken-over") == "theirs"
    assert stored(sql, "taken-over", "attempt_count") == 2
    assert stored(sql, "taken-over", "executor_id") == get_runtime("test").engine.executor_id


def test_a_workflow_of_a_living_executor_is_left_alone(launch: Launch, sql: Connection) -> None:
    launch()
    token = pending_elsewhere(sql, "left-alone", "recovery_workflow")
    get_runtime("test").engine._maintenance.hurry()
    wait_until(sql, "exists (select 1 from pyengine.waiters)")

    assert stored(sql, "left-alone", "executor_id") == token
    assert stored(sql, "left-alone", "status") == "PENDING"


def test_a_pinned_version_is_recovered_only_by_that_version(
    launch: Launch, sql: Connection
) -> None:
    inputs = '{"positionalArgs":["pinned"],"namedArgs":{}}'
    launch(application_version="2")
    executor = pending_elsewhere(sql, "pinned", "recovery_workflow", inputs)
    sql.execute("update pyengine.workflows set application_version = '1', version_is_pinned = true")

    declare_dead(sql, executor)
    wait_until(sql, "(select status = 'ENQUEUED' from pyengine.workflows)")
    with SetWorkflowID("unpinned"):
        recovery_workflow("meanwhile")
    assert stored(sql, "pinned", "status") == "ENQUEUED"
    launch(application_version="1")

    assert DBOS.get_result("pinned") == "pinned"


def test_a_run_that_lost_its_lease_while_it_was_silent_writes_nothing_more(
    launch: Launch, sql: Connection
) -> None:
    gate = Gate()
    runs: list[int] = []

    @DBOS.workflow()
    def silent() -> str:
        runs.append(1)
        if len(runs) == 1:
            gate.pass_through()
            recovery_step("zombie")
            return "zombie"
        recovery_step("successor")
        return "successor"

    launch()
    with SetWorkflowID("silent"):
        handle = DBOS.start_workflow(silent)
    gate.reached.wait()
    DBOS.resume_workflow("silent")
    wait_until(sql, "(select status = 'SUCCESS' from pyengine.workflows)")
    gate.open.set()

    assert handle.get_result() == "successor"
    assert [step["output"] for step in DBOS.list_workflow_steps("silent")] == ["successor"]


def test_who_waits_for_a_run_that_was_superseded_gets_the_successors_result(
    launch: Launch, sql: Connection
) -> None:
    gate, runs, results = Gate(), [], []

    @DBOS.workflow()
    def superseded() -> int:
        runs.append(1)
        if len(runs) == 1:
            gate.pass_through()
        return len(runs)

    launch()
    with SetWorkflowID("superseded"):
        handle = DBOS.start_workflow(superseded)
    gate.reached.wait()
    waiting = threading.Thread(target=lambda: results.append(handle.get_result()))
    waiting.start()
    DBOS.resume_workflow("superseded")
    waiting.join(PATIENCE_SECONDS / 2)
    seen = list(results)
    gate.open.set()

    assert seen == [2]


def test_an_executor_that_was_declared_dead_registers_anew_and_goes_on(
    launch: Launch, sql: Connection
) -> None:
    launch()
    engine = get_runtime("test").engine
    dead = engine.executor_id
    sql.execute(
        "update pyengine.executors set finished_at = now(), finish_reason = 'lease expired'"
    )
    engine._maintenance.hurry()

    assert recovery_workflow("again") == "again"
    assert engine.executor_id != dead
    assert DBOS.start_workflow(recovery_workflow, "background").get_result() == "background"


def test_arguments_are_validated_only_when_a_run_is_recovered(
    launch: Launch, sql: Connection
) -> None:
    def double_first(args: Any, kwargs: Any) -> Any:
        return (args[0] * 2, *args[1:]), kwargs

    @DBOS.workflow(validate_args=double_first)
    def validated(number: int) -> int:
        crashes.here()
        return number

    @DBOS.workflow(validate_args=lambda args, kwargs: 1 / 0)
    def never_valid() -> None:
        crashes.here()

    launch()
    assert validated(3) == 3
    crashes.arm()
    assert DBOS.start_workflow(validated, 3).get_result() == 6
    crashes.arm()
    with pytest.raises(ZeroDivisionError):
        DBOS.start_workflow(never_valid).get_result()


def test_inputs_that_cannot_be_read_end_in_an_error(launch: Launch, sql: Connection) -> None:
    launch()
    executor = pending_elsewhere(sql, "unreadable", "recovery_workflow")
    sql.execute("update pyengine.workflows set serialization = 'somebody-elses'")
    declare_dead(sql, executor)

    with pytest.raises(Exception, match="somebody-elses"):
        DBOS.get_result("unreadable")
    assert stored(sql, "unreadable", "status") == "ERROR"


@pytest.mark.parametrize("restarts_by_name", [True, False])
def test_the_workflow_of_a_killed_process_is_carried_on_by_another(
    launch: Launch, sql: Connection, engine_url: str, tmp_path: Path, restarts_by_name: bool
) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    if not restarts_by_name:
        launch(executor_id="other")
    process = subprocess.Popen(
        [sys.executable, str(program), engine_url, "first"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"stored\n"
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)
        wait_until(
            sql,
            "not exists (select 1 from pg_stat_activity "
            "where application_name = 'pyengine listener' and datname = current_database())"
            if restarts_by_name
            else "true",
        )
    if restarts_by_name:
        launch(executor_id="first")

    assert DBOS.get_result("crossing") == "done by the first process"
    assert steps_of("crossing") == [(1, "crossing_step")]
