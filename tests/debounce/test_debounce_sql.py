"""debounce_workflow: one workflow for each key, with the inputs and the time of the last call."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.debounce.conftest import StoppedClock

Connection = psycopg.Connection[Any]

TOKEN = str(uuid.uuid4())


def document(value: Any, **fields: Any) -> str:
    inputs = {"positionalArgs": [value], "namedArgs": {}}
    start = {"workflow_id": str(uuid.uuid4()), "name": "f", "serialization": "json"}
    return json.dumps({**start, "inputs": inputs, **fields})


def debounce(
    sql: Connection,
    value: Any,
    *,
    key: str = "k",
    period: float = 10.0,
    timeout: float | None = None,
    **fields: Any,
) -> tuple[str, bool]:
    """Debounce f(value): the workflow and whether it is new. Times in seconds."""
    row = sql.execute(
        "select workflow_id, is_new, refusal from pyengine.debounce_workflow("
        "request => %s, debounce_key => %s, period_ms => %s, timeout_ms => %s)",
        [document(value, **fields), key, period * 1000, timeout and timeout * 1000],
    ).fetchone()
    assert row is not None
    assert row[2] is None, row
    return row[0], row[1]


def look(sql: Connection, workflow_id: str) -> tuple[str, Any, float]:
    """Status, first argument, and seconds until the start."""
    row = sql.execute(
        "select status, inputs, extract(epoch from delayed_until - pyengine.now())::float8"
        " from pyengine.workflows where workflow_id = %s",
        [workflow_id],
    ).fetchone()
    assert row is not None
    return row[0], row[1]["positionalArgs"][0], row[2]


def promote(sql: Connection) -> None:
    sql.execute("select pyengine._promote_delayed()")


def test_the_first_call_starts_the_clock(sql: Connection, clock: StoppedClock) -> None:
    workflow_id, is_new = debounce(sql, "a")

    assert is_new
    assert look(sql, workflow_id) == ("DELAYED", "a", 10.0)


def test_a_later_call_replaces_the_inputs_and_starts_the_clock_anew(
    sql: Connection, clock: StoppedClock
) -> None:
    first, _ = debounce(sql, "a")
    clock.advance(7)

    second, is_new = debounce(sql, {"b": 1}, period=5)

    assert (second, is_new) == (first, False)
    assert look(sql, first) == ("DELAYED", {"b": 1}, 5.0)


def test_the_timeout_of_the_first_call_caps_the_time(sql: Connection, clock: StoppedClock) -> None:
    workflow_id, _ = debounce(sql, "a", timeout=15)
    clock.advance(9)

    debounce(sql, "b", timeout=1000)
    assert look(sql, workflow_id) == ("DELAYED", "b", 6.0)

    clock.advance(6)
    promote(sql)
    assert look(sql, workflow_id)[:2] == ("ENQUEUED", "b")


def test_a_timeout_below_the_period_is_the_time(sql: Connection, clock: StoppedClock) -> None:
    workflow_id, _ = debounce(sql, "a", timeout=3)

    assert look(sql, workflow_id) == ("DELAYED", "a", 3.0)


def test_the_key_is_free_once_the_workflow_may_start(sql: Connection, clock: StoppedClock) -> None:
    first, _ = debounce(sql, "a")
    clock.advance(10)
    promote(sql)

    second, is_new = debounce(sql, "b")

    assert is_new
    assert look(sql, first)[:2] == ("ENQUEUED", "a")
    assert look(sql, second)[:2] == ("DELAYED", "b")


def test_a_call_without_a_period_starts_at_once_and_holds_no_key(
    sql: Connection, clock: StoppedClock
) -> None:
    first, _ = debounce(sql, "a", period=0)
    second, is_new = debounce(sql, "b", period=0)

    assert is_new
    assert look(sql, first)[:2] == ("ENQUEUED", "a")
    assert look(sql, second)[:2] == ("ENQUEUED", "b")


@pytest.mark.parametrize("other", [{"key": "l"}, {"name": "g"}, {"queue_name": "q"}])
def test_keys_are_of_one_function_and_one_queue(
    sql: Connection, clock: StoppedClock, other: dict[str, Any]
) -> None:
    sql.execute("select * from pyengine.register_queue(queue_name => 'q')")
    debounce(sql, "a")

    assert debounce(sql, "b", **other)[1]


def test_a_cancelled_workflow_lets_the_key_go(sql: Connection, clock: StoppedClock) -> None:
    first, _ = debounce(sql, "a")
    sql.execute("select pyengine.cancel_workflows(array[%s])", [first])

    assert debounce(sql, "b")[1]


@pytest.mark.parametrize(
    "holder",
    [
        {"name": "f", "deduplication_id": "f-k", "queue_name": "q", "delay_ms": 1000},
        {"name": "f", "deduplication_id": "f-k", "queue_name": "q"},
    ],
)
def test_a_workflow_of_another_kind_keeps_its_key(
    sql: Connection, clock: StoppedClock, holder: dict[str, Any]
) -> None:
    sql.execute("select * from pyengine.register_queue(queue_name => 'q')")
    held = json.dumps([json.loads(document("a", workflow_id="held", **holder))])
    sql.execute("select pyengine.start_workflows(%s)", [held])

    row = sql.execute(
        "select workflow_id, refusal from pyengine.debounce_workflow(%s, 'k', 1000)",
        [document("b", queue_name="q")],
    ).fetchone()

    assert row == ("held", "PE409")
    assert look(sql, "held")[1] == "a"


def test_another_applications_workflow_keeps_its_key(sql: Connection, clock: StoppedClock) -> None:
    debounce(sql, "a", application_name="mine")

    row = sql.execute(
        "select refusal from pyengine.debounce_workflow(%s, 'k', 1000)",
        [document("b", application_name="yours")],
    ).fetchone()

    assert row == ("PE409",)


def test_version_and_identity_follow_the_inputs(sql: Connection, clock: StoppedClock) -> None:
    first: dict[str, Any] = {
        "authenticated_user": "ada",
        "authenticated_roles": ["admin"],
        "assumed_role": "admin",
    }
    workflow_id, _ = debounce(sql, "a", application_version="1", **first, version_is_pinned=True)

    debounce(sql, "b", application_version="2", authenticated_user="bob")

    row = sql.execute(
        "select application_version, version_is_pinned, authenticated_user, authenticated_roles, assumed_role"
        " from pyengine.workflows where workflow_id = %s",
        [workflow_id],
    ).fetchone()
    assert row == ("2", False, "bob", None, None)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"period": -1}, "PE400"),
        ({"timeout": -1}, "PE400"),
        ({"key": "k" * 600}, "PE400"),
        ({"priority": 1}, "PE400"),
        ({"delay_ms": 1}, "PE400"),
        ({"workflow_id": " "}, "PE400"),
        ({"queue_name": "unknown"}, "PE404"),
    ],
)
def test_what_makes_no_sense_is_refused(
    sql: Connection, arguments: dict[str, Any], code: str
) -> None:
    with pytest.raises(psycopg.Error) as refused:
        debounce(sql, "a", **arguments)

    assert refused.value.sqlstate == code
    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (0,)


def test_a_full_queue_refuses_the_first_call_only(sql: Connection, clock: StoppedClock) -> None:
    sql.execute("select * from pyengine.register_queue(queue_name => 'q', max_depth => 1)")
    workflow_id, _ = debounce(sql, "a", queue_name="q")

    assert debounce(sql, "b", queue_name="q") == (workflow_id, False)
    with pytest.raises(psycopg.Error) as refused:
        debounce(sql, "c", key="l", queue_name="q")
    assert refused.value.sqlstate == "PE429"


def parent_of(sql: Connection) -> dict[str, Any]:
    row = sql.execute(
        """select pyengine.register_executor(
            name => 'e', application_name => 'a', application_version => '1', version_is_pinned => false,
            functions => '{}', channel => 'pe_e', lease_seconds => 60)"""
    ).fetchone()
    assert row is not None
    start = json.loads(document("x", workflow_id="parent", lease_token=TOKEN))
    sql.execute("select pyengine.start_workflows(%s, %s)", [json.dumps([start]), row[0]])
    return {"parent_workflow_id": "parent", "parent_lease_token": TOKEN, "step_name": "f"}


def steps(sql: Connection) -> list[tuple[int, str, str | None]]:
    query = "select step_id, name, child_workflow_id from pyengine.steps order by step_id"
    return sql.execute(query).fetchall()


def test_a_workflow_records_the_call_in_the_same_commit_once(
    sql: Connection, clock: StoppedClock
) -> None:
    parent = parent_of(sql)
    first, _ = debounce(sql, "a", **parent, parent_step_id=2)
    debounce(sql, "b", **parent, parent_step_id=4)
    expected = [
        (1, "DBOS.debounce_delayed_workflow", None),
        (2, "f", first),
        (3, "DBOS.debounce_delayed_workflow", first),
    ]
    assert steps(sql) == expected

    assert debounce(sql, "repeated", **parent, parent_step_id=2) == (first, False)
    assert debounce(sql, "repeated", **parent, parent_step_id=4) == (first, False)

    assert steps(sql) == expected
    assert look(sql, first)[1] == "b"


def test_a_run_that_lost_its_workflow_changes_nothing(sql: Connection, clock: StoppedClock) -> None:
    parent = {**parent_of(sql), "parent_lease_token": str(uuid.uuid4())}
    first, _ = debounce(sql, "a")

    for key in ("k", "l"):
        with pytest.raises(psycopg.Error) as refused:
            debounce(sql, "b", key=key, **parent, parent_step_id=2)
        assert refused.value.sqlstate == "PE001"

    assert look(sql, first)[1] == "a"
    assert steps(sql) == []


def together(url: str, count: int, work: Callable[[Connection, int], None]) -> None:
    """Run work(connection, number) in `count` threads that begin at once."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                barrier.wait(30)
                work(connection, number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.race
def test_a_thousand_calls_at_once_make_one_workflow_with_the_inputs_that_committed_last(
    sql: Connection, engine_url: str
) -> None:
    answers: list[tuple[str, bool]] = []
    sql.execute("create table if not exists public.committed (number int, at bigint)")
    sql.execute("truncate public.committed")

    def work(connection: Connection, number: int) -> None:
        for call in range(100):
            with connection.transaction():
                answers.append(debounce(connection, [number, call], period=600))
                # While the row is locked nobody else can take a number: the highest is the last to commit.
                connection.execute(
                    "insert into public.committed select %s, count(*) from public.committed",
                    [number * 100 + call],
                )

    together(engine_url, 10, work)

    assert len({workflow_id for workflow_id, _ in answers}) == 1
    assert sum(is_new for _, is_new in answers) == 1
    last = sql.execute("select number from public.committed order by at desc limit 1").fetchone()
    assert last is not None
    number, call = look(sql, answers[0][0])[1]
    assert number * 100 + call == last[0]
    sql.execute("drop table public.committed")


@pytest.mark.race
def test_calls_that_meet_the_start_are_neither_lost_nor_doubled(
    sql: Connection, engine_url: str
) -> None:
    """Each call's inputs run, or were replaced by a later call before their workflow started."""
    stop = threading.Event()

    def promoter() -> None:
        with psycopg.connect(engine_url, autocommit=True) as connection:
            while not stop.is_set():
                promote(connection)

    thread = threading.Thread(target=promoter)
    thread.start()
    answers: dict[tuple[int, int], str] = {}

    def work(connection: Connection, number: int) -> None:
        for call in range(60):
            answers[number, call] = debounce(connection, [number, call], period=0.002)[0]

    try:
        together(engine_url, 6, work)
    finally:
        stop.set()
        thread.join()

    rows = sql.execute("select workflow_id, inputs from pyengine.workflows").fetchall()
    assert {workflow_id for workflow_id, _ in rows} == set(answers.values())
    assert len(rows) > 1
    for workflow_id, inputs in rows:
        number, call = inputs["positionalArgs"][0]
        assert answers[number, call] == workflow_id
