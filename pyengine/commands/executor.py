"""`pyengine executor`: the processes that run workflows."""

from __future__ import annotations

from dataclasses import asdict

import click

from pyengine.commands import printing
from pyengine.commands.database import Database, takes_database
from pyengine.commands.grouping import Group
from pyengine.database import insight_calls

_LIST = {
    "executor_id": "ID",
    "name": "NAME",
    "state": "STATE",
    "application_name": "APPLICATION",
    "version": "VERSION",
    "running_count": "RUNNING",
    "heartbeat": "HEARTBEAT",
    "host": "HOST",
    "process_id": "PROCESS",
    "started_at": "STARTED",
}


@click.group("executor", cls=Group)
def group() -> None:
    """Look at the processes that run workflows."""


@group.command("list")
@takes_database
@click.option("-a", "--application-name", metavar="NAME", help="Of this application.")
@click.option("--all", "include_finished", is_flag=True, help="Also those that have ended.")
@click.option(
    "-l",
    "--limit",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="At most so many.",
)
@printing.json_option
def list_(
    database: Database,
    application_name: str | None,
    *,
    include_finished: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List the processes that run workflows, the newest first.

    live: it renews its lease. silent: its lease is over or its connection is lost, and its work is about to be given
    to others.
    """
    with database.engine() as engine:
        call = insight_calls.list_executors(
            application_name=application_name, include_finished=include_finished, row_limit=limit
        )
        rows = engine.rows(call)
        now = engine.now()
    if as_json:
        printing.print_json([asdict(row) for row in rows])
        return
    shown = [
        {
            **asdict(row),
            "version": row.application_version + ("" if row.version_is_pinned else " (any)"),
            "heartbeat": f"{printing.duration(max((now - row.heartbeat_at).total_seconds(), 0))} ago",
        }
        for row in rows
    ]
    printing.print_table(_LIST, shown, empty="no process runs workflows now")
