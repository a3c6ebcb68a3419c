"""Doing something to many workflows: asked first, page by page, no faster than told, with a line of progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import click

from pyengine import conditions
from pyengine.bulk import PAGE, page_size
from pyengine.commands import printing
from pyengine.commands.asking import confirm
from pyengine.commands.database import Database, Engine
from pyengine.commands.failures import NoSuchError
from pyengine.commands.selection import Selection
from pyengine.conditions import Tree
from pyengine.database import calls, insight_calls
from pyengine.flows.paging import Pages

F = TypeVar("F", bound=Callable[..., object])


@dataclass(frozen=True)
class Deed:
    """What is done.

    Attributes:
        verb: as in "cancel".
        done: as in "cancelled".
        act: does it to workflows and returns the ids of those to which it was done (or made).
        is_final: whether it can't be undone, so that even one workflow is asked about.
        prints_ids: whether the returned ids are what the command is for.
    """

    verb: str
    done: str
    act: Callable[[Engine, Sequence[str]], Sequence[str]]
    is_final: bool = False
    prints_ids: bool = False


def options(function: F) -> F:
    """Give a command the options of pacing."""
    rate = click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="At most so many a second.",
    )
    most = click.option(
        "--limit", type=click.IntRange(min=1), help="At most so many in all, the oldest first."
    )
    return rate(most(function))


def run(
    database: Database,
    deed: Deed,
    *,
    workflow_ids: Sequence[str],
    selection: Selection,
    rate: float | None,
    limit: int | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Do something to the given ids, or to all workflows of a selection.

    Raises:
        click.UsageError: neither or both are given.
        click.ClickException: the answer to the question was not yes.
        NoSuchError: one of the given ids does not exist.
    """
    if bool(workflow_ids) != selection.is_everything:
        raise click.UsageError(
            f"Give the ids of the workflows to {deed.verb}, or options that choose them (not both)."
        )
    with database.engine() as engine:
        if workflow_ids:
            _require(engine, workflow_ids)
            if deed.is_final or len(workflow_ids) > 1:
                _ask(
                    deed,
                    engine,
                    f"{printing.counted(len(workflow_ids), 'workflow')}: {', '.join(workflow_ids)}",
                    yes=yes,
                )
            pages: Iterator[Sequence[str]] = iter([workflow_ids])
            total = len(workflow_ids)
        else:
            assert selection.condition is not None
            total, told = _count(engine, selection.condition)
            if total == 0:
                click.echo(f"no workflow has {selection.told}", err=True)
            else:
                total = min(total, limit or total)
                what = printing.counted(total, "workflow")
                _ask(deed, engine, f"{what} with {selection.told} ({told})", yes=yes)
            pages = _pages(engine, selection.condition, total, page_size(rate))
        changed = _work(engine, deed, pages, total, rate)
    if as_json:
        printing.print_json({"selected": total, deed.done: len(changed), "workflow_ids": changed})
    elif deed.prints_ids:
        click.echo("".join(f"{printing.escaped(each)}\n" for each in changed), nl=False)
    elif total:
        rest = " (the others had ended, or were gone)" if len(changed) < total else ""
        click.echo(f"{deed.done} {len(changed)} of {total}{rest}")


def _ask(deed: Deed, engine: Engine, what: str, *, yes: bool) -> None:
    where = f"in schema {engine.target.schema!r} of {engine.target.shown}"
    confirm(
        f"This will {deed.verb} {printing.escaped(what)}, {where}.",
        yes=yes,
        otherwise=f"nothing was {deed.done}",
    )


def _require(engine: Engine, workflow_ids: Sequence[str]) -> None:
    filters: dict[str, object] = {
        "workflow_ids": list(workflow_ids),
        "load_input": False,
        "load_output": False,
    }
    known = {row.workflow_id for row in engine.rows(calls.list_workflows(filters=filters))}
    for workflow_id in workflow_ids:
        if workflow_id not in known:
            raise NoSuchError(f"there is no workflow {printing.escaped(workflow_id)}")


def _count(engine: Engine, condition: Tree) -> tuple[int, str]:
    """How many a condition finds, in all and by status."""
    groups = engine.rows(
        insight_calls.aggregate_workflows(
            group_by=["status"], condition=conditions.as_json(condition), row_limit=None
        )
    )
    told = ", ".join(
        f"{group.workflow_count} {json.loads(group.groups)['status']}" for group in groups
    )
    return sum(group.workflow_count for group in groups), told


def _pages(engine: Engine, condition: Tree, total: int, size: int) -> Iterator[Sequence[str]]:
    filters = {"condition": conditions.as_json(condition), "row_limit": total}
    pages = Pages(filters, engine.now(), size)
    while (call := pages.next_call()) is not None:
        page = pages.accept(engine.rows(call))
        if not page:
            return
        yield page


def _work(
    engine: Engine, deed: Deed, pages: Iterator[Sequence[str]], total: int, rate: float | None
) -> list[str]:
    changed: list[str] = []
    seen = 0
    begin = time.monotonic()
    for page in pages:
        changed.extend(deed.act(engine, page))
        seen += len(page)
        _progress(deed, seen, total, time.monotonic() - begin)
        if rate is not None and seen < total:
            time.sleep(max(0.0, begin + seen / rate - time.monotonic()))
    if sys.stderr.isatty() and total > PAGE:
        click.echo(err=True)
    return changed


def _progress(deed: Deed, seen: int, total: int, seconds: float) -> None:
    if not sys.stderr.isatty() or total <= PAGE:
        return
    speed = f"{seen / seconds:.0f}/s" if seconds else ""
    click.echo(
        f"\r{deed.done} {seen} of {total} ({seen / total:.0%}, {speed})  ", nl=False, err=True
    )
