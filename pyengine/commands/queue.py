"""`pyengine queue`: the queues, how full they are, and their limits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click

from pyengine.commands import printing
from pyengine.commands.database import Database, Engine, takes_database
from pyengine.commands.failures import NoSuchError
from pyengine.commands.grouping import Group
from pyengine.database import insight_calls, queue_calls
from pyengine.database.rows import QueueDepthRow, QueueRow
from pyengine.queue_limits import QueueLimits, QueueRateLimit

_LIST = {
    "queue_name": "QUEUE",
    "state": "STATE",
    "enqueued": "ENQUEUED",
    "oldest": "OLDEST",
    "delayed": "DELAYED",
    "running": "RUNNING",
    "hibernated": "HIBERNATED",
    "limits": "LIMITS",
    "application_name": "APPLICATION",
}


class _Limit(click.ParamType[Any]):
    """A number, or none."""

    name = "number"

    def __init__(self, kind: type[int | float]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value is None or str(value).lower() == "none":
            return "none"
        try:
            return self._kind(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor none.", param, ctx)


_LIMITS: dict[str, tuple[type[int | float], str]] = {
    "concurrency": (int, "how many run at once in all processes"),
    "worker_concurrency": (int, "how many run at once in one process"),
    "partition_concurrency": (int, "how many run at once of one partition key"),
    "partition_worker_concurrency": (int, "how many of one key run at once in one process"),
    "limiter_limit": (int, "how many start within the limiter's period"),
    "limiter_period_seconds": (float, "the limiter's period, in seconds"),
    "partition_limiter_limit": (int, "how many of one key start within its limiter's period"),
    "partition_limiter_period_seconds": (float, "the period of that limiter, in seconds"),
    "max_depth": (int, "how many may wait"),
}


_PLAIN = (
    "concurrency",
    "worker_concurrency",
    "partition_concurrency",
    "partition_worker_concurrency",
    "max_depth",
)
_COUNTS = ("limiter_limit", "partition_limiter_limit")


@click.group("queue", cls=Group)
def group() -> None:
    """Look at queues, pause them, change their limits."""


@group.command("list")
@takes_database
@click.option("-a", "--application-name", metavar="NAME", help="Of this application, and of none.")
@printing.json_option
def list_(database: Database, application_name: str | None, *, as_json: bool) -> None:
    """List the queues, with how much waits and runs in each."""
    with database.engine() as engine:
        rows = engine.rows(
            queue_calls.list_queues(application_name=application_name, queue_names=None)
        )
        depths = {row.queue_name: row for row in engine.rows(insight_calls.queue_depth())}
        now = engine.now()
    unknown = [name for name in depths if name not in {row.queue_name for row in rows}]
    if as_json:
        printing.print_json([{**asdict(row), **_depth(depths.get(row.queue_name))} for row in rows])
        return
    shown = []
    for row in rows:
        depth = _depth(depths.get(row.queue_name))
        oldest = depth.pop("oldest_enqueued_at")
        shown.append(
            {
                **asdict(row),
                **depth,
                "state": "paused" if row.is_paused else "open",
                "oldest": None if oldest is None else now - oldest,
                "limits": _limits(row),
            }
        )
    printing.print_table(_LIST, shown, empty="no queues")
    if unknown and application_name is None:
        click.echo(
            f"work waits in queues that are not registered: {printing.text(unknown)}", err=True
        )


@group.command("pause")
@takes_database
@click.argument("queue_names", nargs=-1, required=True, metavar="QUEUE...")
def pause(database: Database, queue_names: Sequence[str]) -> None:
    """Hand out no more work of a queue; what runs goes on."""
    with database.engine() as engine:
        for name in queue_names:
            _require(engine, name)
            engine.values(queue_calls.pause_queue(queue_name=name))
            click.echo(f"paused {printing.escaped(name)}")


@group.command("resume")
@takes_database
@click.argument("queue_names", nargs=-1, required=True, metavar="QUEUE...")
def resume(database: Database, queue_names: Sequence[str]) -> None:
    """Hand out the work of a paused queue again."""
    with database.engine() as engine:
        for name in queue_names:
            _require(engine, name)
            engine.values(queue_calls.resume_queue(queue_name=name))
            click.echo(f"resumed {printing.escaped(name)}")


def _with_limits(function: Any) -> Any:
    for name, (kind, what) in reversed(_LIMITS.items()):
        flag = f"--{name.replace('_', '-')}"
        help_ = f"{what[0].upper()}{what[1:]}; none is no limit."
        function = click.option(flag, name, type=_Limit(kind), metavar="N", help=help_)(function)
    return function


@group.command("set")
@takes_database
@click.argument("queue_name", metavar="QUEUE")
@_with_limits
@printing.json_option
def set_(database: Database, queue_name: str, *, as_json: bool, **limits: Any) -> None:
    """Change limits of a queue; all processes follow at their next claim.

    A process that declares the queue with other limits sets them back when it starts.
    """
    changes = {
        name: None if value == "none" else value
        for name, value in limits.items()
        if value is not None
    }
    if not changes:
        raise click.UsageError("Give at least one limit to change.")
    with database.engine() as engine:
        _check(_require(engine, queue_name), changes)
        (row,) = engine.rows(
            queue_calls.change_queue(queue_name=queue_name, changes=json.dumps(changes))
        )
    if as_json:
        printing.print_json(asdict(row))
    else:
        click.echo(f"{printing.escaped(row.queue_name)}: {_limits(row) or 'no limits'}")


def _require(engine: Engine, queue_name: str) -> QueueRow:
    rows = engine.rows(queue_calls.list_queues(application_name=None, queue_names=[queue_name]))
    if not rows:
        raise NoSuchError(f"there is no queue {printing.escaped(queue_name)}")
    return rows[0]


def _present(row: QueueRow) -> dict[str, Any]:
    """The limits that a queue has, by the names of `_LIMITS`."""
    limits: dict[str, Any] = {name: getattr(row, name) for name in (*_PLAIN, *_COUNTS)}
    for name in ("limiter_period", "partition_limiter_period"):
        period = getattr(row, name)
        limits[f"{name}_seconds"] = None if period is None else period.total_seconds()
    return limits


def _check(row: QueueRow, changes: dict[str, Any]) -> None:
    """Refuse limits that contradict each other, as a program that declares them is refused."""
    limits = {**_present(row), **changes}
    checked: dict[str, Any] = {name: limits[name] for name in _PLAIN}
    for name in ("limiter", "partition_limiter"):
        limit, period = limits[f"{name}_limit"], limits[f"{name}_period_seconds"]
        if (limit is None) != (period is None):
            flag = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{flag}-limit and {flag}-period-seconds go together.")
        checked[name] = None if limit is None else QueueRateLimit(limit=limit, period=period)
    try:
        QueueLimits(**checked)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _depth(row: QueueDepthRow | None) -> dict[str, Any]:
    if row is not None:
        return {key: value for key, value in asdict(row).items() if key != "queue_name"}
    return {"enqueued": 0, "delayed": 0, "running": 0, "hibernated": 0, "oldest_enqueued_at": None}


def _limits(row: QueueRow) -> str:
    """The limits of a queue, in a line."""
    parts = [f"{name}={getattr(row, name)}" for name in _PLAIN if getattr(row, name) is not None]
    for name, limit, period in (
        ("limiter", row.limiter_limit, row.limiter_period),
        ("partition_limiter", row.partition_limiter_limit, row.partition_limiter_period),
    ):
        if limit is not None:
            parts.append(f"{name}={limit} per {printing.text(period)}")
    return ", ".join(parts)
