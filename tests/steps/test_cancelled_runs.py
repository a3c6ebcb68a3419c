"""A cancelled workflow begins no further step: its process hears of it, and asks before the next one."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pyengine import DBOS
from pyengine.current import get_runtime
from pyengine.error import DBOSAwaitedWorkflowCancelledError

begun = threading.Event()
go_on = threading.Event()
effects: list[str] = []


@DBOS.step()
def costly() -> None:
    effects.append("costly")


@DBOS.workflow()
def waits_then_works() -> None:
    begun.set()
    go_on.wait(30)
    costly()


@DBOS.step()
async def costly_async() -> None:
    effects.append("costly_async")


@DBOS.workflow()
async def waits_then_works_async() -> None:
    begun.set()
    await asyncio.to_thread(go_on.wait, 30)
    await costly_async()


@pytest.mark.parametrize("workflow", [waits_then_works, waits_then_works_async])
def test_the_next_step_of_a_cancelled_workflow_does_not_begin(
    dbos: type[DBOS], workflow: object
) -> None:
    effects.clear()
    begun.clear()
    go_on.clear()
    handle = DBOS.start_workflow(workflow)  # type: ignore[call-overload]
    assert begun.wait(30)
    local = get_runtime("test").engine.runs.find(handle.workflow_id)
    assert local is not None

    DBOS.cancel_workflow(handle.workflow_id)
    deadline = time.monotonic() + 10
    while not local.run.is_doubtful and time.monotonic() < deadline:
        time.sleep(0.001)
    go_on.set()

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()
    assert effects == []
