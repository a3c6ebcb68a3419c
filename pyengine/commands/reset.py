"""`pyengine reset`: delete all workflows, for tests and for starting over."""

import argparse
import sys

from pyengine.commands import database
from pyengine.schema import reset

NAME = "reset"
HELP = "Delete every workflow and the engine's schema."


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    database.add_options(parser)
    parser.add_argument(
        "--truncate", action="store_true", help="keep the schema and only empty its tables"
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def run(options: argparse.Namespace) -> int:
    """Ask, then reset."""
    with database.target(options) as target:
        if not options.yes and not _confirmed(target):
            print("nothing was deleted", file=sys.stderr)
            return 1
        with target.connect() as conn:
            reset(conn, target.schema, truncate=options.truncate)
    print(f"schema {target.schema!r} was {'emptied' if options.truncate else 'dropped'}")
    return 0


def _confirmed(target: database.Target) -> bool:
    print(f"This deletes every workflow in schema {target.schema!r} of {target.shown}.")
    print("Continue? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
