"""Where everything of one embedded server is: the root directory and what lies in it."""

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pyengine.errors import DBOSInitializationError

# A socket's path has at most 103 bytes on macOS and 107 on Linux, of which ".s.PGSQL.65535"
# and the slash before it take 15.
_LONGEST_SOCKET_DIRECTORY = 88


@dataclass(frozen=True)
class Layout:
    """The paths of a server. The data is in `data`; the rest can be rebuilt.

    The directories belong to the account that runs the server, the files to the owner of the root
    directory: a process of root never follows a name that another account could have planted.
    """

    root: Path
    data: Path
    log: Path
    sockets: Path
    settings: Path
    password: Path

    @property
    def start_log(self) -> Path:
        """What the server printed before its own log was open."""
        return self.log / "start.log"


def layout(root: str | Path | None = None) -> Layout:
    """Return the paths for a root directory, or for the default one. Creates nothing.

    Raises:
        DBOSInitializationError: the path cannot be written in PostgreSQL's settings.
    """
    path = (Path(root).expanduser() if root is not None else default_root()).resolve()
    text = str(path)
    if not text.isprintable():  # control characters, and bytes that are not UTF-8
        raise DBOSInitializationError(
            f"The directory {text!r} has characters in its name that PostgreSQL cannot be told. "
            "Choose another directory with PYENGINE_HOME."
        )
    return Layout(
        root=path,
        data=path / "data",
        log=path / "log",
        sockets=_socket_directory(path),
        settings=path / "server.conf",
        password=path / "password",
    )


def default_root() -> Path:
    """Return where the data is unless told otherwise: PYENGINE_HOME or a platform directory."""
    chosen = os.environ.get("PYENGINE_HOME")
    if chosen:
        return Path(chosen).expanduser()
    mac = sys.platform == "darwin"
    if os.geteuid() == 0:
        # Not below root's home, which the account that runs the server cannot enter.
        return Path("/Library/Application Support/pyengine" if mac else "/var/lib/pyengine")
    if mac:
        return Path.home() / "Library/Application Support/pyengine"
    shared = Path(os.environ.get("XDG_DATA_HOME", ""))
    # The XDG specification: a relative path is to be ignored.
    return (shared if shared.is_absolute() else Path.home() / ".local/share") / "pyengine"


def write_file(path: Path, text: str, *, mode: int) -> None:
    """Write a file of the root directory whole or not at all, for the owner of that directory."""
    descriptor, unfinished = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(descriptor, mode)
            give_to_owner_of(path.parent, descriptor)
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def give_to_owner_of(directory: Path, descriptor: int) -> None:
    """Let the owner of the directory have a file that root just created there."""
    if os.geteuid() == 0:
        owner = directory.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def _socket_directory(root: Path) -> Path:
    directory = root / "run"
    # A comma separates directories in PostgreSQL's setting and hosts in a connection string.
    if len(os.fsencode(directory)) <= _LONGEST_SOCKET_DIRECTORY and "," not in str(directory):
        return directory
    # Not $TMPDIR: each process must find the same directory, whatever its environment.
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return Path("/tmp") / f"pyengine-{name}"  # noqa: S108 - private, its owner is checked
