"""Who runs the embedded server when root starts it."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pyengine import embedded
from pyengine.embedded import account, processes
from pyengine.errors import DBOSInitializationError
from tests.embedded.helpers import REPOSITORY, remember, remembers

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="about servers that root starts")


def as_nobody(action: Callable[[], object]) -> str:
    """Run something in a child process of another user; return its result or its error as text."""
    nobody = pwd.getpwnam("nobody")
    read, write = os.pipe()
    with warnings.catch_warnings():
        # xdist has a thread of its own, which newer Pythons warn about; the child never needs it.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            text = str(action())
        except BaseException as failure:
            text = f"{type(failure).__name__}: {failure}"
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    os.waitpid(child, 0)
    return text


@root_only
def test_root_runs_the_server_under_another_account(server: embedded.Server) -> None:
    assert (server.data / "PG_VERSION").stat().st_uid != 0
    for process in processes.server_processes(server.data):
        with suppress(FileNotFoundError):  # a worker that has ended meanwhile
            assert Path(f"/proc/{process}").stat().st_uid != 0


@root_only
def test_a_closed_directory_is_refused_and_not_opened(directory: Path) -> None:
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DBOSInitializationError, match="cannot enter"):
        embedded.start(closed / "server")
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@root_only
def test_programs_in_a_closed_directory_are_copied_and_not_opened(
    server: embedded.Server, root: Path, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_PROGRAM_CACHE", directory / "cache")
    original = server.bindir
    package = original.parent.parent
    closed = directory / "closed"
    closed.mkdir(mode=0o700)
    (closed / package.name).symlink_to(package)
    (closed / f"{package.name}.libs").symlink_to(package.with_name(f"{package.name}.libs"))
    programs = closed / package.name / original.parent.name / original.name
    monkeypatch.setattr(Path, "resolve", lambda path, strict=False: path.absolute())
    with embedded.start(root, bindir=programs):
        assert (
            Path(f"/proc/{embedded.status(root).pid}/exe")
            .readlink()
            .is_relative_to(directory / "cache")
        )
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@root_only
def test_another_user_is_told_whose_directory_it_is(server: embedded.Server) -> None:
    told = as_nobody(lambda: embedded.start(server.root))
    assert told.startswith("DBOSInitializationError")
    assert "another directory with PYENGINE_HOME" in told


@root_only
def test_root_leaves_a_users_directory_usable_to_the_user(
    server: embedded.Server, directory: Path
) -> None:
    shutil.chown(directory, "nobody")
    nobody = account.Account("nobody", *pwd.getpwnam("nobody")[2:4], switch=True)
    if not nobody.can_enter(server.bindir):
        pytest.skip("the programs are closed to other users")

    def use() -> bool:
        with embedded.start(directory / "server") as own:
            remember(own.dsn(), "user")
            return remembers(own.dsn(), "root")

    def use_tcp() -> bool:
        with embedded.start(directory / "server", tcp=True) as own:
            return remembers(own.tcp_dsn(), "root")

    assert as_nobody(use) == "False"
    for lock in (directory / "server").glob("*.lock"):
        lock.unlink()  # as if root had been the first to need them
    with embedded.start(directory / "server", tcp=True) as shared:
        assert remembers(shared.dsn(), "user")
        remember(shared.dsn(), "root")
    assert as_nobody(use_tcp) == "True"


@root_only
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv of util-linux")
def test_root_in_a_container_stops_a_server_it_may_not_look_into(root: Path) -> None:
    program = "import sys; from pyengine import embedded; embedded.start(sys.argv[1])"
    limited = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    command = [*limited, sys.executable, "-c", program, str(root)]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    assert not processes.server_processes(root / "data")
    assert "shut down" in "".join(path.read_text() for path in (root / "log").iterdir())


@pytest.mark.skipif(shutil.which("lsof") is None, reason="needs lsof, which macOS always has")
def test_lsof_finds_the_same_processes_as_proc(server: embedded.Server) -> None:
    wanted = server.data.stat()
    postmaster = embedded.status(server.root).pid
    found = processes._from_lsof(wanted)
    assert postmaster in found & processes.server_processes(server.data)
