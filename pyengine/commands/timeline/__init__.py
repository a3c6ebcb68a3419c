"""`pyengine workflow timeline`: a picture of one workflow over time."""

from __future__ import annotations

from typing import IO

import click

from pyengine.commands import printing
from pyengine.commands.database import Database, takes_database
from pyengine.commands.timeline import svg
from pyengine.commands.timeline.reading import Wanted, read
from pyengine.commands.timeline.rows import Picture
from pyengine.commands.timeline.terminal import Style, draw


@click.command("timeline")
@takes_database
@click.argument("workflow_id")
@click.option("--children", is_flag=True, help="Also the steps of the workflows it started.")
@click.option("-l", "--limit", type=click.IntRange(min=1), help="At most so many steps.")
@click.option(
    "-o", "--offset", type=click.IntRange(min=0), default=0, help="Skip so many steps first."
)
@click.option(
    "--svg",
    "image",
    type=click.File("w", encoding="utf-8", lazy=True),
    help="Write the picture to this file, as an SVG image; - is standard output.",
)
@printing.json_option
def command(
    database: Database,
    workflow_id: str,
    *,
    children: bool,
    limit: int | None,
    offset: int,
    image: IO[str] | None,
    as_json: bool,
) -> None:
    """Draw what a workflow did when: its waits, runs and steps, and what is under way.

    Only what is recorded is drawn. Of steps that repeat, the first and the last are shown, and how many more there
    are. With --limit or --offset the picture covers the time of the steps that it shows.
    """
    if as_json and image is not None:
        raise click.UsageError("--json and --svg exclude each other")
    with database.engine() as engine:
        wanted = Wanted(workflow_id, limit, offset, children, is_folded=not as_json)
        picture = read(engine, wanted)
    if not picture.rows:
        click.echo(f"workflow {printing.escaped(workflow_id)} has no step there", err=True)
    if as_json:
        printing.print_json(_as_dict(picture))
    elif image is not None:
        image.write(svg.image(picture))
    else:
        for line in draw(picture, Style.of_output()):
            click.echo(line)


def _as_dict(picture: Picture) -> dict[str, object]:
    workflow = picture.workflow
    return {
        "workflow_id": workflow.workflow_id,
        "name": workflow.name,
        "status": workflow.status,
        "created_at": workflow.created_at,
        "started_at": workflow.started_at,
        "finished_at": workflow.finished_at,
        "delayed_until": workflow.delayed_until,
        "deadline_at": workflow.deadline_at,
        "attempt_count": workflow.attempt_count,
        "now": picture.now,
        "is_part": picture.is_part,
        "sentences": picture.sentences,
        "rows": [{**row.as_dict(), "took": row.took(picture.now)} for row in picture.rows],
    }
