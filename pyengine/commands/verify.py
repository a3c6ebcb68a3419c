"""`pyengine verify`: whether anything is in the database that must never be."""

from __future__ import annotations

from dataclasses import asdict

import click

from pyengine.commands import printing
from pyengine.commands.database import Database, takes_database
from pyengine.commands.failures import CHECK_FAILED
from pyengine.database import upkeep_calls

_LIST = {"invariant": "INVARIANT", "workflow_id": "WORKFLOW_ID", "detail": "DETAIL"}


@click.command("verify")
@takes_database
@click.option("--deep", is_flag=True, help="Look at all that has ended, and not at a sample of it.")
@printing.json_option
def command(database: Database, *, deep: bool, as_json: bool) -> int:
    """Check the engine's invariants on the tables as they are, while everything runs.

    Exit status 4 if one is broken.
    """
    with database.engine() as engine:
        rows = engine.rows(upkeep_calls.verify(deep=deep))
    if as_json:
        printing.print_json([asdict(row) for row in rows])
    else:
        printing.print_table(_LIST, [asdict(row) for row in rows], empty="all invariants hold")
    return CHECK_FAILED if rows else 0
