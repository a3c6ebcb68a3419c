"""A process dies with many workflows under way: others carry on, soon; a deadly one is put aside."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.chaos.program import chain_result
from tests.chaos.rig import Rig, Worker

MANY = 500


def start_waiting(worker: Worker, count: int) -> list[str]:
    """Workflows that wait inside their second step."""
    ids = [f"w{number}" for number in range(count)]
    for workflow_id in ids:
        worker.send("start", workflow_id, "gated_step", 1)
    for _ in ids:
        worker.expect("reached")
    return ids


def seconds_until_owned(connection: psycopg.Connection[Any], executor: str, count: int) -> float:
    """Seconds until the living executor of that name owns so many workflows."""
    began = time.monotonic()
    query = (
        "select count(*) from pyengine.workflows w join pyengine.executors e using (executor_id) "
        "where w.status = 'PENDING' and e.name = %s and e.finished_at is null"
    )
    while time.monotonic() - began < 30.0:
        if connection.execute(query, [executor]).fetchall()[0][0] >= count:
            return time.monotonic() - began
        time.sleep(0.02)
    raise TimeoutError(f"{executor} did not take over {count} workflows")


def finish(rig: Rig, worker: Worker, ids: list[str]) -> None:
    """Let them end; each step had its effect as often as it must."""
    worker.send("open", "in step")
    for workflow_id in ids:
        worker.send("result", workflow_id)
    assert set(worker.results(ids).values()) == {(1 * 3 + 1) * 3 + 3}
    effects = rig.ledger.effects()
    assert all(effects[workflow_id, "plain 1"] == 1 for workflow_id in ids)
    assert all(effects[workflow_id, "in step"] == 2 for workflow_id in ids)


@pytest.mark.parametrize("count", [pytest.param(MANY, marks=pytest.mark.chaos), pytest.param(20)])
def test_a_living_process_takes_over_from_a_dead_one(
    rig: Rig, business: psycopg.Connection[Any], count: int
) -> None:
    first, standby = rig.worker("first"), rig.worker("standby")
    ids = start_waiting(first, count)

    first.kill()
    taken = seconds_until_owned(business, "standby", count)

    print(f"a standby process owned {count} workflows {taken:.2f} s after the kill")
    assert taken < 10.0
    finish(rig, standby, ids)


@pytest.mark.parametrize("count", [pytest.param(MANY, marks=pytest.mark.chaos), pytest.param(20)])
def test_a_restarted_process_takes_over_from_itself_at_once(
    rig: Rig, business: psycopg.Connection[Any], count: int
) -> None:
    first = rig.worker("same")
    ids = start_waiting(first, count)

    first.kill()
    began = time.monotonic()
    second = rig.worker("same")
    seconds_until_owned(business, "same", count)
    taken = time.monotonic() - began

    print(f"a restarted process owned {count} workflows {taken:.2f} s after the kill")
    assert taken < 10.0
    finish(rig, second, ids)


def test_a_workflow_that_kills_its_process_is_put_aside_and_others_go_on(
    rig: Rig, business: psycopg.Connection[Any]
) -> None:
    worker = rig.worker("victim")
    worker.send("start", "good", "gated_step", 1)
    worker.expect("reached", "good")
    worker.send("start", "bad", "poison")
    while is_killed_by(worker, business, "bad"):
        worker = rig.worker("victim", ready=False)

    # One run, and the two recoveries that it is allowed.
    assert rig.ledger.effects_of("bad") == {"deadly": 3}
    worker.send("result", "bad")
    assert "MaxRecoveryAttemptsExceeded" in worker.expect("error", "bad")[2]
    worker.send("open", "in step")
    worker.send("result", "good")
    assert worker.expect("result", "good")[2] == (1 * 3 + 1) * 3 + 3
    worker.send("call", "next", "chain", 3, 1)
    assert worker.expect("result", "next")[2] == chain_result(3, 1)


def is_killed_by(worker: Worker, connection: psycopg.Connection[Any], workflow_id: str) -> bool:
    """Wait until the workflow has killed the process, or has been put aside."""
    query = "select status from pyengine.workflows where workflow_id = %s"
    for _ in range(500):
        if not worker.is_alive:
            return True
        found = connection.execute(query, [workflow_id]).fetchall()
        if found == [("MAX_RECOVERY_ATTEMPTS_EXCEEDED",)]:
            return False
        time.sleep(0.02)
    raise TimeoutError(f"{workflow_id} has neither killed its process nor been put aside")
