"""Who may call what: the declarations, the reviewed lists in sql/README.md and the privileges agree."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from pyengine.schema import sql_root
from tests.fix_roles import ROLES, Connection, Login, acting_as
from tests.tools.sql_reference import declared

FUNCTIONS = """
    select p.proname, array(
        select format_type(t, null) from unnest(p.proargtypes) with ordinality u (t, n) order by n)
    from pg_proc p where p.pronamespace = 'pyengine'::regnamespace order by 1
"""
RELATIONS = (
    "select relname from pg_class where relnamespace = 'pyengine'::regnamespace and relkind = %s"
)
CALLABLE = """
    select p.proname from pg_proc p
    where p.pronamespace = 'pyengine'::regnamespace and has_function_privilege(%s, p.oid, 'execute')
"""
READABLE = """
    select c.relname from pg_class c
    where c.relnamespace = 'pyengine'::regnamespace and c.relkind = 'v' and has_table_privilege(%s, c.oid, 'select')
"""
# What it means to be told no: a function, a table or the schema itself.
DENIED = psycopg.errors.InsufficientPrivilege


def listed(role: str) -> set[str]:
    """What sql/README.md says that a role may use, beside what those before it may."""
    page = (sql_root() / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^- \*\*{role}\*\*: (.*)$", page, flags=re.MULTILINE)
    return set(re.findall(r"`(\w+)`", line))


def allowed(role: str | None) -> set[str]:
    """What a role may use in all; None is a login without a role."""
    if role is None:
        return set()
    return set().union(*(listed(each) for each in ROLES[: ROLES.index(role) + 1]))


def names(sql: Connection, kind: str) -> list[str]:
    return [name for (name,) in sql.execute(RELATIONS, [kind])]


def test_every_public_function_and_view_declares_who_may_use_it(sql: Connection) -> None:
    public = {name for name, _ in sql.execute(FUNCTIONS) if not name.startswith("_")}
    declarations = {name for role in (*ROLES, "owner") for name in declared(sql, role)}

    missing = (public | set(names(sql, "v"))) - declarations
    assert not missing, (
        f"end the comments of {sorted(missing)} with ' Role: client.', or the least of observer, client, worker, "
        "admin and owner that needs it (sql/README.md, Roles), then `make generate`"
    )


@pytest.mark.parametrize("role", [None, *ROLES])
def test_a_role_has_exactly_the_privileges_that_the_page_lists(
    sql: Connection, login: Login, role: str | None
) -> None:
    name = login(role)
    functions = {function for (function,) in sql.execute(CALLABLE, [name])}
    views = {view for (view,) in sql.execute(READABLE, [name])}

    assert functions | views == allowed(role) | ({f"_role_{role}"} if role else set())


@pytest.mark.parametrize("role", [None, *ROLES])
def test_what_is_denied_is_refused_and_what_is_allowed_is_not(
    sql: Connection, login: Login, role: str | None
) -> None:
    """Every function is called, with nulls; what a null does to an allowed one is an error with a code of its own."""
    functions = sql.execute(FUNCTIONS).fetchall()
    may = allowed(role) | {f"_role_{role}"}
    wrong = {}
    with acting_as(sql, login(role)):
        for name, types in functions:
            nulls = ", ".join(f"null::{each}" for each in types)
            code = _error_of(sql, f"select pyengine.{name}({nulls})")
            if (code == DENIED.sqlstate) == (name in may) or code in _BUGS:
                wrong[name] = code
    assert not wrong


# Codes that no argument of a caller may bring about.
_BUGS = {"XX000", "42601", "42703", "42P01", "42883", "P0001", "P0002", "P0003"}


def _error_of(conn: Connection, statement: str) -> str | None:
    try:
        with conn.transaction(force_rollback=True):
            conn.execute(statement.encode())
    except psycopg.Error as exc:
        return exc.sqlstate
    return None


TABLE_ACTIONS = (
    "select * from {} limit 1",
    "delete from {}",
    "truncate {}",
    "insert into {} default values",
    "lock table {} in access share mode",
    "copy {} to stdout",
)


@pytest.mark.parametrize("role", [None, *ROLES])
def test_no_role_touches_a_table_or_a_sequence(
    sql: Connection, login: Login, role: str | None
) -> None:
    actions = [
        *(each.format(f"pyengine.{table}") for table in names(sql, "r") for each in TABLE_ACTIONS),
        *(f"select nextval('pyengine.{sequence}')" for sequence in names(sql, "S")),
    ]
    with acting_as(sql, login(role)):
        touched = [each for each in actions if _error_of(sql, each) != DENIED.sqlstate]
    assert not touched
    assert len(actions) > 60


def test_an_observer_changes_nothing(sql: Connection, login: Login) -> None:
    """What observers may call works in a read-only transaction."""
    functions: list[tuple[str, list[str]]] = sql.execute(FUNCTIONS).fetchall()
    writes = []
    with acting_as(sql, login("observer")):
        for name, types in functions:
            if name in allowed("observer"):
                nulls = ", ".join(f"null::{each}" for each in types)
                with sql.transaction(force_rollback=True):
                    sql.execute("set transaction read only")
                    if _error_of(sql, f"select pyengine.{name}({nulls})") == "25006":
                        writes.append(name)
    assert not writes


def test_no_definer_function_is_left_to_everybody(sql: Connection) -> None:
    query = """
        select p.proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
        where p.pronamespace = 'pyengine'::regnamespace and a.grantee = 0
    """
    assert sql.execute(query).fetchall() == []
    assert _defaults(sql) == []


def _defaults(sql: Connection) -> list[Any]:
    return sql.execute("select * from pg_default_acl").fetchall()
