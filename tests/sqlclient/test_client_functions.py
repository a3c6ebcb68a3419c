"""What a client does with nothing but SQL: one workflow at a time, in its own transaction."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest

from pyengine import DBOS, Queue, SetWorkflowID
from pyengine.errors import DBOSConflictingWorkflowError

Connection = psycopg.Connection[Any]

orders = Queue("orders-from-sql")


@DBOS.workflow()
def greet(name: str, *, greeting: str = "Hello") -> str:
    return f"{greeting}, {name}!"


@DBOS.workflow()
def fail(reason: str) -> None:
    raise ValueError(reason)


@DBOS.workflow()
def age_of(born: datetime) -> int:
    return 2026 - born.year


@DBOS.workflow()
def wait_for_mail(topic: str | None) -> Any:
    return DBOS.recv(topic, timeout_seconds=20)


@DBOS.workflow()
def publish(value: Any) -> str:
    DBOS.set_event("progress", value)
    return "published"


def scalar(connection: Connection, query: str, *arguments: Any) -> Any:
    row = connection.execute(query.encode(), arguments).fetchone()
    assert row is not None
    return row[0]


def code_of(connection: Connection, query: str, *arguments: Any) -> str | None:
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(query.encode(), arguments)
    return caught.value.sqlstate


def columns(connection: Connection, workflow_id: str, *names: str) -> tuple[Any, ...]:
    query = f"select {', '.join(names)} from pyengine.workflows where workflow_id = %s"
    row = connection.execute(query.encode(), [workflow_id]).fetchone()
    assert row is not None
    return tuple(row)


def test_an_enqueued_workflow_runs_and_its_result_is_read(
    dbos: type[DBOS], sql: Connection
) -> None:
    workflow_id = scalar(
        sql,
        """select pyengine.enqueue_workflow('greet', 'orders-from-sql',
            positional_args => array['"Ada"'::json], named_args => '{"greeting": "Good day"}')""",
    )

    assert scalar(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == "Good day, Ada!"
    assert scalar(sql, "select pyengine.get_workflow_status(%s)", workflow_id) == "SUCCESS"
    assert DBOS.retrieve_workflow(workflow_id).get_result() == "Good day, Ada!"


def test_a_workflow_starts_without_a_queue(dbos: type[DBOS], sql: Connection) -> None:
    workflow_id = scalar(
        sql, "select pyengine.start_workflow('greet', named_args => '{\"name\": \"Bob\"}')"
    )

    assert scalar(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == "Hello, Bob!"


def test_dates_are_texts_that_the_function_gets_as_dates(dbos: type[DBOS], sql: Connection) -> None:
    workflow_id = scalar(
        sql, "select pyengine.start_workflow('age_of', array['\"1815-12-10T00:00:00Z\"'::json])"
    )

    assert scalar(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == 211


def test_the_parameters_of_dbos_are_all_stored(sql: Connection) -> None:
    due = int(time.time() * 1000) + 3_600_000

    workflow_id = scalar(
        sql,
        """select pyengine.enqueue_workflow(
            workflow_name => 'ship', queue_name => 'orders-from-sql', positional_args => array['1', '[2]']::json[],
            named_args => '{"fast": true}', class_name => 'Shop', config_name => 'main', workflow_id => 'ship-1',
            app_version => 'v7', timeout_ms => 60000, deadline_epoch_ms => %s, deduplication_id => 'order-1',
            priority => 3, queue_partition_key => 'north', authenticated_user => 'ada',
            authenticated_roles => '["clerk"]', delay_until_epoch_ms => %s, application_name => 'shop')""",
        due + 1000,
        due,
    )

    assert workflow_id == "ship-1"
    (*stored, delayed_until) = columns(
        sql,
        "ship-1",
        *("status", "name", "class_name", "config_name", "queue_name", "application_version"),
        *("version_is_pinned", "deduplication_id", "priority", "partition_key", "application_name"),
        *("authenticated_user", "authenticated_roles", "serialization", "inputs"),
        "extract(epoch from timeout)::int",
        "round(extract(epoch from deadline_at) * 1000)::bigint",
        "round(extract(epoch from delayed_until) * 1000)::bigint",
    )
    assert tuple(stored) == (
        *("DELAYED", "ship", "Shop", "main", "orders-from-sql", "v7"),
        *(True, "order-1", 3, "north", "shop"),
        *("ada", ["clerk"], "portable_json"),
        {"positionalArgs": [1, [2]], "namedArgs": {"fast": True}},
        *(60, due + 1000),
    )
    # The first call of a session also loads the functions that it goes through.
    assert abs(delayed_until - due) <= 100


def test_a_time_to_run_that_is_past_delays_nothing(sql: Connection) -> None:
    workflow_id = scalar(
        sql, "select pyengine.enqueue_workflow('greet', 'q', delay_until_epoch_ms => 1000)"
    )

    assert columns(sql, workflow_id, "status") == ("ENQUEUED",)


def test_an_enqueue_and_the_rows_of_its_transaction_commit_or_vanish_together(
    dbos: type[DBOS], engine_url: str, sql: Connection
) -> None:
    sql.execute("drop table if exists public.placed; create table public.placed (order_id int)")
    place = """
        with placed as (insert into public.placed values (%s) returning order_id)
        select pyengine.enqueue_workflow('greet', 'orders-from-sql', array[to_json(order_id::text)]) from placed
    """
    with psycopg.connect(engine_url) as connection:
        lost = scalar(connection, place, 1)
        connection.rollback()
        kept = scalar(connection, place, 2)
        connection.commit()

    assert scalar(sql, "select pyengine.get_workflow_result(%s)", kept) == "Hello, 2!"
    assert scalar(sql, "select pyengine.get_workflow_status(%s)", lost) is None
    assert sql.execute("select order_id from public.placed").fetchall() == [(2,)]
    sql.execute("drop table public.placed")


@pytest.fixture
def triggered(sql: Connection) -> Connection:
    """A table whose rows enqueue a workflow and refuse negative amounts afterwards."""
    sql.execute(
        """
        drop table if exists public.invoices;
        create table public.invoices (id int primary key, amount int,
            constraint amount_is_positive check (amount > 0));
        create or replace function public.on_invoice() returns trigger language plpgsql as $$
        begin
            perform pyengine.enqueue_workflow('greet', 'orders-from-sql', array[to_json('invoice ' || new.id)],
                workflow_id => 'invoice-' || new.id);
            return new;
        end $$;
        create trigger invoices_enqueue before insert on public.invoices
            for each row execute function public.on_invoice()
        """
    )
    return sql


def test_a_trigger_enqueues_for_each_row_that_is_stored_and_no_other(
    dbos: type[DBOS], triggered: Connection
) -> None:
    triggered.execute("insert into public.invoices select n, 10 from generate_series(1, 3) n")
    with pytest.raises(psycopg.errors.CheckViolation):
        triggered.execute("insert into public.invoices values (4, -1)")

    assert [
        scalar(triggered, "select pyengine.get_workflow_result(%s)", f"invoice-{n}")
        for n in (1, 2, 3)
    ] == [f"Hello, invoice {n}!" for n in (1, 2, 3)]
    assert scalar(triggered, "select pyengine.get_workflow_status('invoice-4')") is None


def test_the_same_id_is_the_same_workflow(sql: Connection) -> None:
    first = scalar(
        sql, "select pyengine.enqueue_workflow('greet', 'q', array['1'::json], workflow_id => 'w')"
    )
    again = scalar(
        sql, "select pyengine.enqueue_workflow('greet', 'q', array['2'::json], workflow_id => 'w')"
    )

    assert first == again == "w"
    assert columns(sql, "w", "inputs") == ({"positionalArgs": [1], "namedArgs": {}},)


def test_an_id_of_another_function_is_refused(dbos: type[DBOS], sql: Connection) -> None:
    with SetWorkflowID("taken"):
        greet("Ada")

    call = "select pyengine.start_workflow('fail', workflow_id => 'taken')"
    assert code_of(sql, call) == "PE409"
    with SetWorkflowID("taken"), pytest.raises(DBOSConflictingWorkflowError):
        fail("x")


def test_a_held_deduplication_id_names_its_holder(sql: Connection) -> None:
    call = (
        "select pyengine.enqueue_workflow('greet', 'q', workflow_id => %s, deduplication_id => 'd')"
    )
    scalar(sql, call, "first")

    with pytest.raises(psycopg.Error) as caught:
        scalar(sql, call, "second")

    assert caught.value.sqlstate == "PE409"
    assert json.loads(caught.value.diag.message_detail or "") == {
        "workflow_id": "second",
        "holder_id": "first",
    }


def test_generated_ids_are_of_version_7_and_grow_with_time(sql: Connection) -> None:
    call = "select pyengine.generate_workflow_id()"
    ids = []
    for _ in range(20):
        ids.append(scalar(sql, call))
        time.sleep(0.002)

    assert ids == sorted(ids)
    assert {uuid.UUID(each).version for each in ids} == {7}
    assert {uuid.UUID(each).variant for each in ids} == {uuid.RFC_4122}
    made_at = uuid.UUID(ids[0]).int >> 80
    assert abs(made_at - time.time() * 1000) < 60_000
    many = sql.execute("select pyengine.generate_workflow_id() from generate_series(1, 1000)")
    assert len({row[0] for row in many}) == 1000


def test_a_failed_workflow_has_no_result_but_an_error(dbos: type[DBOS], sql: Connection) -> None:
    workflow_id = scalar(sql, "select pyengine.start_workflow('fail', array['\"no stock\"'::json])")

    assert code_of(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == "PE424"
    query = "select status, output, error ->> 'message' from pyengine.await_workflow(%s)"
    assert sql.execute(query.encode(), [workflow_id]).fetchone() == ("ERROR", None, "no stock")


def test_a_wait_ends_when_its_time_is_over(sql: Connection) -> None:
    workflow_id = scalar(sql, "select pyengine.start_workflow('nobody has it')")
    began = time.monotonic()

    assert code_of(sql, "select pyengine.get_workflow_result(%s, 0.3)", workflow_id) == "PE408"
    assert (
        sql.execute("select * from pyengine.await_workflow(%s, 0)", [workflow_id]).fetchall() == []
    )
    assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("await_workflow('unknown')", "PE404"),
        ("get_workflow_result('unknown')", "PE404"),
        ("cancel_workflow('unknown')", "PE404"),
        ("resume_workflow('unknown')", "PE404"),
        ("send_message('unknown', '1')", "PE404"),
        ("read_stream('unknown', 'k')", "PE404"),
        ("await_workflow('w', 301)", "PE400"),
        ("await_workflow('w', -1)", "PE400"),
        ("await_workflow('w', 'nan')", "PE400"),
        ("await_workflow('w', null)", "PE400"),
        ("get_event('w', 'k', 1e300)", "PE400"),
        ("enqueue_workflow('f', null)", "PE400"),
        ("enqueue_workflow(null, 'q')", "PE400"),
        ("enqueue_workflow('', 'q')", "PE400"),
        ("enqueue_workflow('f', 'q', named_args => '[1]')", "PE400"),
        ("enqueue_workflow('f', 'q', named_args => 'null')", "PE400"),
        ("enqueue_workflow('f', 'q', array[array['1']]::json[])", "PE400"),
        ("enqueue_workflow('f', 'q', workflow_id => ' ')", "PE400"),
        ("enqueue_workflow('f', 'q', priority => -1)", "PE400"),
        ("enqueue_workflow('f', 'q', max_attempts => 0)", "PE400"),
        ("enqueue_workflow('f', 'q', timeout_ms => 9223372036854775807)", "PE400"),
        ("enqueue_workflow('f', 'q', deadline_epoch_ms => 9223372036854775807)", "PE400"),
        ("enqueue_workflow('f', 'q', delay_until_epoch_ms => 9223372036854775807)", "PE400"),
    ],
)
def test_what_makes_no_sense_is_refused(sql: Connection, call: str, code: str) -> None:
    scalar(sql, "select pyengine.start_workflow('f', workflow_id => 'w')")

    assert code_of(sql, f"select pyengine.{call}") == code
    assert scalar(sql, "select count(*) from pyengine.workflows") == 1


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("workflow_name => null", "its name must have 1 to 512 bytes"),
        (
            "workflow_name => 'f', workflow_id => ' '",
            "its workflow_id must have 1 to 512 bytes and not be blank",
        ),
        (
            "workflow_name => 'f', queue_name => repeat('q', 256)",
            "its queue_name must have 1 to 255 bytes",
        ),
        (
            "workflow_name => 'f', priority => -1, max_attempts => 0",
            "its priority must not be negative, its max_attempts must be at least 1",
        ),
    ],
)
def test_a_refusal_names_what_is_wrong_and_nothing_else(
    sql: Connection, fields: str, problem: str
) -> None:
    queue = "" if "queue_name" in fields else ", queue_name => 'q'"

    with pytest.raises(psycopg.Error) as refusal:
        sql.execute(f"select pyengine.enqueue_workflow({fields}{queue})".encode())

    assert refusal.value.diag.message_primary == f"the workflow can't be started: {problem}"


def test_a_blank_queue_is_refused(sql: Connection) -> None:
    with pytest.raises(psycopg.Error, match="queue_name is missing or blank"):
        sql.execute("select pyengine.enqueue_workflow('f', '')")


def test_nobody_waits_for_what_his_own_transaction_keeps_from_running(
    sql: Connection, engine_url: str
) -> None:
    with psycopg.connect(engine_url) as connection:
        workflow_id = scalar(connection, "select pyengine.start_workflow('greet')")
        assert code_of(connection, "select pyengine.await_workflow(%s)", workflow_id) == "PE400"


def test_a_transaction_with_a_fixed_snapshot_does_not_wait(
    sql: Connection, engine_url: str
) -> None:
    workflow_id = scalar(sql, "select pyengine.start_workflow('greet')")
    with psycopg.connect(engine_url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert (
            connection.execute(
                "select status from pyengine.await_workflow(%s, 0)", [workflow_id]
            ).fetchall()
            == []
        )
        assert code_of(connection, "select pyengine.await_workflow(%s, 1)", workflow_id) == "PE400"


def test_a_message_arrives_once_for_each_message_id(dbos: type[DBOS], sql: Connection) -> None:
    with SetWorkflowID("receiver"):
        handle = DBOS.start_workflow(wait_for_mail, "news")

    for text in ('{"n": 1}', '{"n": 2}'):
        scalar(sql, "select pyengine.send_message('receiver', %s, 'news', 'key-1')", text)

    assert handle.get_result() == {"n": 1}
    assert scalar(sql, "select count(*) from pyengine.messages") == 0


def test_no_topic_and_a_null_message_are_what_recv_returns(
    dbos: type[DBOS], sql: Connection
) -> None:
    with SetWorkflowID("receiver"):
        handle = DBOS.start_workflow(wait_for_mail, None)

    scalar(sql, "select pyengine.send_message(destination_id => 'receiver', message => null)")

    assert handle.get_result() is None


def test_a_message_and_the_rows_of_its_transaction_vanish_together(
    sql: Connection, engine_url: str
) -> None:
    scalar(sql, "select pyengine.start_workflow('greet', workflow_id => 'w')")
    with psycopg.connect(engine_url) as connection:
        scalar(connection, "select pyengine.send_message('w', '1')")
        connection.rollback()

    assert scalar(sql, "select count(*) from pyengine.messages") == 0


def test_an_event_is_waited_for(dbos: type[DBOS], sql: Connection, engine_url: str) -> None:
    seen: list[Any] = []

    def look() -> None:
        with psycopg.connect(engine_url, autocommit=True) as connection:
            seen.append(scalar(connection, "select pyengine.get_event('p', 'progress', 20)"))

    assert scalar(sql, "select pyengine.get_event('p', 'progress')") is None
    waiter = threading.Thread(target=look)
    waiter.start()
    scalar(
        sql,
        "select pyengine.start_workflow('publish', array['{\"done\": 0.5}'::json], workflow_id => 'p')",
    )
    waiter.join(30)

    assert seen == [{"done": 0.5}]


def test_a_workflow_is_cancelled_and_resumed(sql: Connection, launch: Callable[..., None]) -> None:
    workflow_id = scalar(sql, "select pyengine.start_workflow('greet', array['\"Eve\"'::json])")

    assert scalar(sql, "select pyengine.cancel_workflow(%s)", workflow_id) is True
    assert code_of(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == "PE424"
    assert scalar(sql, "select pyengine.resume_workflow(%s)", workflow_id) is True
    launch()
    assert scalar(sql, "select pyengine.get_workflow_result(%s)", workflow_id) == "Hello, Eve!"
    assert scalar(sql, "select pyengine.resume_workflow(%s)", workflow_id) is False
    assert scalar(sql, "select pyengine.cancel_workflow(%s)", workflow_id) is False
