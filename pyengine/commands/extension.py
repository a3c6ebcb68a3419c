"""`pyengine extension`: the engine as a PostgreSQL extension."""

from pathlib import Path

import click

from pyengine._version import __version__
from pyengine.commands.database import Database, takes_database
from pyengine.commands.grouping import Group
from pyengine.schema import extension

_WITHOUT_SCHEMA = "the extension lives in the schema pyengine"


@click.group("extension", cls=Group)
def command() -> None:
    """Install the engine as a PostgreSQL extension, or stop doing so."""


@command.command("files")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False))
def files(directory: Path) -> None:
    """Write the control file and the scripts, for the server's extension directory."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in extension.files().items():
        (directory / name).write_text(text, encoding="utf-8")
    click.echo(f"wrote extension pyengine {__version__} to {directory}")


@command.command("pg-tle")
def pg_tle() -> None:
    """Print SQL that installs the extension through pg_tle, where no files can be put on the server."""
    click.echo(extension.pg_tle_script(), nl=False)


@command.command("adopt")
@takes_database
def adopt(database: Database) -> None:
    """Make a plain installation the extension; rows and running workflows stay."""
    with _engine(database).open() as target, target.connect() as conn:
        extension.adopt(conn)
    click.echo(f"schema 'pyengine' belongs to the extension pyengine {__version__}")


@command.command("release")
@takes_database
def release(database: Database) -> None:
    """Make the extension a plain installation; rows and running workflows stay."""
    with _engine(database).open() as target, target.connect() as conn:
        extension.release(conn)
    click.echo("schema 'pyengine' is a plain installation: pyengine migrate upgrades it")


def _engine(database: Database) -> Database:
    if database.schema != "pyengine":
        raise click.UsageError(f"--schema {database.schema} can't be used: {_WITHOUT_SCHEMA}")
    return database
