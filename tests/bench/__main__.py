"""Measure: `python -m tests.bench`, or `WORKLOAD=claim,latency make bench` for some of the workloads.

PYENGINE_BENCH_ROWS bounds the size of backlogs and histories (default 1000000). The server is a fresh embedded one
that flushes to disk as in production.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping

import psycopg

from pyengine import schema
from tests.bench import queues
from tests.bench.figures import Bench, Figure
from tests.fix_server import PrivateServer, server_directory

WORKLOADS: Mapping[str, Callable[[Bench], Iterator[Figure]]] = {**queues.WORKLOADS}


def main() -> int:
    """Run the chosen workloads and print their figures."""
    chosen = os.environ.get("WORKLOAD", ",".join(WORKLOADS)).split(",")
    unknown = sorted(set(chosen) - WORKLOADS.keys())
    if unknown:
        print(
            f"no workload {', '.join(unknown)}: there are {', '.join(WORKLOADS)}", file=sys.stderr
        )
        return 2
    logging.getLogger("pyengine").setLevel(logging.WARNING)
    directory = server_directory()
    server = PrivateServer(directory / "server", {"shared_buffers": "256MB", "max_wal_size": "4GB"})
    try:
        print(f"{'workload':<12}{'case':<44}{'value':>12}  unit")
        for name in chosen:
            with psycopg.connect(server.url(), autocommit=True) as connection:
                schema.migrate(connection)
                schema.reset(connection, truncate=True)
                bench = Bench(server.url(), connection, rows=_rows())
                for figure in WORKLOADS[name](bench):
                    print(
                        f"{name:<12}{figure.case:<44}{figure.value:>12,.2f}  {figure.unit}",
                        flush=True,
                    )
    finally:
        server.close()
        shutil.rmtree(directory)
    return 0


def _rows() -> int:
    return int(os.environ.get("PYENGINE_BENCH_ROWS", "1000000"))


if __name__ == "__main__":
    sys.exit(main())
