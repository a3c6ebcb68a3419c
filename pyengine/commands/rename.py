"""`pyengine rename-application`: give what belongs to an application to another name."""

from __future__ import annotations

import click

from pyengine.commands import printing
from pyengine.commands.asking import asks_first, confirm
from pyengine.commands.database import Database, takes_database
from pyengine.renaming import BATCH_SIZE, rename_flow


@click.command("rename-application")
@takes_database
@click.option("-f", "--from", "old_name", metavar="NAME", help="Its name now.")
@click.option("-t", "--to", "new_name", required=True, metavar="NAME", help="Its new name.")
@click.option(
    "--adopt-unclaimed-rows", is_flag=True, help="Also take what belongs to no application."
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    default=BATCH_SIZE,
    show_default=True,
    metavar="N",
    help="Workflows in one commit.",
)
@printing.json_option
@asks_first
def command(
    database: Database,
    *,
    old_name: str | None,
    new_name: str,
    adopt_unclaimed_rows: bool,
    batch_size: int,
    yes: bool,
    as_json: bool,
) -> None:
    """Give an application's workflows, queues, schedules and versions to another name.

    Stop its processes first: what they start meanwhile keeps the old name, until the command is repeated.
    """
    if old_name is None and not adopt_unclaimed_rows:
        raise click.UsageError("Give --from, or --adopt-unclaimed-rows, or both.")
    owned = None if old_name is None else f"what belongs to {printing.escaped(old_name)}"
    unclaimed = "what belongs to no application" if adopt_unclaimed_rows else None
    confirm(
        f"This gives {' and '.join(filter(None, (owned, unclaimed)))} to {printing.escaped(new_name)}.",
        yes=yes,
        otherwise="nothing was renamed",
    )
    with database.engine() as engine:
        counts = engine.run(
            rename_flow(old_name, new_name, batch_size, adopt_unclaimed_rows=adopt_unclaimed_rows)
        )
    if as_json:
        printing.print_json(counts)
        return
    told = ", ".join(f"{name} {count}" for name, count in counts.items())
    click.echo(f"{printing.escaped(new_name)} got: {told}")
