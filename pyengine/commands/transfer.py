"""`pyengine workflow export` and `import`: a workflow as a file, for support tickets and tests."""

from __future__ import annotations

import json
from typing import IO

import click

from pyengine.commands import printing
from pyengine.commands.database import Database, takes_database
from pyengine.database import upkeep_calls


@click.command("export")
@takes_database
@click.argument("workflow_id")
@click.option("--children", is_flag=True, help="Also what it started, directly and through others.")
@click.option(
    "-o",
    "--output",
    type=click.File("w", lazy=True),
    default="-",
    help="The file; by default standard output.",
)
def export(database: Database, workflow_id: str, *, children: bool, output: IO[str]) -> None:
    """Write a workflow with its steps, messages, events and streams as JSON.

    The payloads are in it, which may be confidential.
    """
    with database.engine() as engine:
        call = upkeep_calls.export_workflow(workflow_id=workflow_id, with_children=children)
        (document,) = engine.values(call)
    output.write(f"{document}\n")


@click.command("import")
@takes_database
@click.argument("file", type=click.File("r"))
@click.option(
    "--active",
    is_flag=True,
    help="Enqueue what had not ended, so that it runs here; else it is cancelled.",
)
def import_(database: Database, *, file: IO[str], active: bool) -> None:
    """Store exported workflows under their ids, and print these. FILE may be -, standard input."""
    document = file.read()
    try:
        json.loads(document)
    except ValueError as error:
        raise click.UsageError(f"{file.name} is no JSON: {error}") from None
    with database.engine() as engine:
        ids = engine.values(upkeep_calls.import_workflow(document=document, is_active=active))
    click.echo("".join(f"{printing.escaped(each)}\n" for each in ids), nl=False)


COMMANDS: tuple[click.Command, ...] = (export, import_)
