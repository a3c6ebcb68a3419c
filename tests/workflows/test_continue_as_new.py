"""Continue as new: a workflow begins again under its id, with other inputs and without its history, in one commit."""

from __future__ import annotations

import asyncio
import json
import uuid
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, DBOSConfiguredInstance, Queue, SetWorkflowID
from pyengine.error import DBOSException, DBOSPayloadTooLargeError, DBOSSerializationError
from tests.workflows.support import Crashes, steps_of, stored

Connection = psycopg.Connection[Any]

crashes = Crashes()
line = Queue("line", concurrency=1)
calls: list[int] = []


@DBOS.step()
def count_up(number: int) -> int:
    calls.append(number)
    return number + 1


@DBOS.workflow()
def counter(number: int, *, until: int) -> str:
    number = count_up(number)
    crashes.here()
    if number < until:
        DBOS.continue_as_new(number, until=until)
    return f"counted to {number}"


@DBOS.workflow()
async def counter_async(number: int) -> str:
    number = await asyncio.to_thread(count_up, number)
    if number < 3:
        DBOS.continue_as_new(number)
    return f"counted to {number}"


MARKER = "DBOS.continueAsNew"


@pytest.mark.parametrize("start", ["call", "start", "enqueue"])
def test_who_waits_gets_the_result_of_the_last_generation(dbos: type[DBOS], start: str) -> None:
    if start == "call":
        assert counter(0, until=4) == "counted to 4"
        return
    handle = (
        DBOS.start_workflow(counter, 0, until=4)
        if start == "start"
        else line.enqueue(counter, 0, until=4)
    )
    assert handle.get_result() == "counted to 4"


def test_async_workflows_continue_too(dbos: type[DBOS]) -> None:
    assert asyncio.run(counter_async(0)) == "counted to 3"


def test_the_steps_of_the_last_two_generations_are_there(
    dbos: type[DBOS], database: Connection
) -> None:
    with SetWorkflowID("generations"):
        counter(0, until=5)

    assert steps_of("generations") == [
        (6, MARKER),
        (7, "count_up"),
        (8, MARKER),
        (9, "count_up"),
    ]
    outputs = [step["output"] for step in DBOS.list_workflow_steps("generations")]
    assert outputs == [4, 4, 5, 5]
    assert stored(database, "generations", "inputs")["positionalArgs"] == [4]
    assert stored(database, "generations", "attempt_count") == 1


def test_a_generation_that_is_recovered_sees_its_own_history_only(dbos: type[DBOS]) -> None:
    calls.clear()
    crashes.arm(2)
    with SetWorkflowID("recovered generation"):
        handle = DBOS.start_workflow(counter, 0, until=3)

    assert handle.get_result() == "counted to 3"
    assert calls == [0, 1, 2]


@DBOS.workflow()
def child(text: str) -> str:
    return text


@DBOS.workflow()
def has_children(rounds: list[str]) -> list[str]:
    rounds = [*rounds, child(f"round {len(rounds) + 1}")]
    DBOS.set_event("rounds", len(rounds))
    if len(rounds) < 4:
        DBOS.continue_as_new(rounds)
    return rounds


def test_each_generation_has_children_of_its_own_and_the_events_go_on(
    dbos: type[DBOS], database: Connection
) -> None:
    with SetWorkflowID("has children"):
        assert has_children([]) == ["round 1", "round 2", "round 3", "round 4"]

    assert DBOS.get_event("has children", "rounds") == 4
    history = "select count(*) from pyengine.event_history where workflow_id = 'has children'"
    assert database.execute(history).fetchone() == (2,)


@DBOS.workflow()
def inbox(seen: list[str]) -> list[str]:
    seen = [*seen, DBOS.recv(timeout_seconds=30)]
    if seen[-1] != "end":
        DBOS.continue_as_new(seen)
    return seen


def test_messages_reach_whichever_generation_there_is(dbos: type[DBOS]) -> None:
    with SetWorkflowID("inbox"):
        handle = DBOS.start_workflow(inbox, [])
    for text in ["a", "b", "c", "end"]:
        DBOS.send("inbox", text)

    assert handle.get_result() == ["a", "b", "c", "end"]


@DBOS.workflow()
def parent() -> str:
    return counter(0, until=3)


def test_a_parent_waits_for_the_last_generation_of_its_child(dbos: type[DBOS]) -> None:
    assert parent() == "counted to 3"


@DBOS.dbos_class()
class Ledger(DBOSConfiguredInstance):
    @DBOS.workflow()
    def run(self, number: int) -> tuple[str, int]:
        if number < 2:
            DBOS.continue_as_new(number + 1)
        return self.config_name, number


def test_methods_continue_on_their_instance(dbos: type[DBOS]) -> None:
    assert Ledger("books").run(0) == ("books", 2)


@DBOS.workflow()
def swallows_errors(number: int) -> int:
    try:
        if number < 2:
            DBOS.continue_as_new(number + 1)
    except Exception:
        return -1
    finally:
        count_up(number)
    return number


def test_it_passes_through_handlers_of_errors_and_finally_blocks_run(dbos: type[DBOS]) -> None:
    with SetWorkflowID("swallows"):
        assert swallows_errors(0) == 2

    assert [name for _, name in steps_of("swallows")] == [MARKER, "count_up", MARKER, "count_up"]


@DBOS.workflow()
def too_large() -> None:
    DBOS.continue_as_new("x" * 2_000_000)


@DBOS.workflow()
def can_not_be_stored() -> str:
    try:
        DBOS.continue_as_new(object())
    except DBOSSerializationError:
        return "refused"


def test_arguments_that_can_not_be_stored_are_errors(dbos: type[DBOS]) -> None:
    with pytest.raises(DBOSPayloadTooLargeError):
        too_large()
    assert can_not_be_stored() == "refused"


def test_it_is_for_the_body_of_a_workflow(dbos: type[DBOS]) -> None:
    @DBOS.step()
    def step() -> None:
        DBOS.continue_as_new(1)

    @DBOS.workflow()
    def workflow() -> None:
        step()

    for call in (lambda: DBOS.continue_as_new(1), workflow):
        with pytest.raises(DBOSException, match="outside the body"):
            call()


@DBOS.workflow()
def ends_after_one(number: int) -> str:
    if number == 0:
        count_up(10)
        DBOS.continue_as_new(1)
    first = count_up(20)
    return f"{first} {count_up(30)}"


def test_a_fork_begins_in_the_current_generation(dbos: type[DBOS]) -> None:
    with SetWorkflowID("forked"):
        assert ends_after_one(0) == "21 31"
    assert steps_of("forked") == [(1, "count_up"), (2, MARKER), (3, "count_up"), (4, "count_up")]
    calls.clear()

    assert DBOS.fork_workflow("forked", 4).get_result() == "21 31"
    assert calls == [30]
    assert DBOS.fork_workflow("forked", 1).get_result() == "21 31"
    assert calls == [30, 20, 30]


def test_a_rewind_begins_in_the_current_generation(dbos: type[DBOS]) -> None:
    with SetWorkflowID("rewound"):
        ends_after_one(0)
    calls.clear()

    assert DBOS.rewind_workflow("rewound").get_result() == "21 31"
    assert calls == [20, 30]
    assert [step_id for step_id, _ in steps_of("rewound")] == [1, 2, 3, 4]


def started(sql: Connection) -> tuple[str, str]:
    """A workflow under a lease: its id and the lease token."""
    token = str(uuid.uuid4())
    row = sql.execute(
        """select pyengine.register_executor(
            name => 'e', application_name => 'a', application_version => '1', version_is_pinned => false,
            functions => '{}', channel => 'pe_e', lease_seconds => 60)"""
    ).fetchone()
    assert row is not None
    start = {"workflow_id": "w", "name": "f", "inputs": {"n": 1}, "serialization": "json"}
    request = json.dumps([{**start, "lease_token": token}])
    sql.execute("select pyengine.start_workflows(%s, %s)", [request, row[0]])
    return "w", token


def again(sql: Connection, token: str, *, step_id: int | None = 1, inputs: str = "{}") -> None:
    sql.execute(
        "select pyengine.continue_workflow('w', %s, %s, 'json', %s)", [token, step_id, inputs]
    )


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"token": str(uuid.uuid4())}, "PE001"),
        ({"step_id": 0}, "PE400"),
        ({"step_id": None}, "PE400"),
        ({"inputs": json.dumps("x" * 2_000_000)}, "PE413"),
        ({"inputs": "[" * 600 + "]" * 600}, "PE413"),
    ],
)
def test_the_sql_refuses_what_makes_no_sense(
    sql: Connection, arguments: dict[str, Any], code: str
) -> None:
    _, token = started(sql)

    with pytest.raises(psycopg.Error) as refused:
        again(sql, **{"token": token, **arguments})

    assert refused.value.sqlstate == code
    assert stored(sql, "w", "status") == "PENDING"


def test_a_run_that_continued_can_write_nothing_more(sql: Connection) -> None:
    _, token = started(sql)

    again(sql, token)

    with pytest.raises(psycopg.Error) as refused:
        again(sql, token)
    assert refused.value.sqlstate == "PE001"
    assert stored(sql, "w", "status") == "ENQUEUED"


def test_a_branch_that_recorded_a_later_step_moves_the_next_generation_behind_it(
    sql: Connection,
) -> None:
    _, token = started(sql)
    step = {"workflow_id": "w", "lease_token": token, "step_id": 7, "name": "s"}
    document = json.dumps([{**step, "serialization": "json"}])
    sql.execute("select pyengine.record_steps(%s)", [document])

    again(sql, token, step_id=2)

    assert stored(sql, "w", "base_step_id") == 8
