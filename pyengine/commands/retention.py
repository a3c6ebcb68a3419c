"""`pyengine retention`: how long workflows are kept after their end."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from pyengine.commands import printing
from pyengine.commands.asking import asks_first, confirm
from pyengine.commands.database import Database, takes_database
from pyengine.commands.grouping import Group
from pyengine.database import upkeep_calls

_LIST = {
    "application_name": "APPLICATION",
    "success_age": "SUCCESS",
    "error_age": "ERROR",
    "cancelled_age": "CANCELLED",
    "dead_letter_age": "DEAD LETTER",
    "keep_newest": "KEEP NEWEST",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class _Age(click.ParamType[timedelta]):
    """A span such as 90d."""

    name = "age"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        match = re.fullmatch(r"(\d+)([smhdw])", str(value).strip())
        if match is None:
            self.fail(f"{value!r} is not an age: write it as 90d, 12h or 30m.", param, ctx)
        return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


@click.group("retention", cls=Group)
def group() -> None:
    """Say how long workflows are kept after their end; without a policy it is for ever."""


@group.command("list")
@takes_database
@printing.json_option
def list_(database: Database, *, as_json: bool) -> None:
    """List the policies: how long an application's workflows are kept, by how they ended."""
    with database.engine() as engine:
        rows = engine.rows(upkeep_calls.list_retention(application_name=None))
    if as_json:
        printing.print_json([asdict(row) for row in rows])
        return
    shown = [{**asdict(row), "application_name": row.application_name or "(none)"} for row in rows]
    printing.print_table(_LIST, shown, empty="no policies: everything is kept for ever")


@group.command("set")
@takes_database
@click.argument("application_name", metavar="APPLICATION")
@click.option("--age", type=_Age(), metavar="AGE", help="For those below that are not given.")
@click.option("--success-age", type=_Age(), metavar="AGE", help="Of those that succeeded.")
@click.option("--error-age", type=_Age(), metavar="AGE", help="Of those that failed.")
@click.option("--cancelled-age", type=_Age(), metavar="AGE", help="Of those that were cancelled.")
@click.option("--dead-letter-age", type=_Age(), metavar="AGE", help="Of dead letters.")
@click.option(
    "--keep-newest",
    type=click.IntRange(min=0),
    metavar="N",
    help="At most so many, whatever their age.",
)
@asks_first
def set_(
    database: Database,
    application_name: str,
    *,
    age: timedelta | None,
    success_age: timedelta | None,
    error_age: timedelta | None,
    cancelled_age: timedelta | None,
    dead_letter_age: timedelta | None,
    keep_newest: int | None,
    yes: bool,
) -> None:
    """Let the engine delete an application's workflows so long after their end.

    What is not given is kept for ever; the policy replaces the one before. The id of a deleted workflow is free: a
    call with it runs the workflow again.
    """
    ages = {
        "success_age": success_age or age,
        "error_age": error_age or age,
        "cancelled_age": cancelled_age or age,
        "dead_letter_age": dead_letter_age or age,
    }
    if keep_newest is None and not any(ages.values()):
        raise click.UsageError(
            "Give at least one age, or --keep-newest; `pyengine retention remove` keeps everything."
        )
    told = ", ".join(f"{name} {printing.text(value)}" for name, value in ages.items() if value)
    newest = "" if keep_newest is None else f", at most {keep_newest}"
    confirm(
        f"Workflows of application {printing.escaped(application_name)} will be deleted after their end: "
        f"{told}{newest}.",
        yes=yes,
        otherwise="nothing was changed",
    )
    with database.engine() as engine:
        engine.values(
            upkeep_calls.set_retention(
                application_name=application_name, keep_newest=keep_newest, **ages
            )
        )
    click.echo(f"the policy of {printing.escaped(application_name)} is set")


@group.command("remove")
@takes_database
@click.argument("application_name", metavar="APPLICATION")
def remove(database: Database, application_name: str) -> None:
    """Keep an application's workflows for ever."""
    with database.engine() as engine:
        engine.values(
            upkeep_calls.set_retention(
                application_name=application_name,
                success_age=None,
                error_age=None,
                cancelled_age=None,
                dead_letter_age=None,
                keep_newest=None,
            )
        )
    click.echo(f"workflows of {printing.escaped(application_name)} are kept for ever")
