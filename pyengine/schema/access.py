"""Who may install into a schema, and who may use what was installed."""

from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import scalar_row, tuple_row

from pyengine.errors import DBOSInitializationError, DBOSInvalidArgumentError

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

_FUNCTIONS = """
    select p.oid::pg_catalog.regprocedure::text
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = %s and p.proname !~ '^_'
    order by 1
"""


# Roles that may use the engine: whoever was given it may ask for its migrations.
_APPLICATIONS = """
    select pg_catalog.pg_get_userbyid(a.grantee)
    from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    cross join pg_catalog.aclexplode(p.proacl) as a
    where n.nspname = %s and p.proname = 'list_migrations'
        and a.grantee not in (0, p.proowner)
    order by 1
"""


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


def renew_grants(conn: psycopg.Connection[Any], schema: str) -> None:
    """Let the roles that were granted every public function use the new ones as well.

    Membership of a group role needs no renewal; see `grant_application`.
    """
    if _has_grant_function(conn, schema):
        return
    for role in _names(conn, _APPLICATIONS, [schema]):
        _grant_functions(conn, schema, role)


def grant_application(conn: psycopg.Connection[Any], schema: str, role: str) -> None:
    """Give a role the use of the engine.

    The engine's own function decides what that means (membership of the group roles); an
    installation without it grants the schema's public functions one by one.

    Raises:
        DBOSInvalidArgumentError: there is no such role.
        DBOSInitializationError: the current role may not grant it.
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        query = "select exists (select from pg_catalog.pg_roles where rolname = %s)"
        if not cursor.execute(query, [role]).fetchone():
            msg = f"application_role {role!r} does not exist: create it first, or correct the name"
            raise DBOSInvalidArgumentError(msg)
    try:
        if _has_grant_function(conn, schema):
            call = sql.SQL("select {}(%s)").format(sql.Identifier(schema, "_grant_application"))
            conn.execute(call, [role])
        else:
            _grant_functions(conn, schema, role)
    except psycopg.errors.InsufficientPrivilege as exc:
        msg = f"role {conn.info.user!r} may not give {role!r} the use of schema {schema!r}"
        raise DBOSInitializationError(msg) from exc


def _has_grant_function(conn: psycopg.Connection[Any], schema: str) -> bool:
    query = """
        select exists (
            select from pg_catalog.pg_proc as p
            join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
            where n.nspname = %s and p.proname = '_grant_application'
        )
    """
    with conn.cursor(row_factory=scalar_row) as cursor:
        return bool(cursor.execute(query, [schema]).fetchone())


def _grant_functions(conn: psycopg.Connection[Any], schema: str, role: str) -> None:
    names = {"schema": sql.Identifier(schema), "role": sql.Identifier(role)}
    conn.execute(sql.SQL("grant usage on schema {schema} to {role}").format(**names))
    functions = _names(conn, _FUNCTIONS, [schema])
    # The server wrote and quoted these signatures.
    signatures = sql.SQL(", ".join(functions))  # pyright: ignore[reportArgumentType]
    grant = sql.SQL("grant execute on function {functions} to {role}")
    conn.execute(grant.format(functions=signatures, **names))


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
