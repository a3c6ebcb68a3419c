"""The engine as a PostgreSQL extension: its files, and the way to it and back from a plain installation.

The scripts are composed from the same lists as a migration, so both ways of installing make the same schema. What only
a script of an extension does stands in this module.
"""

from typing import Any

import psycopg

from pyengine._version import __version__
from pyengine.errors import DBOSInitializationError
from pyengine.schema import compose, state
from pyengine.schema.rename import rewrite_schema
from pyengine.schema.sources import SOURCE_SCHEMA, Release, Sources, load, releases, sql_root

UNPACKAGED = "unpackaged"
_HEAD = '\\echo Use "create extension pyengine" to load this file. \\quit\n'

# Without this pg_dump would leave all rows out: an extension's rows are taken to come from its scripts, as those of
# the migrations do.
_DUMPED = """\
do $$
declare
    v_relation pg_catalog.pg_class;
begin
    for v_relation in
        select c.*
        from pg_catalog.pg_extension e
        join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
            and d.refobjid = e.oid and d.deptype = 'e' and d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
        join pg_catalog.pg_class c on c.oid = d.objid
        where e.extname = 'pyengine' and c.relkind in ('r', 'p', 'S')
    loop
        perform pg_catalog.pg_extension_config_dump(v_relation.oid,
            case v_relation.relname when 'schema_migrations' then 'where false' else '' end);
    end loop;
end
$$;
"""

# Grants inside a script would count as the extension's own, and be missing in a dump.
_RENEW = """\
do $$
begin
    raise warning 'now renew the grants of roles: select pyengine.renew_roles()';
end
$$;
"""

# Everything in the schema that is an object of its own. {verb} is add or drop.
_MEMBERS = """
    select pg_catalog.format('alter extension pyengine %s %s %s', '{verb}', o.kind, o.name)
    from (
        select case c.relkind when 'S' then 'sequence' when 'v' then 'view' when 'c' then 'type' else 'table' end,
            c.oid::pg_catalog.regclass::text, c.relnamespace
        from pg_catalog.pg_class c
        where c.relkind in ('r', 'p', 'S', 'v', 'c')
        union all
        select 'function', p.oid::pg_catalog.regprocedure::text, p.pronamespace
        from pg_catalog.pg_proc p
    ) o (kind, name, namespace)
    where o.namespace = '{schema}'::pg_catalog.regnamespace
    order by 1
"""


def files() -> dict[str, str]:
    """The control file and the scripts, by name: to be put into the server's extension directory."""
    sources = load()
    written = {
        "pyengine.control": _control(),
        f"pyengine--{__version__}.sql": install_script(sources),
        f"pyengine--{UNPACKAGED}.sql": _HEAD,
        f"pyengine--{UNPACKAGED}--{__version__}.sql": _adoption_script(sources),
    }
    for release in releases():
        if release.version != __version__:
            name = f"pyengine--{release.version}--{__version__}.sql"
            written[name] = upgrade_script(sources, release)
    return written


def install_script(sources: Sources) -> str:
    """The script of `create extension`."""
    return _script(compose.install(sources), sources)


def upgrade_script(sources: Sources, release: Release) -> str:
    """The script of `alter extension pyengine update`, from an older release."""
    return _script(compose.upgrade(sources, release.last_migration), sources) + _RENEW


def pg_tle_script() -> str:
    """SQL that installs the extension through pg_tle, where no files can be put on the server."""
    body = install_script(load()).removeprefix(_HEAD)
    comment = _control().splitlines()[0].partition("=")[2].strip()
    return (
        f"select pgtle.install_extension('pyengine', '{__version__}', {comment}, $_pyengine_$\n"
        f"{body}$_pyengine_$);\n"
    )


def adopt(conn: psycopg.Connection[Any]) -> None:
    """Make a plain installation in the schema pyengine the extension. Rows and running workflows stay.

    Raises:
        DBOSInitializationError: the server lacks the extension's files, or the installation is not of this version.
    """
    try:
        with conn.transaction():
            conn.execute(f"create extension pyengine version '{UNPACKAGED}'".encode())
            conn.execute(f"alter extension pyengine update to '{__version__}'".encode())
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as exc:
        msg = (
            f"the server does not have the files of extension pyengine {__version__}: "
            "`make -C sql/extension install` puts them there"
        )
        raise DBOSInitializationError(msg) from exc
    except psycopg.errors.RaiseException as exc:
        raise DBOSInitializationError(str(exc.diag.message_primary)) from exc


def release(conn: psycopg.Connection[Any]) -> None:
    """Make the extension a plain installation, for `pyengine migrate`. Rows and running workflows stay.

    Raises:
        DBOSInitializationError: there is no extension pyengine in the database.
    """
    with conn.transaction():
        if state.extension_version(conn, SOURCE_SCHEMA) is None:
            msg = "the database has no extension pyengine"
            raise DBOSInitializationError(msg)
        conn.execute("set local search_path = pg_catalog, pg_temp")
        query = _MEMBERS.format(verb="drop", schema=SOURCE_SCHEMA)
        for (statement,) in conn.execute(query.encode()).fetchall():
            conn.execute(statement)
        conn.execute("drop extension pyengine")


def _script(plan: compose.Plan, sources: Sources) -> str:
    text = compose.source_script(plan, sources, library_version=__version__)
    return _HEAD + compose.SETTINGS + rewrite_schema(text, "@extschema@") + _DUMPED


def _adoption_script(sources: Sources) -> str:
    members = _MEMBERS.format(verb="add", schema="@extschema@")
    return f"""\
{_HEAD}
set local search_path = pg_catalog, pg_temp;
do $$
declare
    v_statement text;
begin
    if not exists (
        select
        from @extschema@.schema_migrations m
        where m.version = {sources.latest_version} and m.functions_sha256 = '{sources.functions_sha256}'
    ) then
        raise exception 'the schema is not that of pyengine {__version__}: run pyengine migrate first';
    end if;
    for v_statement in {members} loop
        execute v_statement;
    end loop;
end
$$;
{_DUMPED}"""


def _control() -> str:
    return (sql_root() / "extension" / "pyengine.control").read_text(encoding="utf-8")
