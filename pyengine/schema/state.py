"""Read which migrations a schema has had, and decide what it lacks."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row, scalar_row

from pyengine.errors import DBOSInitializationError
from pyengine.schema.compose import Plan, install, upgrade
from pyengine.schema.sources import Sources

logger = logging.getLogger("pyengine.schema")

# Not by its name: a schema of before the first release lacks that column, and is told so by the hash of its migration.
_IS_COMPLETE = "coalesce((to_jsonb(m) ->> 'is_complete')::boolean, true) as is_complete"
_COLUMNS = f"m.version, m.name, m.sha256, m.breaking, m.functions_sha256, m.library_version, {_IS_COMPLETE}"
_BY_FUNCTION = sql.SQL(f"select {_COLUMNS} from {{}}.list_migrations() as m order by m.version")
_BY_TABLE = sql.SQL(f"select {_COLUMNS} from {{}}.schema_migrations as m order by m.version")


@dataclass(frozen=True)
class Applied:
    """A migration that a schema has had."""

    version: int
    name: str
    sha256: str
    breaking: bool
    functions_sha256: str | None
    library_version: str
    is_complete: bool = True


def read(conn: psycopg.Connection[Any], schema: str) -> tuple[Applied, ...]:
    """Return the migrations of a schema, oldest first; none when pyengine is not installed there.

    Raises:
        DBOSInitializationError: the connection's role may not look.
    """
    query = _BY_FUNCTION.format(sql.Identifier(schema))
    try:
        try:
            with conn.transaction(), conn.cursor(row_factory=class_row(Applied)) as cursor:
                return tuple(cursor.execute(query))
        except (psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName):
            # Nothing there, or an installation whose functions were lost: the table tells.
            with conn.transaction():
                return read_table(conn, schema) if table_exists(conn, schema) else ()
    except psycopg.errors.InsufficientPrivilege as exc:
        msg = (
            f"role {_current_role(conn)!r} has no access to schema {schema!r}: run "
            f"`{command(schema)} --application-role ROLE` as the schema's owner to give it some"
        )
        raise DBOSInitializationError(msg) from exc


def read_table(conn: psycopg.Connection[Any], schema: str) -> tuple[Applied, ...]:
    """Return the migrations of a schema from the table itself, which only the owner may read."""
    query = _BY_TABLE.format(sql.Identifier(schema))
    with conn.cursor(row_factory=class_row(Applied)) as cursor:
        return tuple(cursor.execute(query))


def table_exists(conn: psycopg.Connection[Any], schema: str) -> bool:
    """Whether the schema has a table of migrations."""
    query = """
        select exists (
            select from pg_catalog.pg_class as c
            join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
            where n.nspname = %s and c.relname = 'schema_migrations' and c.relkind = 'r'
        )
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(query, [schema]).fetchone())


def extension_version(conn: psycopg.Connection[Any], schema: str) -> str | None:
    """The version of the extension that a schema belongs to; None when it is a plain installation."""
    query = """
        select e.extversion
        from pg_catalog.pg_extension as e
        join pg_catalog.pg_namespace as n on n.oid = e.extnamespace
        where e.extname = 'pyengine' and n.nspname = %s
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        found = cursor.execute(query, [schema]).fetchone()
        return None if found is None else str(found)


def decide(
    applied: Sequence[Applied], sources: Sources, *, schema: str, library_version: str
) -> Plan:
    """Return what a schema lacks.

    A schema that is ahead of this library is left as it is, functions included: older functions
    must not replace newer ones while both versions of the library are running.

    Raises:
        DBOSInitializationError: a migration was changed after it was applied, one is missing in
            between, or the schema is ahead in a way that this library cannot work with.
    """
    if not applied:
        return install(sources)
    _check_history(applied, sources, schema)
    newest = applied[-1]
    if newest.version > sources.latest_version:
        _check_ahead(applied, sources, schema=schema, library_version=library_version)
        return Plan((), ())
    if newest.version == sources.latest_version:
        if newest.functions_sha256 == sources.functions_sha256:
            return Plan((), ())
        if _release(newest.library_version) > _release(library_version):
            logger.info(
                "schema %r keeps the functions of library %s; this is library %s",
                schema,
                newest.library_version,
                library_version,
            )
            return Plan((), ())
    return upgrade(sources, newest.version)


def command(schema: str) -> str:
    """Return the command line that brings a schema up to date."""
    return "pyengine migrate" if schema == "pyengine" else f"pyengine migrate --schema {schema!r}"


def _check_history(applied: Sequence[Applied], sources: Sources, schema: str) -> None:
    for expected, row in enumerate(applied):
        if row.version != expected:
            msg = (
                f"schema {schema!r} has no record of migration {expected:04} although it has one "
                f"of {row.name}: restore {schema}.schema_migrations from a backup"
            )
            raise DBOSInitializationError(msg)
    for row, migration in zip(applied, sources.migrations, strict=False):
        if row.sha256 != migration.sha256:
            msg = (
                f"migration {row.name} was applied to schema {schema!r} by library "
                f"{row.library_version} with hash {row.sha256[:12]}, but this library ships "
                f"{migration.name} with hash {migration.sha256[:12]}. A released migration never "
                "changes: use the released library; a development database can be emptied with "
                f"`pyengine reset{'' if schema == 'pyengine' else f' --schema {schema!r}'}`"
            )
            raise DBOSInitializationError(msg)


def _check_ahead(
    applied: Sequence[Applied], sources: Sources, *, schema: str, library_version: str
) -> None:
    newest = applied[-1]
    unknown = applied[sources.latest_version + 1 :]
    breaking = [row.name for row in unknown if row.breaking]
    if breaking:
        msg = (
            f"schema {schema!r} is at version {newest.version} (library {newest.library_version}), "
            f"but library {library_version} knows versions up to {sources.latest_version} and "
            f"cannot work with {', '.join(breaking)}: upgrade pyengine to "
            f"{newest.library_version} or newer"
        )
        raise DBOSInitializationError(msg)
    logger.warning(
        "schema %r is at version %s (library %s), newer than the version %s of library %s; "
        "they work together, but upgrade pyengine here as well",
        schema,
        newest.version,
        newest.library_version,
        sources.latest_version,
        library_version,
    )


def _release(version: str) -> tuple[int, ...]:
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()


def _current_role(conn: psycopg.Connection[Any]) -> str:
    return conn.info.user
