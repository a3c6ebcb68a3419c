"""Workflows whose steps are functions of the database, run by a Python worker, by the caller, or by psql."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql as composed

from pyengine import DBOS

Connection = psycopg.Connection[Any]

SHOP = """
    drop schema if exists shop cascade;
    create schema shop;
    create table shop.log (step text, value text, login text);
    create function shop.reserve(arguments json) returns json language plpgsql as $$
    begin
        insert into shop.log values ('reserve', arguments ->> 'order_id', current_user);
        return json_build_object('order_id', arguments -> 'order_id', 'reserved', true);
    end $$;
    create function shop.charge(order_data json) returns json language plpgsql as $$
    begin
        insert into shop.log values ('charge', order_data ->> 'order_id', current_user);
        if (order_data ->> 'order_id')::int < 0 then
            raise exception 'card of order % is declined', order_data ->> 'order_id' using errcode = 'SH001';
        end if;
        return json_build_object('charged', order_data -> 'order_id');
    end $$;
"""


@pytest.fixture
def shop(sql: Connection) -> Iterator[Connection]:
    """A database with a workflow `fulfil` of two steps."""
    sql.execute(SHOP)
    sql.execute("select pyengine.register_sql_workflow('fulfil', '{shop.reserve,shop.charge}')")
    yield sql
    sql.execute("drop schema shop cascade")


def start(shop: Connection, order_id: int = 7, workflow_id: str | None = "w") -> str:
    row = shop.execute(
        """select pyengine.start_workflow(
            'fulfil', named_args => json_build_object('order_id', %s::int), workflow_id => %s)""",
        [order_id, workflow_id],
    ).fetchone()
    assert row is not None
    return str(row[0])


def claim(shop: Connection, name: str = "by hand") -> str:
    """Claim what there is as an executor of its own; the lease token."""
    token = str(uuid.uuid4())
    shop.execute(
        """select pyengine.claim_workflows(lease_token => %s, claim_limit => 10, executor_id =>
            pyengine.register_executor(name => %s, application_name => 'app', application_version => '1',
                version_is_pinned => false, functions => '{}', channel => %s, lease_seconds => 60,
                runs_sql_workflows => true))""",
        [token, name, "ch_" + token[:8]],
    )
    return token


def run_step(shop: Connection, token: str, workflow_id: str = "w") -> bool:
    row = shop.execute("select pyengine.run_sql_step(%s, %s)", [workflow_id, token]).fetchone()
    assert row is not None
    return bool(row[0])


def log(shop: Connection) -> list[tuple[str, str]]:
    return shop.execute("select step, value from shop.log").fetchall()


def steps(shop: Connection) -> list[tuple[Any, ...]]:
    query = "select step_id, name, output, error ->> 'message' from pyengine.list_steps('w')"
    return shop.execute(query).fetchall()


def ending(shop: Connection) -> tuple[Any, ...]:
    query = "select status, output, error from pyengine.await_workflow('w', 0)"
    row = shop.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def test_a_python_process_runs_it_like_its_own(dbos: type[DBOS], shop: Connection) -> None:
    start(shop)

    assert DBOS.retrieve_workflow("w").get_result() == {"charged": 7}
    assert [(s["function_name"], s["output"]) for s in DBOS.list_workflow_steps("w")] == [
        ("shop.reserve", {"order_id": 7, "reserved": True}),
        ("shop.charge", {"charged": 7}),
    ]
    assert log(shop) == [("reserve", "7"), ("charge", "7")]


def test_one_that_is_registered_after_the_launch_runs_too(
    dbos: type[DBOS], shop: Connection
) -> None:
    shop.execute("select pyengine.register_sql_workflow('only reserve', '{shop.reserve}')")
    shop.execute(
        "select pyengine.start_workflow('only reserve', array['{\"order_id\": 1}'::json], workflow_id => 'w')"
    )

    assert DBOS.retrieve_workflow("w").get_result() == {"order_id": 1, "reserved": True}


def test_a_python_workflow_starts_it_as_a_child(dbos: type[DBOS], shop: Connection) -> None:
    @DBOS.workflow()
    def sell(order_id: int) -> Any:
        child = DBOS.enqueue_workflow_with_options(
            {"workflow_name": "fulfil", "queue_name": "sales"}, {"order_id": order_id}
        )
        return child.get_result()

    DBOS.register_queue("sales")

    assert sell(3) == {"charged": 3}


def test_who_waits_in_the_process_that_runs_it_gets_its_result(
    dbos: type[DBOS], shop: Connection, engine_url: str
) -> None:
    with psycopg.connect(engine_url) as holder:
        holder.execute("lock table shop.log in exclusive mode")
        start(shop)
        waiting = "select true from pg_locks where not granted and relation = 'shop.log'::regclass"
        while shop.execute(waiting).fetchone() is None:
            time.sleep(0.01)
        threading.Timer(0.3, holder.rollback).start()

        assert DBOS.retrieve_workflow("w").get_result() == {"charged": 7}


def test_the_caller_runs_them_in_one_transaction(shop: Connection) -> None:
    start(shop)
    start(shop, 8, None)

    assert shop.execute("select pyengine.run_sql_workflows(10)").fetchone() == (2,)
    assert ending(shop) == ("SUCCESS", {"charged": 7}, None)
    assert [step[:3] for step in steps(shop)] == [
        (1, "shop.reserve", {"order_id": 7, "reserved": True}),
        (2, "shop.charge", {"charged": 7}),
    ]
    assert shop.execute("select pyengine.run_sql_workflows(10)").fetchone() == (0,)
    assert shop.execute("select count(*) from pyengine.executors").fetchone() == (1,)


def test_a_transaction_that_fails_takes_everything_back(shop: Connection, engine_url: str) -> None:
    start(shop)
    with psycopg.connect(engine_url) as connection:
        connection.execute("select pyengine.run_sql_workflows(1)")
        connection.rollback()

    assert shop.execute("select pyengine.get_workflow_status('w')").fetchone() == ("ENQUEUED",)
    assert log(shop) == steps(shop) == []


def test_a_failed_step_is_taken_back_and_the_steps_before_it_stay(shop: Connection) -> None:
    start(shop, -1)

    shop.execute("select pyengine.run_sql_workflows(1)")

    assert ending(shop) == (
        "ERROR",
        None,
        {
            "name": "SQLError",
            "message": "card of order -1 is declined",
            "code": "SH001",
            "data": None,
        },
    )
    assert log(shop) == [("reserve", "-1")]
    assert [step[3] for step in steps(shop)] == [None, "card of order -1 is declined"]


def test_after_a_crash_another_worker_goes_on_with_the_next_step(shop: Connection) -> None:
    start(shop)
    first = claim(shop, "first")
    assert run_step(shop, first) is False
    shop.execute("select pyengine.leave_executor(max(executor_id)) from pyengine.executors")

    second = claim(shop, "second")
    assert run_step(shop, second) is True

    assert log(shop) == [("reserve", "7"), ("charge", "7")]
    with pytest.raises(psycopg.Error) as caught:
        run_step(shop, first)
    assert caught.value.sqlstate == "PE001"


def test_a_worker_that_has_lost_it_writes_nothing(shop: Connection) -> None:
    start(shop)
    claim(shop)

    with pytest.raises(psycopg.Error) as caught:
        run_step(shop, str(uuid.uuid4()))

    assert caught.value.sqlstate == "PE001"
    assert log(shop) == []


def test_a_conflict_is_no_error_of_the_workflow(shop: Connection) -> None:
    shop.execute(
        """create function shop.contend(value json) returns json language plpgsql as $$
        begin raise exception 'try again' using errcode = '40001'; end $$;
        select pyengine.register_sql_workflow('fulfil', '{shop.contend}')"""
    )
    start(shop)
    token = claim(shop)

    with pytest.raises(psycopg.errors.SerializationFailure):
        run_step(shop, token)

    assert shop.execute("select pyengine.get_workflow_status('w')").fetchone() == ("PENDING",)


def test_what_a_step_enqueues_is_there_with_its_checkpoint_or_not_at_all(shop: Connection) -> None:
    shop.execute(
        """create function shop.fan_out(value json) returns json language plpgsql as $$
        begin
            perform pyengine.enqueue_workflow('ship', 'q', workflow_id => 'child');
            if value ->> 'order_id' = '-1' then raise exception 'no'; end if;
            return null;
        end $$;
        select pyengine.register_sql_workflow('fulfil', '{shop.fan_out}')"""
    )
    start(shop, -1, "bad")
    shop.execute("select pyengine.run_sql_workflows(1)")
    assert shop.execute("select pyengine.get_workflow_status('child')").fetchone() == (None,)

    start(shop, 1)
    shop.execute("select pyengine.run_sql_workflows(1)")

    assert shop.execute("select pyengine.get_workflow_status('child')").fetchone() == ("ENQUEUED",)
    assert ending(shop) == ("SUCCESS", None, None)


@pytest.fixture
def login(shop: Connection) -> Iterator[str]:
    """A login that may run workflows, and nothing else."""
    name = f"runner_{uuid.uuid4().hex[:8]}"
    named = composed.Identifier(name)
    shop.execute(composed.SQL("create role {}").format(named))
    shop.execute("select pyengine.grant_role(%s, 'worker')", [name])
    shop.execute(composed.SQL("grant usage on schema shop to {}").format(named))
    yield name
    shop.execute("reset role")
    shop.execute(composed.SQL("drop owned by {0} cascade; drop role {0}").format(named))


def as_login(shop: Connection, login: str) -> None:
    shop.execute(composed.SQL("set role {}").format(composed.Identifier(login)))


def test_a_step_has_the_rights_of_the_worker_and_not_the_owners(
    shop: Connection, login: str
) -> None:
    shop.execute(
        """create function shop.spy(value json) returns json language sql as
        $$ select to_json(count(*)) from pyengine.workflows $$;
        select pyengine.register_sql_workflow('fulfil', '{shop.spy}')"""
    )
    start(shop)
    as_login(shop, login)

    shop.execute("select pyengine.run_sql_workflows(1)")

    status, _, error = ending(shop)
    assert (status, error["code"]) == ("ERROR", "42501")


def test_a_step_runs_as_the_worker_with_its_search_path(shop: Connection, login: str) -> None:
    shop.execute(composed.SQL("grant insert on shop.log to {}").format(composed.Identifier(login)))
    shop.execute(
        """create function shop.note(value json) returns json language plpgsql as $$
        begin insert into log values ('note', null, current_user); return '1'; end $$;
        select pyengine.register_sql_workflow('fulfil', '{shop.note}')"""
    )
    start(shop)
    as_login(shop, login)
    shop.execute("set search_path = shop")

    shop.execute("select pyengine.run_sql_workflows(1)")

    shop.execute("reset role; reset search_path")
    assert shop.execute("select step, login from shop.log").fetchall() == [("note", login)]


def test_who_may_run_workflows_may_not_register_them(shop: Connection, login: str) -> None:
    as_login(shop, login)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        shop.execute(
            "select pyengine.register_sql_workflow('mine', '{pg_catalog.json_strip_nulls}')"
        )


def test_a_function_that_was_given_to_another_owner_is_not_run(
    shop: Connection, login: str
) -> None:
    owner = composed.Identifier(login)
    shop.execute(composed.SQL("grant create on schema shop to {}").format(owner))
    shop.execute(composed.SQL("alter function shop.reserve owner to {}").format(owner))
    start(shop)

    shop.execute("select pyengine.run_sql_workflows(1)")

    status, _, error = ending(shop)
    assert (status, error["code"]) == ("ERROR", "PE409")
    assert log(shop) == []
    shop.execute("alter function shop.reserve owner to current_user")


def test_changed_steps_end_a_run_that_began_with_others(shop: Connection) -> None:
    start(shop)
    token = claim(shop)
    run_step(shop, token)
    shop.execute("select pyengine.register_sql_workflow('fulfil', '{shop.charge,shop.reserve}')")

    assert run_step(shop, token) is True

    assert ending(shop)[2]["code"] == "PE409"


def test_what_is_dropped_waits(shop: Connection) -> None:
    start(shop)
    shop.execute("select pyengine.drop_sql_workflow('fulfil')")

    assert shop.execute("select pyengine.run_sql_workflows(1)").fetchone() == (0,)
    assert shop.execute("select name from pyengine.list_sql_workflows()").fetchall() == []
    with pytest.raises(psycopg.Error) as caught:
        shop.execute("select pyengine.drop_sql_workflow('fulfil')")
    assert caught.value.sqlstate == "PE404"


def test_another_applications_workflow_is_left_alone(shop: Connection) -> None:
    shop.execute(
        "select pyengine.register_sql_workflow('fulfil', '{shop.reserve}', application_name => 'other')"
    )
    start(shop)

    assert shop.execute("select pyengine.run_sql_workflows(1)").fetchone() == (0,)
    assert shop.execute("select pyengine.run_sql_workflows(1, 'other')").fetchone() == (1,)


@pytest.mark.parametrize(
    "steps",
    [
        "{}",
        "{pg_catalog.now}",
        "{pg_catalog.json_typeof}",
        "{pg_catalog.json_array_elements}",
        "{NULL}",
        "{" + ",".join(["shop.reserve"] * 101) + "}",
    ],
)
def test_what_is_no_step_is_refused(shop: Connection, steps: str) -> None:
    with pytest.raises(psycopg.Error) as caught:
        shop.execute("select pyengine.register_sql_workflow('f', %s::regproc[])", [steps])

    assert caught.value.sqlstate == "PE400"


def test_arguments_that_no_step_can_be_given_are_an_error(shop: Connection) -> None:
    shop.execute(
        "select pyengine.start_workflow('fulfil', array['1', '2']::json[], workflow_id => 'w')"
    )

    shop.execute("select pyengine.run_sql_workflows(1)")

    assert ending(shop)[2]["code"] == "PE400"


def test_an_output_beyond_the_limit_is_an_error(shop: Connection) -> None:
    shop.execute(
        """create function shop.flood(value json) returns json language sql as
        $$ select to_json(repeat('x', 2000000)) $$;
        select pyengine.register_sql_workflow('fulfil', '{shop.flood}')"""
    )
    start(shop)

    shop.execute("select pyengine.run_sql_workflows(1)")

    assert json.dumps(ending(shop)[2]["code"]) == '"PE413"'
