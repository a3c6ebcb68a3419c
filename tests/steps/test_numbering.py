"""How many step numbers each operation takes, and under which name it is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from tests.workflows.support import steps_of

OTHER = "numbering-other"


@DBOS.step()
def number_step() -> int:
    return 1


@DBOS.step()
async def number_step_async() -> int:
    return 1


@DBOS.workflow()
def number_child() -> int:
    return 1


@DBOS.workflow()
async def number_child_async() -> int:
    return 1


@DBOS.workflow()
def receiver() -> Any:
    return None


def start_and_get() -> Any:
    return DBOS.start_workflow(number_child).get_result()


async def start_and_get_async() -> Any:
    return await (await DBOS.start_workflow_async(number_child_async)).get_result()


def rewind_copy() -> Any:
    copy = DBOS.fork_workflow(OTHER, 1, queue_name="nobody-serves-this").workflow_id
    DBOS.cancel_workflow(copy)
    return DBOS.rewind_workflow(copy, queue_name="nobody-serves-this")


Table = dict[str, tuple[Callable[[], Any], list[str]]]
SYNC: Table = {
    "step": (number_step, ["number_step"]),
    "run_step": (lambda: DBOS.run_step({"name": "n"}, lambda: 1), ["n"]),
    "reserve_step": (lambda: DBOS.reserve_step().run({"name": "r"}, lambda: 1), ["r"]),
    "start_workflow": (lambda: DBOS.start_workflow(number_child), ["number_child"]),
    "start a step": (lambda: DBOS.start_workflow(number_step), ["<temp>.number_step"]),
    "child": (number_child, ["number_child", "DBOS.getResult"]),
    "handle.get_result": (start_and_get, ["number_child", "DBOS.getResult"]),
    "get_result": (lambda: DBOS.get_result(OTHER), ["DBOS.getResult"]),
    "get_workflow_status": (lambda: DBOS.get_workflow_status(OTHER), ["DBOS.getStatus"]),
    "retrieve_workflow": (lambda: DBOS.retrieve_workflow(OTHER), ["DBOS.getStatus"]),
    "retrieve unchecked": (lambda: DBOS.retrieve_workflow(OTHER, existing_workflow=False), []),
    "wait_first": (
        lambda: DBOS.wait_first([DBOS.retrieve_workflow(OTHER, existing_workflow=False)]),
        ["DBOS.waitFirst"],
    ),
    "list_workflow_steps": (lambda: DBOS.list_workflow_steps(OTHER), ["DBOS.listWorkflowSteps"]),
    "cancel_workflow": (lambda: DBOS.cancel_workflow(OTHER), ["DBOS.cancelWorkflow"]),
    "cancel_workflows": (lambda: DBOS.cancel_workflows([OTHER]), ["DBOS.cancelWorkflow"]),
    "resume_workflow": (lambda: DBOS.resume_workflow(OTHER), ["DBOS.resumeWorkflow"]),
    "resume_workflows": (lambda: DBOS.resume_workflows([OTHER]), ["DBOS.resumeWorkflow"]),
    "delete_workflow": (lambda: DBOS.delete_workflow("nobody"), ["DBOS.deleteWorkflow"]),
    "fork_workflow": (
        lambda: DBOS.fork_workflow(OTHER, 1),
        ["DBOS.forkWorkflow", "DBOS.getStatus"],
    ),
    "rewind_workflow": (
        rewind_copy,
        ["DBOS.forkWorkflow", "DBOS.getStatus", "DBOS.cancelWorkflow", "DBOS.rewindWorkflow"],
    ),
    "update_workflow_attributes": (
        lambda: DBOS.update_workflow_attributes(OTHER, {"a": 1}),
        ["DBOS.updateWorkflowAttributes"],
    ),
    "sleep": (lambda: DBOS.sleep(0.001), ["DBOS.sleep"]),
    "no sleep": (lambda: DBOS.sleep(0), []),
    "set_event": (lambda: DBOS.set_event("k", 1), ["DBOS.setEvent"]),
    "get_event": (lambda: DBOS.get_event(OTHER, "k", 0), ["DBOS.getEvent", "DBOS.sleep"]),
    "get_all_events": (lambda: DBOS.get_all_events(OTHER), ["DBOS.get_events"]),
    "send": (lambda: DBOS.send(OTHER, 1), ["DBOS.send"]),
    "recv": (lambda: DBOS.recv(timeout_seconds=0), ["DBOS.recv", "DBOS.sleep"]),
    "write_stream": (lambda: DBOS.write_stream("s", 1), ["DBOS.writeStream"]),
    "close_stream": (lambda: DBOS.close_stream("s"), ["DBOS.closeStream"]),
}
ASYNC: Table = {
    "step": (number_step_async, ["number_step_async"]),
    "run_step": (lambda: DBOS.run_step_async({"name": "n"}, lambda: 1), ["n"]),
    "child": (number_child_async, ["number_child_async", "DBOS.getResult"]),
    "handle.get_result": (start_and_get_async, ["number_child_async", "DBOS.getResult"]),
    "get_result": (lambda: DBOS.get_result_async(OTHER), ["DBOS.getResult"]),
    "get_workflow_status": (lambda: DBOS.get_workflow_status_async(OTHER), ["DBOS.getStatus"]),
    "retrieve_workflow": (lambda: DBOS.retrieve_workflow_async(OTHER), ["DBOS.getStatus"]),
    "asyncio_wait": (
        lambda: DBOS.asyncio_wait([asyncio.ensure_future(asyncio.sleep(0))]),
        ["DBOS.asyncio_wait"],
    ),
    "list_workflow_steps": (
        lambda: DBOS.list_workflow_steps_async(OTHER),
        ["DBOS.listWorkflowSteps"],
    ),
    "cancel_workflow": (lambda: DBOS.cancel_workflow_async(OTHER), ["DBOS.cancelWorkflow"]),
    "resume_workflow": (lambda: DBOS.resume_workflow_async(OTHER), ["DBOS.resumeWorkflow"]),
    "delete_workflow": (lambda: DBOS.delete_workflow_async("nobody"), ["DBOS.deleteWorkflow"]),
    "fork_workflow": (
        lambda: DBOS.fork_workflow_async(OTHER, 1),
        ["DBOS.forkWorkflow", "DBOS.getStatus"],
    ),
    "update_workflow_attributes": (
        lambda: DBOS.update_workflow_attributes_async(OTHER, {"a": 1}),
        ["DBOS.updateWorkflowAttributes"],
    ),
    "sleep": (lambda: DBOS.sleep_async(0.001), ["DBOS.sleep"]),
    "set_event": (lambda: DBOS.set_event_async("k", 1), ["DBOS.setEvent"]),
    "get_event": (lambda: DBOS.get_event_async(OTHER, "k", 0), ["DBOS.getEvent", "DBOS.sleep"]),
    "send": (lambda: DBOS.send_async(OTHER, 1), ["DBOS.send"]),
    "recv": (lambda: DBOS.recv_async(timeout_seconds=0), ["DBOS.recv", "DBOS.sleep"]),
}


@DBOS.workflow()
def numbered(operation: str) -> None:
    SYNC[operation][0]()
    DBOS.run_step({"name": "last"}, lambda: None)


@DBOS.workflow()
async def numbered_async(operation: str) -> None:
    call: Callable[[], Awaitable[Any]] = ASYNC[operation][0]
    await call()
    await DBOS.run_step_async({"name": "last"}, lambda: None)


@pytest.fixture(scope="module", autouse=True)
def other(dbos: type[DBOS]) -> None:
    with SetWorkflowID(OTHER):
        receiver()


def numbers_and_last(names: list[str], workflow_id: str) -> tuple[set[Any], tuple[int, str]]:
    steps = steps_of(workflow_id)
    return set(steps[:-1]), steps[-1]


@pytest.mark.parametrize("operation", SYNC)
def test_an_operation_takes_its_numbers(dbos: type[DBOS], operation: str) -> None:
    names = SYNC[operation][1]
    workflow_id = f"numbered {operation}"

    with SetWorkflowID(workflow_id):
        numbered(operation)

    recorded, last = numbers_and_last(names, workflow_id)
    assert last == (len(names) + 1, "last")
    assert recorded <= {(n, name) for n, name in enumerate(names, 1)}
    assert not names or (1, names[0]) in recorded


@pytest.mark.parametrize("operation", ASYNC)
def test_a_coroutine_operation_takes_the_same_numbers(dbos: type[DBOS], operation: str) -> None:
    names = ASYNC[operation][1]
    workflow_id = f"numbered async {operation}"

    with SetWorkflowID(workflow_id):
        asyncio.run(numbered_async(operation))

    recorded, last = numbers_and_last(names, workflow_id)
    assert last == (len(names) + 1, "last")
    assert recorded <= {(n, name) for n, name in enumerate(names, 1)}
    assert (1, names[0]) in recorded


IN_STEP: dict[str, Callable[[], Any]] = {
    "step": number_step,
    "get_workflow_status": lambda: DBOS.get_workflow_status(OTHER),
    "get_result": lambda: DBOS.get_result(OTHER),
    "list_workflow_steps": lambda: DBOS.list_workflow_steps(OTHER),
    "set_event": lambda: DBOS.set_event("in-step", 1),
    "send": lambda: DBOS.send(OTHER, 1),
    "write_stream": lambda: DBOS.write_stream("s", 1),
    "get_event": lambda: DBOS.get_event(OTHER, "k", 0),
}


@DBOS.workflow()
def numbered_in_step(operation: str) -> None:
    def step() -> None:
        IN_STEP[operation]()

    DBOS.run_step({"name": "around"}, step)


@pytest.mark.parametrize("operation", IN_STEP)
def test_inside_a_step_an_operation_takes_no_number(dbos: type[DBOS], operation: str) -> None:
    workflow_id = f"numbered in step {operation}"

    with SetWorkflowID(workflow_id):
        numbered_in_step(operation)

    assert steps_of(workflow_id) == [(1, "around")]
