"""Who may install into a schema, and who may use what was installed."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pyengine.errors import DBOSInitializationError, DBOSInvalidArgumentError
from pyengine.schema import load, migrate, pending, sql_root, verify
from tests.schema.conftest import Tree

Connection = psycopg.Connection[Any]
Roles = Callable[[], str]


def run(conn: Connection, text: str, *names: str) -> None:
    conn.execute(sql.SQL(text).format(*map(sql.Identifier, names)))  # type: ignore[arg-type, unused-ignore]


@pytest.fixture
def role(conn: Connection) -> Iterator[Roles]:
    """Make login roles that own nothing and may nothing."""
    made: list[str] = []

    def make() -> str:
        made.append(f"role_{uuid4().hex[:8]}")
        run(conn, "create role {} login", made[-1])
        return made[-1]

    yield make
    run(conn, "reset role")
    for name in made:
        run(conn, "drop owned by {} cascade", name)
        run(conn, "drop role {}", name)


@contextmanager
def acting_as(conn: Connection, name: str) -> Iterator[None]:
    run(conn, "set role {}", name)
    yield
    run(conn, "reset role")


def grant_create(conn: Connection, name: str) -> None:
    run(conn, "grant create on database {} to {}", conn.info.dbname, name)


def test_a_role_that_may_only_create_schemas_installs(
    conn: Connection, tree: Tree, role: Roles
) -> None:
    owner = role()
    grant_create(conn, owner)
    with acting_as(conn, owner):
        assert migrate(conn, root=tree.root).version == 0


def test_the_engine_itself_installs_as_an_ordinary_role(conn: Connection, role: Roles) -> None:
    owner = role()
    grant_create(conn, owner)
    with acting_as(conn, owner):
        migrate(conn)
        verify(conn)


def test_a_role_that_may_not_create_schemas_is_told_what_it_needs(
    conn: Connection, tree: Tree, role: Roles
) -> None:
    with (
        acting_as(conn, role()),
        pytest.raises(DBOSInitializationError, match="grant it CREATE on the database"),
    ):
        migrate(conn, root=tree.root)


def test_an_empty_schema_prepared_for_the_role_is_used(
    conn: Connection, tree: Tree, role: Roles
) -> None:
    owner = role()
    run(conn, "create schema pyengine authorization {}", owner)
    with acting_as(conn, owner):
        assert migrate(conn, root=tree.root).version == 0


def test_a_schema_of_another_owner_is_refused(conn: Connection, tree: Tree, role: Roles) -> None:
    owner = role()
    run(conn, "create schema pyengine authorization {}", owner)

    with pytest.raises(DBOSInitializationError, match=f"belongs to role '{owner}'"):
        migrate(conn, root=tree.root)


TRAPS = [
    "create table pyengine.workflows (id int)",
    "create function pyengine.now() returns int language sql return 1",
    "create type pyengine.status as enum ('a')",
    "create domain pyengine.id as int",
    "create sequence pyengine.ids",
    "create view pyengine.v as select 1",
    "create operator pyengine.= (leftarg = int, rightarg = int, function = int4eq)",
    "create collation pyengine.c (locale = 'C')",
    "create text search configuration pyengine.t (copy = simple)",
    "create aggregate pyengine.total (int) (sfunc = int4pl, stype = int)",
    "alter default privileges in schema pyengine grant all on tables to public",
]


@pytest.mark.parametrize("trap", TRAPS)
def test_a_schema_with_something_in_it_is_refused(conn: Connection, tree: Tree, trap: str) -> None:
    conn.execute("create schema pyengine")
    conn.execute(trap.encode())

    with pytest.raises(DBOSInitializationError, match="holds objects that are not pyengine's"):
        migrate(conn, root=tree.root)

    assert pending(conn, root=tree.root)


def test_a_schema_in_which_others_may_create_is_refused(
    conn: Connection, tree: Tree, role: Roles
) -> None:
    other = role()
    conn.execute("create schema pyengine")
    run(conn, "grant create on schema pyengine to {}", other)
    with pytest.raises(
        DBOSInitializationError, match=f"revoke create on schema pyengine from {other}"
    ):
        migrate(conn, root=tree.root)
    run(conn, "revoke create on schema pyengine from {}", other)
    migrate(conn, root=tree.root)

    conn.execute("grant create on schema pyengine to public")
    tree.migration("0001_a", "select 1;")
    with pytest.raises(DBOSInitializationError, match="PUBLIC"):
        migrate(conn, root=tree.root)


def test_an_upgrade_refuses_objects_of_another_owner(
    conn: Connection, tree: Tree, role: Roles
) -> None:
    stranger = role()
    migrate(conn, root=tree.root)
    conn.execute("create function pyengine.trap() returns int language sql return 1")
    run(conn, "grant create on schema pyengine to {}", stranger)
    run(conn, "alter function pyengine.trap() owner to {}", stranger)
    run(conn, "revoke create on schema pyengine from {}", stranger)
    tree.migration("0001_a", "select 1;")

    with pytest.raises(DBOSInitializationError, match=r"another owner \(function trap\)"):
        migrate(conn, root=tree.root)


def test_an_upgrade_by_another_role_is_refused(conn: Connection, tree: Tree, role: Roles) -> None:
    application = role()
    shutil.copytree(sql_root(), tree.root, dirs_exist_ok=True)
    migrate(conn, root=tree.root, application_role=application)
    tree.migration(f"{load().latest_version + 1:04}_a", "select 1;")

    with acting_as(conn, application):
        with pytest.raises(DBOSInitializationError, match=r"lacks the migrations \d+_a"):
            verify(conn, root=tree.root)
        with pytest.raises(DBOSInitializationError, match="belongs to role"):
            migrate(conn, root=tree.root)


def test_an_application_role_that_does_not_exist_is_refused(conn: Connection) -> None:
    with pytest.raises(DBOSInvalidArgumentError, match="'nobody_here' does not exist"):
        migrate(conn, application_role="nobody_here")

    assert pending(conn)


def test_a_stranger_is_told_how_to_get_access(conn: Connection, tree: Tree, role: Roles) -> None:
    migrate(conn, root=tree.root)

    with (
        acting_as(conn, role()),
        pytest.raises(DBOSInitializationError, match="--application-role ROLE"),
    ):
        verify(conn, root=tree.root)
