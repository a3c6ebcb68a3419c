"""Which processes serve a data directory.

Every PostgreSQL process works in its data directory, so the answer is a fact about live processes.
The number in postmaster.pid is not: after a crash it may belong to a zombie or to a stranger.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
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
    return _from_lsof(wanted)


def _from_proc(wanted: os.stat_result) -> set[int]:
    found: set[int] = set()
    denied: list[Path] = []
    for process in _named_like_a_server():
        try:
            # Compared as files: the path may lead there through links, mounts or a rename.
            if os.path.samestat((process / "cwd").stat(), wanted):
                found.add(int(process.name))
        except PermissionError:
            denied.append(process / "cwd")
        except OSError:
            continue  # it has ended meanwhile, or is a zombie
    if denied and os.geteuid() == 0 and wanted.st_uid != 0:
        found |= _as_owner(denied, wanted)
    return found


def _named_like_a_server() -> Iterator[Path]:
    for process in _PROC.iterdir():
        if process.name.isdecimal():
            try:
                name = (process / "comm").read_text().strip()
            except OSError:
                continue  # it has ended meanwhile
            if name in _NAMES:
                yield process


def _as_owner(links: list[Path], wanted: os.stat_result) -> set[int]:
    """Ask as the server's account: root in a container may not look into others' processes."""
    shown = subprocess.run(
        ["/usr/bin/env", "stat", "-L", "-c", "%d %i %n", *links],
        capture_output=True,
        text=True,
        check=False,  # it fails for those that are not the account's, and prints the others
        user=wanted.st_uid,
        group=wanted.st_gid,
        extra_groups=[],
    ).stdout
    found: set[int] = set()
    for line in shown.splitlines():
        device, inode, link = line.split()
        if (int(device), int(inode)) == (wanted.st_dev, wanted.st_ino):
            found.add(int(Path(link).parent.name))
    return found


def _from_lsof(wanted: os.stat_result) -> set[int]:
    program = shutil.which("lsof", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin")
    if program is None:
        # PostgreSQL's own check of its shared memory is then what remains.
        return set()
    chosen = [argument for name in _NAMES for argument in ("-c", name)]
    # -w: no warnings about mounts; -a -d cwd: working directories only; -F pn: one field a line.
    listing = subprocess.run(
        [program, "-w", "-a", "-d", "cwd", *chosen, "-F", "pn"], capture_output=True, check=False
    ).stdout
    found: set[int] = set()
    process = 0
    for line in listing.split(b"\n"):
        if line.startswith(b"p"):
            process = int(line[1:])
        elif line.startswith(b"n") and _is(Path(os.fsdecode(line[1:])), wanted):
            found.add(process)
    return found


def _is(directory: Path, wanted: os.stat_result) -> bool:
    try:
        return os.path.samestat(directory.stat(), wanted)
    except OSError:
        return False
