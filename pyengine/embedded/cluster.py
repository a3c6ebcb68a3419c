"""Create, start and stop the PostgreSQL cluster of a root directory.

Every function here is called with `server.lock` held (see `locks`).
"""

import logging
import os
import secrets
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from pyengine.embedded import connection, settings
from pyengine.embedded.account import Account, reachable
from pyengine.embedded.binaries import Binaries
from pyengine.embedded.layout import Layout, write_file
from pyengine.embedded.processes import server_processes
from pyengine.errors import DBOSInitializationError

_START_TIMEOUT = 600  # seconds: crash recovery can be long, and a failure is noticed at once
_STOP_TIMEOUT = 60.0  # seconds
_LEFTOVERS_TIMEOUT = 10.0  # seconds for the processes of a crashed server to notice and end
_POLL = 0.01  # seconds
_logger = logging.getLogger("pyengine")


def start(
    layout: Layout, binaries: Binaries, account: Account, chosen: Mapping[str, str]
) -> connection.Running:
    """Start the server, creating the data directory first if there is none.

    Raises:
        DBOSInitializationError: the server cannot start; the message ends with its own words.
    """
    if account.switch and not account.can_enter(layout.root):
        raise DBOSInitializationError(
            f"Root may not run PostgreSQL, so the account {account.name!r} does, but it cannot "
            f"enter {layout.root}. Choose a directory that it can reach, such as /var/lib/pyengine,"
            " with PYENGINE_HOME."
        )
    binaries = reachable(binaries, account)
    account.make_directory(layout.log)
    account.make_directory(layout.sockets)
    settings.write(layout.settings, chosen)
    if not (layout.data / "PG_VERSION").exists():
        _create(layout, binaries, account)
    running = _after_leftovers(layout)
    if running is not None:
        return running
    layout.start_log.unlink(missing_ok=True)
    # The data directory is given as the working directory and in PGDATA, not as an argument:
    # pg_ctl pastes its arguments into a shell command.
    timeout = ("-t", str(_START_TIMEOUT))
    outcome = account.run(
        [binaries.directory / "pg_ctl", "start", "-w", *timeout, "-s", "-l", "../log/start.log"],
        cwd=layout.data,
    )
    running = connection.find(layout.sockets, layout.data)
    if running is None:
        raise DBOSInitializationError(
            f"The embedded server for {layout.data} did not start: {outcome.stderr.strip()}\n"
            + _last_words(layout)
        )
    return running


def stop(layout: Layout) -> bool:
    """Stop the server with a fast shutdown: open transactions are rolled back, nothing is lost.

    Returns:
        True if it is not running any more (or was not), False if it did not stop in time.
    """
    postmaster = postmaster_pid(layout)
    if postmaster is None:
        # Not a process that we can see; if it answers all the same, it is in another container.
        return connection.find(layout.sockets, layout.data) is None
    os.kill(postmaster, signal.SIGINT)
    deadline = time.monotonic() + _STOP_TIMEOUT
    while server_processes(layout.data):
        if time.monotonic() > deadline:
            _logger.warning(
                "the embedded server (process %s) did not stop within %.0f s; it is left running",
                postmaster,
                _STOP_TIMEOUT,
            )
            return False
        time.sleep(_POLL)
    if layout.sockets.parent != layout.root:
        with suppress(OSError):  # in the common temporary directory, where nothing should stay
            layout.sockets.rmdir()
    return True


def postmaster_pid(layout: Layout) -> int | None:
    """Return the process id of the running server, None unless that process really serves it."""
    try:
        pid = int((layout.data / "postmaster.pid").read_text().split(maxsplit=1)[0])
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return pid if pid in server_processes(layout.data) else None


def password(layout: Layout, running: connection.Running) -> str:
    """Return the password for TCP connections, which is made at the first call."""
    try:
        return layout.password.read_text()
    except FileNotFoundError:
        made = secrets.token_urlsafe(24)
    with psycopg.connect(running.address.dsn(connection.USER), autocommit=True) as session:
        # Hashed here, so that the password itself never reaches the server's log.
        verifier = session.pgconn.encrypt_password(
            made.encode(), connection.USER.encode(), b"scram-sha-256"
        )
        session.execute(
            sql.SQL("alter role {} password {}").format(
                sql.Identifier(connection.USER), verifier.decode()
            )
        )
    write_file(layout.password, made, mode=0o600)
    return made


def _create(layout: Layout, binaries: Binaries, account: Account) -> None:
    """Make the data directory under another name first: a killed initdb leaves no half of one."""
    if layout.data.exists() and any(layout.data.iterdir()):
        raise DBOSInitializationError(
            f"{layout.data} is not empty, but it is no PostgreSQL data directory. Move it away, or "
            "choose another directory with PYENGINE_HOME."
        )
    for leftover in layout.root.glob("data.init.*"):
        shutil.rmtree(leftover, ignore_errors=True)
    # Never the same name twice: an initdb whose caller was killed may still be writing.
    unfinished = Path(tempfile.mkdtemp(prefix="data.init.", dir=layout.root))
    try:
        account.make_directory(unfinished)
        options = (
            "--data-checksums",
            "--encoding=UTF8",
            "--locale=C",
            f"--username={connection.USER}",
        )
        access = ("--auth-local=trust", "--auth-host=scram-sha-256")
        outcome = account.run(
            [binaries.directory / "initdb", *options, *access, unfinished], cwd=Path("/")
        )
        if outcome.returncode != 0:
            raise DBOSInitializationError(
                f"The data directory {layout.data} could not be created: {outcome.stderr.strip()}"
            )
        _append(unfinished / "postgresql.conf", f"\n{settings.INCLUDE}\n")
        unfinished.rename(layout.data)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    _make_durable(layout.root)


def _append(path: Path, text: str) -> None:
    # The directory belongs to the server's account, so root must not follow a link in it.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)


def _make_durable(directory: Path) -> None:
    """Flush a rename: the data must not be found under its old name after a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _after_leftovers(layout: Layout) -> connection.Running | None:
    """Wait until nothing of an earlier server is left, then remove its stale files.

    Nobody listened a moment ago, but a server may be starting because the process that started it
    was killed, one may be stopping, and backends outlive a killed postmaster for a moment.

    Returns:
        The server if one came up meanwhile.
    """
    deadline = time.monotonic() + _LEFTOVERS_TIMEOUT
    while leftovers := server_processes(layout.data):
        running = connection.find(layout.sockets, layout.data)
        if running is not None:
            return running
        if time.monotonic() > deadline and postmaster_pid(layout) is None:
            raise DBOSInitializationError(
                f"A crashed server left processes that still work in {layout.data}: "
                f"{', '.join(map(str, sorted(leftovers)))}. End them with `kill` and try again."
            )
        if time.monotonic() > deadline + _START_TIMEOUT:
            raise DBOSInitializationError(
                f"The process {postmaster_pid(layout)} uses {layout.data} but takes no connections "
                f"in {layout.sockets}. End it with `kill -INT` and try again."
            )
        time.sleep(_POLL)
    # No process of this machine serves the directory, so whatever these say is out of date. Left
    # in place they stop PostgreSQL when their process id has been given to another program.
    (layout.data / "postmaster.pid").unlink(missing_ok=True)
    for path in layout.sockets.glob(".s.PGSQL.*"):
        path.unlink(missing_ok=True)
    return None


def _last_words(layout: Layout) -> str:
    """Return the ends of the logs that the failed start wrote."""
    logs = sorted(layout.log.glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    lines: list[str] = []
    for path in logs[-2:]:
        lines += path.read_text(errors="replace").splitlines()[-10:]
    return "\n".join(lines)
