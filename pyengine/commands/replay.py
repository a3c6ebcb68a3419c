"""`pyengine replay`: does the code still match the workflows that are under way?"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from pyengine import DBOS, lifecycle
from pyengine.commands import printing
from pyengine.commands.failures import CHECK_FAILED

_COLUMNS = {"workflow_id": "WORKFLOW", "name": "NAME", "step_id": "STEP", "reason": "REASON"}


@click.command("replay")
@click.argument("module")
@click.option(
    "--check",
    is_flag=True,
    expose_value=False,
    help="Change nothing: the only way to replay, so it may be left out.",
)
@click.option("--name", "names", multiple=True, help="Only workflows of this function. Repeatable.")
@click.option("--id", "workflow_ids", multiple=True, help="Only this workflow. Repeatable.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many, the oldest first.")
@printing.json_option
def command(
    module: str,
    *,
    names: Sequence[str],
    workflow_ids: Sequence[str],
    limit: int | None,
    as_json: bool,
) -> int:
    """Replay the workflows that are under way against the code of MODULE.

    MODULE (such as shop.workflows) is imported; it registers the workflows and constructs DBOS(config=...), and
    must not launch it. Each workflow is run with its recorded outcomes up to the first thing that is not recorded.
    No step runs and nothing is written. Run it before a deploy: the exit status is 4 if a workflow does not match.
    """
    sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module(module.partition(":")[0])
    except ModuleNotFoundError as error:
        raise click.UsageError(f"{module} can't be imported: {error}") from None
    if lifecycle.configured() is None:
        raise click.UsageError(f"{module} was imported and has not constructed DBOS(config=...).")
    report = DBOS.check_replay(
        workflow_ids=list(workflow_ids) or None, name=list(names) or None, limit=limit
    )
    if as_json:
        printing.print_json(asdict(report))
    else:
        rows = [asdict(each) for each in report.mismatches]
        printing.print_table(_COLUMNS, rows, empty="the code follows every history")
        click.echo(
            f"{printing.counted(report.checked, 'workflow')} replayed, mismatches: {len(report.mismatches)}"
        )
    return 0 if report.is_clean else CHECK_FAILED
