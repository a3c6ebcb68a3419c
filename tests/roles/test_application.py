"""An application runs with the role worker and nothing more, and no setting of a login changes what the engine does."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo

from pyengine import DBOS
from pyengine.errors import DBOSInitializationError
from tests.fix_roles import Connection, Login


@DBOS.step()
def increase(number: int) -> int:
    return number + 1


@DBOS.workflow(name="roles-count")
def count(number: int) -> int:
    DBOS.set_event("began", number)
    DBOS.sleep(0.01)
    DBOS.write_stream("numbers", number)
    return increase(number)


@DBOS.transaction()
def add(number: int) -> int:
    row = DBOS.sql_connection.execute("select %s + 1", [number]).fetchone()
    return int(row[0]) if row else 0


@DBOS.workflow(name="roles-parent")
def parent(number: int) -> Any:
    child = DBOS.enqueue_workflow("roles-queue", count, number)
    DBOS.send(DBOS.workflow_id or "", "hello")
    return [
        child.get_result(),
        DBOS.recv(),
        add(number),
        DBOS.get_event(child.workflow_id, "began"),
    ]


def url_of(engine_url: str, name: str) -> str:
    return make_conninfo(engine_url, user=name, password="secret")


def test_an_application_runs_as_a_worker(launch: Any, login: Login, engine_url: str) -> None:
    name = login("worker")
    launch(system_database_url=url_of(engine_url, name), run_migrations=False)
    DBOS.register_queue("roles-queue", concurrency=2)

    handle = DBOS.start_workflow(parent, 1)
    assert handle.get_result() == [2, "hello", 2, 1]
    steps = DBOS.list_workflow_steps(handle.workflow_id)
    assert len(steps) > 3
    fork = DBOS.fork_workflow(handle.workflow_id, 1)
    assert fork.get_result()[0] == 2
    DBOS.cancel_workflow(fork.workflow_id)
    DBOS.delete_workflow(fork.workflow_id)
    assert DBOS.list_workflows(workflow_id=fork.workflow_id) == []


@pytest.mark.parametrize("role", ["observer", "client"])
def test_a_login_that_may_not_run_workflows_is_told_what_to_do(
    launch: Any, login: Login, engine_url: str, role: str
) -> None:
    with pytest.raises(DBOSInitializationError, match="migrate --application-role ROLE"):
        launch(system_database_url=url_of(engine_url, login(role)), run_migrations=False)


# What a login may set for itself and the engine must not care about.
HOSTILE = {
    "search_path": "trap, pg_catalog",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "TimeZone": "Pacific/Apia",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "default_transaction_isolation": "serializable",
    "plan_cache_mode": "force_generic_plan",
    "enable_indexscan": "off",
    "enable_nestloop": "off",
    "work_mem": "64kB",
    "xmlbinary": "hex",
    "transform_null_equals": "on",
    "array_nulls": "off",
    "quote_all_identifiers": "on",
    "backslash_quote": "on",
    "plpgsql.variable_conflict": "use_column",
    "jit": "on",
    "row_security": "off",
    "client_min_messages": "error",
}

TRAPS = """
create schema trap;
create table trap.tripped (by_what text);
grant usage on schema trap to public;
grant insert on trap.tripped to public;
create function trap.now() returns timestamptz language sql as
    $$ insert into trap.tripped values ('now') returning clock_timestamp() $$;
create function trap.equal(text, text) returns boolean language plpgsql as
    $$ begin insert into trap.tripped values ('='); return true; end $$;
create operator trap.= (leftarg = text, rightarg = text, function = trap.equal);
create function trap.coalesce_text(text) returns text language plpgsql as
    $$ begin insert into trap.tripped values ('lower'); return ''; end $$;
create function trap.pg_notify(text, text) returns void language plpgsql as
    $$ begin insert into trap.tripped values ('pg_notify'); end $$;
create function trap.json_to_recordset(json) returns setof record language plpgsql as
    $$ begin insert into trap.tripped values ('json_to_recordset'); end $$;
create function trap.octet_length(text) returns int language plpgsql as
    $$ begin insert into trap.tripped values ('octet_length'); return 1; end $$;
create table trap.workflows (workflow_id text);
create domain trap.jsonb as text;
"""


@pytest.fixture
def trapped(sql: Connection) -> Any:
    sql.execute(TRAPS)
    yield
    sql.execute("drop schema trap cascade")


def test_settings_and_objects_of_a_login_change_nothing(
    sql: Connection, login: Login, trapped: None, engine_url: str
) -> None:
    name = login("worker")
    for setting, value in HOSTILE.items():
        text = composed.SQL("alter role {} set {} = {}").format(
            composed.Identifier(name),
            composed.Identifier(*setting.split(".")),
            composed.Literal(value),
        )
        sql.execute(text)
    with psycopg.connect(url_of(engine_url, name), autocommit=True) as conn:
        for table in ("workflows", "steps", "waiters", "queues", "messages"):
            conn.execute(f"create temp table {table} (workflow_id text)".encode())
        assert _run_by_hand(conn) == [("SUCCESS", "done")]

    assert sql.execute("select * from trap.tripped").fetchall() == []


def _register(conn: Connection) -> int:
    row = conn.execute(
        "select pyengine.register_executor(name => 'hand', application_name => 'app', application_version => '1',"
        " version_is_pinned => false, functions => '{f}', channel => 'c', lease_seconds => 300)"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _run_by_hand(conn: Connection) -> list[Any]:
    token = str(uuid4())
    executor = _register(conn)
    common = {"workflow_id": "w", "serialization": "json"}
    for function, document, more in (
        ("start_workflows", {"name": "f", "application_name": "app", "inputs": {}}, ""),
        (
            "claim_workflows",
            None,
            f"executor_id => {executor}, lease_token => '{token}', claim_limit => 5",
        ),
        ("record_steps", {"lease_token": token, "step_id": 1, "name": "s", "output": 1}, ""),
        ("finish_workflows", {"lease_token": token, "output": "done"}, ""),
    ):
        if document is None:
            claimed = conn.execute(f"select workflow_id from pyengine.{function}({more})".encode())
            assert claimed.fetchall() == [("w",)]
        else:
            query = f"select * from pyengine.{function}(requests => %s::json)".encode()
            assert conn.execute(query, [json.dumps([common | document])]).fetchall() == []
    return conn.execute("select status, output from pyengine.list_workflows()").fetchall()


TEXTS = [
    "'; drop schema pyengine cascade; --",
    '"; drop table workflows; --',
    "$$; select 1; $$",
    "%s %I %L %1$s",
    "\\'; select 1; --",
    "a\nb\x1b[31mred\x1b[0m\r\t",
    "\u202egnp.exe",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "e\u0301\U0001f600",
    "' || pg_sleep(10) || '",
    "{},[]\\x00",
]


@pytest.mark.parametrize("text", TEXTS)
def test_texts_are_stored_as_they_are(
    sql: Connection, login: Login, text: str, engine_url: str
) -> None:
    """In each place where a client says a text it comes back equal, and none of it is run."""
    document = {
        "workflow_id": text,
        "name": text,
        "class_name": text,
        "queue_name": text,
        "application_name": text,
        "application_version": text,
        "deduplication_id": text,
        "serialization": "json",
        "inputs": {"positionalArgs": [text], "namedArgs": {}},
        "attributes": {text: text},
    }
    with psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn:
        conn.execute("select * from pyengine.start_workflows(%s::json)", [json.dumps([document])])
        conn.execute(
            "select * from pyengine.send_messages(%s::json)",
            [
                json.dumps(
                    [
                        {
                            "destination_id": text,
                            "topic": text,
                            "message": text,
                            "serialization": "json",
                        }
                    ]
                )
            ],
        )
        found = conn.execute(
            "select workflow_id, name, class_name, queue_name, application_name, application_version,"
            " deduplication_id, attributes from pyengine.list_workflows(workflow_ids => %s)",
            [[text]],
        ).fetchall()
    assert found == [(*[text] * 7, {text: text})]
    assert sql.execute("select topic, message from pyengine.messages").fetchall() == [(text, text)]


@pytest.mark.parametrize("text", ["", "   ", "x" * 513])
def test_ids_that_cannot_be_are_refused(sql: Connection, text: str) -> None:
    document = {"workflow_id": text, "name": "f", "serialization": "json", "inputs": {}}
    found = sql.execute(
        "select refusal from pyengine.start_workflows(%s::json)", [json.dumps([document])]
    ).fetchall()
    assert found == [("PE400",)]


def test_a_lease_without_an_executor_is_refused_without_a_look_at_the_payload(
    login: Login, sql: Connection, engine_url: str
) -> None:
    start = {
        "workflow_id": "w",
        "name": "f",
        "serialization": "json",
        "lease_token": str(uuid4()),
        "inputs": "hunter2secret",
    }
    with (
        psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn,
        pytest.raises(psycopg.Error) as refused,
    ):
        conn.execute("select * from pyengine.start_workflows(%s::json)", [json.dumps([start])])
    assert refused.value.sqlstate == "PE400"
    assert "hunter2secret" not in str(refused.value)


def test_another_workflows_lease_opens_nothing(
    sql: Connection, login: Login, engine_url: str
) -> None:
    """A token is for its own workflow; a guessed one is for none."""
    mine = str(uuid4())
    with psycopg.connect(url_of(engine_url, login("worker")), autocommit=True) as conn:
        executor = _register(conn)
        for workflow_id, token in (("mine", mine), ("other", str(uuid4()))):
            start = {
                "workflow_id": workflow_id,
                "name": "f",
                "serialization": "json",
                "inputs": {},
                "lease_token": token,
            }
            conn.execute(
                "select * from pyengine.start_workflows(%s::json, %s)",
                [json.dumps([start]), executor],
            )
        for token in (mine, str(uuid4())):
            finish = {
                "workflow_id": "other",
                "lease_token": token,
                "output": 1,
                "serialization": "json",
            }
            refused = conn.execute(
                "select refusal from pyengine.finish_workflows(%s::json)", [json.dumps([finish])]
            ).fetchall()
            assert refused == [("PE001",)]
