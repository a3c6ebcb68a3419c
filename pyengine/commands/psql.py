"""`pyengine psql`: a shell on the engine's database."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pyengine.commands.database import Database, takes_database
from pyengine.errors import DBOSInitializationError


@click.command("psql")
@takes_database
@click.argument("arguments", nargs=-1, metavar="[-- PSQL_ARGUMENTS]")
def command(database: Database, arguments: tuple[str, ...]) -> int:
    """Open psql on the engine's database, and end with its exit status."""
    with database.open() as target, _interrupts_go_to_psql():
        conninfo, environment = _without_password(target.dsn)
        # Not os.execv: the embedded server runs as long as this process does.
        done = subprocess.run(
            [_program(target.bindir), conninfo, *arguments],
            env={**os.environ, **environment},
            check=False,
        )
    return done.returncode


def _program(bindir: Path | None) -> str:
    if bindir is not None and (bindir / "psql").is_file():
        return str(bindir / "psql")
    found = shutil.which("psql")
    if found is None:
        msg = "there is no psql on the PATH: install PostgreSQL's client programs"
        raise DBOSInitializationError(msg)
    return found


def _without_password(dsn: str) -> tuple[str, Mapping[str, str]]:
    """Move the password out of the command line, which every user of the machine can read."""
    parameters = conninfo_to_dict(dsn)
    password = parameters.pop("password", None)
    environment = {} if password is None else {"PGPASSWORD": str(password)}
    return make_conninfo("", **parameters), environment


@contextmanager
def _interrupts_go_to_psql() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
