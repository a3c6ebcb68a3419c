"""A private PostgreSQL server that starts with the first program that needs it.

All processes that name the same root directory share one server. Each holds a reference that the
kernel takes back when the process ends, however it ends; the last one to leave in good order stops
the server. The data stays. A server whose last client was killed runs on until the next one leaves.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pyengine.errors import DBOSInitializationError

if sys.platform == "win32":
    raise DBOSInitializationError(
        "The embedded server runs on Linux and macOS (and in WSL). Use a server of your own: set "
        "`system_database_url` in the configuration or PYENGINE_DATABASE_URL in the environment."
    )

from pyengine.embedded import cluster, connection
from pyengine.embedded import settings as server_settings
from pyengine.embedded.account import account_for
from pyengine.embedded.binaries import select
from pyengine.embedded.layout import Layout, default_root, layout
from pyengine.embedded.locks import Reference, server_lock
from pyengine.embedded.server import Server

__all__ = ["Server", "Status", "default_root", "start", "status", "stop"]

_logger = logging.getLogger("pyengine")


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
        settings: PostgreSQL settings by name. They apply if this call starts the server; if it
            runs already with others, it is restarted when nobody uses it, else a warning is logged.

    Returns:
        The server, which runs until this process and all others that use it have ended.

    Raises:
        DBOSInitializationError: no binaries, a data directory of another major version, or the
            server cannot start; the message says what to do.
    """
    wanted = server_settings.requested(settings)
    chosen = bindir or os.environ.get("PYENGINE_PG_BINDIR")
    paths = layout(root)
    with _explained(paths):
        _make_root(paths.root)
        with server_lock(paths.root):
            reference = Reference(paths.root)
            try:
                explicit = Path(chosen).expanduser().resolve() if chosen else None
                return _attach_or_start(paths, reference, explicit, wanted, tcp=tcp)
            except BaseException:
                reference.release()
                raise


def stop(root: str | Path | None = None, *, force: bool = False) -> bool:
    """Stop the server of a root directory unless other processes use it.

    Args:
        root: as for `start`.
        force: stop it even so; the server closes their connections and rolls back what is open.

    Returns:
        True if no server runs now, False if it is still running.
    """
    paths = layout(root)
    with _explained(paths), _reference_if_any(paths) as reference:
        if reference is None:
            return True
        return (force or reference.is_the_only_one()) and cluster.stop(paths)


def status(root: str | Path | None = None) -> Status:
    """Tell whether the server of a root directory runs and whether any process uses it."""
    paths = layout(root)
    with _explained(paths), _reference_if_any(paths) as reference:
        running = connection.find(paths.sockets, paths.data) if reference is not None else None
        return Status(
            root=paths.root,
            running=running is not None,
            in_use=reference is not None and not reference.is_the_only_one(),
            pid=cluster.postmaster_pid(paths) if running is not None else None,
            version=running.version if running is not None else None,
            url=running.address.url("postgres") if running is not None else None,
        )


def _attach_or_start(
    paths: Layout,
    reference: Reference,
    bindir: Path | None,
    wanted: Mapping[str, str],
    *,
    tcp: bool,
) -> Server:
    account = account_for(paths.data)
    binaries = select(bindir, paths.data)
    before = server_settings.read(paths.settings)
    running = connection.find(paths.sockets, paths.data)
    suits = wanted.items() <= before.items() and (running is None or running.tcp or not tcp)
    if running is not None and not suits:
        running = _without_the_unsuited(paths, reference, running, tcp=tcp)
    if running is None:
        chosen = server_settings.resolve(paths, wanted, before, tcp=tcp)
        running = cluster.start(paths, binaries, account, chosen)
        _logger.info("started embedded PostgreSQL %s; data in %s", running.version, paths.data)
    else:
        _logger.info("using embedded PostgreSQL %s; data in %s", running.version, paths.data)
    password = cluster.password(paths, running) if tcp else None
    return Server(paths, running, reference, binaries, password)


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
        return  # never change the mode of a directory that is not ours
    root.chmod(mode)


@contextmanager
def _reference_if_any(paths: Layout) -> Iterator[Reference | None]:
    """Join under `server.lock`, without creating anything where there is no data directory."""
    if not paths.data.exists():
        yield None
        return
    account_for(paths.data)
    with server_lock(paths.root):
        reference = Reference(paths.root)
        try:
            yield reference
        finally:
            reference.release()


@contextmanager
def _explained(paths: Layout) -> Iterator[None]:
    """Say what to do when the operating system denies the directory."""
    try:
        yield
    except OSError as failure:
        raise DBOSInitializationError(
            f"The directory {paths.root} of the embedded server cannot be used: {failure}. Run as "
            "its owner, or choose another directory with PYENGINE_HOME."
        ) from failure
