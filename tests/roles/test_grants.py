"""Roles are given, renewed and taken back, in one schema and not in another."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from pyengine.errors import DBOSInitializationError
from pyengine.schema import migrate, verify
from tests.fix_roles import ROLES, Connection, Login, acting_as, run

DENIED = psycopg.errors.InsufficientPrivilege


@pytest.fixture
def schema(sql: Connection) -> Iterator[str]:
    """A second engine in the same database, and its group roles if they were made."""
    name = f"tenant {uuid4().hex[:8]}"
    migrate(sql, schema=name)
    yield name
    groups = [
        group
        for (group,) in sql.execute(
            "select rolname from pg_roles where starts_with(rolname, %s)", [name]
        )
    ]
    run(sql, "drop schema {} cascade", name)
    for group in groups:
        run(sql, "drop owned by {}", group)
        run(sql, "drop role {}", group)


def may(sql: Connection, role: str, function: str, schema: str = "pyengine") -> bool:
    query = """
        select has_function_privilege(%s, p.oid, 'execute') and has_schema_privilege(%s, n.oid, 'usage')
        from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = %s and p.proname = %s
    """
    row = sql.execute(query, [role, role, schema, function]).fetchone()
    assert row is not None
    return bool(row[0])


def test_the_groups_are_named_after_their_schema(sql: Connection, schema: str) -> None:
    migrate(sql, schema=schema, create_roles=True)
    migrate(sql, schema=schema, create_roles=True)  # once more changes nothing

    query = "select rolname from pg_roles where not rolcanlogin and starts_with(rolname, %s)"
    groups = [name for (name,) in sql.execute(query, [schema])]
    assert sorted(groups) == sorted(f"{schema}_{role}" for role in ROLES)


def test_a_member_of_a_group_may_use_its_schema_and_no_other(
    sql: Connection, schema: str, login: Login
) -> None:
    migrate(sql, schema=schema, create_roles=True)
    member = login()
    run(sql, "grant {} to {}", f"{schema}_client", member)

    assert may(sql, member, "start_workflows", schema)
    assert not may(sql, member, "claim_workflows", schema)
    assert not may(sql, member, "start_workflows")


def test_a_group_with_members_from_elsewhere_is_not_let_in(
    sql: Connection, schema: str, login: Login
) -> None:
    run(sql, "create role {}", f"{schema}_admin")
    run(sql, "grant {} to {}", f"{schema}_admin", login())

    with pytest.raises(DBOSInitializationError, match="exists and has members"):
        migrate(sql, schema=schema, create_roles=True)

    assert not may(sql, f"{schema}_admin", "list_workflows", schema)


def test_a_schema_whose_name_leaves_no_room_has_groups_of_another_name(sql: Connection) -> None:
    long = f"tenant_{'x' * 48}_{uuid4().hex[:4]}"
    try:
        migrate(sql, schema=long, create_roles=True)
        granted = sql.execute(
            "select distinct pg_get_userbyid(a.grantee) from pg_namespace n, aclexplode(n.nspacl) a"
            " where n.nspname = %s and a.grantee <> n.nspowner order by 1",
            [long],
        ).fetchall()
    finally:
        run(sql, "drop schema {} cascade", long)
    groups = [name for (name,) in granted]
    assert [name.rpartition("_")[2] for name in groups] == sorted(ROLES)
    for name in groups:
        assert name.startswith("pyengine_")
        run(sql, "drop role {}", name)


def test_an_owner_that_may_not_create_roles_is_told_what_to_do(
    sql: Connection, login: Login
) -> None:
    owner = login()
    run(sql, "grant create on database {} to {}", sql.info.dbname, owner)
    with acting_as(sql, owner), pytest.raises(DBOSInitializationError, match="--engine-role ROLE"):
        migrate(sql, schema="theirs", create_roles=True)


def test_an_ordinary_owner_gives_roles_to_logins(sql: Connection, login: Login) -> None:
    owner, application, producer = login(), login(), login()
    run(sql, "grant create on database {} to {}", sql.info.dbname, owner)
    with acting_as(sql, owner):
        migrate(sql, schema="theirs", application_role=application)
        migrate(sql, schema="theirs", application_role=producer, engine_role="client")

    assert may(sql, application, "claim_workflows", "theirs")
    assert may(sql, producer, "start_workflows", "theirs")
    assert not may(sql, producer, "claim_workflows", "theirs")
    with acting_as(sql, application):
        verify(sql, "theirs")
        assert migrate(sql, schema="theirs").applied == ()


def test_the_owner_needs_no_role_and_keeps_everything(sql: Connection) -> None:
    sql.execute("select pyengine.grant_role(current_user::text, 'observer')")

    sql.execute("select * from pyengine.list_workflows()")
    with pytest.raises(psycopg.Error, match="owns the schema"):
        sql.execute("select pyengine.revoke_role(current_user::text)")


def test_a_new_role_replaces_the_old_one(sql: Connection, login: Login) -> None:
    name = login("admin")
    sql.execute("select pyengine.grant_role(%s, 'observer')", [name])

    assert may(sql, name, "list_workflows")
    assert not may(sql, name, "start_workflows")


def test_a_role_is_taken_back_whole(sql: Connection, login: Login) -> None:
    name = login("admin")
    sql.execute("select pyengine.revoke_role(%s)", [name])
    run(sql, "set role {}", name)

    with pytest.raises(DENIED):
        sql.execute("select pyengine.now()")


def test_only_the_owner_gives_and_takes_roles(sql: Connection, login: Login) -> None:
    name = login("admin")
    with acting_as(sql, name):
        for call in ("grant_role(%(name)s, 'admin')", "revoke_role(%(name)s)", "create_roles()"):
            with pytest.raises(DENIED):
                sql.execute(f"select pyengine.{call}".encode(), {"name": name})


@pytest.mark.parametrize("engine_role", ["owner", "Client", "", None])
def test_a_role_that_the_engine_does_not_have_is_refused(
    sql: Connection, login: Login, engine_role: str | None
) -> None:
    with pytest.raises(psycopg.Error, match="must be observer, client, worker or admin") as refused:
        sql.execute("select pyengine.grant_role(%s, %s)", [login(), engine_role])
    assert refused.value.sqlstate == "PE400"


def test_a_migration_renews_what_holders_may_do(sql: Connection, login: Login) -> None:
    producer, stranger = login("client"), login()
    sql.execute("create function pyengine.greet() returns text language sql return 'hello'")
    sql.execute("comment on function pyengine.greet is 'Greets. Role: client.'")
    sql.execute("create function pyengine.rule() returns text language sql return 'no'")
    sql.execute("comment on function pyengine.rule is 'Rules. Role: worker.'")
    try:
        sql.execute("revoke all on function pyengine.greet, pyengine.rule from public")
        sql.execute(
            "comment on function pyengine.cancel_workflows is 'Now for others. Role: admin.'"
        )
        sql.execute("select pyengine.renew_roles()")

        assert may(sql, producer, "greet")
        assert not may(sql, producer, "rule")
        assert not may(sql, producer, "cancel_workflows")
        assert not may(sql, stranger, "greet")
    finally:
        sql.execute("drop function pyengine.greet, pyengine.rule")
        sql.execute("update pyengine.schema_migrations set functions_sha256 = null")
        migrate(sql)
    assert may(sql, producer, "cancel_workflows")
