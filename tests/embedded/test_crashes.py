"""The embedded server is repaired after every kind of crash."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from pyengine import embedded
from pyengine.embedded import account, cluster, connection
from pyengine.errors import DBOSInitializationError
from tests.embedded.helpers import Client, remember, remembers, setting
from tests.fix_server import PrivateServer


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
