"""What a login can try that has a role of the engine, or none, and means no good: each attempt and its answer."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql as composed
from psycopg.conninfo import make_conninfo

from pyengine import DBOS, embedded
from pyengine.current import get_runtime
from pyengine.runtime.gateway import Gateway
from pyengine.schema import migrate
from tests.fix_pooler import MODE
from tests.fix_roles import Connection, Login, acting_as, run
from tests.fix_server import PrivateServerFactory
from tests.roles.test_matrix import DENIED, FUNCTIONS, RELATIONS

QUERY = "select n.nspname from pg_namespace n where n.nspname = %s"


@DBOS.workflow(name="hostile-add")
def add(one: int, two: int) -> int:
    return one + two


def url_of(engine_url: str, name: str) -> str:
    return make_conninfo(engine_url, user=name, password="secret")


def code_of(conn: Connection, text: str, *values: object) -> str | None:
    try:
        conn.execute(text.encode(), values or None)
    except psycopg.Error as error:
        return error.sqlstate
    return None


# --- Who somebody is: what he logged in as -------------------------------------------------------------------------


CLAIMS_TO_BE_ANOTHER = (
    "set pyengine.tenant = 'b'",
    "set pyengine.role = 'worker'",
    "select set_config('pyengine.session_user', 'postgres', false)",
    "set session_authorization = postgres",
    "set session authorization postgres",
    "set role postgres",
    "select set_config('role', 'postgres', false)",
    "select set_config('session_authorization', 'postgres', false)",
    "set application_name = 'postgres'",
    "set search_path = pg_temp, public",
)


@pytest.mark.parametrize("claim", CLAIMS_TO_BE_ANOTHER)
def test_no_setting_makes_a_client_somebody_else(
    sql: Connection, login: Login, engine_url: str, claim: str
) -> None:
    with psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn:
        code_of(conn, claim)

        started = "select pyengine.start_workflow('f', authenticated_user => 'root', authenticated_roles => '[]')"
        assert code_of(conn, started) == "PE403"
        assert code_of(conn, "select pyengine.set_retention('app')") == "42501"
        assert code_of(conn, "select * from pyengine.workflows") == "42501"
    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (0,)


def test_a_function_of_the_client_s_changes_nothing_either(
    sql: Connection, login: Login, engine_url: str
) -> None:
    with psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn:
        conn.execute(
            "create function pg_temp.sly() returns text language plpgsql security definer as $$ begin"
            " perform set_config('pyengine.tenant', 'b', false);"
            " return pyengine.start_workflow('f', authenticated_user => 'root'); end $$"
        )
        assert code_of(conn, "select pg_temp.sly()") == "PE403"


# --- Tenants: a schema and a login for each ------------------------------------------------------------------------


@pytest.fixture
def other_tenant(sql: Connection) -> Iterator[str]:
    """A second engine in the same database, with a workflow `theirs` in a queue."""
    name = f"tenant_{uuid4().hex[:8]}"
    migrate(sql, schema=name)
    sql.execute(
        f"select {name}.enqueue_workflow('f', 'q', workflow_id => 'theirs', deduplication_id => 'd')".encode()
    )
    yield name
    run(sql, "drop schema {} cascade", name)


def test_another_tenant_s_functions_and_tables_are_all_closed(
    sql: Connection, login: Login, other_tenant: str
) -> None:
    """Whatever is asked, the answer is the same: it tells nothing of what is there."""
    functions = sql.execute(
        FUNCTIONS.replace("'pyengine'", f"'{other_tenant}'").encode()
    ).fetchall()
    in_schema = RELATIONS.replace("'pyengine'", f"'{other_tenant}'").encode()
    relations = [name for kind in "rvS" for (name,) in sql.execute(in_schema, [kind])]
    assert len(functions) > 200
    assert len(relations) > 25
    answers = set()
    with acting_as(sql, login("admin")):
        for name, types in functions:
            nulls = ", ".join(f"null::{each}" for each in types)
            answers.add(code_of(sql, f"select {other_tenant}.{name}({nulls})"))
        for name in relations:
            answers.add(code_of(sql, f"select * from {other_tenant}.{name}"))
            answers.add(code_of(sql, f"explain select * from {other_tenant}.{name}"))
    assert answers == {DENIED.sqlstate}


LOOKS = (
    "select pyengine.get_workflow_status(%s)",
    "select * from pyengine.await_workflow(%s, 0)",
    "select pyengine.get_workflow_result(%s, 0)",
    "select pyengine.cancel_workflow(%s)",
    "select pyengine.resume_workflow(%s)",
    "select pyengine.send_message(%s, '1')",
    "select pyengine.get_event(%s, 'k')",
    "select * from pyengine.read_stream(%s, 'k')",
    "select * from pyengine.list_steps(%s)",
    "select * from pyengine.list_workflows(workflow_ids => array[%s])",
    "select * from pyengine.delete_workflows(array[%s])",
    "select pyengine.fork_workflow(%s, 1, new_workflow_id => 'fork')",
    "select * from pyengine.explain_workflow(%s)",
)


@pytest.mark.parametrize("look", LOOKS)
def test_another_tenant_s_id_is_as_one_that_nobody_has(
    sql: Connection, login: Login, other_tenant: str, engine_url: str, look: str
) -> None:
    def answer(conn: Connection, workflow_id: str) -> tuple[str | None, str]:
        try:
            rows: Any = conn.execute(look.encode(), [workflow_id]).fetchall()
        except psycopg.Error as error:
            return error.sqlstate, str(error.diag.message_primary).replace(workflow_id, "ID")
        return None, str(rows).replace(workflow_id, "ID")

    with psycopg.connect(url_of(engine_url, login("admin")), autocommit=True) as conn:
        assert answer(conn, "theirs") == answer(conn, "nobodys")


def test_another_tenant_s_id_and_deduplication_id_are_free(
    sql: Connection, login: Login, other_tenant: str, engine_url: str
) -> None:
    with psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn:
        mine = conn.execute(
            "select pyengine.enqueue_workflow('g', 'q', workflow_id => 'theirs', deduplication_id => 'd')"
        ).fetchone()
    assert mine == ("theirs",)


def test_one_prepared_statement_asks_as_whoever_executes_it(
    sql: Connection, login: Login, other_tenant: str
) -> None:
    """The plan is kept, the privileges are looked at each time."""
    allowed, denied = login("client"), login()
    sql.execute("prepare look as select pyengine.get_workflow_status('w')")
    codes = []
    for name in (allowed, denied, allowed):
        with acting_as(sql, name):
            codes.append(code_of(sql, "execute look"))
    sql.execute("deallocate look")
    assert codes == [None, DENIED.sqlstate, None]


# --- Dumps ---------------------------------------------------------------------------------------------------------


def program(server: embedded.Server, name: str, *arguments: str, given: str = "") -> Any:
    return subprocess.run(
        [str(server.bindir / name), *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("role", ["client", "admin"])
def test_a_dump_by_somebody_else_than_the_owner_fails_and_is_not_just_empty(
    sql: Connection, server: embedded.Server, login: Login, engine_url: str, role: str
) -> None:
    dump = program(server, "pg_dump", url_of(engine_url, login(role)))

    assert dump.returncode != 0
    assert "permission denied" in dump.stderr


@pytest.mark.parametrize("role", ["client", "worker", "admin"])
def test_nobody_makes_an_object_that_the_owner_s_dump_would_hold(
    sql: Connection, login: Login, role: str
) -> None:
    attempts = (
        "create table pyengine.mine (a int)",
        "create view pyengine.mine as select 1",
        "create function pyengine.mine() returns int language sql as 'select 1'",
        "create type pyengine.mine as (a int)",
        "comment on table pyengine.workflows is E'\\n\\\\! touch /tmp/owned'",
        "comment on function pyengine.now() is 'mine'",
        "alter table pyengine.workflows add column mine int",
        "alter function pyengine.now() owner to current_user",
        "create trigger mine before insert on pyengine.workflows execute function pyengine.now()",
        "create rule mine as on insert to pyengine.workflows do also select 1",
        "create policy mine on pyengine.workflows",
        "grant execute on function pyengine.now() to public",
        "security label on table pyengine.workflows is 'mine'",
    )
    with acting_as(sql, login(role)):
        codes = {text: code_of(sql, text) for text in attempts}
    granted = "select has_function_privilege('public', 'pyengine.now()', 'execute')"
    assert sql.execute(granted.encode()).fetchone() == (False,)
    done = {
        text
        for text, code in codes.items()
        if code not in (DENIED.sqlstate, "22023")  # 22023: no provider of labels
        and not text.startswith("grant ")  # a grant of what one may not grant is a warning
    }
    assert not done


def test_hostile_names_are_only_data_in_a_restored_dump(
    sql: Connection, server: embedded.Server, login: Login, engine_url: str, tmp_path: Path
) -> None:
    tripwire = tmp_path / "tripped"
    names = [
        f"x\n\\! touch {tripwire}\n",
        f"\\.\n\\! touch {tripwire}\n\\.",
        f"'; copy (select 1) to program 'touch {tripwire}'; --",
        f"\r\n\\c postgres\n\\! touch {tripwire}",
        "\\restrict x\n\\unrestrict x",
        "$_$; drop schema pyengine cascade; $_$",
    ]
    with psycopg.connect(url_of(engine_url, login("client")), autocommit=True) as conn:
        for number, name in enumerate(names):
            conn.execute(
                "select pyengine.enqueue_workflow(%s, %s, array[to_json(%s::text)], workflow_id => %s,"
                " attributes => jsonb_build_object(%s::text, %s::text))",
                [name, f"q{number}", name, name, name, name],
            )
            conn.execute("select pyengine.register_queue(%s, application_name => %s)", [name, name])
    dump = program(server, "pg_dump", "--schema=pyengine", engine_url)
    assert dump.returncode == 0, dump.stderr
    database = f"restored_{uuid4().hex[:8]}"
    sql.execute(composed.SQL("create database {}").format(composed.Identifier(database)))
    try:
        target = make_conninfo(engine_url, dbname=database)
        restored = program(
            server, "psql", "--no-psqlrc", "--set=ON_ERROR_STOP=1", target, given=dump.stdout
        )
        assert restored.returncode == 0, restored.stderr
        with psycopg.connect(target, autocommit=True) as conn:
            found = conn.execute("select workflow_id, name from pyengine.workflows").fetchall()
            queues = conn.execute("select queue_name from pyengine.queues").fetchall()
    finally:
        sql.execute(
            composed.SQL("drop database {} with (force)").format(composed.Identifier(database))
        )
    assert sorted(found) == sorted((name, name) for name in names)
    assert sorted(name for (name,) in queues) == sorted(names)
    assert not tripwire.exists()


# --- NOTIFY --------------------------------------------------------------------------------------------------------


def test_a_listener_to_every_name_that_it_can_guess_hears_nothing(
    dbos: type[DBOS], login: Login, engine_url: str
) -> None:
    guesses = [
        "pyengine",
        "dbos",
        "workflows",
        "test-app",
        "dbos_notifications_channel",
        "hostile-add",
    ]
    with psycopg.connect(url_of(engine_url, login()), autocommit=True) as conn:
        for guess in guesses:
            conn.execute(composed.SQL("listen {}").format(composed.Identifier(guess)))
        handle = DBOS.start_workflow(add, 1, 2)
        assert handle.get_result() == 3
        assert list(conn.notifies(timeout=0.5)) == []


def test_the_channels_of_processes_are_told_to_nobody(
    dbos: type[DBOS], sql: Connection, login: Login
) -> None:
    channels = [row[0] for row in sql.execute("select channel from pyengine.executors")]
    assert channels
    with acting_as(sql, login("admin")):
        for name, types in sql.execute(FUNCTIONS).fetchall():
            nulls = ", ".join(f"null::{each}" for each in types)
            try:
                with sql.transaction(force_rollback=True):
                    rows = sql.execute(
                        f"select x::text from pyengine.{name}({nulls}) x".encode()
                    ).fetchall()
            except psycopg.Error:
                continue
            assert not [row for row in rows if any(channel in str(row) for channel in channels)], (
                name
            )


def test_a_flood_of_forged_notifications_keeps_nobody_busy(
    dbos: type[DBOS],
    sql: Connection,
    login: Login,
    engine_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even somebody who knows the channel and the keys, which take the owner to find out."""
    ((channel,),) = sql.execute("select channel from pyengine.executors").fetchall()
    keys = [
        str(row[0])
        for row in sql.execute(
            "select pyengine.wait_key('work', '') union all select pyengine.wait_key('work', 'q')"
        )
    ]
    payloads = [*keys, "", "x", "lease 1", f"lease {keys[0]}", "9" * 7000, "-1"]
    stop = threading.Event()
    sent = [0]

    def flood() -> None:
        with psycopg.connect(url_of(engine_url, login()), autocommit=True) as conn:
            while not stop.is_set():
                # A transaction tells the same only once.
                conn.execute(
                    "select pg_notify(%s, p || repeat(' ', n)) from generate_series(1, 40) n, unnest(%s::text[]) p",
                    [channel, payloads],
                )
                for key in keys:
                    conn.execute("select pg_notify(%s, %s)", [channel, key])
                sent[0] += 40 * len(payloads) + len(keys)

    statements = [0]
    perform = Gateway.perform

    def counted(gateway: Gateway, operations: Any) -> None:
        statements[0] += 1
        perform(gateway, operations)

    monkeypatch.setattr(Gateway, "perform", counted)
    thread = threading.Thread(target=flood)
    thread.start()
    try:
        time.sleep(0.5)
        statements[0], began, sent_before = 0, time.monotonic(), sent[0]
        time.sleep(3)
        elapsed = time.monotonic() - began
        rate, flooded = statements[0] / elapsed, (sent[0] - sent_before) / elapsed
        results = [DBOS.start_workflow(add, n, 1).get_result() for n in range(20)]
    finally:
        stop.set()
        thread.join(20)
    print(f"{flooded:.0f} notifications/s, {rate:.0f} statements/s")
    assert results == [n + 1 for n in range(20)]
    assert flooded > 5000
    assert rate <= 100
    if MODE != "poll":  # there nobody listens
        assert get_runtime("test").engine._listener.backend_pid is not None


# --- Advisory locks ------------------------------------------------------------------------------------------------


def test_the_locks_that_a_stranger_can_guess_hold_up_nothing(
    dbos: type[DBOS], sql: Connection, login: Login, engine_url: str
) -> None:
    ((executor_id,),) = sql.execute("select executor_id from pyengine.executors").fetchall()
    guesses = ["pyengine", "bookmark", f"bookmark {executor_id} ", f"bookmark {executor_id} q",
               "pyengine application pyengine"]  # fmt: skip
    with psycopg.connect(url_of(engine_url, login()), autocommit=True) as conn:
        conn.execute(
            "select pg_advisory_lock(hashtextextended(g, 0)) from unnest(%s::text[]) g", [guesses]
        )
        conn.execute("select pg_advisory_lock(n) from generate_series(-500, 500) n")
        conn.execute("select pg_advisory_lock(1234567890)")
        seen = sql.execute(
            "select distinct classid, objid from pg_locks where locktype = 'advisory'"
        )
        assert len(seen.fetchall()) > 1000
        sql.execute("select pyengine.register_queue('q', concurrency => 1)")
        handles = [DBOS.enqueue_workflow("q", add, n, 1) for n in range(20)]
        began = time.monotonic()
        assert [handle.get_result() for handle in handles] == [n + 1 for n in range(20)]
        assert time.monotonic() - began < 10


def test_a_full_lock_table_is_waited_out(
    launch: Callable[..., None], private_server: PrivateServerFactory
) -> None:
    """On a server of its own: its lock table is that of all databases."""
    server = private_server(max_connections=20)
    launch(system_database_url=server.url(), listen_database_url=None)
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute("create role stranger login")
    take = "select pg_advisory_lock(n) from generate_series(%s::int, %s) n"
    handles: list[Any] = []
    starting = threading.Thread(
        target=lambda: handles.extend(DBOS.start_workflow(add, n, 1) for n in range(3))
    )
    conn = psycopg.connect(make_conninfo(server.url(), user="stranger"), autocommit=True)
    try:
        for first in itertools.count(0, 1000):
            if code_of(conn, take, first, first + 999) == "53200":
                break
        assert code_of(conn, take, -1000, -1) == "53200"
        starting.start()
        time.sleep(1)
    finally:
        conn.close()
    starting.join(30)
    assert [handle.get_result() for handle in handles] == [1, 2, 3]
    assert {each.status for each in DBOS.list_workflows()} == {"SUCCESS"}


# --- Storms --------------------------------------------------------------------------------------------------------


def test_a_storm_of_enqueues_fills_a_queue_to_its_depth_and_no_further(
    sql: Connection, login: Login, engine_url: str
) -> None:
    sql.execute("select pyengine.register_queue('narrow', max_depth => 50)")
    url = url_of(engine_url, login("client"))
    codes: list[str | None] = []

    def storm() -> None:
        with psycopg.connect(url, autocommit=True) as conn:
            enqueue = "select pyengine.enqueue_workflow('f', 'narrow')"
            codes.extend(code_of(conn, enqueue) for _ in range(40))

    threads = [threading.Thread(target=storm) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (codes.count(None), codes.count("PE429")) == (50, 190)
    assert sql.execute("select count(*) from pyengine.workflows").fetchone() == (50,)


def _claims(conn: Connection, schema: str, count: int) -> list[float]:
    """How long it takes, each time, to enqueue one workflow, claim it and finish it; in seconds, in order."""
    row = conn.execute(
        f"select {schema}.register_executor(name => 'e', application_name => 'app', application_version => '1',"
        " version_is_pinned => false, functions => '{f}', channel => 'claims', lease_seconds => 300)".encode()
    ).fetchone()
    assert row is not None
    times = []
    for _ in range(count):
        token = str(uuid4())
        began = time.perf_counter()
        conn.execute(f"select {schema}.enqueue_workflow('f', 'q')".encode())
        found = conn.execute(
            f"select workflow_id from {schema}.claim_workflows(%s, %s, 1)".encode(), [row[0], token]
        ).fetchall()
        finish = {
            "workflow_id": found[0][0],
            "lease_token": token,
            "output": 1,
            "serialization": "json",
        }
        conn.execute(
            f"select * from {schema}.finish_workflows(%s)".encode(), [json.dumps([finish])]
        )
        times.append(time.perf_counter() - began)
    return sorted(times)


@pytest.mark.slow
def test_a_neighbour_s_backlog_slows_a_tenant_s_claims_down_to_half_at_most(
    sql: Connection, other_tenant: str
) -> None:
    """100,000 workflows that wait, a hundred of them with a megabyte, in another schema of the database."""
    for schema in ("pyengine", other_tenant):
        sql.execute(f"select {schema}.register_queue('q', concurrency => 10)".encode())
    _claims(sql, "pyengine", 100)
    alone = _claims(sql, "pyengine", 300)
    start = (
        f"select count(*) from {other_tenant}.start_workflows((select json_agg(json_build_object("
        "'workflow_id', %s || n, 'name', 'f', 'queue_name', 'q', 'serialization', 'json', 'inputs', repeat('x', %s)))"
        " from generate_series(1, %s) n))"
    )
    for batch in range(100):
        sql.execute(start.encode(), [f"small-{batch}-", 10, 1000])
        sql.execute(start.encode(), [f"large-{batch}-", 1_000_000, 1])
    # Not the load of storing all that is asked about, but that it is there.
    sql.execute("checkpoint")
    sql.execute(f"vacuum analyze {other_tenant}.workflows".encode())
    beside = _claims(sql, "pyengine", 300)

    print(
        "alone and beside, in ms:",
        [
            (f"{a * 1000:.2f}", f"{b * 1000:.2f}")
            for a, b in zip(alone[::75], beside[::75], strict=True)
        ],
    )
    assert beside[75] <= 2 * alone[75]
