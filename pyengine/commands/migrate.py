"""`pyengine migrate`: install or upgrade the engine's schema."""

from typing import get_args

import click

from pyengine._version import __version__
from pyengine.commands.database import Database, takes_database
from pyengine.schema import EngineRole, compose, load, migrate, pending
from pyengine.schema.migrate import Report
from pyengine.schema.sources import Sources


@click.command("migrate")
@takes_database
@click.option(
    "-r",
    "--application-role",
    "--app-role",
    metavar="ROLE",
    help="An existing role that is to be given the use of the engine.",
)
@click.option(
    "--engine-role",
    type=click.Choice(get_args(EngineRole)),
    default="worker",
    show_default=True,
    help="What that role may do: look, also enqueue and send, also run workflows, or also administrate.",
)
@click.option(
    "--create-roles",
    is_flag=True,
    help="Create the group roles SCHEMA_observer, SCHEMA_client, SCHEMA_worker and SCHEMA_admin.",
)
@click.option(
    "--print",
    "printed",
    is_flag=False,
    flag_value="pending",
    type=click.Choice(("pending", "all")),
    help="Only print the SQL: of what the database lacks, or all of it (without connecting).",
)
def command(
    database: Database,
    application_role: str | None,
    engine_role: EngineRole,
    create_roles: bool,  # noqa: FBT001 - click passes it by name
    printed: str | None,
) -> None:
    """Install the engine's schema, or upgrade it to this version of the library."""
    if printed == "all":
        sources = load()
        _print(compose.install(sources), sources, database.schema)
        return
    with database.open() as target, target.connect() as conn:
        if printed:
            plan = pending(conn, schema=target.schema)
            if plan:
                _print(plan, load(), target.schema)
            return
        report = migrate(
            conn,
            schema=target.schema,
            application_role=application_role,
            engine_role=engine_role,
            create_roles=create_roles,
        )
    _tell(report)


def _print(plan: compose.Plan, sources: Sources, schema: str) -> None:
    script = compose.standalone_script(plan, sources, schema=schema, library_version=__version__)
    click.echo(script, nl=False)


def _tell(report: Report) -> None:
    for name in report.applied:
        click.echo(f"applied {name}")
    if report.functions_replaced:
        click.echo("installed the functions")
    click.echo(f"schema {report.schema!r} is at version {report.version}")
