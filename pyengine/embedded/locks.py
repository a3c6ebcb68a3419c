"""Kernel file locks: who uses the server, and who may start or stop it.

A lock vanishes with its process, however that ends, so there is nothing to clean up after a crash.
Lock order: `server.lock` first, then `clients.lock`. Every decision (start, attach, stop, leave) is
made under `server.lock`; a client keeps only its share of `clients.lock`, and whoever wants to stop
the server has to be able to turn its share into the whole.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyengine.embedded.layout import give_to_owner_of
from pyengine.errors import DBOSInitializationError

_WAIT = 660.0  # seconds: longer than another process may take to start the server
_POLL = 0.02  # seconds
_logger = logging.getLogger("pyengine")


class Reference:
    """This process's share of the server, held until released or until the process is gone."""

    def __init__(self, root: Path) -> None:
        self._path = root / "clients.lock"
        self._descriptor = _locked(self._path, fcntl.LOCK_SH)
        self._spare: int | None = None
        _held.add(self)

    def is_the_only_one(self) -> bool:
        """Tell whether no other client holds a share. Only to be asked under `server_lock`."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            # A conversion, even a failed one, may drop the share for a moment, in which nobody can
            # act on it because that needs `server.lock`, which we hold.
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return True

    def release(self) -> None:
        """Give the share back. Never by unlocking, which would also unlock a forked copy."""
        _held.discard(self)
        os.close(self._descriptor)

    def before_fork(self) -> None:
        """Take a second share for the child: a forked descriptor is the same lock, not another.

        Taken by the parent, so that there is no moment at which the child has none.
        """
        try:
            self._spare = _locked(self._path, fcntl.LOCK_SH)
        except (OSError, DBOSInitializationError):
            # The directory was deleted or descriptors ran out; the child then shares our lock.
            self._spare = None

    def after_fork_in_parent(self) -> None:
        """Leave the second share to the child."""
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None

    def after_fork_in_child(self) -> None:
        """Let go of the parent's share and keep the second one."""
        if self._spare is not None:
            os.close(self._descriptor)
            self._descriptor, self._spare = self._spare, None


_held: set[Reference] = set()


@contextmanager
def server_lock(root: Path) -> Iterator[None]:
    """Hold the right to start, stop, join or leave the server of a root directory."""
    descriptor = _locked(root / "server.lock", fcntl.LOCK_EX)
    try:
        yield
    finally:
        # Unlocked, not only closed: a process forked meanwhile by another thread has a copy.
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        os.close(descriptor)


def _locked(path: Path, operation: int) -> int:
    flags = os.O_RDONLY | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        give_to_owner_of(path.parent, descriptor)
    except FileExistsError:
        descriptor = os.open(path, flags)
    try:
        _wait_for(descriptor, operation, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _wait_for(descriptor: int, operation: int, path: Path) -> None:
    deadline = time.monotonic() + _WAIT
    say_so = time.monotonic() + 5
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            now = time.monotonic()
        if now > deadline:
            raise DBOSInitializationError(
                f"Another process has held {path} for {_WAIT:.0f} seconds while starting or "
                "stopping the embedded server. End it (`fuser` names it) and try again."
            )
        if now > say_so:
            _logger.info("waiting for another process that starts or stops the server (%s)", path)
            say_so = deadline
        time.sleep(_POLL)


def _before_fork() -> None:
    for reference in list(_held):
        reference.before_fork()


def _after_fork_in_parent() -> None:
    for reference in list(_held):
        reference.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for reference in list(_held):
        reference.after_fork_in_child()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
