"""Fixtures: a real PostgreSQL server for the whole run, and servers of one test to be killed.

PYENGINE_PG_BINDIR chooses the version. Under xdist all workers share one server, each with its own
database.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from pyengine import embedded
from pyengine.embedded.processes import server_processes
from tests.tools import sql_coverage

_PREFIX = "pyengine-test-"
_SESSION_ROOT = pytest.StashKey[Path]()


class PrivateServer:
    """A server of one test, to be stopped, killed, frozen and started again."""

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.root = root
        self.data = root / "data"
        self._settings = settings
        self._reference = embedded.start(root, settings=settings)

    def dsn(self, dbname: str = "postgres") -> str:
        return self._reference.dsn(dbname)

    def url(self, dbname: str = "postgres") -> str:
        return self._reference.url(dbname)

    @property
    def bindir(self) -> Path:
        return self._reference.bindir

    @property
    def postmaster(self) -> int:
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start it (again); the address stays the same."""
        self._reference.close()
        self._reference = embedded.start(self.root, settings=self._settings)

    def stop(self) -> None:
        """Stop it in good order; connections get AdminShutdown."""
        assert embedded.stop(self.root, force=True)

    def restart(self) -> None:
        self.stop()
        self.start()

    def kill(self) -> None:
        """Kill -9 all of its processes, as a power failure does, and wait until they are gone."""
        self.resume()
        while processes := server_processes(self.data):
            for process in processes:
                _signal(process, signal.SIGKILL)
            time.sleep(0.005)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers, as behind a dead network."""
        for process in server_processes(self.data):
            _signal(process, signal.SIGSTOP)

    def resume(self) -> None:
        for process in server_processes(self.data):
            _signal(process, signal.SIGCONT)

    def close(self) -> None:
        self.resume()
        self._reference.close()


PrivateServerFactory = Callable[..., PrivateServer]


def server_directory() -> Path:
    """Create a directory that the server's account can enter, even when the tests run as root.

    pytest's own temporary directories are closed to everyone else.
    """
    directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
    directory.chmod(0o711)
    return directory


def pytest_configure(config: pytest.Config) -> None:
    given = getattr(config, "workerinput", None)
    if given is None:
        _remove_leftovers()
    config.stash[_SESSION_ROOT] = server_directory() if given is None else Path(given["pg_root"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker which directory all of them share."""
    node.workerinput["pg_root"] = str(node.config.stash[_SESSION_ROOT])


def pytest_unconfigure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        _remove(config.stash[_SESSION_ROOT])


def session_root(config: pytest.Config) -> Path:
    """The directory of this run, which the processes of xdist share."""
    return config.stash[_SESSION_ROOT]


@pytest.fixture(scope="session")
def server(pytestconfig: pytest.Config) -> Iterator[embedded.Server]:
    """The server of this test run."""
    settings = sql_coverage.settings() if pytestconfig.getoption("--sql-coverage") else {}
    with embedded.start(session_root(pytestconfig) / "server", settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def database_url(server: embedded.Server) -> str:
    """The URL of an empty database that only this (xdist) process uses."""
    name = "test_" + os.environ.get("PYTEST_XDIST_WORKER", "main")
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        database = sql.Identifier(name)
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(database))
        connection.execute(sql.SQL("create database {}").format(database))
    return server.url(name)


@pytest.fixture
def private_server() -> Iterator[PrivateServerFactory]:
    """Make servers that only this test uses: `private_server(max_connections=20)`."""
    made: list[PrivateServer] = []
    directory = server_directory()

    def make(**settings: Any) -> PrivateServer:
        made.append(PrivateServer(directory / str(len(made)), settings))
        return made[-1]

    yield make
    for each in made:
        each.close()
    _remove(directory)


def _signal(process: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it may have ended by itself
        os.kill(process, number)


def _remove(directory: Path) -> None:
    for data in directory.glob("*/data"):
        embedded.stop(data.parent, force=True)
    shutil.rmtree(directory)


def _remove_leftovers() -> None:
    """Clear up after earlier runs that were killed, and only those: nobody uses their servers."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError):  # another run may be clearing up too
            if directory.stat().st_uid == os.geteuid() and not _in_use(directory):
                _remove(directory)


def _in_use(directory: Path) -> bool:
    recent = time.time() - directory.stat().st_mtime < 3600
    return recent or any(embedded.status(data.parent).in_use for data in directory.glob("*/data"))
