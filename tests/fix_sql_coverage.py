"""With `--sql-coverage`: count what runs of the engine's SQL, and print it after the tests."""

from __future__ import annotations

import pickle
from collections.abc import Iterator

import psycopg
import pytest

from tests.fix_server import session_root
from tests.tools import sql_coverage

_FILES = "sql-coverage-*.pickle"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sql-coverage", action="store_true", help="print how much of the engine's SQL ran"
    )


@pytest.fixture(scope="session", autouse=True)
def _count_sql(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Iterator[None]:
    """Read this process's database when its last test has ended and the server still runs."""
    if not pytestconfig.getoption("--sql-coverage"):
        yield
        return
    url = request.getfixturevalue("engine_url")
    yield
    with psycopg.connect(url, autocommit=True) as connection:
        counts = sql_coverage.count(connection)
        name = _FILES.replace("*", connection.info.dbname)
    (session_root(pytestconfig) / name).write_bytes(pickle.dumps(counts))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if config.getoption("--sql-coverage"):
        files = session_root(config).glob(_FILES)
        counts = sql_coverage.total(pickle.loads(file.read_bytes()) for file in files)
        terminalreporter.section("SQL coverage")
        for line in sql_coverage.report(counts):
            terminalreporter.line(line)
