"""Install and upgrade the engine's schema, in one transaction, from any number of processes.

What only makes it quicker (indexes of tables that are in use) may follow behind that transaction.

What makes concurrent launches agree is not a lock that everybody must remember to take: an upgrade
holds a table lock on ``schema_migrations``, and two first installations collide on the name of the
schema, whereupon the later one starts over and finds the work done. The advisory lock only spares
the server log those collisions: somebody who holds it for ever delays an installation by seconds.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from pyengine._version import __version__
from pyengine.errors import DBOSInitializationError
from pyengine.schema import access, compose, indexes, state
from pyengine.schema.access import EngineRole
from pyengine.schema.compose import Plan
from pyengine.schema.sources import (
    SOURCE_SCHEMA,
    Migration,
    Sources,
    check_schema_name,
    load,
    rename_schema,
)

logger = logging.getLogger("pyengine.schema")

MINIMUM_SERVER = 150000
ATTEMPTS = 5
COURTESY_SECONDS = 5
# A lock on a table of the engine is waited for only briefly, because everybody else then waits
# behind the migration; the lock on the migrations themselves only makes other migrations wait.
TABLE_LOCK_SECONDS = 10
MIGRATION_LOCK_SECONDS = 600

# What a concurrent installation can make ours run into. Catalog rows have no row locks, so
# PostgreSQL reports some collisions as unique violations or "tuple concurrently updated" (XX000).
_COLLISIONS = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.InternalError_,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.UniqueViolation,
)


@dataclass(frozen=True)
class Report:
    """What `migrate` did.

    Attributes:
        schema: the schema it worked on.
        version: the schema's version afterwards.
        applied: names of the migrations applied now.
        functions_replaced: whether functions, views and grants were installed now.
    """

    schema: str
    version: int
    applied: tuple[str, ...] = ()
    functions_replaced: bool = False


def migrate(
    conn: psycopg.Connection[Any],
    *,
    schema: str = SOURCE_SCHEMA,
    application_role: str | None = None,
    engine_role: EngineRole = "worker",
    create_roles: bool = False,
    root: Path | None = None,
) -> Report:
    """Bring a schema up to date, creating it if need be; a single read when it is already.

    On a connection without an open transaction the work is committed before this returns; otherwise
    it becomes part of that transaction. Indexes of tables in use are built behind an upgrade, beside
    the work (`pyengine.schema.indexes`): not inside a transaction or through a transaction pooler,
    where writers wait for them.

    Args:
        conn: a connection as the schema's owner, or for a first installation as a role that may
            create schemas in the database.
        schema: the schema to install into.
        application_role: an existing role that is to be given the use of the engine.
        engine_role: what it may do there; a worker runs workflows and does whatever an application does.
        create_roles: create the schema's group roles, unless they are there.
        root: directory of the SQL sources; the library's own when not given.

    Raises:
        DBOSInvalidArgumentError: the schema's name or the role cannot be used.
        DBOSInitializationError: the server is too old, the schema is not ours to write, it is ahead
            of this library, its history differs from the library's, or a file failed.
    """
    check_schema_name(schema)
    sources = load(root)
    _check_server(conn)
    applied = state.read(conn, schema)
    plan = state.decide(applied, sources, schema=schema, library_version=__version__)
    is_wanted = bool(plan) or application_role is not None or create_roles
    if not is_wanted and not indexes.left_over(applied, sources.migrations):
        return Report(schema, applied[-1].version)
    # A fresh schema has no work that could go on beside the migration.
    beside = bool(applied) and indexes.can_be_beside(conn)

    def grant() -> None:
        if create_roles:
            access.create_roles(conn, schema)
        if application_role is not None:
            access.grant_role(conn, schema, application_role, engine_role)

    # What is left over is no reason to refuse a process that only works here, and does not own the schema.
    report = Report(schema, applied[-1].version if applied else -1)
    if is_wanted:
        report = _migrate(conn, sources, schema, grant, beside=beside)
    if beside:
        indexes.complete(conn, schema, sources.migrations)
    return report


def _migrate(
    conn: psycopg.Connection[Any],
    sources: Sources,
    schema: str,
    grant: Callable[[], None],
    *,
    beside: bool,
) -> Report:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _transaction(conn):
                report = _migrate_once(conn, sources, schema, beside=beside)
                grant()
            return report
        except _COLLISIONS as exc:
            if attempt == ATTEMPTS:
                raise
            logger.info("migration of schema %r starts over: %s", schema, exc.sqlstate)
            time.sleep(0.05 * attempt)
    raise AssertionError("unreachable: the last attempt returns or raises")


def verify(
    conn: psycopg.Connection[Any], schema: str = SOURCE_SCHEMA, *, root: Path | None = None
) -> None:
    """Check that a schema is up to date, for a process that must not migrate it.

    Args:
        conn: a connection as any role that may use the engine.
        schema: the schema to check.
        root: directory of the SQL sources; the library's own when not given.

    Raises:
        DBOSInvalidArgumentError: no schema can have this name.
        DBOSInitializationError: it is not; the message says what is missing and the command to run.
    """
    _check_server(conn)
    missing = pending(conn, schema=schema, root=root)
    if not missing:
        return
    if missing.migrations and missing.migrations[0].version == 0:
        lacks = "is not installed"
    elif missing.migrations:
        lacks = "lacks the migrations " + ", ".join(m.name for m in missing.migrations)
    else:
        lacks = f"has other functions than those of library {__version__}"
    msg = f"schema {schema!r} {lacks}: run `{state.command(schema)}` as its owner"
    raise DBOSInitializationError(msg)


def pending(
    conn: psycopg.Connection[Any], *, schema: str = SOURCE_SCHEMA, root: Path | None = None
) -> Plan:
    """Return what `migrate` would apply now; false when that is nothing.

    Raises:
        DBOSInvalidArgumentError: no schema can have this name.
        DBOSInitializationError: as `migrate` does for a history it cannot work with.
    """
    check_schema_name(schema)
    applied = state.read(conn, schema)
    return state.decide(applied, load(root), schema=schema, library_version=__version__)


def _migrate_once(
    conn: psycopg.Connection[Any], sources: Sources, schema: str, *, beside: bool
) -> Report:
    conn.execute(compose.SETTINGS)
    _lock(conn, schema)
    _set_lock_timeout(conn, TABLE_LOCK_SECONDS)
    applied = state.read_table(conn, schema) if state.table_exists(conn, schema) else ()
    plan = state.decide(applied, sources, schema=schema, library_version=__version__)
    if plan:
        _refuse_extension(conn, schema)
    _apply(conn, plan, sources, schema, beside=beside and bool(applied))
    before = applied[-1].version if applied else -1
    return Report(
        schema,
        version=max(before, sources.latest_version),
        applied=tuple(m.name for m in plan.migrations),
        functions_replaced=bool(plan.repeatables),
    )


@contextmanager
def _transaction(conn: psycopg.Connection[Any]) -> Iterator[None]:
    outermost = conn.info.transaction_status == TransactionStatus.IDLE
    with conn.transaction():
        if outermost:
            # After waiting for a lock, what the other one committed must be visible.
            conn.execute("set transaction isolation level read committed, read write")
        yield


def _refuse_extension(conn: psycopg.Connection[Any], schema: str) -> None:
    if (version := state.extension_version(conn, schema)) is not None:
        msg = (
            f"schema {schema!r} belongs to the extension pyengine {version}, and this is library "
            f"{__version__}: install its files on the server, run `alter extension pyengine update` and `select "
            f"{schema}.renew_roles()`; or run `pyengine extension release` to migrate without the extension"
        )
        raise DBOSInitializationError(msg)


def _lock(conn: psycopg.Connection[Any], schema: str) -> None:
    """Keep other migrations out until the transaction ends, and make sure the schema is ours."""
    if not state.table_exists(conn, schema):
        _courtesy_lock(conn, schema)
    if state.table_exists(conn, schema):
        access.check_upgradable(conn, schema)
        _set_lock_timeout(conn, MIGRATION_LOCK_SECONDS)
        table = sql.Identifier(schema, "schema_migrations")
        conn.execute(sql.SQL("lock table {} in share row exclusive mode").format(table))
    else:
        access.check_installable(conn, schema)


def _courtesy_lock(conn: psycopg.Connection[Any], schema: str) -> None:
    _set_lock_timeout(conn, COURTESY_SECONDS)
    try:
        with conn.transaction():
            conn.execute("select pg_catalog.pg_advisory_xact_lock(%s)", [_courtesy_key(schema)])
    except psycopg.errors.LockNotAvailable:
        logger.info("somebody holds the advisory lock of schema %r; going on without it", schema)


def _courtesy_key(schema: str) -> int:
    digest = hashlib.sha256(b"pyengine schema " + schema.encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _apply(
    conn: psycopg.Connection[Any], plan: Plan, sources: Sources, schema: str, *, beside: bool
) -> None:
    for migration in plan.migrations:
        is_later = beside and migration.concurrent
        if not is_later:
            _run(conn, migration.path, migration.sql, schema)
        _run(conn, migration.path, _record(migration), schema)
        if is_later:
            _run(conn, migration.path, compose.record_incomplete(migration), schema)
    for source in plan.repeatables:
        _run(conn, source.path, source.sql, schema)
    if plan:
        _run(conn, "functions", compose.record_functions(sources, __version__), schema)


def _record(migration: Migration) -> str:
    return compose.record_migration(migration, __version__)


def _run(conn: psycopg.Connection[Any], path: str, text: str, schema: str) -> None:
    try:
        # Bytes, because this is the library's own text and not a literal in the source.
        conn.execute(rename_schema(text, schema).encode())
    except _COLLISIONS:
        raise
    except psycopg.Error as exc:
        reason = exc.diag.message_primary or "the connection was lost"
        msg = f"applying {path} to schema {schema!r} failed, nothing was changed: {reason}"
        raise DBOSInitializationError(msg) from exc


def _set_lock_timeout(conn: psycopg.Connection[Any], seconds: int) -> None:
    conn.execute("select pg_catalog.set_config('lock_timeout', %s, true)", [f"{seconds}s"])


def _check_server(conn: psycopg.Connection[Any]) -> None:
    version = conn.info.server_version
    if version < MINIMUM_SERVER:
        msg = f"PostgreSQL {version // 10000} is too old: pyengine needs 15 or newer"
        raise DBOSInitializationError(msg)
    encoding = conn.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = (
            f"database {conn.info.dbname!r} has the encoding {encoding}, which cannot hold every "
            "payload: create one with encoding UTF8"
        )
        raise DBOSInitializationError(msg)
