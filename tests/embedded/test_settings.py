"""Settings and the TCP address of the embedded server."""

import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyengine import embedded
from pyengine.errors import DBOSInitializationError
from tests.embedded.helpers import Client, setting
from tests.fix_server import PrivateServer


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
