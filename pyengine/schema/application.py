"""The engine's part of a separate application database: tables for the checkpoints of transactional steps."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import psycopg
from psycopg import sql

from pyengine.errors import DBOSInitializationError
from pyengine.schema.rename import rename_schema
from pyengine.schema.sources import sql_root

_TABLE = "transaction_checkpoints"
_TABLES = (_TABLE, "checkpoint_upkeep")
# A column that each of the files brings, in their order.
_MARKS = ((_TABLE, "workflow_id"), (_TABLE, "origin"), (_TABLE, "owner"))
# It spares concurrent launches their collisions; a stranger who holds it costs each of them this time.
_LOCK = "select pg_advisory_xact_lock(hashtextextended('pyengine application ' || %s, 0))"
_LOCK_TIMEOUT = "3s"
_COLLISIONS = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateColumn,
    psycopg.errors.DuplicateObject,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedObject,
    psycopg.errors.DeadlockDetected,
)
_TRIES = 5


def prepare_application(
    conn: psycopg.Connection[Any], *, schema: str = "pyengine", create: bool = True
) -> bool:
    """Make sure that an application database can hold checkpoints. Concurrent calls agree.

    Args:
        conn: A connection to the application's database, in autocommit mode.
        schema: The engine's schema; it has the same name here.
        create: False to look only.

    Returns:
        True if something was created.

    Raises:
        DBOSInitializationError: A table is missing and may not be created; says what to do.
    """
    if _level(conn, schema) == len(_MARKS):
        return False
    if not create:
        raise DBOSInitializationError(
            f"the application database has no table {schema}.{_TABLE}, or an older one: launch once with "
            "run_migrations, by a role that may create a schema there"
        )
    try:
        for _ in range(_TRIES):
            with suppress(*_COLLISIONS):
                return _apply(conn, schema)
        return _apply(conn, schema)
    except psycopg.errors.InsufficientPrivilege:
        raise DBOSInitializationError(
            f"the login may not create {schema}.{_TABLE} in the application database: launch once as a role that may, "
            f"then grant it usage on the schema, and select, insert, update and delete on its tables"
        ) from None


def _apply(conn: psycopg.Connection[Any], schema: str) -> bool:
    with conn.transaction():
        _courtesy_lock(conn, schema)
        files = sorted((sql_root() / "application").glob("*.sql"))[_level(conn, schema) :]
        if files:
            conn.execute(sql.SQL("create schema if not exists {}").format(sql.Identifier(schema)))
        for file in files:
            conn.execute(rename_schema(file.read_text(encoding="utf-8"), schema).encode())
    return bool(files)


def _courtesy_lock(conn: psycopg.Connection[Any], schema: str) -> None:
    conn.execute("select set_config('lock_timeout', %s, true)", [_LOCK_TIMEOUT])
    with suppress(psycopg.errors.LockNotAvailable), conn.transaction():
        conn.execute(_LOCK, [schema])
    conn.execute("set local lock_timeout to default")


def grant_application(
    conn: psycopg.Connection[Any], role: str, *, schema: str = "pyengine"
) -> None:
    """Let a role store checkpoints in an application database.

    Args:
        conn: A connection as the owner of the tables, in autocommit mode.
        role: An existing role.
        schema: The schema of the tables.

    Raises:
        DBOSInitializationError: There is no such role.
    """
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    tables = sql.SQL(", ").join(sql.Identifier(schema, table) for table in _TABLES)
    try:
        with conn.transaction():
            conn.execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
            conn.execute(
                sql.SQL("grant select, insert, update, delete on {tables} to {role}").format(
                    tables=tables, **names
                )
            )
    except psycopg.errors.UndefinedObject:
        raise DBOSInitializationError(
            f"application_role is {role!r}: there is no such role, create it first"
        ) from None


def _level(conn: psycopg.Connection[Any], schema: str) -> int:
    """How many of the files have been applied."""
    relations, columns = zip(*_MARKS, strict=True)
    row = conn.execute(
        "select count(*) from unnest(%s::text[], %s::text[]) m (relation, attribute)"
        " join pg_catalog.pg_namespace n on n.nspname = %s"
        " join pg_catalog.pg_class c on c.relnamespace = n.oid and c.relname = m.relation"
        " join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attname = m.attribute and not a.attisdropped",
        [list(relations), list(columns), schema],
    ).fetchone()
    return int(row[0]) if row else 0
