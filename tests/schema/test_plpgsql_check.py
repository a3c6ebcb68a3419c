"""plpgsql_check finds nothing wrong with any function of the engine.

The extension comes with the server, not with Python: `make check-plpgsql` runs this against a
PostgreSQL that has it. Elsewhere the test is skipped and says so.
"""

from typing import Any

import psycopg
import pytest

from pyengine.schema import migrate

Connection = psycopg.Connection[Any]

COMPLAINTS = """
    select distinct p.proname, c.lineno, c.level, c.message, c.detail, c.query
    from pg_proc as p
    join pg_language as l on l.oid = p.prolang
    left join pg_trigger as t on t.tgfoid = p.oid
    cross join lateral plpgsql_check_function_tb(
        p.oid::regprocedure,
        relid => coalesce(t.tgrelid, 0)::regclass,
        fatal_errors => false,
        other_warnings => true,
        extra_warnings => true,
        performance_warnings => false,
        security_warnings => true
    ) as c
    where p.pronamespace = 'pyengine'::regnamespace and l.lanname = 'plpgsql'
    order by 1, 2
"""

# `next_sql_step` composes the statement of a step that the administrator registered, from its stored, quoted name.
# The conditions of a list are composed by `list_workflows` and `_condition_sql`, of columns that they name and quoted
# values.
ACCEPTED = {
    ("run_sql_step", "security"),
    ("_few_by_attributes", "security"),
    ("_find_kinds", "security"),
}


@pytest.fixture
def checked(conn: Connection) -> Connection:
    """A database with the engine and the extension."""
    query = "select from pg_available_extensions where name = 'plpgsql_check'"
    if conn.execute(query).fetchone() is None:
        pytest.skip("plpgsql_check is not installed; see `make check-plpgsql`")
    conn.execute("create extension plpgsql_check")
    migrate(conn)
    return conn


def complaints(checked: Connection) -> list[tuple[Any, ...]]:
    found = checked.execute(COMPLAINTS).fetchall()
    return [row for row in found if (row[0], row[2]) not in ACCEPTED]


def test_no_function_has_a_complaint(checked: Connection) -> None:
    assert complaints(checked) == []


def test_a_planted_mistake_is_found(checked: Connection) -> None:
    checked.execute(
        "create function pyengine.planted() returns int language plpgsql as"
        " $$ begin return (select no_such_column from pyengine.schema_migrations); end $$"
    )

    found = complaints(checked)

    assert [row[0] for row in found] == ["planted"]
