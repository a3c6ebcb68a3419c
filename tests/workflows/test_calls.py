"""Calling a workflow, starting it in the background, and handles."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID, WorkflowHandle, WorkflowHandleAsync
from pyengine.errors import (
    DBOSNonExistentWorkflowError,
    DBOSWorkflowFunctionNotFoundError,
)
from tests.workflows.support import Gate, count_workflows

colour: ContextVar[str] = ContextVar("colour", default="none")


@DBOS.workflow()
def shout(text: str, *, mark: str = "!") -> str:
    """Say it loudly."""
    return text.upper() + mark


@DBOS.workflow()
async def shout_async(text: str, *, mark: str = "!") -> str:
    await asyncio.sleep(0)
    return text.upper() + mark


@DBOS.step()
def whisper(text: str) -> str:
    return text.lower()


@DBOS.workflow()
def know_myself() -> str | None:
    return DBOS.workflow_id


@DBOS.workflow()
def see_colour() -> str:
    return colour.get()


@DBOS.workflow()
async def see_colour_async() -> str:
    return colour.get()


def plain(text: str) -> str:
    return text


def test_a_direct_call_returns_the_result(dbos: type[DBOS]) -> None:
    assert shout("hi", mark="?") == "HI?"


def test_a_direct_call_is_stored_with_its_arguments_and_output(dbos: type[DBOS]) -> None:
    with SetWorkflowID("stored"):
        shout("hi", mark="?")

    status = DBOS.get_workflow_status("stored")

    assert status is not None
    assert (status.status, status.name, status.output) == ("SUCCESS", "shout", "HI?")
    assert status.input == {"args": ("hi",), "kwargs": {"mark": "?"}}
    assert status.executor_id is not None
    assert status.app_version == DBOS.application_version
    assert status.recovery_attempts == 1
    assert status.created_at <= (status.completed_at or 0)


def test_a_workflow_keeps_name_docstring_and_signature_of_its_function() -> None:
    assert shout.__name__ == "shout"
    assert shout.__doc__ == "Say it loudly."
    assert shout.__annotations__ == {"text": "str", "mark": "str", "return": "str"}


def test_a_workflow_knows_its_know_myself(dbos: type[DBOS]) -> None:
    with SetWorkflowID("me"):
        assert know_myself() == "me"
    assert DBOS.workflow_id is None


def test_generated_ids_differ_and_follow_time(dbos: type[DBOS]) -> None:
    ids = [know_myself() for _ in range(3)]

    assert len(set(ids)) == 3
    assert [str(each)[:8] for each in ids] == sorted(str(each)[:8] for each in ids)


def test_a_started_workflow_runs_in_another_thread(dbos: type[DBOS]) -> None:
    gate = Gate()

    @DBOS.workflow()
    def wait_at_gate() -> str:
        gate.pass_through()
        return threading.current_thread().name

    handle = DBOS.start_workflow(wait_at_gate)
    gate.reached.wait()

    assert handle.get_status().status == "PENDING"
    gate.open.set()
    assert handle.get_result() != threading.current_thread().name
    assert handle.get_status().status == "SUCCESS"


def test_a_handle_knows_the_id(dbos: type[DBOS]) -> None:
    with SetWorkflowID("chosen"):
        handle = DBOS.start_workflow(shout, "hi")

    assert isinstance(handle, WorkflowHandle)
    assert handle.workflow_id == handle.get_workflow_id() == "chosen"
    assert handle.shard_key is None
    assert handle.get_result(polling_interval_sec=0.1) == "HI!"
    assert handle.get_result() == "HI!"


def test_a_step_can_be_started_as_a_workflow(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(whisper, "HI")

    assert handle.get_result() == "hi"
    assert handle.get_status().name == "<temp>.whisper"


def test_a_coroutine_workflow_can_be_started_from_sync_code(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(shout_async, "hi", mark="?")

    assert handle.get_result() == "HI?"


def test_calling_a_coroutine_workflow_starts_nothing_before_it_is_awaited(
    dbos: type[DBOS], database: Any
) -> None:
    async def main() -> str:
        coroutine = shout_async("hi")
        assert count_workflows(database, "shout_async") == before
        return await coroutine

    before = count_workflows(database, "shout_async")
    assert asyncio.run(main()) == "HI!"
    assert count_workflows(database, "shout_async") == before + 1


def test_asyncio_run_can_be_used_for_each_workflow(dbos: type[DBOS]) -> None:
    results = [asyncio.run(shout_async(text)) for text in "abc"]

    assert results == ["A!", "B!", "C!"]


def test_async_handles_are_awaited(dbos: type[DBOS]) -> None:
    async def main() -> None:
        with SetWorkflowID("awaited"):
            handle = await DBOS.start_workflow_async(shout_async, "hi")
        assert isinstance(handle, WorkflowHandleAsync)
        assert handle.get_workflow_id() == "awaited"
        assert await handle.get_result() == "HI!"
        assert (await handle.get_status()).status == "SUCCESS"

    asyncio.run(main())


def test_a_sync_workflow_can_be_started_from_a_coroutine(dbos: type[DBOS]) -> None:
    async def main() -> tuple[str, bool]:
        here = threading.current_thread().name

        @DBOS.workflow()
        def where() -> str:
            return threading.current_thread().name

        handle = await DBOS.start_workflow_async(where)
        return await handle.get_result(), await handle.get_result() != here

    assert asyncio.run(main())[1]


def test_a_coroutine_workflow_runs_on_the_loop_of_its_caller(dbos: type[DBOS]) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @DBOS.workflow()
    async def note_loop() -> None:
        loops.append(asyncio.get_running_loop())

    async def main() -> asyncio.AbstractEventLoop:
        await note_loop()
        await (await DBOS.start_workflow_async(note_loop)).get_result()
        return asyncio.get_running_loop()

    here = asyncio.run(main())
    assert loops == [here, here]


def test_a_thread_of_the_user_may_run_workflows(dbos: type[DBOS]) -> None:
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(shout("hi"))) for _ in range(5)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == ["HI!"] * 5


def test_workflows_see_the_context_variables_of_their_caller(dbos: type[DBOS]) -> None:
    token = colour.set("red")
    try:
        assert see_colour() == "red"
        assert DBOS.start_workflow(see_colour).get_result() == "red"
        assert DBOS.start_workflow(see_colour_async).get_result() == "red"
        assert asyncio.run(see_colour_async()) == "red"
    finally:
        colour.reset(token)


def test_a_function_that_is_not_a_workflow_cannot_be_started(
    dbos: type[DBOS], database: Any
) -> None:
    with pytest.raises(DBOSWorkflowFunctionNotFoundError, match=r"plain.*@DBOS\.workflow"):
        DBOS.start_workflow(plain, "hi")

    assert count_workflows(database, "plain") == 0


def test_retrieving_an_unknown_workflow_fails_unless_it_may_be_missing(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSNonExistentWorkflowError, match="target workflow ID: nobody"):
        DBOS.retrieve_workflow("nobody")
    handle = DBOS.retrieve_workflow("nobody", existing_workflow=False)

    with pytest.raises(DBOSNonExistentWorkflowError):
        handle.get_status()
    assert DBOS.get_workflow_status("nobody") is None


def test_a_handle_of_a_workflow_that_does_not_exist_yet_waits_for_it(dbos: type[DBOS]) -> None:
    results: list[Any] = []
    handle: WorkflowHandle[str] = DBOS.retrieve_workflow("later", existing_workflow=False)
    waiting = threading.Thread(target=lambda: results.append(handle.get_result()))
    waiting.start()

    with SetWorkflowID("later"):
        shout("hi")
    waiting.join(10)

    assert results == ["HI!"]


def test_results_can_be_asked_for_by_id(dbos: type[DBOS]) -> None:
    with SetWorkflowID("known"):
        shout("hi")

    async def main() -> tuple[Any, Any, Any]:
        handle = await DBOS.retrieve_workflow_async("known")
        status = await DBOS.get_workflow_status_async("known")
        return await handle.get_result(), await DBOS.get_result_async("known"), status

    assert DBOS.get_result("known") == "HI!"
    assert DBOS.retrieve_workflow("known").get_result() == "HI!"
    first, second, status = asyncio.run(main())
    assert (first, second, status.status) == ("HI!", "HI!", "SUCCESS")
