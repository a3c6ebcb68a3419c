"""Events: the last value counts; waiting for one, inside workflows and outside."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.error import DBOSException


@DBOS.workflow()
def publish(values: list[Any]) -> str:
    for value in values:
        DBOS.set_event("status", value)
    set_in_step("from a step")
    return "published"


@DBOS.step()
def set_in_step(value: Any) -> None:
    DBOS.set_event("step", value)


@DBOS.workflow()
def watch(workflow_id: str, key: str, timeout: float) -> Any:
    return DBOS.get_event(workflow_id, key, timeout_seconds=timeout)


@DBOS.workflow()
async def publish_async(value: Any) -> Any:
    await DBOS.set_event_async("status", value)
    return await DBOS.get_all_events_async(DBOS.workflow_id or "")


def step_names(workflow_id: str) -> list[str]:
    return [s["function_name"] for s in DBOS.list_workflow_steps(workflow_id)]


def test_the_last_value_counts_and_outlives_the_workflow(dbos: type[DBOS]) -> None:
    with SetWorkflowID("publisher"):
        publish([1, 2, 3])

    assert DBOS.get_event("publisher", "status", timeout_seconds=0) == 3
    assert DBOS.get_all_events("publisher") == {"status": 3, "step": "from a step"}
    assert step_names("publisher") == ["DBOS.setEvent"] * 3 + ["set_in_step"]


def test_an_event_can_be_waited_for_before_its_workflow_exists(dbos: type[DBOS]) -> None:
    watcher = DBOS.start_workflow(watch, "later", "status", 30)

    with SetWorkflowID("later"):
        publish(["now"])

    assert watcher.get_result() == "now"
    assert step_names(watcher.workflow_id)[0] == "DBOS.getEvent"


def test_an_event_that_does_not_come_is_none_after_the_timeout(dbos: type[DBOS]) -> None:
    assert DBOS.get_event("nobody", "status", timeout_seconds=0.05) is None
    with SetWorkflowID("watcher"):
        assert watch("nobody", "status", 0.05) is None
    assert step_names("watcher") == ["DBOS.getEvent", "DBOS.sleep"]


def test_async_workflows_publish_too(dbos: type[DBOS]) -> None:
    assert asyncio.run(publish_async({"a": 1})) == {"status": {"a": 1}}


def test_publishing_outside_workflows_is_refused(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSException, match="in a workflow or step"):
        DBOS.set_event("status", 1)
