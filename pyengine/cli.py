"""The command line: `pyengine COMMAND`. Each command is a module of `pyengine.commands`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from typing import Protocol

import psycopg

from pyengine.commands import migrate, psql, reset, version
from pyengine.errors import DBOSException, DBOSInitializationError


class Command(Protocol):
    """What a module of `pyengine.commands` provides."""

    @property
    def NAME(self) -> str:  # noqa: N802 - a constant of a module
        """What the command is called."""
        ...

    @property
    def HELP(self) -> str:  # noqa: N802 - a constant of a module
        """What it does, in a line."""
        ...

    def configure(self, parser: argparse.ArgumentParser, /) -> None:
        """Declare the command's options."""
        ...

    def run(self, options: argparse.Namespace, /) -> int:
        """Carry out the command and return the exit status."""
        ...


COMMANDS: tuple[Command, ...] = (migrate, reset, psql, version)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: what follows the program's name; by default the process's own.

    Returns:
        The exit status: 0, or 1 when the command failed (the reason is on standard error).
    """
    options = _parser().parse_args(arguments)
    command: Command = options.command
    logging.getLogger("pyengine").setLevel(logging.WARNING)
    try:
        return command.run(options)
    except DBOSInitializationError as exc:
        reason = exc.detail
    except DBOSException as exc:
        reason = exc.message
    except psycopg.Error as exc:
        reason = str(exc).strip() or type(exc).__name__
    except KeyboardInterrupt:
        return 130
    print(f"pyengine {command.NAME}: {reason}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="pyengine",
        description="Durable workflows in PostgreSQL: look after the engine's schema.",
    )
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        subparser = subparsers.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.configure(subparser)
        subparser.set_defaults(command=command)
    return parser


if __name__ == "__main__":
    sys.exit(main())
