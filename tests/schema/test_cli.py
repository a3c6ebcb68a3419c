"""The commands that look after the schema."""

import logging
import secrets
from collections.abc import Iterator
from typing import Any, get_args

import psycopg
import pytest

from pyengine._version import __version__
from pyengine.cli import main
from pyengine.schema import EngineRole, load, verify
from tests.cli.program import pyengine
from tests.schema.conftest import Connect

SECRET = "hunter2secret"


@pytest.fixture
def quiet_logger() -> Iterator[None]:
    """Undo what the command line sets for its own process."""
    logger = logging.getLogger("pyengine")
    level = logger.level
    yield
    logger.setLevel(level)


def is_installed(conn: psycopg.Connection[Any], schema: str = "pyengine") -> bool:
    row = conn.execute("select to_regnamespace(quote_ident(%s)) is not null", [schema]).fetchone()
    return row == (True,)


def test_it_tells_its_version() -> None:
    done = pyengine("version")

    assert done.stdout == f"pyengine {__version__} (schema version {load().latest_version})\n"


def test_without_a_command_it_explains_itself() -> None:
    done = pyengine()

    assert done.returncode == 2
    assert "Usage: pyengine" in done.stderr


def test_migrate_installs_and_then_has_nothing_to_do(
    conn: psycopg.Connection[Any], empty_database: str
) -> None:
    first = pyengine("migrate", url=empty_database)
    second = pyengine("migrate", "--database-url", empty_database)

    assert "applied 0000_schema_migrations\n" in first.stdout
    assert second.stdout == f"schema 'pyengine' is at version {load().latest_version}\n"
    assert (first.stderr, second.stderr) == ("", "")
    verify(conn)


def test_migrate_takes_a_schema_and_a_role(
    conn: psycopg.Connection[Any], empty_database: str
) -> None:
    done = pyengine("migrate", "--schema", "my own", "-r", "no_such_role", url=empty_database)
    assert done.returncode == 1
    assert "'no_such_role' does not exist" in done.stderr
    assert not is_installed(conn, "my own")

    assert pyengine("migrate", "--schema", "my own", url=empty_database).returncode == 0
    verify(conn, "my own")


def test_migrate_gives_roles_to_logins_and_groups(
    conn: psycopg.Connection[Any], empty_database: str
) -> None:
    names = [f"roles_{secrets.token_hex(4)}", f"web_{secrets.token_hex(4)}"]
    conn.execute(f"create role {names[1]} login".encode())
    done = pyengine(
        *("migrate", "--schema", names[0], "--create-roles"),
        *("--application-role", names[1], "--engine-role", "client"),
        url=empty_database,
    )
    may = (
        f"select has_function_privilege(%s, '{names[0]}.start_workflows(json, bigint, json)', 'execute'),"
        f" has_function_privilege(%s, '{names[0]}.finish_workflows(json)', 'execute')"
    ).encode()
    granted = {
        role: conn.execute(may, [role, role]).fetchone()
        for role in (names[1], f"{names[0]}_client", f"{names[0]}_worker")
    }
    for role in (names[1], *(f"{names[0]}_{each}" for each in get_args(EngineRole))):
        conn.execute(f"drop owned by {role}; drop role {role}".encode())

    assert done.returncode == 0, done.stderr
    assert list(granted.values()) == [(True, False), (True, False), (True, True)]


def test_the_printed_sql_does_what_migrate_does(connect: Connect, empty_database: str) -> None:
    for schema in ("pyengine", "my own"):
        printed = pyengine("migrate", "--print", "--schema", schema, url=empty_database).stdout
        assert printed == pyengine("migrate", "--print=all", "--schema", schema).stdout
        assert not is_installed(connect(), schema)

        connect().execute(printed.encode())

        verify(connect(), schema)
        again = pyengine("migrate", "--print", "--schema", schema, url=empty_database)
        assert again.stdout == ""


def test_the_printed_sql_of_an_upgrade_does_what_migrate_does(
    connect: Connect, empty_database: str
) -> None:
    conn = connect()
    pyengine("migrate", url=empty_database)
    conn.execute("update pyengine.schema_migrations set functions_sha256 = null")

    connect().execute(pyengine("migrate", "--print", url=empty_database).stdout.encode())

    verify(conn)


def test_reset_asks_first(conn: psycopg.Connection[Any], empty_database: str) -> None:
    pyengine("migrate", url=empty_database)

    assert pyengine("reset", url=empty_database, answer="no\n").returncode == 1
    assert pyengine("reset", url=empty_database).returncode == 1
    assert is_installed(conn)
    assert pyengine("reset", "--truncate", url=empty_database, answer="y\n").returncode == 0
    assert is_installed(conn)
    assert pyengine("reset", "--yes", url=empty_database).returncode == 0
    assert not is_installed(conn)


def test_the_exit_status_of_no_database_and_of_no_schema_says_what_to_do(
    empty_database: str,
) -> None:
    nowhere = pyengine("migrate", "-s", "postgresql://u@127.0.0.1:1/d")
    assert nowhere.returncode == 1
    assert "Connection refused" in nowhere.stderr
    assert pyengine("migrate", "--wrong").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_code_is_that_of_the_shell(shell: str) -> None:
    printed = pyengine("completion", shell)

    assert (printed.returncode, printed.stderr) == (0, "")
    assert f"_PYENGINE_COMPLETE={shell}_complete" in printed.stdout


def test_a_shell_completes_commands_and_options() -> None:
    asked = {"_PYENGINE_COMPLETE": "bash_complete", "COMP_WORDS": "pyengine res", "COMP_CWORD": "1"}

    assert pyengine(**asked).stdout == "plain,reset\n"


def test_psql_opens_on_the_database(empty_database: str) -> None:
    done = pyengine("psql", "--", "-XAtc", "select current_database()", url=empty_database)

    assert done.stdout.startswith("schema_")
    assert pyengine("psql", "--", "-Xc", "wrong", url=empty_database).returncode == 1


@pytest.mark.parametrize(
    "url",
    [
        f"postgres//u:{SECRET}@h/d",
        f"postgresql://u:{SECRET}%@h/d",
        f"postgresql://u:{SECRET}@127.0.0.1:1/d",
        f"postgresql://u:{SECRET}@127.0.0.1:1/d?no_such_option={SECRET}",
        f"host=127.0.0.1 port=1 password={SECRET}",
        f"mysql://u:{SECRET}@h/d",
    ],
)
@pytest.mark.parametrize("command", ["migrate", "reset", "psql"])
def test_no_error_shows_a_password(
    command: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    quiet_logger: None,
) -> None:
    options = ["--yes"] if command == "reset" else []
    assert main([command, *options, "-s", url]) != 0
    monkeypatch.setenv("DBOS_SYSTEM_DATABASE_URL", url)
    assert main([command, *options]) != 0

    out, err = capfd.readouterr()
    assert err.count("cannot be used") + err.count("failed: Connection refused") >= 2
    assert SECRET not in out + err
