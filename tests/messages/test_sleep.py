"""Sleep: recorded before it begins, ended by the database's clock only."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, SetWorkflowID
from pyengine.error import DBOSAwaitedWorkflowCancelledError, DBOSException


@DBOS.workflow()
def nap(seconds: float) -> str:
    DBOS.sleep(seconds)
    return "awake"


@DBOS.workflow()
async def nap_async(seconds: float) -> str:
    await DBOS.sleep_async(seconds)
    return "awake"


@DBOS.step()
def nap_in_step() -> None:
    DBOS.sleep(1)


@DBOS.workflow()
def nap_in_a_step() -> None:
    nap_in_step()


@DBOS.workflow()
async def nap_blocking_the_loop() -> None:
    DBOS.sleep(1)


def test_a_sleep_is_one_step_whose_end_is_the_wake_time(
    dbos: type[DBOS], sql: psycopg.Connection[Any]
) -> None:
    with SetWorkflowID("sleeper"):
        assert nap(0.2) == "awake"

    row = sql.execute(
        """select s.name, extract(epoch from s.completed_at - s.started_at), w.finished_at >= s.completed_at
        from pyengine.steps s join pyengine.workflows w using (workflow_id) where workflow_id = 'sleeper'"""
    ).fetchone()
    assert row is not None
    assert (row[0], row[2]) == ("DBOS.sleep", True)
    assert float(row[1]) == pytest.approx(0.2)


def test_async_workflows_sleep_together(dbos: type[DBOS]) -> None:
    async def run() -> list[str]:
        return await asyncio.gather(*(nap_async(0.3) for _ in range(100)))

    began = time.monotonic()
    assert asyncio.run(run()) == ["awake"] * 100
    assert time.monotonic() - began < 10


def test_no_time_needs_no_step(dbos: type[DBOS]) -> None:
    with SetWorkflowID("sleeper"):
        nap(0)

    assert DBOS.list_workflow_steps("sleeper") == []


def test_a_cancelled_sleep_ends_at_once(dbos: type[DBOS]) -> None:
    handle = DBOS.start_workflow(nap, 3600)

    DBOS.cancel_workflow(handle.workflow_id)

    with pytest.raises(DBOSAwaitedWorkflowCancelledError):
        handle.get_result()


def test_sleep_belongs_in_the_body_of_a_workflow(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSException, match="body of a workflow"):
        DBOS.sleep(1)
    with pytest.raises(AssertionError, match="inside a step"):
        nap_in_a_step()
    with pytest.raises(RuntimeError, match="sleep_async"):
        asyncio.run(nap_blocking_the_loop())
