"""Starting with an id that exists: nothing runs, and only the outcome of the first counts."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from pyengine import DBOS, DBOSConfiguredInstance, SetWorkflowID
from pyengine.errors import (
    DBOSAwaitedWorkflowCancelledError,
    DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded,
    DBOSConflictingWorkflowError,
    DBOSWorkflowIDInUseError,
    is_workflow_id_in_use_error,
)
from tests.workflows.support import (
    Crashes,
    Gate,
    declare_dead,
    pending_elsewhere,
    steps_of,
    stored,
)


@DBOS.workflow()
def echo(value: Any) -> Any:
    return value


@DBOS.workflow()
async def echo_async(value: Any) -> Any:
    return value


@DBOS.workflow()
def fail(text: str) -> None:
    raise ValueError(text)


@DBOS.dbos_class()
class Shop(DBOSConfiguredInstance):
    def __init__(self, name: str) -> None:
        super().__init__(config_name=name)

    @DBOS.workflow()
    def open(self) -> str:
        return self.config_name


berlin, lagos = Shop("berlin"), Shop("lagos")


def call_with_id(workflow_id: str, function: Any, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return function(*args)


def test_the_first_inputs_and_the_first_outcome_hold(dbos: type[DBOS]) -> None:
    assert call_with_id("first-wins", echo, "first") == "first"
    assert call_with_id("first-wins", echo, "second") == "first"
    assert (
        call_with_id("first-wins", lambda: DBOS.start_workflow(echo, "third")).get_result()
        == "first"
    )

    status = DBOS.get_workflow_status("first-wins")
    assert status is not None
    assert status.input == {"args": ("first",), "kwargs": {}}
    assert status.recovery_attempts == 1


def test_the_outcome_of_another_coroutine_call_is_awaited(dbos: type[DBOS]) -> None:
    async def main() -> list[Any]:
        async def one(value: str) -> Any:
            with SetWorkflowID("async-first-wins"):
                return await echo_async(value)

        return list(await asyncio.gather(one("a"), one("b"), one("c")))

    assert asyncio.run(main()) == ["a", "a", "a"]


def test_a_recorded_error_is_raised_again(dbos: type[DBOS]) -> None:
    for text in ("first", "second"):
        with pytest.raises(ValueError, match="first"):
            call_with_id("failed", fail, text)


def test_a_cancelled_workflow_is_told_to_whoever_asks_again(dbos: type[DBOS]) -> None:
    gate = Gate()

    @DBOS.workflow()
    def stopped() -> None:
        gate.pass_through()

    handle = call_with_id("cancelled", lambda: DBOS.start_workflow(stopped))
    gate.reached.wait()
    DBOS.cancel_workflow("cancelled")
    gate.open.set()

    with pytest.raises(DBOSAwaitedWorkflowCancelledError, match="cancelled"):
        handle.get_result()
    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        call_with_id("cancelled", stopped)


def test_a_dead_letter_is_told_to_whoever_asks_again(dbos: type[DBOS]) -> None:
    crashes = Crashes()

    @DBOS.workflow(max_recovery_attempts=1)
    def doomed() -> None:
        crashes.here()

    crashes.arm(2)
    handle = call_with_id("doomed", lambda: DBOS.start_workflow(doomed))

    with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded):
        handle.get_result()
    with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded):
        call_with_id("doomed", doomed)
    assert handle.get_status().status == "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


def test_a_workflow_that_runs_here_is_waited_for(dbos: type[DBOS]) -> None:
    gate, runs, results = Gate(), [], []

    @DBOS.workflow()
    def once(value: int) -> int:
        runs.append(value)
        gate.pass_through()
        return value

    handle = call_with_id("here", lambda: DBOS.start_workflow(once, 1))
    gate.reached.wait()
    second = threading.Thread(target=lambda: results.append(call_with_id("here", once, 2)))
    second.start()
    gate.open.set()
    second.join(10)

    assert (handle.get_result(), results, runs) == (1, [1], [1])


def test_a_workflow_that_runs_elsewhere_is_waited_for_and_never_run_by_a_call(
    dbos: type[DBOS], database: Any
) -> None:
    pending_elsewhere(database, "elsewhere", "echo")
    results: list[Any] = []
    waiting = threading.Thread(
        target=lambda: results.append(call_with_id("elsewhere", echo, "mine"))
    )
    waiting.start()

    database.execute(
        "select pyengine.finish_workflows(json_build_array(json_build_object('workflow_id', 'elsewhere',"
        " 'lease_token', %s::text, 'serialization', 'json', 'output', 'theirs')))",
        [str(stored(database, "elsewhere", "lease_token"))],
    )
    waiting.join(10)

    assert results == ["theirs"]


def test_a_call_that_waits_gets_the_result_of_the_recovered_run(
    dbos: type[DBOS], database: Any
) -> None:
    executor = pending_elsewhere(
        database, "died", "echo", '{"positionalArgs":["theirs"],"namedArgs":{}}'
    )
    results: list[Any] = []
    waiting = threading.Thread(target=lambda: results.append(call_with_id("died", echo, "mine")))
    waiting.start()

    declare_dead(database, executor)
    waiting.join(10)

    assert results == ["theirs"]
    assert stored(database, "died", "attempt_count") == 2


def test_another_function_cannot_have_the_id(dbos: type[DBOS]) -> None:
    call_with_id("of-echo", echo, 1)

    with pytest.raises(DBOSConflictingWorkflowError, match=r"of-echo.*name 'echo'.*'fail'"):
        call_with_id("of-echo", fail, "x")
    with pytest.raises(DBOSConflictingWorkflowError):
        call_with_id("of-echo", lambda: DBOS.start_workflow(fail, "x"))


def test_another_instance_cannot_have_the_id(dbos: type[DBOS]) -> None:
    assert call_with_id("of-berlin", berlin.open) == "berlin"

    with pytest.raises(DBOSConflictingWorkflowError, match=r"instance 'berlin'.*'lagos'"):
        call_with_id("of-berlin", lagos.open)
    assert call_with_id("of-berlin", berlin.open) == "berlin"


def test_another_class_cannot_have_the_id(dbos: type[DBOS], database: Any) -> None:
    call_with_id("of-class", berlin.open)
    database.execute(
        "update pyengine.workflows set class_name = 'Market' where workflow_id = 'of-class'"
    )

    with pytest.raises(DBOSConflictingWorkflowError, match="class 'Market'"):
        call_with_id("of-class", berlin.open)


def test_reuse_can_be_rejected(dbos: type[DBOS]) -> None:
    def start() -> Any:
        with SetWorkflowID("mine-alone", workflow_id_reuse_policy="reject"):
            return echo(1)

    assert start() == 1
    with pytest.raises(DBOSWorkflowIDInUseError, match=r"mine-alone.*echo.*SUCCESS") as caught:
        start()
    assert is_workflow_id_in_use_error(caught.value)


def test_a_rejected_child_is_rejected_again_when_its_parent_is_recovered(dbos: type[DBOS]) -> None:
    crashes = Crashes()

    @DBOS.workflow()
    def parent() -> str:
        with SetWorkflowID("used", workflow_id_reuse_policy="reject"):
            try:
                echo("new")
                outcome = "attached"
            except DBOSWorkflowIDInUseError:
                outcome = "rejected"
        outcome += str(echo(" and on"))
        crashes.here()
        return outcome

    call_with_id("used", echo, "old")
    crashes.arm()
    handle = call_with_id("rejects", lambda: DBOS.start_workflow(parent))

    assert handle.get_result() == "rejected and on"
    assert steps_of("rejects") == [(1, "echo"), (3, "echo"), (4, "DBOS.getResult")]
