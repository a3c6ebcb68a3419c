"""`pyengine version`: what is installed."""

import click

from pyengine._version import __version__
from pyengine.schema import load


@click.command("version")
def command() -> None:
    """Show the version of the library and of the schema it ships."""
    click.echo(f"pyengine {__version__} (schema version {load().latest_version})")
