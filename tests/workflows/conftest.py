"""One engine for all tests of a module: launching one for each would take most of the time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pyengine import DBOS
from tests.workflows.support import launched


@pytest.fixture(scope="module")
def dbos(engine_url: str) -> Iterator[type[DBOS]]:
    with launched(engine_url) as engine:
        yield engine


@pytest.fixture
def database(engine_url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that leaves the engine's rows alone."""
    with psycopg.connect(engine_url, autocommit=True) as connection:
        yield connection
