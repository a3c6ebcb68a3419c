"""Installing, upgrading, checking and resetting a schema, against a real server."""

import importlib
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pyengine.errors import DBOSInitializationError, DBOSInvalidArgumentError
from pyengine.schema import migrate, pending, reset, verify
from tests.schema.conftest import Connect, Tree

Connection = psycopg.Connection[Any]
runner = importlib.import_module("pyengine.schema.migrate")


def value(conn: Connection, query: str, *parameters: object) -> Any:
    row = conn.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def pretend_newer_library(conn: Connection, version: str, functions_sha256: str | None) -> None:
    conn.execute(
        "update pyengine.schema_migrations set library_version = %s, functions_sha256 = %s"
        " where version = (select max(version) from pyengine.schema_migrations)",
        [version, functions_sha256],
    )


def test_a_fresh_database_gets_all_migrations_and_functions(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", "create table pyengine.a (id int);")
    tree.function("greet", "'hello'")

    report = migrate(conn, root=tree.root)

    assert report.applied == ("0000_schema_migrations", "0001_a")
    assert report.version == 1
    assert report.functions_replaced
    assert value(conn, "select pyengine.greet()") == "hello"
    recorded = conn.execute("select version, name from pyengine.list_migrations()").fetchall()
    assert recorded == [(0, "0000_schema_migrations"), (1, "0001_a")]


def test_the_engine_itself_installs_under_any_name(conn: Connection) -> None:
    for schema in ("pyengine", "order", 'my "own" schema'):
        migrate(conn, schema=schema)
        verify(conn, schema)

    query = """
        select n.nspname || '.' || p.proname
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname in ('order', 'my "own" schema') and p.prosrc ~ 'pyengine\\.'
    """
    assert conn.execute(query).fetchall() == []


def test_a_second_run_changes_nothing_and_only_reads(conn: Connection, tree: Tree) -> None:
    migrate(conn, root=tree.root)
    conn.execute("set default_transaction_read_only = on")

    report = migrate(conn, root=tree.root)

    assert report.applied == ()
    assert not report.functions_replaced


def test_an_upgrade_applies_what_is_new_and_replaces_the_functions(
    conn: Connection, tree: Tree
) -> None:
    tree.function("greet", "'hello'")
    migrate(conn, root=tree.root)
    tree.migration("0001_a", "create table pyengine.a (id int);")
    tree.function("greet", "'good morning'")

    report = migrate(conn, root=tree.root)

    assert report.applied == ("0001_a",)
    assert value(conn, "select pyengine.greet()") == "good morning"


def test_changed_functions_alone_are_replaced(conn: Connection, tree: Tree) -> None:
    tree.function("greet", "'hello'")
    migrate(conn, root=tree.root)
    tree.function("greet", "'good morning'")

    assert [r.path for r in pending(conn, root=tree.root).repeatables]
    report = migrate(conn, root=tree.root)

    assert report.applied == ()
    assert report.functions_replaced
    assert value(conn, "select pyengine.greet()") == "good morning"
    assert not pending(conn, root=tree.root)


def test_functions_may_call_each_other_in_any_order(conn: Connection, tree: Tree) -> None:
    tree.write(
        "functions/base/a.sql",
        "create or replace function pyengine.a() returns text language sql"
        " as $$ select pyengine.z() $$;",
    )
    tree.function("z", "'from z'", topic="later")

    migrate(conn, root=tree.root)

    assert value(conn, "select pyengine.a()") == "from z"


def test_a_lost_function_is_brought_back(conn: Connection, tree: Tree) -> None:
    migrate(conn, root=tree.root)
    conn.execute("drop function pyengine.list_migrations()")
    conn.execute("update pyengine.schema_migrations set functions_sha256 = null")

    assert migrate(conn, root=tree.root).functions_replaced
    verify(conn, root=tree.root)


def test_a_file_that_fails_leaves_nothing_behind(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", "create table pyengine.a (id int); select 1 / 0;")

    with pytest.raises(DBOSInitializationError, match=r"0001_a\.sql .* division by zero"):
        migrate(conn, root=tree.root)

    assert value(conn, "select to_regnamespace('pyengine')") is None


def test_a_migration_inside_the_callers_transaction_is_undone_with_it(
    connect: Connect, tree: Tree
) -> None:
    conn = connect(autocommit=False)
    conn.execute("select 1")

    migrate(conn, root=tree.root)
    verify(conn, root=tree.root)
    conn.rollback()

    assert value(conn, "select to_regnamespace('pyengine')") is None


def test_a_migration_on_an_idle_connection_is_committed(connect: Connect, tree: Tree) -> None:
    migrate(connect(autocommit=False), root=tree.root)

    verify(connect(), root=tree.root)


def test_settings_of_the_session_do_not_reach_the_sources(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", r"create table pyengine.a as select '\n' as text;")
    conn.execute("set standard_conforming_strings = off")
    conn.execute("set search_path = public")

    migrate(conn, root=tree.root)

    assert value(conn, "select length(text) from pyengine.a") == 2
    assert value(conn, "show search_path") == "public"


PROCESS = """
import sys, psycopg
from pathlib import Path
from pyengine.schema import migrate
with psycopg.connect(sys.argv[1], autocommit=True) as conn:
    print("ready", flush=True)
    sys.stdin.readline()
    print(len(migrate(conn, root=Path(sys.argv[2])).applied))
"""


def race(url: str, root: Path, processes: int = 4) -> list[int]:
    """Let processes migrate at the same moment; return how many migrations each applied."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, url, str(root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in running:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return sorted(int(process.communicate(timeout=60)[0]) for process in running)


@pytest.mark.race
def test_of_processes_that_launch_at_once_one_installs(
    connect: Connect, empty_database: str, tree: Tree
) -> None:
    tree.migration("0001_a", "create table pyengine.a (id int);")

    assert race(empty_database, tree.root) == [0, 0, 0, 2]
    verify(connect(), root=tree.root)


@pytest.mark.race
def test_of_processes_that_launch_at_once_one_upgrades(
    conn: Connection, empty_database: str, tree: Tree
) -> None:
    migrate(conn, root=tree.root)
    tree.migration("0001_a", "create table pyengine.a (id int);")

    assert race(empty_database, tree.root) == [0, 0, 0, 1]


@pytest.mark.race
def test_two_installations_agree_without_the_advisory_lock(
    conn: Connection,
    empty_database: str,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "_courtesy_lock", lambda *_: None)
    with psycopg.connect(empty_database) as other:
        other.execute("select 1")
        migrate(other, root=tree.root)  # not yet committed: ours must wait for the schema's name
        waiter = subprocess.Popen(
            [sys.executable, "-c", PROCESS, empty_database, str(tree.root)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert waiter.stdin is not None
        waiter.stdin.write("\n")
        waiter.stdin.flush()
        wait_for_a_blocked_session(conn)
    output, _ = waiter.communicate(timeout=60)

    assert output.split() == ["ready", "0"]


def wait_for_a_blocked_session(conn: Connection) -> None:
    query = """
        select exists (
            select from pg_stat_activity
            where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
        )
    """
    for _ in range(2000):
        if value(conn, query):
            return
        value(conn, "select pg_sleep(0.005)::text")
    pytest.fail("nobody waited")


def test_somebody_who_holds_the_advisory_lock_stops_nobody(
    conn: Connection,
    connect: Connect,
    tree: Tree,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(runner, "COURTESY_SECONDS", 0.05)
    connect().execute("select pg_advisory_lock(%s)", [runner._courtesy_key("pyengine")])

    with caplog.at_level(logging.INFO, "pyengine"):
        assert migrate(conn, root=tree.root).version == 0

    assert "going on without it" in caplog.text


def test_a_newer_schema_that_is_not_breaking_is_worked_with(
    conn: Connection,
    tree: Tree,
    copy_of_tree: Callable[[], Tree],
    caplog: pytest.LogCaptureFixture,
) -> None:
    tree.function("greet", "'old'")
    older = copy_of_tree()
    tree.migration("0001_a", "create table pyengine.a (id int);")
    tree.function("greet", "'new'")
    migrate(conn, root=tree.root)

    with caplog.at_level(logging.WARNING, "pyengine"):
        report = migrate(conn, root=older.root)
        verify(conn, root=older.root)

    assert report.applied == ()
    assert value(conn, "select pyengine.greet()") == "new"
    assert "newer than the version 0" in caplog.text


def test_a_newer_schema_that_is_breaking_is_refused(
    conn: Connection, tree: Tree, copy_of_tree: Callable[[], Tree]
) -> None:
    older = copy_of_tree()
    tree.migration("0001_fine", "create table pyengine.a (id int);")
    tree.migration("0002_breaks", "-- pyengine: breaking\ndrop table pyengine.a;")
    migrate(conn, root=tree.root)
    pretend_newer_library(conn, "7.1.0", None)

    for attempt in (migrate, verify):
        with pytest.raises(DBOSInitializationError) as caught:
            attempt(conn, root=older.root)
        text = str(caught.value)
        assert "at version 2 (library 7.1.0)" in text
        assert "knows versions up to 0" in text
        assert "0002_breaks: upgrade pyengine to 7.1.0 or newer" in text
        assert "0001_fine" not in text


def test_an_older_library_does_not_put_its_functions_over_newer_ones(
    conn: Connection, tree: Tree
) -> None:
    tree.function("greet", "'new'")
    migrate(conn, root=tree.root)
    pretend_newer_library(conn, "99.0", "a" * 64)
    tree.function("greet", "'old'")

    assert not migrate(conn, root=tree.root).functions_replaced
    verify(conn, root=tree.root)
    assert value(conn, "select pyengine.greet()") == "new"


def test_a_migration_changed_after_it_was_applied_is_refused(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", "create table pyengine.a (id int);")
    migrate(conn, root=tree.root)
    tree.migration("0001_a", "create table pyengine.a (id bigint);")

    for attempt in (migrate, verify):
        with pytest.raises(DBOSInitializationError, match=r"0001_a was applied .* never changes"):
            attempt(conn, root=tree.root)


def test_a_gap_in_the_record_is_refused(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", "select 1;")
    migrate(conn, root=tree.root)
    conn.execute("delete from pyengine.schema_migrations where version = 0")

    with pytest.raises(DBOSInitializationError, match="no record of migration 0000"):
        migrate(conn, root=tree.root)


def test_verify_names_what_is_missing_and_the_command(conn: Connection, tree: Tree) -> None:
    with pytest.raises(DBOSInitializationError, match="is not installed: run `pyengine migrate`"):
        verify(conn, root=tree.root)

    migrate(conn, root=tree.root)
    tree.migration("0001_a", "select 1;")
    tree.migration("0002_b", "select 1;")
    with pytest.raises(DBOSInitializationError, match="lacks the migrations 0001_a, 0002_b: run"):
        verify(conn, root=tree.root)

    migrate(conn, root=tree.root)
    tree.function("greet", "'hello'")
    with pytest.raises(DBOSInitializationError, match="has other functions"):
        verify(conn, root=tree.root)


def test_verify_says_which_schema_to_migrate(conn: Connection, tree: Tree) -> None:
    with pytest.raises(DBOSInitializationError, match="`pyengine migrate --schema 'dbos'`"):
        verify(conn, "dbos", root=tree.root)


def test_reset_drops_the_schema(conn: Connection, tree: Tree) -> None:
    migrate(conn, root=tree.root)

    reset(conn, truncate=False)
    reset(conn, truncate=False)

    assert value(conn, "select to_regnamespace('pyengine')") is None


def test_reset_can_empty_the_tables_and_keep_the_installation(conn: Connection, tree: Tree) -> None:
    tree.migration(
        "0001_a", "create table pyengine.a (id int generated always as identity, t text);"
    )
    tree.migration("0002_b", "create unlogged table pyengine.b (id int);")
    migrate(conn, root=tree.root)
    conn.execute("insert into pyengine.a (t) values ('x')")

    reset(conn, truncate=True)

    verify(conn, root=tree.root)
    assert value(conn, "insert into pyengine.a (t) values ('y') returning id") == 1


def test_an_emptied_engine_holds_what_a_fresh_one_holds(conn: Connection) -> None:
    migrate(conn)
    fresh = contents(conn)

    reset(conn, truncate=True)

    assert contents(conn) == fresh


def contents(conn: Connection) -> dict[str, list[tuple[Any, ...]]]:
    tables = conn.execute(
        "select relname from pg_class where relnamespace = 'pyengine'::regnamespace"
        " and relkind in ('r', 'p') order by 1"
    ).fetchall()
    return {
        name: conn.execute(
            sql.SQL("select t::text from {} as t order by 1").format(
                sql.Identifier("pyengine", name)
            )
        ).fetchall()
        for (name,) in tables
    }


def test_reset_leaves_a_schema_alone_that_is_not_the_engines(conn: Connection) -> None:
    conn.execute("create schema mine")
    conn.execute("create table mine.precious (id int)")

    for truncate in (True, False):
        with pytest.raises(DBOSInitializationError, match="nothing was deleted"):
            reset(conn, "mine", truncate=truncate)

    assert value(conn, "select count(*) from mine.precious") == 0


@pytest.mark.parametrize("operation", [migrate, pending, verify, reset])
def test_a_name_that_cannot_be_a_schema_is_refused(
    conn: Connection, operation: Callable[..., object]
) -> None:
    options: dict[str, Any] = {"truncate": False} if operation is reset else {}

    with pytest.raises(DBOSInvalidArgumentError, match="63 bytes"):
        operation(conn, schema="x" * 64, **options)


def test_a_database_of_another_encoding_is_refused(conn: Connection, empty_database: str) -> None:
    name = empty_database.rpartition("/")[2].split("?")[0] + "_latin"
    identifier = sql.Identifier(name)
    conn.execute(
        sql.SQL("create database {} encoding 'LATIN1' locale 'C' template template0").format(
            identifier
        )
    )
    try:
        with (
            psycopg.connect(conn.info.dsn, dbname=name, autocommit=True) as latin,
            pytest.raises(DBOSInitializationError, match="encoding LATIN1"),
        ):
            migrate(latin)
    finally:
        conn.execute(sql.SQL("drop database {}").format(identifier))
