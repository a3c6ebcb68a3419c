"""The embedded server in directories with odd names, owners and contents."""

import os
import shutil
import sys
from pathlib import Path

import pytest

from pyengine import embedded
from pyengine.embedded.layout import layout
from pyengine.errors import DBOSInitializationError
from tests.embedded.helpers import remember, remembers, setting


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
