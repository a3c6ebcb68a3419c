"""The overview's patterns of timeouts, introspection and control, with only the import changed."""

from __future__ import annotations

import time

import pytest

from pyengine import DBOS, SetWorkflowID, SetWorkflowTimeout
from pyengine.error import DBOSAwaitedWorkflowCancelledError
from tests.workflows.support import eventually

ran: list[int] = []

# Workflow Timeout


@DBOS.workflow()
def long_workflow(data: str) -> str:
    return "completed"


@DBOS.workflow()
def too_long_workflow(data: str) -> str:
    DBOS.sleep(60)
    return "completed"


@DBOS.step()
def numbered_step(number: int) -> int:
    ran.append(number)
    return number


@DBOS.workflow()
def steps_workflow() -> int:
    return sum(numbered_step(number) for number in (1, 2, 3, 4))


def test_a_workflow_times_out(dbos: type[DBOS]) -> None:
    # Workflow times out after 1 hour
    with SetWorkflowTimeout(3600):
        result = long_workflow("input")
    assert result == "completed"

    with SetWorkflowTimeout(0.2), pytest.raises(DBOSAwaitedWorkflowCancelledError):
        too_long_workflow("input")


def test_workflows_are_introspected_and_controlled(dbos: type[DBOS]) -> None:
    ran.clear()
    workflow_id = "introspected"
    with SetWorkflowID(workflow_id):
        steps_workflow()
    waiting_id = DBOS.start_workflow(too_long_workflow, "input").workflow_id

    # List workflows by status
    pending = DBOS.list_workflows(status="PENDING", limit=10)
    completed = DBOS.list_workflows(status="SUCCESS", sort_desc=True)

    # Get workflow steps
    steps = DBOS.list_workflow_steps(workflow_id)

    # Control operations
    DBOS.cancel_workflow(waiting_id)
    DBOS.resume_workflow(waiting_id)
    fork = DBOS.fork_workflow(workflow_id, start_step=3)

    assert [status.workflow_id for status in pending] == [waiting_id]
    assert [status.workflow_id for status in completed] == [workflow_id]
    assert [step["output"] for step in steps] == [1, 2, 3, 4]
    assert fork.get_result() == 10
    assert ran == [1, 2, 3, 4, 3, 4]
    eventually(lambda: DBOS.list_workflows(status="PENDING"))
    DBOS.cancel_workflow(waiting_id)


def test_operations_on_a_finished_workflow_change_nothing(dbos: type[DBOS]) -> None:
    with SetWorkflowID("finished"):
        long_workflow("input")

    began = time.monotonic()
    DBOS.cancel_workflow("finished")
    assert DBOS.resume_workflow("finished").get_result() == "completed"
    assert time.monotonic() - began < 5
