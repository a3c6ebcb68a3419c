"""Empty or remove the engine's schema: for tests and for starting over."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row

from pyengine.errors import DBOSInitializationError
from pyengine.schema import state
from pyengine.schema.sources import SOURCE_SCHEMA, check_schema_name

# What the installation itself put there.
KEPT = ("schema_migrations", "settings", "upkeep")

_TABLES = """
    select c.relname
    from pg_catalog.pg_class as c
    join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
    where n.nspname = %s and c.relkind in ('r', 'p') and c.relname <> all (%s)
    order by c.relname
"""


def reset(conn: psycopg.Connection[Any], schema: str = SOURCE_SCHEMA, *, truncate: bool) -> None:
    """Delete every workflow and all that belongs to them.

    Args:
        conn: a connection as the schema's owner.
        schema: the engine's schema.
        truncate: True empties the tables and keeps the installation and its settings; False drops
            the schema.

    Raises:
        DBOSInitializationError: the schema exists but pyengine is not installed in it.
    """
    check_schema_name(schema)
    with conn.transaction():
        if not state.table_exists(conn, schema):
            _refuse_foreign_schema(conn, schema)
            return
        if not truncate:
            conn.execute(sql.SQL("drop schema {} cascade").format(sql.Identifier(schema)))
            return
        with conn.cursor(row_factory=scalar_row) as cursor:
            tables = [str(name) for name in cursor.execute(_TABLES, [schema, list(KEPT)])]
        if tables:
            names = sql.SQL(", ").join(sql.Identifier(schema, table) for table in tables)
            conn.execute(sql.SQL("truncate {} restart identity").format(names))


def _refuse_foreign_schema(conn: psycopg.Connection[Any], schema: str) -> None:
    with conn.cursor(row_factory=scalar_row) as cursor:
        query = "select exists (select from pg_catalog.pg_namespace where nspname = %s)"
        if cursor.execute(query, [schema]).fetchone():
            msg = f"schema {schema!r} is not an installation of pyengine: nothing was deleted"
            raise DBOSInitializationError(msg)
