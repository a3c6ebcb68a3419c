"""Fixtures of the gate. Its tests are skipped where it can't be compiled, and say what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest

from pyengine import embedded
from tests.fix_server import session_root
from tests.gate import build
from tests.gate.explorer import Explorer
from tests.gate.meetings import Place
from tests.races.world import World

Explore = Callable[[Place], Explorer]


@pytest.fixture(scope="session")
def library(server: embedded.Server, pytestconfig: pytest.Config) -> Path:
    """The module, for the server of this run."""
    lack = build.missing(server.bindir)
    if lack is not None:
        pytest.skip(lack)
    return build.library(server.bindir, session_root(pytestconfig))


@pytest.fixture(scope="module")
def explorer(engine_url: str, library: Path) -> Iterator[Explorer]:
    """An explorer of running workflows, whose schedules are the same in every run."""
    with (
        psycopg.connect(engine_url, autocommit=True) as look,
        closing(Explorer(World(engine_url, look), library, seed=1)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def explore(engine_url: str, library: Path) -> Iterator[Explore]:
    """Make an explorer of a place; the one before is closed: there is one world at a time."""
    with psycopg.connect(engine_url, autocommit=True) as look, ExitStack() as stack:
        made: dict[str, Explorer] = {}

        def explorer_of(place: Place) -> Explorer:
            if place.name not in made:
                stack.close()
                made.clear()
                explorer = Explorer(place.make(engine_url, look), library, seed=1)
                made[place.name] = stack.enter_context(closing(explorer))
            return made[place.name]

        yield explorer_of
