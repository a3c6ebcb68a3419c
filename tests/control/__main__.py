"""Let the campaigns' checker look for faults that are known to be there: `make control`.

DBOS 2.31.1 runs two workflows of a queue that may run one, when processes ask for work at the same time; and it stores
the step of a process whose workflow was given to another meanwhile. The checker reads DBOS's tables from the
write-ahead log as it reads pyengine's, with the same queries. It must find both, and in pyengine, to which
the same is done by the same program, nothing.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.bench.subjects import Subject
from tests.chaos.campaign import wal
from tests.chaos.campaign.archive import Archive
from tests.chaos.campaign.checks import CHECKS
from tests.chaos.campaign.node import Node
from tests.chaos.campaign.stage import admin
from tests.control import peer
from tests.control.play import Library, leak, outlive
from tests.queues import history

ROOT = Path(__file__).parents[2]
# The release in which the faults are known: a later one may have mended them, and would prove nothing.
RELEASE = Subject("dbos", "DBOS", "dbos_api", ("dbos==2.31.1", "psycopg[binary]"))
LIMIT, FENCE = "I-17 concurrency", "I-7 every checkpoint belongs to the current run"


def main() -> int:
    """Print what the checker finds, a line for each library; the exit code says whether it saw what there is."""
    environments = ROOT / ".bench" / "environments"
    RELEASE.install(environments)
    libraries = (
        Library("dbos", RELEASE.python(environments)),
        Library("pyengine", Path(sys.executable)),
    )
    failures = []
    for library in libraries:
        found, figures = _examine(library)
        told = " ".join(f"{name}={count}" for name, count in figures.items())
        print(f"{library.name}: {told}", flush=True)
        for check, rows in found.items():
            print(f"  {check}: {len(rows)} times, first {rows[0]}", flush=True)
        failures += _judge(library.name, found, figures)
    for failure in failures:
        print(f"FAILED: {failure}", flush=True)
    return int(bool(failures))


def _judge(name: str, found: dict[str, list[Any]], figures: dict[str, int]) -> list[str]:
    idle = [f"{name}: nothing happened: {figure}" for figure, count in figures.items() if not count]
    if name == "pyengine":
        return idle + [f"pyengine breaks {check}" for check in found]
    return idle + [f"the checker does not see {c}" for c in (LIMIT, FENCE) if c not in found]


def _examine(library: Library) -> tuple[dict[str, list[Any]], dict[str, int]]:
    """Let a library work, and check what its database tells of it."""
    directory = Path(tempfile.mkdtemp(prefix="pyengine-control-"))
    directory.chmod(0o711)
    with ExitStack() as end:
        end.callback(shutil.rmtree, directory, ignore_errors=True)
        keeper = Node(directory / "archive", {"fsync": "off"}).create()
        end.callback(keeper.kill)
        archive = Archive(keeper.url())
        end.callback(archive.close)
        node = Node(directory / "one").create()
        end.callback(node.kill)
        library.install(node.url())
        with admin(node) as session:
            if library.name == "dbos":
                wal.publish(session, "dbos", peer.TABLES)
                archive.read = peer.Translator(_columns(archive)).read
            else:
                wal.publish(session)
            wal.open_slot(session)
        plays: tuple[Callable[[Library, Node, Path], None], ...] = (leak, outlive)
        for play in plays:
            play(library, node, directory)
        with admin(node) as session:
            archive.take(session)
        archive.violations({})
        checks = {LIMIT: history.CHECKS[LIMIT], FENCE: CHECKS[FENCE]}
        found = {name: archive.session.execute(check).fetchall() for name, check in checks.items()}
        return {name: rows for name, rows in found.items() if rows}, _figures(archive)


def _columns(archive: Archive) -> dict[str, list[str]]:
    """The columns of pyengine's tables, in their order."""
    query = """select table_name, array_agg(column_name::text order by ordinal_position)
        from information_schema.columns where table_schema = 'pyengine' group by 1"""
    return dict(archive.session.execute(query).fetchall())


def _figures(archive: Archive) -> dict[str, int]:
    """What happened, without which nothing is proved."""
    starts = "(l.new).status = 'PENDING' and (l.old).status is distinct from 'PENDING'"
    return {
        "claims": archive.count(
            f"select count(*) from audit.log l where {starts} and (l.new).queue_name = 'one'"
        ),
        "takeovers": archive.count(
            f"select count(*) from audit.log l where {starts} and (l.new).attempt_count > 1"
        ),
        "steps": archive.count("select count(*) from audit.steps"),
    }


if __name__ == "__main__":
    sys.exit(main())
