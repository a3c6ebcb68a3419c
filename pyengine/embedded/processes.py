"""Which processes serve a data directory.

Every PostgreSQL process works in its data directory, so the answer is a fact about live processes.
The number in postmaster.pid is not: after a crash it may belong to a zombie or to a stranger.
"""

import os
import shutil
import subprocess
from pathlib import Path

_NAMES = ("postgres", "postmaster", "pg_ctl")
_PROC = Path("/proc")


def server_processes(data: Path) -> set[int]:
    """Return the ids of the live PostgreSQL processes whose working directory is `data`.

    A pg_ctl that is about to start a server counts too. Zombies, which have no working directory
    any more, do not.
    """
    try:
        wanted = data.stat()
    except FileNotFoundError:
        return set()
    if (_PROC / "self" / "cwd").exists():
        return _from_proc(wanted)
    return _from_lsof(data)


def _from_proc(wanted: os.stat_result) -> set[int]:
    found: set[int] = set()
    for entry in os.scandir(_PROC):
        if not entry.name.isdecimal():
            continue
        try:
            if Path(entry.path, "comm").read_text().strip() in _NAMES:
                # Compared as files: the path may lead there through links, mounts or a rename.
                if os.path.samestat(os.stat(f"{entry.path}/cwd"), wanted):
                    found.add(int(entry.name))
        except OSError:
            # The process ended meanwhile, is a zombie, or belongs to another user, who cannot be
            # the one that serves our directory.
            continue
    return found


def _from_lsof(data: Path) -> set[int]:
    program = shutil.which("lsof", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if program is None:
        # PostgreSQL's own check of its shared memory is then what remains.
        return set()
    # -w: no warnings about mounts; -F pn: process and path, one field a line.
    chosen = [argument for name in _NAMES for argument in ("-c", name)]
    listing = subprocess.run(
        [program, "-w", "-a", "-d", "cwd", *chosen, "-F", "pn"], capture_output=True, check=False
    ).stdout
    found: set[int] = set()
    process = 0
    for line in listing.split(b"\n"):
        if line.startswith(b"p"):
            process = int(line[1:])
        elif line.startswith(b"n") and _same_directory(os.fsdecode(line[1:]), data):
            found.add(process)
    return found


def _same_directory(path: str, data: Path) -> bool:
    try:
        return os.path.samefile(path, data)
    except OSError:
        return False
