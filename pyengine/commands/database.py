"""The options by which commands are told their database, and the connection they make of them."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pyengine import config, embedded, urls
from pyengine.errors import DBOSInitializationError


@dataclass(frozen=True)
class Target:
    """A database that is ready for connections, and the engine's schema in it.

    Attributes:
        dsn: the URL or connection string, password included; never to be shown.
        shown: a description that may be shown.
        schema: the engine's schema.
        bindir: PostgreSQL's programs, when the server is the embedded one.
    """

    dsn: str
    shown: str
    schema: str
    bindir: Path | None

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection, in autocommit mode."""
        return psycopg.connect(self.dsn, autocommit=True)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare --database-url and --schema."""
    parser.add_argument(
        "-s",
        "--database-url",
        "--sys-db-url",
        dest="database_url",
        metavar="URL",
        help="the database; by default that of DBOS_SYSTEM_DATABASE_URL, PYENGINE_DATABASE_URL or "
        "libpq's own variables, else the embedded server",
    )
    parser.add_argument(
        "--schema", default="pyengine", metavar="NAME", help="the engine's schema (%(default)s)"
    )


@contextmanager
def target(options: argparse.Namespace) -> Iterator[Target]:
    """Find the database of the options, starting the embedded server if it is that one.

    Raises:
        DBOSInitializationError: the URL or the schema's name cannot be used.
    """
    settings = config.resolve(
        {
            "name": "pyengine-cli",
            "system_database_url": _url(options),
            "dbos_system_schema": options.schema,
            "log_level": "WARNING",
        }
    )
    url = settings.system_database_url
    if url is not None:
        yield Target(url, config.redact(url), settings.schema, None)
        return
    with embedded.start() as server:
        shown = f"the embedded server in {server.root}"
        yield Target(server.dsn(), shown, settings.schema, server.bindir)


def _url(options: argparse.Namespace) -> str | None:
    if options.database_url is None:
        return None
    try:
        return str(urls.parse(options.database_url))
    except urls.MalformedUrlError as exc:
        problem = str(exc)
    # Raised outside the handler, so that no context of it can show a part of the URL.
    msg = f"--database-url cannot be used: {problem}"
    raise DBOSInitializationError(msg)
