"""Who may install into a schema, and who may use what was installed."""

from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row, tuple_row

from pyengine.errors import DBOSInitializationError, DBOSInvalidArgumentError
from pyengine.schema import state

_NAMESPACE = """
    select
        n.oid,
        pg_catalog.pg_get_userbyid(n.nspowner),
        n.nspowner = (select r.oid from pg_catalog.pg_roles as r where r.rolname = current_user)
    from pg_catalog.pg_namespace as n
    where n.nspname = %s
"""

# Everything that lives in a schema depends on it, whatever its kind.
_CONTENT = """
    select pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
    from pg_catalog.pg_depend as d
    where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass
        and d.refobjid = %s
    order by 1
    limit 4
"""

# Roles other than the owner that may create objects in the schema; 0 is PUBLIC.
_CREATORS = """
    select case a.grantee when 0 then 'PUBLIC' else pg_catalog.pg_get_userbyid(a.grantee) end
    from pg_catalog.pg_namespace as n, pg_catalog.aclexplode(n.nspacl) as a
    where n.oid = %s and a.privilege_type = 'CREATE' and a.grantee <> n.nspowner
    order by 1
"""

_FOREIGN = """
    select o.description
    from (
        select pg_catalog.format('relation %%I', c.relname), c.relowner
        from pg_catalog.pg_class as c
        where c.relnamespace = %(oid)s
        union all
        select pg_catalog.format('function %%I', p.proname), p.proowner
        from pg_catalog.pg_proc as p
        where p.pronamespace = %(oid)s
        union all
        select pg_catalog.format('type %%I', t.typname), t.typowner
        from pg_catalog.pg_type as t
        where t.typnamespace = %(oid)s
        union all
        select pg_catalog.format('operator %%s', r.oprname), r.oprowner
        from pg_catalog.pg_operator as r
        where r.oprnamespace = %(oid)s
    ) as o (description, owner)
    join pg_catalog.pg_namespace as n on n.oid = %(oid)s
    where o.owner <> n.nspowner
    order by 1
    limit 4
"""

# Codes that the engine's functions raise.
_BAD_ARGUMENT, _CONFLICT = "PE400", "PE409"

EngineRole = Literal["observer", "client", "worker", "admin"]


def check_installable(conn: psycopg.Connection[Any], schema: str) -> None:
    """Create the schema, or accept one that was prepared: empty, ours, and closed to others.

    Objects planted beforehand could otherwise be run with the owner's rights later.

    Raises:
        DBOSInitializationError: the schema exists and is not like that, or may not be created.
    """
    found = _namespace(conn, schema)
    if found is None:
        try:
            conn.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
        except psycopg.errors.InsufficientPrivilege as exc:
            msg = (
                f"role {conn.info.user!r} may not create schema {schema!r} in database "
                f"{conn.info.dbname!r}: grant it CREATE on the database, or let an administrator "
                f"run `create schema {schema} authorization {conn.info.user}`"
            )
            raise DBOSInitializationError(msg) from exc
        return
    oid = found
    if content := _names(conn, _CONTENT, [oid]):
        msg = (
            f"schema {schema!r} exists and holds objects that are not pyengine's "
            f"({_some(content)}): choose another schema name, or drop what is in it"
        )
        raise DBOSInitializationError(msg)
    _check_creators(conn, schema, oid)


def check_upgradable(conn: psycopg.Connection[Any], schema: str) -> None:
    """Check that an installed schema belongs to the current role, with all that is in it.

    Raises:
        DBOSInitializationError: it does not, or others may create objects in it.
    """
    oid = _namespace(conn, schema)
    if oid is None:  # dropped since it was looked up; the next statement says so
        return
    if foreign := _names(conn, _FOREIGN, {"oid": oid}):
        msg = (
            f"schema {schema!r} holds objects of another owner ({_some(foreign)}): drop them first"
        )
        raise DBOSInitializationError(msg)
    _check_creators(conn, schema, oid)


def grant_role(
    conn: psycopg.Connection[Any], schema: str, role: str, engine_role: EngineRole
) -> None:
    """Let a role of the cluster do in a schema what a role of the engine may; migrations renew it.

    Raises:
        DBOSInvalidArgumentError: there is no such role.
        DBOSInitializationError: the current role may not grant it.
    """
    call = sql.SQL("select {}(role_name => %s, engine_role => %s)")
    try:
        conn.execute(call.format(sql.Identifier(schema, "grant_role")), [role, engine_role])
    except psycopg.errors.InsufficientPrivilege as exc:
        msg = f"role {conn.info.user!r} may not give {role!r} the use of schema {schema!r}"
        raise DBOSInitializationError(msg) from exc
    except psycopg.Error as exc:
        if exc.sqlstate != _BAD_ARGUMENT:
            raise
        raise DBOSInvalidArgumentError(str(exc.diag.message_primary)) from exc


def create_roles(conn: psycopg.Connection[Any], schema: str) -> tuple[str, ...]:
    """Create the group roles of a schema, or grant them anew; return their names.

    Raises:
        DBOSInitializationError: the schema's owner may not create roles, or a role of one of the
            names exists and has members.
    """
    call = sql.SQL("select {}()").format(sql.Identifier(schema, "create_roles"))
    try:
        with conn.cursor(row_factory=scalar_row) as cursor:
            return tuple(cursor.execute(call))
    except psycopg.errors.InsufficientPrivilege as exc:
        msg = (
            f"the owner of schema {schema!r} may not create roles: give it CREATEROLE, or give each login "
            f"its role directly, by `{state.command(schema)} --application-role LOGIN --engine-role ROLE`"
        )
        raise DBOSInitializationError(msg) from exc
    except psycopg.Error as exc:
        if exc.sqlstate != _CONFLICT:
            raise
        raise DBOSInitializationError(str(exc.diag.message_primary)) from exc


def _namespace(conn: psycopg.Connection[Any], schema: str) -> int | None:
    """Return the schema's oid, None when there is none; refuse a schema of another owner."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        row = cursor.execute(_NAMESPACE, [schema]).fetchone()
    if row is None:
        return None
    oid, owner, is_ours = row
    if not is_ours:
        msg = (
            f"schema {schema!r} belongs to role {owner!r}: connect as that role to install or "
            "upgrade pyengine there, or choose another schema name"
        )
        raise DBOSInitializationError(msg)
    return int(oid)


def _check_creators(conn: psycopg.Connection[Any], schema: str, oid: int) -> None:
    if creators := _names(conn, _CREATORS, [oid]):
        msg = (
            f"others may create objects in schema {schema!r} ({_some(creators)}): "
            f"`revoke create on schema {schema} from {creators[0]}` first"
        )
        raise DBOSInitializationError(msg)


def _names(
    conn: psycopg.Connection[Any], query: str, parameters: list[Any] | dict[str, Any]
) -> list[str]:
    with conn.cursor(row_factory=scalar_row) as cursor:
        return [str(name) for name in cursor.execute(query.encode(), parameters)]


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
