"""Several processes share one embedded server, and the last to leave stops it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyengine import embedded
from pyengine.embedded import processes
from tests.embedded.helpers import Client, setting


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
