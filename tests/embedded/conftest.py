"""Fixtures of the embedded server's own tests."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyengine import embedded
from pyengine.embedded import processes
from tests.embedded.helpers import Client
from tests.fix_server import PrivateServer, server_directory


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory below which servers can be; they are stopped and it is removed afterwards."""
    path = server_directory()
    yield path
    for pid_file in path.rglob("postmaster.pid"):
        embedded.stop(pid_file.parent.parent, force=True)
    shutil.rmtree(path)


@pytest.fixture(scope="session")
def prepared() -> Iterator[Path]:
    path = server_directory()
    embedded.start(path / "server").close()
    yield path / "server"
    shutil.rmtree(path)


@pytest.fixture
def root(prepared: Path) -> Iterator[Path]:
    """The root directory of a server that exists and does not run."""
    yield prepared
    embedded.stop(prepared, force=True)
    assert not processes.server_processes(prepared / "data")


@pytest.fixture
def crashing(root: Path) -> Iterator[PrivateServer]:
    """A running server to do anything to."""
    server = PrivateServer(root, {})
    yield server
    server.close()


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(root: Path, program: str = Client.PROGRAM) -> Client:
        made.append(Client(root, program))
        return made[-1]

    yield make
    for client in made:
        client.kill()
