"""A process that is stopped, taken over from, and then continued: nothing it writes is accepted."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from pyengine.runtime.maintenance import TICK_SECONDS
from tests.chaos.program import chain_result
from tests.chaos.rig import Rig, Worker

SHORT_LEASE = {"lease_seconds": 0.6, "heartbeat_seconds": 0.1}
RESULTS = {"gated_between": (5 * 3 + 1) * 3 + 2}
RESULT = (5 * 3 + 1) * 3 + 3


def stop_at(rig: Rig, workflow: str, gate: str) -> Worker:
    """A worker that is stopped while a workflow waits at a gate."""
    zombie = rig.worker("zombie", config=SHORT_LEASE, writes=True)
    zombie.send("call", "w", workflow, 5)
    zombie.expect("reached", "w", gate)
    zombie.stop()
    zombie.received("write").clear()
    return zombie


def take_over(rig: Rig, workflow: str, gate: str) -> Worker:
    """Another worker that has carried the workflow on to its end."""
    heir = rig.worker("heir", config=SHORT_LEASE)
    heir.expect("reached", "w", gate)
    heir.send("open", gate)
    heir.send("result", "w")
    assert heir.expect("result", "w")[2] == RESULTS.get(workflow, RESULT)
    return heir


def writes_of(zombie: Worker) -> list[tuple[str, str]]:
    """What became of the zombie's writes since it was stopped."""
    return [(function, outcome) for _, function, outcome in zombie.received("write")]


@pytest.mark.parametrize(
    ("workflow", "gate", "refused"),
    [
        ("gated_step", "in step", "record_steps"),
        ("gated_step_async", "in step", "record_steps"),
        ("gated_transaction", "in transaction", "commit"),
        ("gated_between", "between steps", "check_lease"),
    ],
)
def test_a_zombie_is_refused_and_its_process_goes_on_working(
    rig: Rig, business: psycopg.Connection[Any], workflow: str, gate: str, refused: str
) -> None:
    zombie = stop_at(rig, workflow, gate)
    before = len(zombie.received("write"))
    take_over(rig, workflow, gate)

    zombie.go_on()
    zombie.send("open", gate)

    # The caller inside the zombie gets the outcome that the other process has stored.
    assert zombie.expect("result", "w")[2] == RESULTS.get(workflow, RESULT)
    late = writes_of(zombie)[before:]
    assert late == [(refused, "PE001")]
    zombie.send("call", "next", "chain", 3, 1)
    assert zombie.expect("result", "next")[2] == chain_result(3, 1)
    assert rig.ledger.effects_of("w")["plain 1"] == 1
    rows = business.execute("select count(*), max(attempt_count) from pyengine.workflows")
    assert rows.fetchall() == [(2, 2)]
    transfers = business.execute("select count(*) from public.business").fetchall()
    assert transfers == [(1 if workflow == "gated_transaction" else 0,)]


def test_a_zombie_does_not_start_another_step_after_it_has_registered_anew(
    rig: Rig, business: psycopg.Connection[Any]
) -> None:
    config = {"lease_seconds": 4.0, "heartbeat_seconds": 0.2}
    zombie = rig.worker("zombie", config=config, writes=True)
    zombie.send("call", "w", "gated_between", 5)
    zombie.expect("reached", "w", "between steps")
    zombie.stop()
    declare_dead(business, "zombie")
    heir = rig.worker("heir", config=config)
    heir.expect("reached", "w", "between steps")
    zombie.go_on()
    wait_until_registered_and_sure(zombie)

    zombie.send("open", "between steps")
    heir.send("open", "between steps")

    assert zombie.expect("result", "w")[2] == RESULTS["gated_between"]
    assert rig.ledger.effects_of("w") == {"plain 1": 1, "plain 2": 1}


def declare_dead(connection: psycopg.Connection[Any], executor: str) -> None:
    """What another process does when the lease is past."""
    connection.execute(
        "update pyengine.executors set finished_at = pyengine.now(), finish_reason = 'lease expired' "
        "where name = %s and finished_at is null",
        [executor],
    )


def wait_until_registered_and_sure(zombie: Worker) -> None:
    """Wait until a workflow that the process starts asks for no lease any more."""
    for number in range(100):
        before = len(zombie.received("write"))
        zombie.send("call", f"later-{number}", "chain", 1, 1)
        zombie.expect("result", f"later-{number}")
        calls = [function for function, _ in writes_of(zombie)[before:]]
        if calls == ["start_workflows", "record_steps", "finish_workflows"]:
            return
    pytest.fail(f"the process never became sure of its lease in {TICK_SECONDS} s")


def test_an_open_transaction_of_a_dead_process_holds_up_only_its_own_workflow(
    rig: Rig, business: psycopg.Connection[Any], engine_url: str
) -> None:
    dead = rig.worker("dead", config=SHORT_LEASE)
    for workflow_id in ("held", "other"):
        dead.send("start", workflow_id, "gated_step", 5)
        dead.expect("reached", workflow_id)
    dead.stop()

    with psycopg.connect(engine_url) as transaction:
        token = lease_token(transaction, "held")
        checkpoint(transaction, "held", token, step_id=2)
        heir = rig.worker("heir", config=SHORT_LEASE)
        heir.expect("reached", "other")
        heir.send("open", "in step")
        heir.send("result", "other")
        assert heir.expect("result", "other")[2] == RESULT
        assert heir.received("reached") == []
        transaction.commit()

    heir.send("result", "held")
    assert heir.expect("result", "held")[2] == RESULT
    assert rig.ledger.effects_of("held") == {"plain 1": 1, "in step": 1, "plain 3": 1}
    with psycopg.connect(engine_url) as late, pytest.raises(psycopg.Error) as refusal:
        checkpoint(late, "held", token, step_id=3)
    assert refusal.value.sqlstate == "PE001"


def lease_token(connection: psycopg.Connection[Any], workflow_id: str) -> object:
    """The token of the current run."""
    query = "select lease_token from pyengine.workflows where workflow_id = %s"
    return connection.execute(query, [workflow_id]).fetchall()[0][0]


def checkpoint(
    connection: psycopg.Connection[Any], workflow_id: str, token: object, step_id: int
) -> None:
    """The checkpoint of a transactional step, in the connection's transaction."""
    connection.execute(
        "select pyengine.record_step_in_transaction(workflow_id => %s, lease_token => %s, step_id => %s, "
        "name => 'gated', serialization => 'json', output => '\"in step passed\"')",
        [workflow_id, token, step_id],
    )
