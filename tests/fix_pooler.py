"""Fixtures: the engines of the tests behind PgBouncer, when PYENGINE_TEST_POOLER asks for it.

`listen` gives them a direct URL to listen on, `poll` lets them do without LISTEN. The pooler is in transaction mode and
gives each statement another server session, so that nothing can depend on one. What the tests themselves look at,
they look at directly.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pytest

from pyengine.config import DBOSConfig
from tests.fix_server import server_directory

MODE = os.environ.get("PYENGINE_TEST_POOLER", "")
assert MODE in ("", "listen", "poll"), "PYENGINE_TEST_POOLER is listen or poll"

_SETTINGS = """\
[databases]
* = host={host} port={port} user=postgres

[pgbouncer]
listen_port = 6432
listen_addr =
unix_socket_dir = {directory}
auth_type = any
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
min_pool_size = 3
max_client_conn = 500
ignore_startup_parameters = extra_float_digits
log_connections = 0
log_disconnections = 0
"""


def program() -> str | None:
    """PgBouncer, where Debian and others put it."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@pytest.fixture(scope="session")
def pooler(database_url: str) -> Iterator[Path]:
    """The directory of the socket of a running PgBouncer before the tests' server."""
    found = program()
    assert found is not None, (
        "pgbouncer is not installed: apt install --no-install-recommends pgbouncer"
    )
    directory = server_directory()
    place = parse_qs(urlsplit(database_url).query)
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        _SETTINGS.format(host=place["host"][0], port=place["port"][0], directory=directory)
    )
    command = [found, "-q", str(settings)]
    if os.geteuid() == 0:  # it refuses to run as root
        account = pwd.getpwuid(Path(place["host"][0]).stat().st_uid)
        os.chown(directory, account.pw_uid, account.pw_gid)
        command[1:1] = ["-u", account.pw_name]
    with (directory / "log").open("wb") as log:
        running = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        url = pooled(database_url, directory)
        _await(running, url, directory / "log")
        _open_several(url)
        yield directory
    finally:
        running.terminate()
        running.wait(10)
        shutil.rmtree(directory)


def pooled(url: str, directory: Path) -> str:
    """The URL of the same database through the pooler."""
    database = urlsplit(url).path
    return f"postgresql://postgres@{database}?host={quote(str(directory), safe='')}&port=6432"


def _await(running: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 10
    while running.poll() is None and time.monotonic() < deadline:
        with suppress(psycopg.OperationalError):
            psycopg.connect(url, prepare_threshold=None).close()
            return
        time.sleep(0.02)
    pytest.fail(f"pgbouncer does not answer: {log.read_text()}")


def _open_several(url: str) -> None:
    """Make the pooler open several server sessions, which it then gives out in turn."""
    with ExitStack() as stack:
        for _ in range(4):
            connection = stack.enter_context(psycopg.connect(url, prepare_threshold=None))
            connection.execute("select")  # a transaction keeps its server session


@pytest.fixture
def engine_config(engine_url: str, request: pytest.FixtureRequest) -> DBOSConfig:
    """How the engines of the tests reach their database."""
    if not MODE:
        return {"system_database_url": engine_url}
    url = pooled(engine_url, request.getfixturevalue("pooler"))
    if MODE == "poll":
        return {"system_database_url": url, "use_listen_notify": False}
    return cast("DBOSConfig", {"system_database_url": url, "listen_database_url": engine_url})


_LEFT = """
    select pg_backend_pid(), array(
        select s.name || ' = ' || s.setting from pg_settings s
        where s.source = 'session' and s.name <> all (%s)
    )
"""
# What PgBouncer itself sets, for each client anew; and what each transaction begins with anew.
_OF_POOLER = (
    *("application_name", "client_encoding", "DateStyle", "IntervalStyle", "TimeZone"),
    *("standard_conforming_strings", "transaction_isolation", "transaction_read_only"),
)


def settings_left(url: str, looks: int = 12) -> dict[int, tuple[str, ...]]:
    """The settings that somebody has left in the server sessions of a pooler, by their server processes."""
    found: dict[int, tuple[str, ...]] = {}
    for _ in range(looks):
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            row = connection.execute(_LEFT, [list(_OF_POOLER)]).fetchone()
            assert row is not None
            found[row[0]] = tuple(row[1])
    return found


@pytest.fixture(autouse=True)
def _sessions_stay_clean(request: pytest.FixtureRequest) -> Iterator[None]:
    """Behind a pooler a session is another program's next: no test's engine leaves a setting in one."""
    yield
    if MODE and "engine_config" in request.fixturenames:
        url = pooled(request.getfixturevalue("engine_url"), request.getfixturevalue("pooler"))
        left = {text for texts in settings_left(url, 6).values() for text in texts}
        assert not left, f"left in sessions of the pooler: {left}"
