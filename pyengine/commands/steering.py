"""The commands of `pyengine workflow` that steer workflows: those of given ids, or all that options choose."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from pyengine.commands import bulk, printing
from pyengine.commands.asking import asks_first
from pyengine.commands.database import Database, Engine, takes_database
from pyengine.commands.selection import selects_workflows
from pyengine.database import steering_calls
from pyengine.workflow_ids import generate_workflow_id

R = TypeVar("R")

_TARGET_QUEUE = click.option(
    "--to-queue", metavar="QUEUE", help="Put it in this queue; by default in none."
)


def _steers(*, short_status: bool = True) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """The options that all of these commands have."""

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        for option in (asks_first, printing.json_option, bulk.options):
            function = option(function)
        function = selects_workflows(short_status=short_status)(function)
        return takes_database(click.argument("workflow_ids", nargs=-1, metavar="[ID]...")(function))

    return decorate


@click.command("cancel")
@_steers()
@click.option(
    "--children", is_flag=True, help="Also what they started, directly and through others."
)
def cancel(database: Database, *, children: bool, **given: Any) -> None:
    """Cancel workflows: their runs are refused every further write.

    Those that have succeeded or failed stay as they are.
    """

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        return engine.values(
            steering_calls.cancel_workflows(workflow_ids=ids, cancel_children=children)
        )

    bulk.run(database, bulk.Deed("cancel", "cancelled", act), **given)


@click.command("resume")
@_steers()
@_TARGET_QUEUE
def resume(database: Database, *, to_queue: str | None, **given: Any) -> None:
    """Let cancelled workflows and dead letters run again, behind their last recorded step."""

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        call = partial(steering_calls.resume_workflows, workflow_ids=ids, queue_name=to_queue)
        return engine.values(call(request_token=str(uuid.uuid4())))

    bulk.run(database, bulk.Deed("resume", "resumed", act), **given)


@click.command("delete")
@_steers()
@click.option(
    "--children", is_flag=True, help="Also what they started, directly and through others."
)
def delete(database: Database, *, children: bool, **given: Any) -> None:
    """Delete workflows with all that belongs to them, whatever their status.

    The id of a deleted workflow is free: a call with it runs the workflow again.
    """

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        return engine.values(
            steering_calls.delete_workflows(workflow_ids=ids, delete_children=children)
        )

    bulk.run(database, bulk.Deed("delete", "deleted", act, is_final=True), **given)


@click.command("fork")
@_steers(short_status=False)
@click.option(
    "-S", "--step", type=click.IntRange(min=1), default=1, show_default=True,
    help="The first step that is run again.",
)  # fmt: skip
@click.option("-f", "--forked-workflow-id", metavar="ID", help="The id of the fork.")
@click.option("--to-version", metavar="VERSION", help="The version that runs it; by default any.")
@_TARGET_QUEUE
@click.option("--partition-key", help="Its partition key in that queue.")
def fork(
    database: Database,
    *,
    step: int,
    forked_workflow_id: str | None,
    to_version: str | None,
    to_queue: str | None,
    partition_key: str | None,
    **given: Any,
) -> None:
    """Start copies of workflows, with the outcomes of the steps before --step.

    The originals stay as they are. Prints the ids of the forks.
    """
    if forked_workflow_id is not None and len(given["workflow_ids"]) != 1:
        raise click.UsageError("--forked-workflow-id goes with exactly one ID.")

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        return [
            engine.values(
                steering_calls.fork_workflow(
                    workflow_id=workflow_id,
                    start_step=step,
                    new_workflow_id=forked_workflow_id or generate_workflow_id(),
                    application_version=to_version,
                    queue_name=to_queue,
                    partition_key=partition_key,
                    replacement_children=None,
                    timeout_ms=None,
                    request_token=str(uuid.uuid4()),
                )
            )[0]
            for workflow_id in ids
        ]

    bulk.run(database, bulk.Deed("fork", "forked", act, prints_ids=True), **given)


@click.command("rewind")
@_steers(short_status=False)
@click.option(
    "-S", "--step", type=click.IntRange(min=1), default=1, show_default=True,
    help="The first step that is run again.",
)  # fmt: skip
@click.option("--to-version", metavar="VERSION", help="The version that runs it; by default any.")
@_TARGET_QUEUE
@click.option("--partition-key", help="Its partition key in that queue.")
def rewind(
    database: Database,
    *,
    step: int,
    to_version: str | None,
    to_queue: str | None,
    partition_key: str | None,
    **given: Any,
) -> None:
    """Let workflows that have ended run again under their own ids, from --step on.

    What they recorded from that step on is removed.
    """

    def act(engine: Engine, ids: Sequence[str]) -> Sequence[str]:
        for workflow_id in ids:
            engine.values(
                steering_calls.rewind_workflow(
                    workflow_id=workflow_id,
                    start_step=step,
                    application_version=to_version,
                    queue_name=to_queue,
                    partition_key=partition_key,
                    request_token=str(uuid.uuid4()),
                )
            )
        return ids

    bulk.run(database, bulk.Deed("rewind", "rewound", act, is_final=True), **given)


COMMANDS: tuple[click.Command, ...] = (cancel, resume, fork, rewind, delete)
