"""The engine as an extension: the same schema, which dumps whole, upgrades, and can be changed from and to plain."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from pyengine import DBOS, DBOSClient, DBOSConfig
from pyengine._version import __version__
from pyengine.errors import DBOSInitializationError
from pyengine.schema import extension, load, migrate, sql_root, verify
from pyengine.schema.sources import Release, Sources, releases
from tests.fix_server import PrivateServer, server_directory
from tests.tools import servers

Connection = psycopg.Connection[Any]


@DBOS.workflow(name="extension-ask")
def ask() -> Any:
    return DBOS.recv("answers", 30)


@pytest.fixture(scope="module")
def equipped() -> Iterator[PrivateServer]:
    """A server that finds the extension's files where they were written, without an installation."""
    bindir = os.environ.get("PYENGINE_PG_BINDIR")
    if bindir is not None and servers.major_version(Path(bindir)) < 18:
        pytest.skip("extension_control_path came with PostgreSQL 18")
    directory = server_directory()
    files = directory / "share" / "extension"
    files.mkdir(parents=True)
    for name, text in extension.files().items():
        (files / name).write_text(text)
    started = PrivateServer(
        directory / "server", {"extension_control_path": f"$system:{directory / 'share'}"}
    )
    yield started
    started.close()
    shutil.rmtree(directory)


@pytest.fixture
def files(equipped: PrivateServer) -> Path:
    return equipped.root.parent / "share" / "extension"


@contextmanager
def database(equipped: PrivateServer) -> Iterator[str]:
    name = f"ext_{uuid4().hex[:8]}"
    with psycopg.connect(equipped.dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        yield equipped.url(name)
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def url(equipped: PrivateServer) -> Iterator[str]:
    with database(equipped) as name:
        yield name


@pytest.fixture
def conn(url: str) -> Iterator[Connection]:
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def extended(conn: Connection) -> Connection:
    conn.execute("create extension pyengine")
    return conn


def pg(equipped: PrivateServer, program: str, *arguments: str, text: str = "") -> str:
    done = subprocess.run(
        [str(equipped.bindir / program), *arguments],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def schema_of(equipped: PrivateServer, url: str) -> str:
    dump = pg(equipped, "pg_dump", "--schema-only", "--schema=pyengine", url)
    return re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.MULTILINE)


def config(url: str) -> DBOSConfig:
    return {"name": "extension-app", "system_database_url": url, "log_level": "WARNING"}


@contextmanager
def launched(url: str) -> Iterator[None]:
    DBOS.destroy()
    DBOS(config=config(url))
    DBOS.launch()
    try:
        yield
    finally:
        DBOS.destroy()


def test_create_extension_makes_an_engine_that_runs(extended: Connection, url: str) -> None:
    verify(extended)
    with launched(url):
        handle = DBOS.start_workflow(ask)
        DBOS.send(handle.workflow_id, 7, "answers")
        assert handle.get_result() == 7


def test_a_role_that_may_only_create_in_the_database_creates_it(conn: Connection) -> None:
    name = sql.Identifier(f"owner_{uuid4().hex[:8]}")
    conn.execute(sql.SQL("create role {}").format(name))
    grant = sql.SQL("grant create on database {} to {}")
    conn.execute(grant.format(sql.Identifier(conn.info.dbname), name))
    conn.execute(sql.SQL("set role {}").format(name))
    conn.execute("create extension pyengine")
    verify(conn)
    conn.execute("reset role")
    conn.execute(sql.SQL("drop owned by {}; drop role {}").format(name, name))


def test_it_is_what_a_migration_makes(
    equipped: PrivateServer, extended: Connection, url: str
) -> None:
    extension.release(extended)
    with database(equipped) as other, psycopg.connect(other, autocommit=True) as plain:
        migrate(plain)
        assert schema_of(equipped, url) == schema_of(equipped, other)


def test_a_dump_holds_everything_and_running_workflows_go_on(
    equipped: PrivateServer, extended: Connection, url: str
) -> None:
    extended.execute("select pyengine.set_max_payload_bytes(200000)")
    with launched(url):
        waiting = DBOS.start_workflow(ask).workflow_id
        DBOS.send(waiting, "before the dump", "others")
        DBOS.register_queue("dumped", concurrency=3)
    before = contents(extended)
    assert {"workflows", "messages", "queues", "executors"} <= {k for k, v in before.items() if v}

    dump = pg(equipped, "pg_dump", url)
    with database(equipped) as other:
        pg(equipped, "psql", "-qX", "-v", "ON_ERROR_STOP=1", other, text=dump)
        with psycopg.connect(other, autocommit=True) as restored:
            assert contents(restored) == before
        with launched(other):
            DBOS.send(waiting, "after the restore", "answers")
            assert DBOS.get_result(waiting) == "after the restore"


def test_a_row_that_the_script_writes_can_be_restored(extended: Connection) -> None:
    query = "select tgrelid::regclass::text from pg_trigger where tgfoid = 'pyengine._replace_only_row'::regproc"
    replaced = {name.removeprefix("pyengine.") for (name,) in extended.execute(query.encode())}
    written = {table for table, rows in contents(extended).items() if rows}

    assert written == replaced, (
        "a dump of these tables cannot be restored over the rows that a migration inserts: give them the trigger "
        "`before insert ... execute function pyengine._replace_only_row()` in a migration"
    )


def contents(conn: Connection) -> dict[str, list[Any]]:
    """The rows of all tables, but those that the script of the extension writes itself."""
    query = (
        "select relname from pg_class where relnamespace = 'pyengine'::regnamespace"
        " and relkind = 'r' and relname not in ('schema_migrations', 'waiters')"
    )
    return {
        table: sorted(conn.execute(f"select t::text from pyengine.{table} t".encode()).fetchall())
        for (table,) in conn.execute(query.encode()).fetchall()
    }


def members(conn: Connection) -> list[Any]:
    query = """
        select pg_describe_object(d.classid, d.objid, 0), d.objid = any (e.extconfig)
        from pg_depend d join pg_extension e on e.oid = d.refobjid
        where d.refclassid = 'pg_extension'::regclass and d.deptype = 'e' and e.extname = 'pyengine'
        order by 1
    """
    return conn.execute(query.encode()).fetchall()


def test_a_plain_installation_becomes_the_extension_and_goes_on(
    equipped: PrivateServer, conn: Connection, url: str
) -> None:
    migrate(conn)
    with launched(url):
        waiting = DBOS.start_workflow(ask).workflow_id
        extension.adopt(conn)
        DBOS.send(waiting, 1, "answers")
        assert DBOS.get_result(waiting) == 1

    with database(equipped) as other, psycopg.connect(other, autocommit=True) as fresh:
        fresh.execute("create extension pyengine")
        assert members(conn) == members(fresh)


def test_the_extension_becomes_a_plain_installation_and_goes_on(
    extended: Connection, url: str
) -> None:
    with launched(url):
        waiting = DBOS.start_workflow(ask).workflow_id
        extension.release(extended)
        DBOS.send(waiting, 1, "answers")
        assert DBOS.get_result(waiting) == 1
    extended.execute("update pyengine.schema_migrations set functions_sha256 = null")
    assert migrate(extended).functions_replaced
    with pytest.raises(DBOSInitializationError, match="no extension pyengine"):
        extension.release(extended)


def test_only_this_versions_schema_is_adopted(conn: Connection) -> None:
    migrate(conn)
    conn.execute("update pyengine.schema_migrations set functions_sha256 = null")

    with pytest.raises(DBOSInitializationError, match="run pyengine migrate first"):
        extension.adopt(conn)
    assert conn.execute("select from pg_extension where extname = 'pyengine'").fetchall() == []


def test_a_server_without_the_files_says_so(engine_url: str) -> None:
    with (
        psycopg.connect(engine_url, autocommit=True) as conn,
        pytest.raises(DBOSInitializationError, match="make -C sql/extension install"),
    ):
        extension.adopt(conn)


def test_the_library_leaves_an_extension_to_alter_extension(extended: Connection) -> None:
    extended.execute("update pyengine.schema_migrations set functions_sha256 = null")

    with pytest.raises(DBOSInitializationError, match="alter extension pyengine update"):
        migrate(extended)


def test_an_older_extension_is_upgraded_with_its_roles(
    conn: Connection, equipped: PrivateServer, files: Path
) -> None:
    sources = load()
    older = Sources(sources.migrations[:-1], ())
    old_files = {
        "pyengine--0.0.1.sql": extension.install_script(older),
        f"pyengine--0.0.1--{__version__}.sql": extension.upgrade_script(
            sources, Release("0.0.1", older.latest_version)
        ),
    }
    for name, text in old_files.items():
        (files / name).write_text(text)
    conn.execute("create extension pyengine version '0.0.1'")
    conn.execute(f"alter extension pyengine update to '{__version__}'".encode())
    for name in old_files:
        (files / name).unlink()

    verify(conn)
    with database(equipped) as other, psycopg.connect(other, autocommit=True) as fresh:
        fresh.execute("create extension pyengine")
        assert members(conn) == members(fresh)


def test_grants_of_roles_survive_a_dump(
    equipped: PrivateServer, extended: Connection, url: str
) -> None:
    name = f"web_{uuid4().hex[:8]}"
    extended.execute(f"create role {name} login".encode())
    extended.execute("select pyengine.grant_role(%s, 'client')", [name])
    dump = pg(equipped, "pg_dump", url)
    with database(equipped) as other:
        pg(equipped, "psql", "-qX", "-v", "ON_ERROR_STOP=1", other, text=dump)
        with psycopg.connect(other, autocommit=True) as restored:
            restored.execute(f"set role {name}".encode())
            restored.execute("select * from pyengine.list_workflows()")
    extended.execute(f"drop owned by {name}; drop role {name}".encode())


def test_make_install_puts_the_files_where_the_server_looks(
    equipped: PrivateServer, tmp_path: Path
) -> None:
    pg_config = equipped.bindir / "pg_config"
    done = subprocess.run(
        [
            *("make", "-C", str(sql_root() / "extension"), "install"),
            *(f"PG_CONFIG={pg_config}", f"DESTDIR={tmp_path}"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    share = subprocess.run(
        [str(pg_config), "--sharedir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    installed = tmp_path / share.lstrip("/") / "extension"
    assert {file.name: file.read_text() for file in installed.iterdir()} == extension.files()


def test_pg_tle_is_given_the_same_script(conn: Connection) -> None:
    """pg_tle itself is a module of the server; this takes what its function would be given."""
    conn.execute("create schema pgtle")
    conn.execute(
        "create table pgtle.given (name text, version text, description text, script text)"
    )
    conn.execute(
        "create function pgtle.install_extension(name text, version text, description text, script text)"
        " returns void begin atomic insert into pgtle.given values (name, version, description, script); end"
    )
    conn.execute(extension.pg_tle_script().encode())

    ((name, version, script),) = conn.execute(
        "select name, version, script from pgtle.given"
    ).fetchall()
    assert (name, version) == ("pyengine", __version__)
    assert "\\echo" not in script
    conn.execute("create schema pyengine")
    conn.execute(script.replace("@extschema@", "pyengine").encode())
    verify(conn)


def test_the_control_file_names_this_version() -> None:
    assert f"default_version = '{__version__}'" in extension.files()["pyengine.control"]


def test_released_versions_are_headings_behind_their_migrations(tmp_path: Path) -> None:
    file = tmp_path / "migrations" / "RELEASED"
    file.parent.mkdir()
    file.write_text("# about\nab  0000_a\ncd  0001_b\n# 0.1.0\n# 0.1.1\nef  0002_c\n# 0.2.0\n")

    assert releases(tmp_path) == (Release("0.1.0", 1), Release("0.1.1", 1), Release("0.2.0", 2))


def test_a_client_works_on_an_extension(extended: Connection, url: str) -> None:
    with DBOSClient(system_database_url=url) as client:
        assert client.list_workflows() == []
