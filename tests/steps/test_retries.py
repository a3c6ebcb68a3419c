"""Retries of steps: how often, how long between, which errors, and what is recorded in the end."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Any

import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.errors import DBOSException, DBOSMaxStepRetriesExceeded
from pyengine.flows.steps import StepSpec
from tests.workflows.support import Crashes, steps_of

crashes = Crashes()
attempts: list[Any] = []


class FlakyError(Exception):
    pass


class FatalError(Exception):
    pass


async def not_fatal_async(error: BaseException) -> bool:
    return not isinstance(error, FatalError)


def fails(times: int, error: type[Exception] = FlakyError) -> str:
    status = DBOS.step_status
    assert status is not None
    attempts.append((status.step_id, status.current_attempt, status.max_attempts))
    if len(attempts) <= times:
        raise error(f"failure {len(attempts)}")
    return f"attempt {len(attempts)}"


@DBOS.step()
def once(times: int) -> str:
    return fails(times)


@DBOS.step(retries_allowed=True, interval_seconds=0)
def thrice(times: int) -> str:
    return fails(times)


@DBOS.step(retries_allowed=True, interval_seconds=0, max_attempts=5)
async def five_times_async(times: int) -> str:
    return fails(times)


@DBOS.step(
    retries_allowed=True,
    interval_seconds=0,
    should_retry=lambda error: not isinstance(error, FatalError),
)
def unless_fatal(times: int, fatal: bool) -> str:
    return fails(times, FatalError if fatal else FlakyError)


@DBOS.step(retries_allowed=True, interval_seconds=0, should_retry=not_fatal_async)
async def unless_fatal_async(times: int, fatal: bool) -> str:
    return fails(times, FatalError if fatal else FlakyError)


STEPS: dict[str, Any] = {"once": once, "thrice": thrice, "unless_fatal": unless_fatal}
STEPS_ASYNC: dict[str, Any] = {
    "five_times_async": five_times_async,
    "unless_fatal_async": unless_fatal_async,
}


@DBOS.workflow()
def run_one_retried(step: str, *args: Any) -> str:
    try:
        return str(STEPS[step](*args))
    finally:
        crashes.here()


@DBOS.workflow()
async def run_one_retried_async(step: str, *args: Any) -> str:
    return str(await STEPS_ASYNC[step](*args))


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    attempts.clear()
    crashes.arm(0)


def test_without_retries_the_error_is_the_steps_own(dbos: type[DBOS]) -> None:
    with pytest.raises(FlakyError, match="failure 1"):
        run_one_retried("once", 1)

    assert attempts == [(1, None, None)]


def test_a_step_is_retried_until_it_succeeds(dbos: type[DBOS]) -> None:
    assert run_one_retried("thrice", 2) == "attempt 3"

    assert attempts == [(1, 0, 3), (1, 1, 3), (1, 2, 3)]


def test_a_coroutine_step_is_retried_until_it_succeeds(dbos: type[DBOS]) -> None:
    assert asyncio.run(run_one_retried_async("five_times_async", 4)) == "attempt 5"

    assert attempts == [(1, n, 5) for n in range(5)]


def test_exhausted_retries_carry_all_errors_and_are_recorded_as_such(dbos: type[DBOS]) -> None:
    crashes.arm()
    with SetWorkflowID("exhausted"):
        handle = DBOS.start_workflow(run_one_retried, "thrice", 9)

    with pytest.raises(DBOSMaxStepRetriesExceeded, match=r"thrice.*3") as caught:
        handle.get_result()

    assert [str(error) for error in caught.value.errors] == ["failure 1", "failure 2", "failure 3"]
    assert [type(error) for error in caught.value.errors] == [FlakyError] * 3
    assert len(attempts) == 3, "a recorded failure is not tried again"
    step = DBOS.list_workflow_steps("exhausted")[0]
    assert isinstance(step["error"], DBOSMaxStepRetriesExceeded)
    assert steps_of("exhausted") == [(1, "thrice")]


@pytest.mark.parametrize(
    "run",
    [
        lambda *args: run_one_retried("unless_fatal", *args),
        lambda *args: asyncio.run(run_one_retried_async("unless_fatal_async", *args)),
    ],
    ids=["sync", "async"],
)
def test_should_retry_decides_which_errors_are_final(dbos: type[DBOS], run: Any) -> None:
    assert run(2, False) == "attempt 3"
    attempts.clear()

    with pytest.raises(FatalError, match="failure 1"):
        run(2, True)
    assert len(attempts) == 1


def test_each_retry_is_logged_without_the_errors_text(
    dbos: type[DBOS], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "pyengine"):
        run_one_retried("thrice", 1)

    assert "thrice" in caplog.text
    assert "FlakyError in attempt 1 of 3" in caplog.text
    assert "failure 1" not in caplog.text


def test_outside_a_workflow_nothing_is_retried(dbos: type[DBOS]) -> None:
    calls: list[int] = []

    @DBOS.step(retries_allowed=True, interval_seconds=0)
    def plainly() -> None:
        calls.append(1)
        raise FlakyError

    with pytest.raises(FlakyError):
        plainly()
    assert calls == [1]


def test_pauses_grow_by_the_backoff_rate_up_to_an_hour() -> None:
    spec = StepSpec("s", retries_allowed=True, interval_seconds=2, backoff_rate=3)

    assert [spec.pause_after(n) for n in (0, 1, 2, 20)] == [2, 6, 18, 3600]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_attempts": 0}, "max_attempts is 0"),
        ({"interval_seconds": -1}, "interval_seconds"),
        ({"backoff_rate": 0}, "backoff_rate"),
        ({"timeout_seconds": 1}, "async function"),
        ({"preemptible": True}, "async function"),
        ({"should_retry": not_fatal_async}, "async should_retry"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(DBOSException, match=words):
        DBOS.step(**options)(lambda: None)


@pytest.mark.parametrize("seconds", [0, -1, math.inf, math.nan])
def test_a_timeout_must_be_finite_and_positive(seconds: float) -> None:
    async def step() -> None: ...

    with pytest.raises(DBOSException, match="timeout_seconds"):
        DBOS.step(timeout_seconds=seconds)(step)
