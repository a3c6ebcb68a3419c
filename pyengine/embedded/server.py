"""The handle that a program holds while it uses the embedded server."""

import atexit
from pathlib import Path
from types import TracebackType
from typing import final

from psycopg.conninfo import make_conninfo

from pyengine.embedded import cluster, connection
from pyengine.embedded.binaries import Binaries
from pyengine.embedded.layout import Layout
from pyengine.embedded.locks import Reference, server_lock
from pyengine.errors import DBOSInitializationError


@final
class Server:
    """A reference to a running embedded server. Made by `start`; a context manager."""

    def __init__(
        self,
        paths: Layout,
        running: connection.Running,
        reference: Reference,
        binaries: Binaries,
        password: str | None,
    ) -> None:
        self._paths = paths
        self._running = running
        self._reference = reference
        self._binaries = binaries
        self._password = password
        _open.add(self)

    @property
    def root(self) -> Path:
        """The directory of everything that belongs to the server."""
        return self._paths.root

    @property
    def data(self) -> Path:
        """The data directory below the root."""
        return self._paths.data

    @property
    def bindir(self) -> Path:
        """The directory of the PostgreSQL programs (psql, pg_dump, ...) that fit the server."""
        return self._binaries.directory

    @property
    def version(self) -> str:
        """The version of the server, such as "18.4"."""
        return self._running.version

    def dsn(self, dbname: str = "postgres") -> str:
        """Return the connection string of a database, through the server's private socket."""
        return self._running.address.dsn(dbname)

    def url(self, dbname: str = "postgres") -> str:
        """Return the same address as a `postgresql://` URL."""
        return self._running.address.url(dbname)

    def tcp_dsn(self, dbname: str = "postgres") -> str:
        """Return the connection string for 127.0.0.1. It contains the password: do not log it.

        Raises:
            DBOSInitializationError: this server was not asked for with `tcp=True`.
        """
        if self._password is None:
            raise DBOSInitializationError(
                "The embedded server was not asked for a TCP address; start it with `tcp=True`."
            )
        return make_conninfo(
            host="127.0.0.1",
            port=self._running.address.port,
            user=connection.USER,
            password=self._password,
            dbname=dbname,
            sslmode="disable",
        )

    def close(self) -> None:
        """Give up this reference, and stop the server if it was the last. May be called again."""
        try:
            _open.remove(self)
        except KeyError:
            return
        try:
            # If someone deleted the directory, the server notices and ends by itself.
            if self.root.exists():
                with server_lock(self.root):
                    if self._reference.is_the_only_one():
                        cluster.stop(self._paths)
        finally:
            self._reference.release()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server PostgreSQL {self.version} in {self.root}>"


# The servers this process uses. Kept here so that one whose variable went out of scope runs on.
_open: set[Server] = set()


@atexit.register
def _close_all() -> None:
    for server in list(_open):
        server.close()
