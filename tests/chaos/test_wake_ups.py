"""Wake-ups survive the loss of the listening session, and come without one."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.chaos.rig import Rig, Worker

RESULT = (1 * 3 + 1) * 3 + 3


def seconds_until_woken(waiter: Worker, ender: Worker, workflow_id: str, looks: int = 1) -> float:
    """How long after the end of a workflow in one process another that waits for it knows.

    The waiting process has looked so many times before the end, at growing intervals.
    """
    ender.send("start", workflow_id, "gated_step", 1)
    ender.expect("reached", workflow_id)
    waiter.send("result", workflow_id)
    for _ in range(looks):
        waiter.expect("trip", "await_workflows")
    ender.send("open", "in step")
    ender.send("result", workflow_id)
    assert ender.expect("result", workflow_id)[2] == RESULT
    began = time.monotonic()
    assert waiter.expect("result", workflow_id)[2] == RESULT
    return time.monotonic() - began


def end_listeners(connection: psycopg.Connection[Any]) -> int:
    """End the listening sessions of all processes."""
    query = (
        "select count(pg_terminate_backend(pid)) from pg_stat_activity "
        "where application_name = 'pyengine listener' and datname = current_database()"
    )
    return int(connection.execute(query).fetchall()[0][0])


def test_a_wait_ends_soon_after_its_listener_was_killed(
    rig: Rig, business: psycopg.Connection[Any]
) -> None:
    waiter, ender = rig.worker("waiter", trips=True), rig.worker("ender")

    ended = end_listeners(business)
    woken = seconds_until_woken(waiter, ender, "w")

    assert ended == 2
    print(f"woken {woken:.3f} s after the end, without the listener")
    assert woken < 2.0


def test_wake_ups_work_again_after_the_listener_came_back(
    rig: Rig, business: psycopg.Connection[Any]
) -> None:
    waiter, ender = rig.worker("waiter", trips=True), rig.worker("ender")
    end_listeners(business)
    wait_for_listeners(business, 2)

    woken = seconds_until_woken(waiter, ender, "w")

    print(f"woken {woken:.3f} s after the end, by the new listener")
    assert woken < 1.0
    dead = "select count(*) from pyengine.executors where finished_at is not null"
    assert business.execute(dead).fetchall() == [(0,)]


def wait_for_listeners(connection: psycopg.Connection[Any], count: int) -> None:
    """Wait until so many sessions listen, and their processes have said so."""
    query = (
        "select count(*) from pyengine.executors e join pg_stat_activity a on a.pid = e.session_pid "
        "where a.query like 'listen%%' or a.query = ''"
    )
    for _ in range(500):
        if connection.execute(query).fetchall()[0][0] == count:
            return
        time.sleep(0.01)
    raise TimeoutError("the listeners did not come back")


@pytest.mark.parametrize("looks", [1, pytest.param(9, marks=pytest.mark.chaos)])
def test_waits_end_without_any_listener(rig: Rig, looks: int) -> None:
    config = {"use_listen_notify": False}
    waiter = rig.worker("waiter", config=config, trips=True)
    ender = rig.worker("ender", config=config)

    woken = seconds_until_woken(waiter, ender, "w", looks)

    print(f"woken {woken:.3f} s after the end, by looking again")
    assert woken < 2.0


@pytest.mark.chaos
def test_a_long_wait_ends_soon_after_its_listener_was_killed(
    rig: Rig, business: psycopg.Connection[Any]
) -> None:
    waiter, ender = rig.worker("waiter", trips=True), rig.worker("ender")
    ender.send("start", "w", "gated_step", 1)
    ender.expect("reached", "w")
    waiter.send("result", "w")
    for _ in range(9):
        waiter.expect("trip", "await_workflows")

    end_listeners(business)
    ender.send("open", "in step")
    ender.send("result", "w")
    ender.expect("result", "w")
    began = time.monotonic()

    assert waiter.expect("result", "w")[2] == RESULT
    print(f"a long wait woke {time.monotonic() - began:.3f} s after the end, its listener killed")
    assert time.monotonic() - began < 2.0


@pytest.mark.chaos
def test_a_dead_process_is_noticed_by_its_lease_when_nobody_listens(rig: Rig) -> None:
    config = {"use_listen_notify": False, "lease_seconds": 2.0, "heartbeat_seconds": 0.4}
    first, standby = rig.worker("first", config=config), rig.worker("standby", config=config)
    first.send("start", "w", "gated_step", 1)
    first.expect("reached", "w")

    first.kill()

    began = time.monotonic()
    standby.expect("reached", "w")
    print(f"taken over {time.monotonic() - began:.2f} s after the kill, lease 2 s")
    assert time.monotonic() - began < 6.0
