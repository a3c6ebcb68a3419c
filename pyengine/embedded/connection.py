"""Is the server running? Answered by connecting to it and asking which directory it serves."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg.conninfo import make_conninfo

from pyengine.errors import DBOSInitializationError

USER = "postgres"
_SILENCE = 30.0  # seconds that a server may leave a connection without any answer
_STARTING = 600.0  # seconds that it may say it is starting up: recovery can be long
_POLL = 0.02  # seconds


@dataclass(frozen=True)
class Address:
    """Where a server listens: the directory of its socket, and its port number."""

    directory: Path
    port: int

    def dsn(self, dbname: str) -> str:
        """Return the libpq connection string of a database."""
        return make_conninfo(host=str(self.directory), port=self.port, user=USER, dbname=dbname)

    def url(self, dbname: str) -> str:
        """Return the same as a URL."""
        host = quote(str(self.directory), safe="")
        return f"postgresql://{USER}@/{quote(dbname, safe='')}?host={host}&port={self.port}"


@dataclass(frozen=True)
class Running:
    """A server that answered."""

    address: Address
    version: str
    tcp: bool


def find(sockets: Path, data: Path) -> Running | None:
    """Return the server of a data directory if it runs, waiting for one that is just starting.

    Raises:
        DBOSInitializationError: something listens there but does not answer, refuses the
            connection, or serves another directory.
    """
    for address in _addresses(sockets):
        if _accepts_connections(address):
            return _identify(address, data)
    return None


def _addresses(sockets: Path) -> Iterator[Address]:
    for path in sockets.glob(".s.PGSQL.*"):
        port = path.name.removeprefix(".s.PGSQL.")
        if port.isdecimal():
            yield Address(sockets, int(port))


def _listens(address: Address) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SILENCE)
        try:
            probe.connect(str(address.directory / f".s.PGSQL.{address.port}"))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except (TimeoutError, BlockingIOError):
            # Its queue of connections is full: something is there, and it is stuck.
            return True
    return True


def _accepts_connections(address: Address) -> bool:
    """Wait for the server to be up (True) or gone (False)."""
    started = last_heard = time.monotonic()
    while _listens(address):
        answer = psycopg.pq.PGconn.ping(f"{address.dsn(USER)} connect_timeout=2".encode())
        now = time.monotonic()
        if answer == psycopg.pq.Ping.OK:
            return True
        if answer == psycopg.pq.Ping.REJECT:
            last_heard = now
        if now - last_heard > _SILENCE or now - started > _STARTING:
            raise DBOSInitializationError(
                f"The server at {address.directory} does not answer. Look at its log beside the "
                "data directory, or end its processes, and try again."
            )
        time.sleep(_POLL)
    return False


def _identify(address: Address, data: Path) -> Running:
    try:
        with psycopg.connect(address.dsn(USER), connect_timeout=10, autocommit=True) as connection:
            row = connection.execute(
                "select current_setting('data_directory'), current_setting('server_version'),"
                " current_setting('listen_addresses') <> ''"
            ).fetchone()
    except psycopg.Error as refusal:
        raise DBOSInitializationError(
            f"The embedded server at {address.directory} refuses connections: {refusal}"
        ) from refusal
    assert row is not None
    if not _same(row[0], data):
        raise DBOSInitializationError(
            f"The server at {address.directory} serves the data directory {row[0]}, not {data}. "
            "Was it moved or copied while the server was running? Stop that server first."
        )
    # Distributions add their own words: "15.18 (Debian 15.18-0+deb12u1)".
    return Running(address, row[1].split()[0], row[2])


def _same(shown: str, data: Path) -> bool:
    try:
        return Path(shown).samefile(data)
    except OSError:
        return False
