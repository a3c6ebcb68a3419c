"""`pyengine.testing` as the tests of an application use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pyengine
from pyengine import DBOS, SetWorkflowID, embedded
from pyengine.testing import _drop_leftovers

SOURCES = str(Path(pyengine.__file__).parents[1])
APPLICATION = """
from pyengine import DBOS

@DBOS.step()
def greeting(name: str) -> str:
    return f"Hello, {name}!"

@DBOS.workflow()
def greet(name: str) -> str:
    return greeting(name)
"""
TESTS = """
import application
import pytest

pytest_plugins = ["pyengine.testing"]

@pytest.fixture
def pyengine_config():
    return {"name": "greeter", "application_version": "7"}

@pytest.mark.parametrize("name", ["Ada", "Emil"])
def test_a_greeting(dbos, name):
    assert application.greet(name) == f"Hello, {name}!"
    assert dbos.application_version == "7"

def test_time(dbos, pyengine_clock):
    pyengine_clock.advance(3600)
    assert application.greet("Ada") == "Hello, Ada!"
"""


@DBOS.workflow()
def echo(value: Any) -> Any:
    return value


def databases(server: embedded.Server) -> set[str]:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        rows = connection.execute(
            "select datname from pg_database where datname ~ '^pyengine_test'"
        )
        return {name for (name,) in rows}


def test_an_application_is_tested_with_one_line_and_leaves_no_database(
    server: embedded.Server, tmp_path: Path
) -> None:
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "test_application.py").write_text(TESTS)
    before = databases(server)
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        env={
            **os.environ,
            "PYENGINE_TEST_SERVER_URL": server.url(),
            "PYTHONPATH": f"{tmp_path}{os.pathsep}{SOURCES}",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "3 passed" in outcome.stdout, outcome.stdout + outcome.stderr
    assert databases(server) <= before


@pytest.mark.parametrize("attempt", [1, 2])
def test_each_test_begins_with_nothing(dbos: type[DBOS], attempt: int) -> None:
    assert dbos.get_workflow_status("the-id") is None
    with SetWorkflowID("the-id"):
        assert echo(attempt) == attempt


def test_the_engine_is_imported_without_pytest() -> None:
    program = "import sys; sys.modules['pytest'] = None; import pyengine, pyengine.cli"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=SOURCES)


def test_databases_of_killed_runs_are_dropped_and_those_of_living_ones_stay(
    server: embedded.Server, pyengine_url: str
) -> None:
    living = pyengine_url.rpartition("/")[2].partition("?")[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    killed = living.rpartition("_")[0] + f"_{ended.pid}"
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(f'create database "{killed}"')

        _drop_leftovers(connection)

    assert living in databases(server)
    assert killed not in databases(server)
