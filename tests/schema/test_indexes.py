"""An upgrade keeps nobody waiting for an index: it is built behind the upgrade, beside the work on its table."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pyengine.schema import indexes, migrate, verify
from tests.schema.conftest import Connect, Tree

Connection = psycopg.Connection[Any]

INDEX = "-- pyengine: concurrently\n-- For: b.\ncreate index a_b_idx on pyengine.a (b)\n    where b > 1;\n"
VALID = (
    """select i.indisvalid from pg_index i where i.indexrelid = to_regclass('pyengine.a_b_idx')"""
)
INCOMPLETE = "select name from pyengine.schema_migrations where not is_complete"


@pytest.fixture
def upgraded(conn: Connection, tree: Tree) -> Tree:
    """Sources with an index for a table that is installed already."""
    tree.migration("0001_a", "create table pyengine.a (b int);")
    migrate(conn, root=tree.root)
    tree.migration("0002_index", INDEX)
    return tree


@contextmanager
def writer(connect: Connect) -> Iterator[Connection]:
    """Somebody with a transaction that has written into the table."""
    session = connect()
    with session.transaction():
        session.execute("insert into pyengine.a values (2)")
        yield session


def test_a_fresh_schema_has_the_index_at_once(conn: Connection, tree: Tree) -> None:
    tree.migration("0001_a", "create table pyengine.a (b int);")
    tree.migration("0002_index", INDEX)

    migrate(conn, root=tree.root)

    assert conn.execute(VALID).fetchall() == [(True,)]
    assert conn.execute(INCOMPLETE).fetchall() == []


def test_an_upgrade_builds_the_index_behind_itself(conn: Connection, upgraded: Tree) -> None:
    report = migrate(conn, root=upgraded.root)

    assert report.applied == ("0002_index",)
    assert conn.execute(VALID).fetchall() == [(True,)]
    assert conn.execute(INCOMPLETE).fetchall() == []


def test_writers_go_on_while_the_index_is_built(
    conn: Connection, connect: Connect, upgraded: Tree
) -> None:
    other = connect()
    with writer(connect):
        upgrade = threading.Thread(target=migrate, args=(conn,), kwargs={"root": upgraded.root})
        upgrade.start()
        while other.execute(VALID).fetchall() == []:
            assert upgrade.is_alive()
        other.execute("set lock_timeout = '1s'")
        other.execute("insert into pyengine.a values (3)")
        assert other.execute(INCOMPLETE).fetchall() == [("0002_index",)]
        verify(other, root=upgraded.root)
    upgrade.join(30)

    assert other.execute(VALID).fetchall() == [(True,)]
    assert other.execute(INCOMPLETE).fetchall() == []


def test_an_index_that_could_not_be_built_is_built_by_the_next_migration(
    conn: Connection, connect: Connect, upgraded: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(indexes._SETTINGS, "lock_timeout", "50ms")
    with writer(connect):
        report = migrate(conn, root=upgraded.root)
        assert report.applied == ("0002_index",)
        assert conn.execute(VALID).fetchall() == [(False,)]

    migrate(conn, root=upgraded.root)

    assert conn.execute(VALID).fetchall() == [(True,)]
    assert conn.execute(INCOMPLETE).fetchall() == []


def test_who_finds_somebody_at_it_leaves_it_to_him(
    conn: Connection, connect: Connect, upgraded: Tree
) -> None:
    with indexes._alone(connect(), "pyengine"):
        migrate(conn, root=upgraded.root)

    assert conn.execute(VALID).fetchall() == []
    assert conn.execute(INCOMPLETE).fetchall() == [("0002_index",)]


def test_inside_the_callers_transaction_the_index_is_part_of_it(
    conn: Connection, upgraded: Tree
) -> None:
    with conn.transaction():
        migrate(conn, root=upgraded.root)
        assert conn.execute(VALID).fetchall() == [(True,)]
        raise psycopg.Rollback

    assert conn.execute(VALID).fetchall() == []


def test_the_callers_settings_are_left_as_they_were(conn: Connection, upgraded: Tree) -> None:
    conn.execute("set lock_timeout = '7s'")

    migrate(conn, root=upgraded.root)

    assert conn.execute("show lock_timeout").fetchall() == [("7s",)]
    assert conn.execute("show statement_timeout").fetchall() == [("0",)]


def test_an_index_is_dropped_and_made_anew_under_any_schema_name(
    conn: Connection, tree: Tree
) -> None:
    tree.migration(
        "0001_a", "create table pyengine.a (b int); create index a_b_idx on pyengine.a (b);"
    )
    migrate(conn, schema="Other", root=tree.root)
    tree.migration("0002_index", INDEX.replace("create", "drop index pyengine.a_b_idx;\ncreate"))

    migrate(conn, schema="Other", root=tree.root)

    query = """select pg_get_indexdef('"Other".a_b_idx'::regclass)"""
    assert "WHERE (b > 1)" in conn.execute(query).fetchall()[0][0]


def test_an_older_library_leaves_the_indexes_of_a_newer_one_alone(
    conn: Connection, connect: Connect, tree: Tree, copy_of_tree: Callable[[], Tree]
) -> None:
    tree.migration("0001_a", "create table pyengine.a (b int);")
    older = copy_of_tree()
    migrate(conn, root=older.root)
    tree.migration("0002_index", INDEX)
    with indexes._alone(connect(), "pyengine"):
        migrate(conn, root=tree.root)

    assert migrate(conn, root=older.root).version == 2

    assert conn.execute(INCOMPLETE).fetchall() == [("0002_index",)]


def test_a_process_that_does_not_own_the_schema_starts_while_an_index_is_built(
    conn: Connection, connect: Connect, upgraded: Tree
) -> None:
    with indexes._alone(connect(), "pyengine"):
        migrate(conn, root=upgraded.root)
    application = sql.Identifier(f"role_{uuid4().hex[:8]}")
    conn.execute(sql.SQL("create role {}").format(application))
    conn.execute(sql.SQL("grant usage on schema pyengine to {}").format(application))
    conn.execute("grant execute on function pyengine.list_migrations to public")
    try:
        conn.execute(sql.SQL("set role {}").format(application))

        assert migrate(conn, root=upgraded.root).version == 2
    finally:
        conn.execute("reset role")
        conn.execute(sql.SQL("drop owned by {}").format(application))
        conn.execute(sql.SQL("drop role {}").format(application))
