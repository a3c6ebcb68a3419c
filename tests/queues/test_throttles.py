"""Throttles and singletons: at most one start for each key in a period, at most one active workflow for each key."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetEnqueueOptions, SetWorkflowID
from pyengine.error import DBOSException, DBOSQueueDeduplicatedError
from pyengine.schema import sql_root

Connection = psycopg.Connection[Any]

reports = Queue("reports")


@DBOS.workflow()
def report(text: str) -> str:
    return text


@DBOS.workflow()
def reports_twice() -> list[str]:
    ids = []
    for text in ("a", "b"):
        with SetEnqueueOptions(
            throttle_key="child", throttle_seconds=60, duplication_policy="return-existing"
        ):
            ids.append(reports.enqueue(report, text).workflow_id)
    return ids


def test_a_second_start_in_the_period_is_refused(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(throttle_key="ada", throttle_seconds=60):
        assert reports.enqueue(report, "first").get_result() == "first"
        with pytest.raises(DBOSQueueDeduplicatedError, match="ada"):
            reports.enqueue(report, "second")
    with SetEnqueueOptions(throttle_key="bob", throttle_seconds=60):
        assert reports.enqueue(report, "another key").get_result() == "another key"


def test_or_gets_the_workflow_that_was_started(dbos: type[DBOS]) -> None:
    options: dict[str, Any] = {"throttle_key": "ada", "throttle_seconds": 60}
    with SetEnqueueOptions(**options, duplication_policy="return-existing"):
        first = reports.enqueue(report, "first")
        second = reports.enqueue(report, "second")
    by_options = DBOS.enqueue_workflow_with_options(
        {
            "workflow_name": "report",
            "queue_name": "reports",
            "duplication_policy": "return-existing",
            **options,  # type: ignore[typeddict-item]
        },
        "third",
    )

    assert first.workflow_id == second.workflow_id == by_options.workflow_id
    assert second.get_result() == "first"


def test_after_the_period_the_next_one_starts(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(throttle_key="short", throttle_seconds=0.001):
        results = [reports.enqueue(report, text).get_result() for text in ("a", "b")]

    assert results == ["a", "b"]


def test_a_workflow_records_the_one_that_was_started(dbos: type[DBOS]) -> None:
    with SetWorkflowID("twice"):
        assert reports_twice() == ["twice-1", "twice-1"]

    assert [step["child_workflow_id"] for step in DBOS.list_workflow_steps("twice")] == [
        "twice-1",
        "twice-1",
    ]


@pytest.mark.parametrize(
    "options",
    [{"throttle_key": "a"}, {"throttle_seconds": 1}, {"throttle_key": "a", "throttle_seconds": 0}],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(DBOSException, match="throttle"):
        SetEnqueueOptions(**options)


def test_a_deduplication_id_is_a_singleton(dbos: type[DBOS]) -> None:
    with SetEnqueueOptions(
        deduplication_id="one", delay_seconds=60, duplication_policy="return-existing"
    ):
        first = reports.enqueue(report, "first")
        second = reports.enqueue(report, "second")
    DBOS.set_workflow_delay(first.workflow_id, delay_seconds=0)
    assert second.get_result() == "first"

    with SetEnqueueOptions(deduplication_id="one", duplication_policy="return-existing"):
        third = reports.enqueue(report, "third")
    assert third.get_result() == "third"


class Stopped:
    """The engine's clock, standing still."""

    def __init__(self, sql: Connection) -> None:
        self.sql, self.time = sql, datetime(2030, 1, 1, tzinfo=timezone.utc)
        self.advance(0)

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.sql.execute(
            "create or replace function pyengine.now() returns timestamptz language sql as"
            f" $$ select '{self.time.isoformat()}'::timestamptz $$"
        )


@pytest.fixture
def clock(sql: Connection) -> Iterator[Stopped]:
    yield Stopped(sql)
    sql.execute((sql_root() / "functions/base/now.sql").read_bytes())


def document(workflow_id: str, key: str | None = "k", **fields: Any) -> dict[str, Any]:
    start = {"workflow_id": workflow_id, "name": "f", "inputs": {}, "serialization": "json"}
    throttle = {} if key is None else {"throttle_key": key, "throttle_ms": 10_000}
    return {**start, "queue_name": "q", **throttle, **fields}


def start(sql: Connection, *documents: dict[str, Any]) -> list[Any]:
    """The answers: item, refusal, holder."""
    query = "select item, refusal, holder_id from pyengine.start_workflows(%s) order by item"
    return sql.execute(query, [json.dumps(documents)]).fetchall()


def test_the_period_begins_with_the_start(sql: Connection, clock: Stopped) -> None:
    assert start(sql, document("a")) == []
    clock.advance(9.9)
    assert start(sql, document("b")) == [(1, "PE409", "a")]
    clock.advance(0.1)
    assert start(sql, document("c")) == []
    assert start(sql, document("d")) == [(1, "PE409", "c")]


def test_a_repeated_start_is_the_same_start(sql: Connection, clock: Stopped) -> None:
    token = {"start_token": "00000000-0000-0000-0000-000000000001"}

    assert start(sql, document("a", **token)) == []
    assert start(sql, document("a", **token)) == []


def test_of_several_in_one_request_the_first_starts(sql: Connection, clock: Stopped) -> None:
    answers = start(sql, document("a"), document("b"), document("c", "l"), document("d", None))

    assert answers == [(2, "PE409", "a")]


def test_keys_are_of_one_queue(sql: Connection, clock: Stopped) -> None:
    assert start(sql, document("a"), document("b", queue_name="p")) == []


def test_a_start_that_creates_nothing_begins_no_period(sql: Connection, clock: Stopped) -> None:
    start(sql, document("held", None, deduplication_id="d"))

    assert start(sql, document("a", deduplication_id="d")) == [(1, "PE409", "held")]
    assert start(sql, document("b")) == []


@pytest.mark.parametrize(
    "fields", [{"throttle_ms": 0}, {"throttle_ms": None}, {"throttle_key": "k" * 513}]
)
def test_one_bad_throttle_fails_alone(
    sql: Connection, clock: Stopped, fields: dict[str, Any]
) -> None:
    assert start(sql, document("bad", **fields), document("good", "l")) == [(1, "PE400", None)]


def test_a_throttle_needs_a_queue(sql: Connection, clock: Stopped) -> None:
    lone = document("bad")
    del lone["queue_name"]

    assert start(sql, lone) == [(1, "PE400", None)]
    assert sql.execute("select count(*) from pyengine.workflows").fetchall() == [(0,)]


def test_keys_whose_period_is_over_are_removed(sql: Connection, clock: Stopped) -> None:
    for n in range(8):
        start(sql, document(f"w-{n}", f"k-{n}"))
    clock.advance(60)
    start(sql, document("last", "last"))

    rows = sql.execute("select throttle_key from pyengine.throttles").fetchall()
    assert rows == [("last",)]


@pytest.mark.race
def test_of_many_starts_at_once_one_gets_through(sql: Connection, engine_url: str) -> None:
    barrier = threading.Barrier(8)
    answers: list[Any] = []

    def work(number: int) -> None:
        with psycopg.connect(engine_url, autocommit=True) as connection:
            barrier.wait(30)
            for n in range(20):
                answers.extend(start(connection, document(f"w-{number}-{n}", throttle_ms=600_000)))

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    ((started,),) = sql.execute("select workflow_id from pyengine.workflows").fetchall()
    assert answers == [(1, "PE409", started)] * 159


@pytest.mark.parametrize("as_array", [False, True])
def test_fields_whose_names_are_written_with_escapes_are_read(
    sql: Connection, *, as_array: bool
) -> None:
    sql.execute("select * from pyengine.register_queue(queue_name => 'narrow', max_depth => 1)")
    template = (
        r'{"workflow_id":"%s","name":"f","inputs":[],"serialization":"json",'
        r'"queue\u005fname":"narrow","\u0074hrottle_key":"%s","throttle\u005fms":60000}'
    )

    def refusals(workflow_id: str, key: str) -> list[Any]:
        document = template % (workflow_id, key)
        requests = f"[{document}]" if as_array else document
        query = "select refusal from pyengine.start_workflows(%s)"
        return sql.execute(query, [requests]).fetchall()

    assert refusals("first", "ada") == []
    assert refusals("second", "ada") in ([("PE409",)], [("PE429",)])
    assert refusals("third", "bob") == [("PE429",)]
    sql.execute("select pyengine.delete_queue(queue_name => 'narrow')")
    assert refusals("fourth", "ada") == [("PE409",)]
