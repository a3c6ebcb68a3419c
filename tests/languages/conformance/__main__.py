"""Put any worker through the conformance suite: see "Check it" in sql/PROTOCOL.md."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import psycopg

from pyengine import schema
from tests.languages.conformance.runner import SCENARIOS, Worker, load, perform


def main(arguments: list[str] | None = None) -> int:
    """Run the scenarios one after the other; returns 1 if the worker failed one."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.languages.conformance", description=(__doc__ or "").strip()
    )
    parser.add_argument("--database-url", required=True, help="a database, which is emptied")
    parser.add_argument("--without", default="", help="needs that the worker does not meet: a,b")
    parser.add_argument("command", nargs="+", help="the command of the worker, after --")
    options = parser.parse_args(arguments)
    unsupported = frozenset(options.without.split(",")) - {""}
    worker = Worker(options.command, unsupported=unsupported)

    failed = 0
    for file in sorted(SCENARIOS.glob("*.json")):
        scenario = load(file)
        if lacking := scenario.needs & unsupported:
            print(f"skipped  {file.stem}: {', '.join(sorted(lacking))}")
            continue
        with psycopg.connect(options.database_url, autocommit=True) as connection:
            schema.migrate(connection)
            schema.reset(connection, truncate=True)
        with tempfile.TemporaryDirectory(prefix="pyengine-conformance-") as directory:
            try:
                perform(scenario, worker, options.database_url, Path(directory))
            except AssertionError as error:
                failed += 1
                print(f"FAILED   {file.stem}: {scenario.title}\n{error}")
            else:
                print(f"passed   {file.stem}: {scenario.title}")
    print(f"{failed} failed" if failed else "all passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
