"""`pyengine reset`: delete all workflows, for tests and for starting over."""

import click

from pyengine.commands.asking import asks_first, confirm
from pyengine.commands.database import Database, takes_database
from pyengine.schema import reset


@click.command("reset")
@takes_database
@click.option("--truncate", is_flag=True, help="Keep the schema and only empty its tables.")
@asks_first
def command(database: Database, *, truncate: bool, yes: bool) -> None:
    """Delete every workflow and the engine's schema."""
    with database.open() as target:
        confirm(
            f"This deletes every workflow in schema {target.schema!r} of {target.shown}.",
            yes=yes,
            otherwise="nothing was deleted",
        )
        with target.connect() as conn:
            reset(conn, target.schema, truncate=truncate)
    click.echo(f"schema {target.schema!r} was {'emptied' if truncate else 'dropped'}")
