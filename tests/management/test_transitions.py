"""The status machine: what each function makes of a workflow in each status. SQL itself refuses the rest."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

Session = psycopg.Connection[Any]

TOKEN = "6a4f8f43-3a1e-4c55-9d1a-0d5d3e1a7f00"
ACTIVE = ("ENQUEUED", "DELAYED", "PENDING")
DECIDED = ("SUCCESS", "ERROR")
DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
STATUSES = (*ACTIVE, *DECIDED, "CANCELLED", DEAD)


def rows(sql: Session, text: str, *values: object) -> list[Any]:
    return sql.execute(text, values).fetchall()


def executor(sql: Session) -> int:
    found = rows(
        sql,
        "select pyengine.register_executor(name => 'one', application_name => 'app', application_version => '1', "
        "version_is_pinned => false, functions => '{f}', channel => %s, lease_seconds => 15)",
        f"channel {uuid.uuid4()}",
    )
    return int(found[0][0])


def start(sql: Session, **fields: object) -> None:
    request = {"workflow_id": "w", "name": "f", "serialization": "json", "inputs": {}, **fields}
    rows(
        sql,
        "select pyengine.start_workflows(requests => %s, executor_id => %s)",
        json.dumps([request]),
        executor(sql),
    )


def finish(sql: Session, **outcome: object) -> None:
    request = {"workflow_id": "w", "lease_token": TOKEN, **outcome}
    rows(sql, "select pyengine.finish_workflows(%s)", json.dumps([request]))


def claim(sql: Session) -> None:
    rows(
        sql,
        "select pyengine.claim_workflows(executor_id => %s, lease_token => %s, claim_limit => 1)",
        executor(sql),
        uuid.uuid4(),
    )


def die(sql: Session) -> None:
    """Every executor is dead, and one that lives finds it out."""
    sql.execute("update pyengine.executors set heartbeat_at = 'epoch', lease_duration = '1 ms'")
    rows(sql, "select pyengine.tick_executor(executor_id => %s)", executor(sql))


def be(sql: Session, status: str) -> None:
    """One workflow, brought into a status by the engine's functions alone."""
    if status == "ENQUEUED":
        start(sql)
    elif status == "DELAYED":
        start(sql, delay_ms=3_600_000)
    elif status == DEAD:
        start(sql, lease_token=TOKEN, max_attempts=1)
        die(sql)
        claim(sql)
    else:
        start(sql, lease_token=TOKEN)
        if status == "SUCCESS":
            finish(sql, output=1)
        elif status == "ERROR":
            finish(sql, error={"message": "no"})
        elif status == "CANCELLED":
            rows(sql, "select pyengine.cancel_workflows('{w}')")
    assert status_of(sql) == status


def status_of(sql: Session) -> str:
    return str(rows(sql, "select status from pyengine.workflows where workflow_id = 'w'")[0][0])


OPERATIONS: dict[str, Callable[[Session], object]] = {
    "start again": lambda sql: start(sql, lease_token=str(uuid.uuid4())),
    "claim": claim,
    "succeed": lambda sql: finish(sql, output=2),
    "fail": lambda sql: finish(sql, error={"message": "other"}),
    "release": lambda sql: rows(
        sql,
        "select pyengine.release_workflows(%s)",
        json.dumps([{"workflow_id": "w", "lease_token": TOKEN}]),
    ),
    "die": die,
    "cancel": lambda sql: rows(sql, "select pyengine.cancel_workflows('{w}')"),
    "resume": lambda sql: rows(sql, "select pyengine.resume_workflows('{w}')"),
    "rewind": lambda sql: rows(sql, "select pyengine.rewind_workflow('w')"),
    "fork": lambda sql: rows(sql, "select pyengine.fork_workflow('w')"),
}
# Where each operation leads; from every other status it leads nowhere.
CHANGES: dict[str, dict[str, str]] = {
    "start again": {},
    "claim": {"ENQUEUED": "PENDING"},
    "succeed": {"PENDING": "SUCCESS"},
    "fail": {"PENDING": "ERROR"},
    "release": {"PENDING": "ENQUEUED"},
    "die": {"PENDING": "ENQUEUED"},
    "cancel": dict.fromkeys((*ACTIVE, DEAD, "CANCELLED"), "CANCELLED"),
    "resume": dict.fromkeys((*ACTIVE, DEAD, "CANCELLED"), "ENQUEUED"),
    "rewind": dict.fromkeys((*DECIDED, "CANCELLED", DEAD), "ENQUEUED"),
    "fork": {},
}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_leads_where_it_should_and_nowhere_else(
    sql: Session, operation: str, status: str
) -> None:
    be(sql, status)
    query = (
        "select status, output::text, error::text from pyengine.workflows where workflow_id = 'w'"
    )
    before = rows(sql, query)

    if operation == "rewind" and status in ACTIVE:
        with pytest.raises(psycopg.Error, match=f"workflow w is {status}: only a workflow") as info:
            OPERATIONS[operation](sql)
        assert info.value.sqlstate == "PE409"
    else:
        OPERATIONS[operation](sql)

    assert status_of(sql) == CHANGES[operation].get(status, status)
    if status_of(sql) == status:
        assert rows(sql, query) == before


def test_a_delayed_workflow_that_is_due_becomes_claimable(sql: Session) -> None:
    be(sql, "DELAYED")
    sql.execute("update pyengine.workflows set delayed_until = pyengine.now() - interval '1 ms'")

    claim(sql)

    assert status_of(sql) == "PENDING"


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "DELAYED"])
def test_what_is_not_delayed_is_not_put_off(sql: Session, status: str) -> None:
    be(sql, status)
    query = "select delayed_until, updated_at from pyengine.workflows"
    before = rows(sql, query)

    sql.execute("select pyengine.set_workflow_delay('w', delay_ms => 1000)")

    assert rows(sql, query) == before


CONTRADICTIONS = {
    "an unknown status": "update pyengine.workflows set status = 'RUNNING'",
    "an end without its time": "update pyengine.workflows set status = 'SUCCESS'",
    "a time of the end without an end": "update pyengine.workflows set finished_at = created_at",
}


@pytest.mark.parametrize("statement", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_a_row_that_contradicts_itself_is_refused_by_its_table(
    sql: Session, statement: str
) -> None:
    be(sql, "ENQUEUED")

    with pytest.raises(psycopg.errors.CheckViolation):
        sql.execute(statement.encode())
