"""`pyengine doctor`: what is wrong with the engine and its surroundings, and what could be better."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TypeVar

import click
import psycopg

from pyengine.commands import engine_checks, printing, server_checks
from pyengine.commands.checks import ADVICE, OK, PROBLEM, Connection, Finding
from pyengine.commands.database import Database, Engine, takes_database
from pyengine.commands.failures import CHECK_FAILED, explain

S = TypeVar("S")

OF_THE_SERVER: Sequence[Callable[[Connection], Iterator[Finding]]] = (
    server_checks.check_version,
    server_checks.check_settings,
    server_checks.check_clock,
    server_checks.check_transactions,
)
OF_THE_ENGINE: Sequence[Callable[[Engine], Iterator[Finding]]] = (
    engine_checks.check_rights,
    engine_checks.check_executors,
    engine_checks.check_queues,
    engine_checks.check_schedules,
    engine_checks.check_dead_letters,
    engine_checks.check_history,
    engine_checks.check_tables,
    engine_checks.check_server_log,
)
_COLOURS = {OK: "green", ADVICE: "yellow", PROBLEM: "red"}
_MARK_WIDTH = len(PROBLEM)


@click.command("doctor")
@takes_database
@click.option(
    "--listen-database-url",
    metavar="URL",
    help="The connection on which programs listen, if it is another.",
)
@printing.json_option
def command(database: Database, *, listen_database_url: str | None, as_json: bool) -> int:
    """Check the connection, the server, the schema, the rights, the processes, the queues and the history.

    Exit status 4 if there is a problem; advice is no problem.
    """
    findings = []
    for finding in _examine(database, listen_database_url):
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        printing.print_json([asdict(finding) for finding in findings])
    return CHECK_FAILED if any(finding.state == PROBLEM for finding in findings) else 0


def _examine(database: Database, listen_database_url: str | None) -> Iterator[Finding]:
    with database.engine() as engine:
        for of_server in OF_THE_SERVER:
            yield from _guarded(of_server, engine.connection)
        if listen_database_url is None:
            yield from _guarded(server_checks.check_listen, engine.connection)
        else:
            other = Database(listen_database_url, database.schema)
            with other.open() as target, target.connect() as connection:
                yield from _guarded(server_checks.check_listen, connection)
        of_schema = list(_guarded(engine_checks.check_schema, engine))
        yield from of_schema
        if all(finding.state != PROBLEM for finding in of_schema):
            for of_engine in OF_THE_ENGINE:
                yield from _guarded(of_engine, engine)


def _guarded(check: Callable[[S], Iterable[Finding]], subject: S) -> Iterator[Finding]:
    """What a check finds; that it can't look is a finding too, and no reason to stop."""
    try:
        yield from check(subject)
    except psycopg.Error as error:
        name = check.__name__.removeprefix("check_").replace("_", " ")
        state = ADVICE if error.sqlstate == "42501" else PROBLEM
        yield Finding(name, state, f"can't be looked at: {explain(error)}")


def _print(finding: Finding) -> None:
    mark = click.style(finding.state.ljust(_MARK_WIDTH), fg=_COLOURS[finding.state], bold=True)
    indent = " " * (_MARK_WIDTH + 2)
    message = printing.wrapped(f"{finding.check}: {finding.message}", indent=indent)
    click.echo(f"{mark}  {message.removeprefix(indent)}")
