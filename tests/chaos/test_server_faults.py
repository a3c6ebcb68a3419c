"""The server goes away, or refuses writes, or times out, in mid-run: nothing is stuck, nothing fails."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from tests.chaos.program import chain_result
from tests.chaos.rig import Rig, Worker
from tests.fix_server import PrivateServer

WORKFLOWS = 20
STEPS = 60
both_kinds = pytest.mark.parametrize("workflow", ["chain", "chain_async"])


def start_chains(worker: Worker, workflow: str, steps: int = STEPS) -> list[str]:
    """Start the workflows and wait until all are under way."""
    ids = [f"{workflow}-{number}" for number in range(WORKFLOWS)]
    for number, workflow_id in enumerate(ids):
        worker.send("start", workflow_id, workflow, steps, number)
    worker.expect("under way")
    for workflow_id in ids:
        worker.send("result", workflow_id)
    return ids


def expect_chains(worker: Worker, ids: list[str], steps: int = STEPS) -> None:
    """All end with their results."""
    expected = {workflow_id: chain_result(steps, number) for number, workflow_id in enumerate(ids)}
    assert worker.results(ids) == expected


def statuses(url: str) -> dict[str, int]:
    """How many workflows have each status."""
    with psycopg.connect(url, autocommit=True) as connection:
        query = "select status, count(*) from pyengine.workflows group by 1"
        return dict(connection.execute(query).fetchall())


def expect_working_wake_ups(rig: Rig, worker: Worker) -> None:
    """What ends in one process is noticed at once in the other."""
    other = rig.worker("other")
    worker.send("start", "wake", "gated_step", 1)
    worker.expect("reached", "wake")
    other.send("result", "wake")
    worker.send("open", "in step")
    began = time.monotonic()
    other.expect("result", "wake")
    assert time.monotonic() - began < 2.0


@pytest.mark.chaos
@both_kinds
@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_restart_of_the_server_is_survived(
    doomed_server: PrivateServer, doomed_rig: Rig, workflow: str, fault: str
) -> None:
    worker = doomed_rig.worker()
    ids = start_chains(worker, workflow)

    if fault == "kill":
        doomed_server.kill()
        doomed_server.start()
    else:
        doomed_server.restart()
    began = time.monotonic()

    expect_chains(worker, ids)
    print(f"{workflow} {fault}: all finished {time.monotonic() - began:.2f} s after the restart")
    assert statuses(doomed_server.url()) == {"SUCCESS": WORKFLOWS}
    assert max(doomed_rig.ledger.effects().values()) == 1
    expect_working_wake_ups(doomed_rig, worker)


@pytest.mark.chaos
@both_kinds
def test_a_read_only_server_is_waited_for(
    doomed_server: PrivateServer, doomed_rig: Rig, workflow: str
) -> None:
    worker = doomed_rig.worker()
    ids = start_chains(worker, workflow)

    with psycopg.connect(doomed_server.url(), autocommit=True) as admin:
        set_read_only(admin, "on")
        time.sleep(3.0)
        set_read_only(admin, "off")
    began = time.monotonic()

    expect_chains(worker, ids)
    print(f"{workflow}: all finished {time.monotonic() - began:.2f} s after the read-only window")
    assert statuses(doomed_server.url()) == {"SUCCESS": WORKFLOWS}
    expect_working_wake_ups(doomed_rig, worker)


def set_read_only(admin: psycopg.Connection[Any], value: str) -> None:
    """As after a failover to a host that is not promoted yet: every session is new, and may only read."""
    admin.execute(f"alter system set default_transaction_read_only = {value}")
    admin.execute("select pg_reload_conf()")
    terminate_others(admin)


def terminate_others(admin: psycopg.Connection[Any]) -> None:
    """End all other sessions."""
    admin.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity "
        "where pid <> pg_backend_pid() and backend_type = 'client backend'"
    )


def terminate_one(admin: psycopg.Connection[Any]) -> int:
    """End any one session of the engine, the listening one included."""
    query = (
        "select count(pg_terminate_backend(pid)) from (select pid from pg_stat_activity "
        "where application_name like 'pyengine%' and datname = current_database() "
        "order by random() limit 1) one"
    )
    return int(admin.execute(query).fetchall()[0][0])


@pytest.mark.chaos
@both_kinds
def test_ended_sessions_are_noticed_by_nobody(rig: Rig, engine_url: str, workflow: str) -> None:
    worker = rig.worker()
    # Coroutines share one thread, which waits for the disk at each effect.
    steps = 300 if workflow == "chain" else 100
    ids = start_chains(worker, workflow, steps)

    ended = 0
    with psycopg.connect(engine_url, autocommit=True) as admin:
        while statuses(engine_url).get("SUCCESS", 0) < WORKFLOWS:
            ended += terminate_one(admin)
            time.sleep(0.2)

    print(f"{workflow}: {ended} sessions ended")
    assert ended >= 1
    expect_chains(worker, ids, steps)
    assert statuses(engine_url) == {"SUCCESS": WORKFLOWS}


@pytest.mark.chaos
@both_kinds
@pytest.mark.parametrize("timeout", ["lock_timeout = '50ms'", "statement_timeout = '200ms'"])
def test_timeouts_of_the_server_are_waited_out(
    doomed_server: PrivateServer, doomed_rig: Rig, workflow: str, timeout: str
) -> None:
    with psycopg.connect(doomed_server.url(), autocommit=True) as admin:
        admin.execute(f"alter role current_user set {timeout}")
    worker = doomed_rig.worker()
    ids = start_chains(worker, workflow)

    with psycopg.connect(doomed_server.url()) as holder:
        holder.execute("set statement_timeout = 0")
        holder.execute("set lock_timeout = 0")
        query = "select 1 from pyengine.workflows where workflow_id = %s for update"
        holder.execute(query, [ids[3]])
        time.sleep(2.0)
        holder.rollback()

    expect_chains(worker, ids)
    assert statuses(doomed_server.url()) == {"SUCCESS": WORKFLOWS}
