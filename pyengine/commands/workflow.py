"""`pyengine workflow`: what the workflows are and do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click

from pyengine.commands import payloads, printing, steering, timeline, transfer
from pyengine.commands.database import Database, takes_database
from pyengine.commands.finding import find
from pyengine.commands.grouping import Group
from pyengine.commands.selection import Selection, selects_workflows
from pyengine.conditions import as_json
from pyengine.database import calls, insight_calls
from pyengine.database.rows import StepRow, WorkflowRow

_LIST = {
    "workflow_id": "WORKFLOW_ID",
    "status": "STATUS",
    "name": "NAME",
    "queue_name": "QUEUE",
    "age": "CREATED",
    "took": "RAN",
    "attempt_count": "ATTEMPTS",
    "executor_name": "EXECUTOR",
}
_STEPS = {
    "step_id": "STEP",
    "name": "NAME",
    "outcome": "OUTCOME",
    "completed_at": "COMPLETED",
    "took": "TOOK",
    "attempt": "ATTEMPT",
    "child_workflow_id": "CHILD",
}
_NEVER_SHOWN = ("lease_token",)


@click.group("workflow", cls=Group)
def group() -> None:
    """Look at workflows and steer them."""


for _command in (timeline.command, *steering.COMMANDS, *transfer.COMMANDS):
    group.add_command(_command)


@group.command("list")
@takes_database
@selects_workflows()
@click.option(
    "-l",
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    help="At most so many; 0 is all.",
)
@click.option("-o", "--offset", type=click.IntRange(min=0), default=0, help="Skip so many first.")
@click.option(
    "-d/-f",
    "--sort-desc/--oldest-first",
    default=True,
    help="The newest first, as by default, or the oldest.",
)
@payloads.option
@printing.json_option
def list_(
    database: Database,
    selection: Selection,
    *,
    limit: int,
    offset: int,
    sort_desc: bool,
    with_payloads: bool,
    as_json: bool,
) -> None:
    """List workflows that all given options fit, the newest first."""
    filters: dict[str, object] = {
        "condition": _condition(selection),
        "newest_first": sort_desc,
        "row_limit": limit or None,
        "row_offset": offset,
        "load_input": with_payloads,
        "load_output": with_payloads,
    }
    with database.engine() as engine:
        rows = engine.rows(calls.list_workflows(filters=filters))
        now = engine.now()
    if as_json:
        printing.print_json([_as_dict(row, with_payloads=with_payloads) for row in rows])
        return
    printing.print_table(_LIST, [_summary(row, now) for row in rows], empty="no workflows")
    if limit and len(rows) == limit:
        click.echo(f"the first {limit}; --limit and --offset show others", err=True)
    if with_payloads:
        for row in rows:
            click.echo()
            printing.print_details({"workflow_id": row.workflow_id, **payloads.of_workflow(row)})


@group.command("get")
@takes_database
@click.argument("workflow_id")
@payloads.option
@printing.json_option
def get(database: Database, workflow_id: str, *, with_payloads: bool, as_json: bool) -> None:
    """Show one workflow."""
    with database.engine() as engine:
        row = find(engine, workflow_id, with_payloads=with_payloads)
        now = engine.now()
    shown = _as_dict(row, with_payloads=with_payloads)
    if as_json:
        printing.print_json(shown)
        return
    shown["created_at"] = f"{printing.text(row.created_at)} ({_ago(row.created_at, now)} ago)"
    shown |= {"ran": _took(row, now)} if row.started_at else {}
    printing.print_details(
        {key: value for key, value in shown.items() if value not in (None, False)}
    )


@group.command("steps")
@takes_database
@click.argument("workflow_id")
@click.option("-l", "--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("-o", "--offset", type=click.IntRange(min=0), help="Skip so many first.")
@payloads.option
@printing.json_option
def steps(
    database: Database,
    workflow_id: str,
    *,
    limit: int | None,
    offset: int | None,
    with_payloads: bool,
    as_json: bool,
) -> None:
    """List the recorded steps of a workflow."""
    with database.engine() as engine:
        find(engine, workflow_id)
        call = calls.list_steps(
            workflow_id=workflow_id, with_outcome=True, row_limit=limit, row_offset=offset
        )
        rows = engine.rows(call)
    shown = [_step(row, with_payloads=with_payloads) for row in rows]
    if as_json:
        printing.print_json(shown)
        return
    columns = {**_STEPS, "output": "OUTPUT", "error": "ERROR"} if with_payloads else _STEPS
    printing.print_table(columns, shown, empty=f"workflow {workflow_id} has not recorded a step")


@group.command("explain")
@takes_database
@click.argument("workflow_id")
@printing.json_option
def explain(database: Database, workflow_id: str, *, as_json: bool) -> None:
    """Say why a workflow is where it is: who runs it, what it waits for, which limit holds it back."""
    with database.engine() as engine:
        (row,) = engine.rows(insight_calls.explain_workflow(workflow_id=workflow_id))
    facts: Sequence[Mapping[str, Any]] = json.loads(row.facts)
    if as_json:
        printing.print_json({**asdict(row), "facts": facts})
        return
    beginning = row.summary.split(". ", 1)[0].removesuffix(".")
    click.secho(printing.escaped(beginning), bold=True)
    for fact in facts:
        click.echo(printing.wrapped(fact["sentence"], indent="  ", first="- "))


def _condition(selection: Selection) -> str | None:
    return as_json(selection.condition)


def _as_dict(row: WorkflowRow, *, with_payloads: bool) -> dict[str, Any]:
    shown = {key: value for key, value in asdict(row).items() if key not in _NEVER_SHOWN}
    for key in payloads.OF_WORKFLOW:
        del shown[key]
    return {**shown, **payloads.of_workflow(row)} if with_payloads else shown


def _summary(row: WorkflowRow, now: datetime) -> dict[str, Any]:
    return {
        **asdict(row),
        "age": f"{_ago(row.created_at, now)} ago",
        "took": _took(row, now) if row.started_at and row.status != "ENQUEUED" else None,
    }


def _step(row: StepRow, *, with_payloads: bool) -> dict[str, Any]:
    shown: dict[str, Any] = asdict(row)
    output, error = shown.pop("output"), shown.pop("error")
    del shown["workflow_id"]
    shown["outcome"] = "ERROR" if error is not None else "SUCCESS"
    shown["took"] = row.completed_at - row.started_at
    if with_payloads:
        shown |= {"output": payloads.value(output), "error": payloads.value(error)}
    return shown


def _ago(at: datetime, now: datetime) -> str:
    return printing.duration(max((now - at).total_seconds(), 0))


def _took(row: WorkflowRow, now: datetime) -> timedelta:
    assert row.started_at is not None
    return (row.finished_at or now) - row.started_at
