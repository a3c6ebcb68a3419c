"""Build and drop indexes beside the work on their tables, after an upgrade.

A migration that says ``-- pyengine: concurrently`` holds nothing but ``create index`` and ``drop index``, for tables of
earlier migrations. In a fresh schema, and in scripts, it runs like any other. In an upgrade the tables may be large and
in use, and an ordinary index keeps who writes waiting until it is built and the upgrade is committed. So it is only
recorded there, as not complete, and its statements are run behind the upgrade, one by one and concurrently.

Functions do not rely on such an index; they are slower without it. So whatever keeps it from being built (a transaction
that stays open, a full disk) keeps no process from starting: the next one that migrates goes on.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from pyengine.schema import state
from pyengine.schema.rename import BLANK, rename_schema, tokens
from pyengine.schema.sources import Migration

logger = logging.getLogger("pyengine.schema")

# An index is not finished before every transaction has ended that was open when it began.
PATIENCE = "60s"
_SETTINGS = {
    "client_min_messages": "warning",
    "lock_timeout": PATIENCE,
    "search_path": "pg_catalog, pg_temp",
    "statement_timeout": "0",
}
_CREATE = re.compile(r"create index (?P<name>\w+) (?=on )", re.IGNORECASE)
_DROP = re.compile(r"drop index (?=\S+$)", re.IGNORECASE)
_IS_BROKEN = """
    select not i.indisvalid
    from pg_catalog.pg_index as i
    join pg_catalog.pg_class as c on c.oid = i.indexrelid
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %s and c.relname = %s
"""


def can_be_beside(conn: psycopg.Connection[Any]) -> bool:
    """Whether a connection is in no transaction, and has one session of the server for itself."""
    if conn.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
        return False
    with conn.transaction():
        row = conn.execute("select pg_catalog.pg_backend_pid()").fetchone()
    return row == (conn.info.backend_pid,)


def left_over(applied: Sequence[state.Applied], migrations: Sequence[Migration]) -> list[Migration]:
    """The migrations that are recorded as not complete; those of a newer library are left to it."""
    return [m for row, m in zip(applied, migrations, strict=False) if not row.is_complete]


def complete(conn: psycopg.Connection[Any], schema: str, migrations: Sequence[Migration]) -> None:
    """Run what was left over of migrations that are recorded as not complete, unless somebody is at it."""
    try:
        with _alone(conn, schema) as is_alone:
            applied = state.read_table(conn, schema) if is_alone else ()
            for migration in left_over(applied, migrations):
                for statement in statements(rename_schema(migration.sql, schema)):
                    _run(conn, statement, schema)
                table = sql.Identifier(schema, "schema_migrations")
                update = "update {} set is_complete = true where version = %s"
                conn.execute(sql.SQL(update).format(table), [migration.version])
    except psycopg.Error as exc:
        logger.warning(
            "indexes of schema %r are not built yet, the next migration goes on: %s",
            schema,
            exc.diag.message_primary or exc.sqlstate or "the connection was lost",
        )


def statements(text: str) -> list[str]:
    """The statements of a migration, each on one line and without comments."""
    found = [""]
    for kind, lexeme in tokens(text):
        if lexeme == ";":
            found.append("")
        else:
            found[-1] += " " if kind in BLANK else lexeme
    return [" ".join(statement.split()) for statement in found if statement.strip()]


def concurrently(statement: str) -> str | None:
    """A statement in the form that keeps nobody waiting and may be repeated; None if it has none."""
    if (created := _CREATE.match(statement)) is not None:
        rest = statement[created.end() :]
        return f"create index concurrently if not exists {created['name']} {rest}"
    if (dropped := _DROP.match(statement)) is not None:
        return f"drop index concurrently if exists {statement[dropped.end() :]}"
    return None


def _run(conn: psycopg.Connection[Any], statement: str, schema: str) -> None:
    created = _CREATE.match(statement)
    if created is not None:
        # What is left of somebody who was interrupted.
        rows = conn.execute(_IS_BROKEN, [schema, created["name"]]).fetchall()
        if rows == [(True,)]:
            index = sql.Identifier(schema, created["name"])
            conn.execute(sql.SQL("drop index concurrently {}").format(index))
    text = concurrently(statement)
    assert text is not None, statement
    conn.execute(text.encode())


@contextmanager
def _alone(conn: psycopg.Connection[Any], schema: str) -> Iterator[bool]:
    """Outside of a transaction, with settings of its own; whether nobody else is at it."""
    before = conn.autocommit
    conn.autocommit = True
    settings: dict[str, str] = {}
    key = _key(schema)
    try:
        ((is_alone,),) = conn.execute(
            "select pg_catalog.pg_try_advisory_lock(%s)", [key]
        ).fetchall()
        try:
            settings = _set(conn, _SETTINGS)
            yield is_alone
        finally:
            if not conn.broken:
                _set(conn, settings)
                if is_alone:
                    conn.execute("select pg_catalog.pg_advisory_unlock(%s)", [key])
    finally:
        if not conn.broken:
            conn.autocommit = before


def _set(conn: psycopg.Connection[Any], settings: dict[str, str]) -> dict[str, str]:
    """Change settings of the session; what they were."""
    before: dict[str, str] = {}
    for name, value in settings.items():
        ((before[name],),) = conn.execute(
            "select pg_catalog.current_setting(%s)", [name]
        ).fetchall()
        conn.execute("select pg_catalog.set_config(%s, %s, false)", [name, value])
    return before


def _key(schema: str) -> int:
    digest = hashlib.sha256(b"pyengine indexes " + schema.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
