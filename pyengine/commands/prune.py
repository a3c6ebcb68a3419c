"""`pyengine prune`: delete old workflows once; a retention policy does it all the time."""

from __future__ import annotations

from collections.abc import Sequence

import click

from pyengine import conditions
from pyengine.commands import bulk, printing
from pyengine.commands.asking import asks_first
from pyengine.commands.database import Database, Engine, takes_database
from pyengine.commands.selection import Selection, selects_workflows
from pyengine.database import steering_calls
from pyengine.errors import DBOSInvalidArgumentError


@click.command("prune")
@takes_database
@click.option(
    "--older-than",
    required=True,
    metavar="SPAN",
    help="That ended longer ago than this: 90d, '30 days', 12h.",
)
@selects_workflows()
@bulk.options
@printing.json_option
@asks_first
def command(
    database: Database,
    *,
    older_than: str,
    selection: Selection,
    rate: float | None,
    limit: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete workflows that ended long ago, with all that belongs to them.

    The id of a deleted workflow is free: a call with it runs the workflow again. `pyengine retention set` lets the
    engine do it by itself.
    """

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        return engine.values(
            steering_calls.delete_workflows(workflow_ids=ids, delete_children=False)
        )

    try:
        old = conditions.longer_ago("finished_at", older_than)
    except DBOSInvalidArgumentError as error:
        raise click.UsageError(f"--older-than: {error.message}") from None
    chosen = [old] if selection.condition is None else [old, selection.condition]
    told = f"an end more than {older_than} ago"
    both = Selection(
        conditions.all_of(chosen), f"{selection.told} and {told}" if selection.told else told
    )
    bulk.run(
        database,
        bulk.Deed("delete", "deleted", act, is_final=True),
        workflow_ids=(),
        selection=both,
        rate=rate,
        limit=limit,
        yes=yes,
        as_json=as_json,
    )
