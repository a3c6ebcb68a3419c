"""The embedded server starts, keeps its data, and says where it is."""

import logging
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from pyengine import embedded
from tests.embedded.helpers import Client, remember, remembers, setting


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
