"""`pyengine schedule`: what starts by the clock, and when."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any, get_args

import click

from pyengine.commands import asking, printing
from pyengine.commands.database import Database, Engine, takes_database
from pyengine.commands.failures import NoSuchError
from pyengine.commands.grouping import Group
from pyengine.cron import parse
from pyengine.database import schedule_calls
from pyengine.database.rows import ScheduledStart, ScheduleRow
from pyengine.schedules import CatchUp, Overlap

_LIST = {
    "schedule_name": "SCHEDULE",
    "status": "STATUS",
    "schedule": "TIMES",
    "cron_timezone": "ZONE",
    "next_due_at": "NEXT",
    "last_fired_at": "LAST",
    "workflow_name": "WORKFLOW",
    "application_name": "APPLICATION",
    "error": "ERROR",
}
_TICKS = {
    "tick_at": "TICK",
    "fired_at": "FIRED",
    "outcome": "OUTCOME",
    "workflow_id": "WORKFLOW",
}

# Ticks that are backfilled in one statement, and from how many on somebody is asked.
_CHUNK, _MANY = 500, 100


class _Moment(click.ParamType[datetime]):
    """A time in ISO 8601; without a zone it is in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        text = str(value)
        try:
            moment = datetime.fromisoformat(f"{text[:-1]}+00:00" if text[-1:] in "Zz" else text)
        except ValueError:
            self.fail(
                f"{value!r} is no time in ISO 8601, such as 2026-01-31T12:00:00Z.", param, ctx
            )
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)


@click.group("schedule", cls=Group)
def group() -> None:
    """Look at schedules; create, pause, trigger, backfill and delete them."""


@group.command("list")
@takes_database
@click.option("-a", "--application-name", metavar="NAME", help="Of this application, and of none.")
@click.option("--status", type=click.Choice(("ACTIVE", "PAUSED")), help="In this state.")
@printing.json_option
def list_(
    database: Database, application_name: str | None, status: str | None, *, as_json: bool
) -> None:
    """List the schedules, with their last and next tick."""
    with database.engine() as engine:
        rows = engine.rows(
            schedule_calls.list_schedules(
                statuses=[status] if status else None,
                application_names=[application_name] if application_name else None,
            )
        )
    shown = [_without_context(row) for row in rows]
    if as_json:
        printing.print_json(shown)
        return
    columns = _LIST if any(row.error for row in rows) else _without(_LIST, "error")
    printing.print_table(columns, shown, empty="no schedules")


@group.command("get")
@takes_database
@click.argument("schedule_name", metavar="SCHEDULE")
@click.option("-l", "--limit", default=10, show_default=True, help="So many of its last ticks.")
@click.option("--payloads", is_flag=True, help="Show the context of its workflows too.")
@printing.json_option
def get(
    database: Database, schedule_name: str, limit: int, *, payloads: bool, as_json: bool
) -> None:
    """Show a schedule, and what became of its last ticks."""
    with database.engine() as engine:
        row = _require(engine, schedule_name)
        ticks = [
            asdict(tick)
            for tick in engine.rows(
                schedule_calls.list_schedule_ticks(schedule_name=schedule_name, row_limit=limit)
            )
        ]
    shown = _without_context(row)
    if payloads:
        shown["context"] = None if row.context is None else json.loads(row.context)
    if as_json:
        printing.print_json({**shown, "ticks": ticks})
        return
    printing.print_details(shown)
    click.echo()
    printing.print_table(_TICKS, ticks, empty="no tick was fired yet")


@group.command("create")
@takes_database
@click.argument("schedule_name", metavar="SCHEDULE")
@click.argument("workflow_name", metavar="WORKFLOW")
@click.argument("schedule", metavar="CRON")
@click.option("-a", "--application-name", metavar="NAME", help="The application that runs it.")
@click.option("--class-name", metavar="NAME", help="The class, if it is a class method.")
@click.option("--context", metavar="JSON", help="The second argument of the workflow.")
@click.option("--timezone", "cron_timezone", metavar="ZONE", help="IANA name; UTC by default.")
@click.option("--queue-name", metavar="NAME", help="The queue of its workflows.")
@click.option(
    "--catch-up",
    type=click.Choice(get_args(CatchUp)),
    default="skip",
    show_default=True,
    help="What happens to ticks that were missed.",
)
@click.option(
    "--overlap",
    type=click.Choice(get_args(Overlap)),
    default="allow",
    show_default=True,
    help="What happens to a tick while a workflow of the schedule is active.",
)
@click.option(
    "--grace-seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="How late a tick may be before it is missed.",
)
@click.option("--portable", is_flag=True, help="The workflow is not in Python: times are texts.")
def create(database: Database, *, portable: bool, **given: Any) -> None:
    """Start a workflow at the times of a cron expression (quote it).

    CRON is minute, hour, day of the month, month and weekday; or six fields with the second first.
    """
    parse(given["schedule"], given["cron_timezone"])
    if given["context"] is not None:
        try:
            json.loads(given["context"])
        except ValueError as error:
            raise click.UsageError(f"--context is no JSON: {error}") from None
    with database.engine() as engine:
        engine.rows(
            schedule_calls.create_schedule(
                **{name: value for name, value in given.items() if name != "class_name"},
                workflow_class_name=given["class_name"],
                serialization="portable_json" if portable else "json",
                max_attempts=None,
            )
        )
    click.echo(f"created {printing.escaped(given['schedule_name'])}")


@group.command("pause")
@takes_database
@click.argument("schedule_names", nargs=-1, required=True, metavar="SCHEDULE...")
def pause(database: Database, schedule_names: Sequence[str]) -> None:
    """Start nothing until the schedule is resumed."""
    with database.engine() as engine:
        for name in schedule_names:
            _found(engine.values(schedule_calls.pause_schedule(schedule_name=name)), name)
            click.echo(f"paused {printing.escaped(name)}")


@group.command("resume")
@takes_database
@click.argument("schedule_names", nargs=-1, required=True, metavar="SCHEDULE...")
def resume(database: Database, schedule_names: Sequence[str]) -> None:
    """Go on with a paused schedule; what it missed is treated as its catch-up says."""
    with database.engine() as engine:
        for name in schedule_names:
            _found(engine.values(schedule_calls.resume_schedule(schedule_name=name)), name)
            click.echo(f"resumed {printing.escaped(name)}")


@group.command("trigger")
@takes_database
@click.argument("schedule_name", metavar="SCHEDULE")
def trigger(database: Database, schedule_name: str) -> None:
    """Start the workflow of a schedule now, and print its id."""
    with database.engine() as engine:
        _require(engine, schedule_name)
        call = schedule_calls.trigger_schedule(
            schedule_name=schedule_name, request_token=str(uuid.uuid4())
        )
        (workflow_id,) = engine.values(call)
    click.echo(printing.escaped(workflow_id))


@group.command("backfill")
@takes_database
@click.argument("schedule_name", metavar="SCHEDULE")
@click.argument("start", type=_Moment())
@click.argument("end", type=_Moment())
@asking.asks_first
def backfill(
    database: Database, schedule_name: str, start: datetime, end: datetime, *, yes: bool
) -> None:
    """Start the workflow for each tick after START and before END that was not fired yet.

    Times are in ISO 8601; without a zone they are in UTC.
    """
    with database.engine() as engine:
        row = _require(engine, schedule_name)
        ticks = [
            tick.isoformat() for tick in parse(row.schedule, row.cron_timezone).between(start, end)
        ]
        if len(ticks) > _MANY:
            what = f"This fires {len(ticks)} ticks of {printing.escaped(schedule_name)}."
            asking.confirm(what, yes=yes, otherwise="nothing was fired")
        fired: list[ScheduledStart] = []
        for first in range(0, len(ticks), _CHUNK):
            call = schedule_calls.backfill_schedule(
                schedule_name=schedule_name, ticks=ticks[first : first + _CHUNK]
            )
            fired += engine.rows(call)
    for each in fired:
        click.echo(printing.escaped(each.workflow_id or f"{each.tick}: the queue is full"))
    if any(each.workflow_id is None for each in fired):
        raise click.ClickException(
            "some ticks were refused; run this again when the queue has room"
        )


@group.command("delete")
@takes_database
@click.argument("schedule_names", nargs=-1, required=True, metavar="SCHEDULE...")
@asking.asks_first
def delete(database: Database, schedule_names: Sequence[str], *, yes: bool) -> None:
    """Remove schedules; the workflows that they started stay."""
    with database.engine() as engine:
        for name in schedule_names:
            _require(engine, name)
        names = ", ".join(map(printing.escaped, schedule_names))
        asking.confirm(f"This deletes {names}.", yes=yes, otherwise="nothing was deleted")
        for name in schedule_names:
            engine.values(schedule_calls.delete_schedule(schedule_name=name))
            click.echo(f"deleted {printing.escaped(name)}")


def _require(engine: Engine, name: str) -> ScheduleRow:
    rows = engine.rows(schedule_calls.list_schedules(schedule_names=[name]))
    _found([bool(rows)], name)
    return rows[0]


def _found(answer: Sequence[bool], name: str) -> None:
    if not answer[0]:
        raise NoSuchError(f"there is no schedule {printing.escaped(name)}")


def _without_context(row: ScheduleRow) -> dict[str, Any]:
    return _without(asdict(row), "context")


def _without(given: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in given.items() if name != key}
