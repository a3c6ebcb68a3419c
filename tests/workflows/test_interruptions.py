"""A run that is interrupted gives its workflow back, so that it completes; too many runs make it a dead letter."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.current import get_runtime
from pyengine.errors import DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded
from tests.workflows.support import (
    PATIENCE_SECONDS,
    Crash,
    Crashes,
    Gate,
    Signal,
    steps_of,
    stored,
    wait_until,
)

crashes = Crashes()
effects: list[str] = []
at_rest: list[asyncio.Event] = []


@pytest.fixture(autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """What a shell runs in the background ignores Ctrl-C; so would these tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@DBOS.step()
def note(text: str) -> str:
    effects.append(text)
    return text


@DBOS.step()
async def note_async(text: str) -> str:
    effects.append(text)
    return text


INTERRUPTIONS = {
    error.__name__: error
    for error in (Crash, KeyboardInterrupt, SystemExit, asyncio.CancelledError)
}


@DBOS.workflow()
def two_notes(interruption: str) -> str:
    first = note("one")
    if crashes.left:
        crashes.left -= 1
        raise INTERRUPTIONS[interruption]
    return first + note("two")


@DBOS.workflow()
async def two_notes_async() -> str:
    first = await note_async("one")
    if crashes.left:
        crashes.left -= 1
        at_rest[-1].set()
        await asyncio.get_running_loop().create_future()
    return first + await note_async("two")


@DBOS.workflow(max_recovery_attempts=2)
def crashes_in_each_run() -> None:
    effects.append("run")
    raise Crash


@DBOS.workflow(max_recovery_attempts=None)
def never_a_dead_letter() -> str:
    crashes.here()
    return "done"


def press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@pytest.fixture(autouse=True)
def nothing_noted() -> None:
    effects.clear()
    crashes.arm(0)


@pytest.mark.parametrize("interruption", INTERRUPTIONS)
def test_an_interrupted_background_run_is_carried_on_from_its_last_step(
    dbos: type[DBOS], interruption: str
) -> None:
    crashes.arm()

    with SetWorkflowID(f"background-{interruption}"):
        handle = DBOS.start_workflow(two_notes, interruption)

    assert handle.get_result() == "onetwo"
    assert effects == ["one", "two"]


@pytest.mark.parametrize("interruption", ["Crash", "KeyboardInterrupt", "SystemExit"])
def test_an_interrupted_call_raises_and_the_workflow_completes_all_the_same(
    dbos: type[DBOS], interruption: str
) -> None:
    crashes.arm()
    name = f"called-{interruption}"

    with pytest.raises(INTERRUPTIONS[interruption]), SetWorkflowID(name):
        two_notes(interruption)

    assert DBOS.get_result(name) == "onetwo"
    assert effects == ["one", "two"]


def test_ctrl_c_during_a_blocking_step_gives_the_workflow_back(dbos: type[DBOS]) -> None:
    reached, opened = Signal(), threading.Event()

    @DBOS.step()
    def blocks() -> str:
        reached.set()
        while not opened.wait(0.01):  # a signal just before a wait is noticed only after it
            pass
        return "unblocked"

    @DBOS.workflow()
    def around_block() -> str:
        return blocks()

    def press() -> None:
        reached.wait()
        press_ctrl_c()

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt), SetWorkflowID("ctrl-c"):
        around_block()
    opened.set()

    assert DBOS.get_result("ctrl-c") == "unblocked"


def test_a_cancelled_task_gives_its_workflow_back(dbos: type[DBOS]) -> None:
    async def main() -> None:
        at_rest.append(asyncio.Event())
        with SetWorkflowID("task"):
            task = asyncio.create_task(two_notes_async())
        await at_rest[-1].wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    crashes.arm()
    asyncio.run(main())

    assert DBOS.get_result("task") == "onetwo"
    assert effects == ["one", "two"]


def test_a_workflow_that_outlives_its_event_loop_is_given_back(dbos: type[DBOS]) -> None:
    async def main() -> None:
        at_rest.append(asyncio.Event())
        with SetWorkflowID("short-loop"):
            await DBOS.start_workflow_async(two_notes_async)
        await at_rest[-1].wait()

    crashes.arm()
    asyncio.run(main())

    assert DBOS.get_result("short-loop") == "onetwo"
    assert effects == ["one", "two"]


def test_a_caller_that_gives_up_waiting_does_not_stop_the_workflow(dbos: type[DBOS]) -> None:
    gate = Gate()

    @DBOS.workflow()
    def patient() -> str:
        gate.pass_through()
        return "done"

    async def main() -> str:
        handle = await DBOS.start_workflow_async(patient)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle.get_result(), 0.01)
        gate.open.set()
        return await handle.get_result()

    assert asyncio.run(main()) == "done"


@pytest.mark.parametrize("pauses", range(6))
def test_a_call_that_is_cancelled_while_it_starts_leaves_no_workflow_without_a_runner(
    dbos: type[DBOS], database: Any, pauses: int
) -> None:
    """Whether it was stored or not, it never stays PENDING with nobody to run it."""

    async def main() -> None:
        with SetWorkflowID(f"early-{pauses}"):
            task = asyncio.create_task(two_notes_async())
        for _ in range(pauses):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    with SetWorkflowID(f"early-{pauses}"):
        assert DBOS.start_workflow(two_notes_async).get_result() == "onetwo"


@pytest.mark.parametrize("pauses", range(6))
def test_a_start_that_is_cancelled_leaves_no_workflow_without_a_runner(
    dbos: type[DBOS], pauses: int
) -> None:
    async def main() -> None:
        with SetWorkflowID(f"early-start-{pauses}"):
            task = asyncio.create_task(DBOS.start_workflow_async(two_notes_async))
        for _ in range(pauses):
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):  # the start may have ended before
            await task

    asyncio.run(main())

    with SetWorkflowID(f"early-start-{pauses}"):
        assert DBOS.start_workflow(two_notes_async).get_result() == "onetwo"


def test_ctrl_c_while_the_server_stores_a_start_leaves_no_workflow_without_a_runner(
    dbos: type[DBOS], database: Any
) -> None:
    def interrupt_a_blocked_start() -> None:
        wait_until(database, "exists (select 1 from pg_locks where not granted)")
        press_ctrl_c()
        database.execute("rollback")

    database.execute("begin")
    database.execute("lock table pyengine.workflows in access exclusive mode")
    threading.Thread(target=interrupt_a_blocked_start).start()
    with pytest.raises(KeyboardInterrupt), SetWorkflowID("ctrl-c-start"):
        two_notes("Crash")

    assert DBOS.get_result("ctrl-c-start") == "onetwo"


def test_the_runs_are_counted_and_the_last_allowed_one_decides(
    dbos: type[DBOS], database: Any
) -> None:
    with SetWorkflowID("dead-letter"):
        handle = DBOS.start_workflow(crashes_in_each_run)

    with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded, match="dead-letter"):
        handle.get_result()

    assert effects == ["run"] * 3
    assert stored(database, "dead-letter", "attempt_count") == 3
    assert stored(database, "dead-letter", "finished_at") is not None


def test_a_dead_letter_runs_again_when_it_is_resumed(dbos: type[DBOS], database: Any) -> None:
    @DBOS.workflow(max_recovery_attempts=0)
    def needs_repair() -> str:
        crashes.here()
        return "repaired"

    crashes.arm()
    with SetWorkflowID("resumed"):
        handle = DBOS.start_workflow(needs_repair)
    with pytest.raises(DBOSAwaitedWorkflowMaxRecoveryAttemptsExceeded):
        handle.get_result()

    assert DBOS.resume_workflow("resumed").get_result() == "repaired"


def test_without_a_limit_a_workflow_is_never_a_dead_letter(dbos: type[DBOS]) -> None:
    crashes.arm(5)

    assert DBOS.start_workflow(never_a_dead_letter).get_result() == "done"


def test_an_interrupted_step_is_not_recorded_and_runs_again(dbos: type[DBOS]) -> None:
    @DBOS.step()
    def interrupted_step() -> str:
        effects.append("attempt")
        crashes.here()
        return "ok"

    @DBOS.workflow()
    def around() -> str:
        return interrupted_step()

    crashes.arm()
    with SetWorkflowID("interrupted-step"):
        handle = DBOS.start_workflow(around)

    assert handle.get_result() == "ok"
    assert effects == ["attempt", "attempt"]
    assert len(steps_of("interrupted-step")) == 1


def test_no_run_is_left_over(dbos: type[DBOS]) -> None:
    """After all the others here: each run has taken itself out of the list."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(get_runtime("test").engine.runs):
        assert time.monotonic() < deadline, "a run is left over"
        time.sleep(0.005)
