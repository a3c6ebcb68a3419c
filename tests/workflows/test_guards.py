"""Blocking calls are refused on the thread of a running event loop, where they would stop everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyengine import DBOS


@DBOS.workflow()
def double(number: int) -> int:
    return 2 * number


@DBOS.workflow()
async def double_async(number: int) -> int:
    return 2 * number


@DBOS.step()
def half(number: int) -> float:
    return number / 2


GUARDED: dict[str, Callable[[], Any]] = {
    "retrieve_workflow": lambda: DBOS.retrieve_workflow("w"),
    "get_workflow_status": lambda: DBOS.get_workflow_status("w"),
    "get_result": lambda: DBOS.get_result("w"),
    "wait_first": lambda: DBOS.wait_first([]),
    "list_workflow_steps": lambda: DBOS.list_workflow_steps("w"),
    "cancel_workflows": lambda: DBOS.cancel_workflows(["w"]),
    "cancel_workflow": lambda: DBOS.cancel_workflow("w"),
    "resume_workflow": lambda: DBOS.resume_workflow("w"),
    "run_step": lambda: DBOS.run_step({}, half, 2),
}


@pytest.mark.parametrize("name", GUARDED)
def test_a_blocking_call_names_its_coroutine_twin(dbos: type[DBOS], name: str) -> None:
    async def main() -> None:
        GUARDED[name]()

    with pytest.raises(RuntimeError, match=f"DBOS.{name} blocks.*await DBOS.{name}_async"):
        asyncio.run(main())


def test_workflows_steps_and_starts_may_be_called_on_a_loop(dbos: type[DBOS]) -> None:
    async def main() -> list[Any]:
        handle = DBOS.start_workflow(double_async, 3)
        async_handle = await DBOS.retrieve_workflow_async(handle.workflow_id)
        return [double(1), half(1), await async_handle.get_result()]

    assert asyncio.run(main()) == [2, 0.5, 6]


def test_waiting_on_a_loop_for_a_workflow_that_needs_that_loop_is_refused(dbos: type[DBOS]) -> None:
    @DBOS.workflow()
    async def impatient() -> int:
        handle = DBOS.start_workflow(double_async, 3)
        return int(handle.get_result())

    handle = DBOS.start_workflow(impatient)

    with pytest.raises(RuntimeError, match="this event loop"):
        handle.get_result()
