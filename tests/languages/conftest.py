"""Fixtures: the workers, and what they need."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pyengine import embedded
from tests.languages import workers
from tests.languages.conformance.runner import Worker

# Where `make test-languages` installs what package-lock.json says.
NODE_MODULES = Path(os.environ.get("PYENGINE_NODE_MODULES", ".venv/node/node_modules")).absolute()


def missing(language: str) -> str | None:
    """Why a language can't be tested here; None when it can."""
    if language == "node" and (shutil.which("node") is None or not (NODE_MODULES / "pg").is_dir()):
        return "Node and its package pg are not here: make test-languages"
    if language == "psql" and shutil.which("bash") is None:
        return "bash is not here"
    return None


def not_here(reason: str) -> None:
    """Skip the test, or fail it under `make test-languages`, which promises every language."""
    if os.environ.get("PYENGINE_REQUIRE_LANGUAGES"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=["python", "node", "psql"])
def worker(request: pytest.FixtureRequest, server: embedded.Server) -> Worker:
    """Each worker of this repository."""
    language: str = request.param
    if reason := missing(language):
        not_here(reason)
    if language == "node":
        return workers.node(NODE_MODULES)
    return workers.psql(server.bindir) if language == "psql" else workers.python()
