"""A PostgreSQL server with its write-ahead log open to the checker; it can be killed, copied and promoted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pyengine.embedded.account import Account, account_for, reachable
from pyengine.embedded.binaries import Binaries, select
from pyengine.embedded.processes import server_processes
from tests.tools import servers

SETTINGS = {
    "max_connections": "200",
    "wal_level": "logical",
    "max_replication_slots": "8",
    "track_commit_timestamp": "on",
    "log_lock_waits": "on",
    "lc_messages": "C",  # the language in which the log is read
    "listen_addresses": "",
    "autovacuum_naptime": "5s",
    "max_wal_size": "4GB",
}


def binaries() -> Binaries:
    """The programs: PYENGINE_PG_BINDIR, or a version that can check its own files, or the default one."""
    chosen = os.environ.get("PYENGINE_PG_BINDIR")
    able = [each for each in servers.others() if has_amcheck(each)]
    explicit = Path(chosen) if chosen else able[-1] if able else None
    return select(explicit, Path("/nowhere"))


def has_amcheck(bindir: Path) -> bool:
    """Whether pg_amcheck and its extension are there."""
    library = bindir.parent / "lib"
    found = (library / "amcheck.so", library / "postgresql" / "amcheck.so")
    return (bindir / "pg_amcheck").is_file() and any(path.is_file() for path in found)


class Node:
    """One server in a directory of its own."""

    def __init__(self, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "server.log"
        self.settings = {**SETTINGS, **(settings or {})}
        self.account: Account = account_for(self.data)
        self._programs = reachable(binaries(), self.account)
        self.account.make_directory(directory)

    @property
    def bindir(self) -> Path:
        return self._programs.directory

    def url(self, dbname: str = "postgres") -> str:
        """Its address."""
        return f"postgresql://postgres@/{dbname}?host={self.directory}"

    def create(self) -> Node:
        """Make an empty cluster and start it."""
        self._do(
            "initdb",
            "-D",
            self.data,
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
            "-k",
            "--no-sync",
        )
        self.start()
        return self

    def copy(self, name: str) -> Node:
        """Make a standby of this server and start it."""
        standby = Node(self.directory.parent / name, self.settings)
        source = f"host={self.directory} user=postgres application_name={name}"
        standby._do(
            "pg_basebackup", "-D", standby.data, "-d", source, "-R", "-X", "stream", "-c", "fast",
            "--no-sync",
        )  # fmt: skip
        standby.start()
        return standby

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {**self.settings, "unix_socket_directories": str(self.directory)}
        text = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._do("pg_ctl", "start", "-w", "-t", "60", "-D", self.data, "-l", self.log, "-o", text)

    def promote(self) -> None:
        """Make the standby a server of its own, and wait until it is."""
        self._do("pg_ctl", "promote", "-w", "-t", "60", "-D", self.data)

    def kill(self) -> None:
        """Kill -9 all of its processes, as a power failure does, and wait until they are gone."""
        while processes := server_processes(self.data):
            for process in processes:
                with suppress(ProcessLookupError):  # it has ended by itself
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.005)
        # Where nobody reaps orphans the postmaster's number is not free yet, and its lock would count.
        for lock in (self.data / "postmaster.pid", self.directory / ".s.PGSQL.5432.lock"):
            lock.unlink(missing_ok=True)

    def check_files(self) -> str | None:
        """What pg_amcheck finds; empty is nothing, None that it is not here."""
        if not has_amcheck(self.bindir):
            return None
        found = self.account.run(
            [self.bindir / "pg_amcheck", "-h", self.directory, "-U", "postgres", "-d", "postgres",
             "--install-missing", "--heapallindexed"],
            cwd=self.directory,
        )  # fmt: skip
        return "" if found.returncode == 0 else found.stdout + found.stderr

    def _do(self, program: str, *arguments: str | Path) -> None:
        done = self.account.run([self.bindir / program, *arguments], cwd=self.directory)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr[-2000:]}{done.stdout[-500:]}")
