"""The fixtures for applications, here in place of this project's own ones."""

import pytest

from pyengine import embedded
from pyengine.testing import dbos, pyengine_clock, pyengine_config, pyengine_url

__all__ = ["dbos", "pyengine_clock", "pyengine_config", "pyengine_server", "pyengine_url"]


@pytest.fixture(scope="session")
def pyengine_server(server: embedded.Server) -> str:
    """The server of this run rather than the user's own."""
    return server.url()
