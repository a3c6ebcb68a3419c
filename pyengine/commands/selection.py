"""The options by which commands choose workflows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from pyengine import conditions
from pyengine.conditions import Tree
from pyengine.errors import DBOSInvalidArgumentError
from pyengine.status import WorkflowStatusString

R = TypeVar("R")

_LISTS = {
    "statuses": "status",
    "names": "name",
    "queue_names": "queue_name",
    "application_names": "application_name",
    "versions": "application_version",
    "executors": "executor_name",
    "users": "authenticated_user",
}


_STATUS = click.Choice([each.value for each in WorkflowStatusString], case_sensitive=False)


@dataclass(frozen=True)
class Selection:
    """What the options chose: the condition, and how it is told to people."""

    condition: Tree | None
    told: str

    @property
    def is_everything(self) -> bool:
        """Whether no option restricts it."""
        return self.condition is None


def selects_workflows(
    *, short_status: bool = True
) -> Callable[[Callable[..., R]], Callable[..., R]]:
    """Give a command the options that choose workflows; it gets a `Selection` as `selection`.

    Args:
        short_status: whether -S is the short form of --status.
    """
    status = ("-S", "--status") if short_status else ("--status",)
    options = (
        click.option(*status, "statuses", multiple=True, type=_STATUS, metavar="STATUS",
                     help="Of this status; may be given again, as all of these."),
        click.option("-n", "--name", "names", multiple=True, help="Of this function."),
        click.option("-q", "--queue-name", "queue_names", multiple=True, metavar="QUEUE",
                     help="In this queue."),
        click.option("-a", "--application-name", "application_names", multiple=True, metavar="NAME",
                     help="Of this application; by default of all."),
        click.option("-v", "--application-version", "versions", multiple=True, metavar="VERSION",
                     help="Of this application version."),
        click.option("-x", "--executor", "executors", multiple=True, metavar="NAME",
                     help="Run by the executor of this name."),
        click.option("-u", "--user", "users", multiple=True, help="Of this authenticated user."),
        click.option("-p", "--id-prefix", metavar="PREFIX", help="Whose id begins so."),
        click.option("-t", "--start-time", metavar="TIME",
                     help="Created at this time or later (ISO 8601)."),
        click.option("-e", "--end-time", metavar="TIME", help="Created at this time or earlier."),
        click.option("--since", metavar="SPAN", help="Created within this span: 90m, 2h, '1 day'."),
        click.option("-w", "--where", metavar="CONDITION",
                     help="A condition in SQL, such as \"attempt_count > 1 and name like 'order%'\"."),
    )  # fmt: skip

    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        @functools.wraps(function)
        def wrapper(*args: Any, **given: Any) -> R:
            names = [*_LISTS, "id_prefix", "start_time", "end_time", "since", "where"]
            chosen = {name: given.pop(name) for name in names}
            return function(*args, selection=_selection(chosen), **given)

        decorated: Callable[..., R] = wrapper
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


def _selection(chosen: dict[str, Any]) -> Selection:
    trees: list[Tree] = []
    told: list[str] = []

    def add(tree: Tree, text: str) -> None:
        trees.append(tree)
        told.append(text)

    try:
        for option, column in _LISTS.items():
            if chosen[option]:
                add(
                    conditions.any_of(column, chosen[option]),
                    f"{column} {' or '.join(chosen[option])}",
                )
        if chosen["id_prefix"]:
            prefix = chosen["id_prefix"]
            add(conditions.begins_with("workflow_id", prefix), f"id beginning with {prefix}")
        if chosen["start_time"]:
            at = conditions.moment("--start-time", chosen["start_time"])
            add(conditions.compared("created_at", ">=", at), f"created since {at.isoformat()}")
        if chosen["end_time"]:
            at = conditions.moment("--end-time", chosen["end_time"])
            add(conditions.compared("created_at", "<=", at), f"created until {at.isoformat()}")
        if chosen["since"]:
            add(
                conditions.within("created_at", chosen["since"]),
                f"created within {chosen['since']}",
            )
        if chosen["where"] is not None:
            from pyengine.filters import compile_condition  # whoever needs no parser loads none

            add(compile_condition(chosen["where"]), chosen["where"])
    except DBOSInvalidArgumentError as error:
        raise click.UsageError(error.message) from None
    return Selection(conditions.all_of(trees), " and ".join(told))
