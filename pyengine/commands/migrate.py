"""`pyengine migrate`: install or upgrade the engine's schema."""

import argparse

from pyengine._version import __version__
from pyengine.commands import database
from pyengine.schema import compose, load, migrate, pending
from pyengine.schema.migrate import Report
from pyengine.schema.sources import Sources

NAME = "migrate"
HELP = "Install the engine's schema, or upgrade it to this version of the library."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    database.add_options(parser)
    parser.add_argument(
        "-r",
        "--application-role",
        "--app-role",
        dest="application_role",
        metavar="ROLE",
        help="an existing role that is to be given the use of the engine",
    )
    parser.add_argument(
        "--print",
        nargs="?",
        const="pending",
        choices=("pending", "all"),
        help="only print the SQL: of what the database lacks, or all of it (without connecting)",
    )


def run(options: argparse.Namespace) -> int:
    """Migrate, or print what would be done."""
    if options.print == "all":
        sources = load()
        _print(compose.install(sources), sources, options.schema)
        return 0
    with database.target(options) as target, target.connect() as conn:
        if options.print:
            plan = pending(conn, schema=target.schema)
            if plan:
                _print(plan, load(), target.schema)
            return 0
        report = migrate(conn, schema=target.schema, application_role=options.application_role)
    _tell(report)
    return 0


def _print(plan: compose.Plan, sources: Sources, schema: str) -> None:
    print(
        compose.standalone_script(plan, sources, schema=schema, library_version=__version__),
        end="",
    )


def _tell(report: Report) -> None:
    for name in report.applied:
        print(f"applied {name}")
    if report.functions_replaced:
        print("installed the functions")
    print(f"schema {report.schema!r} is at version {report.version}")
