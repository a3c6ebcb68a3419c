"""`pyengine metrics`: measurements for Prometheus and others."""

import click

from pyengine.commands.database import Database, takes_database
from pyengine.flows.metrics import metrics


@click.command("metrics")
@takes_database
def command(database: Database) -> None:
    """Print measurements as OpenMetrics text.

    Counts and ages are of what has not ended; rates and durations of what ended in the last 5 minutes. So the cost
    grows with these, and not with the history.
    """
    with database.engine() as engine:
        click.echo(engine.run(metrics()), nl=False)
