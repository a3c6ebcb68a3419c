"""The show: 300 orders, a killed worker, and the proof that nothing was lost or done twice."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from pyengine import embedded, schema
from pyengine.errors import DBOSInitializationError
from pyengine.examples.orders import neighbours
from pyengine.examples.orders.catalogue import customers, orders, products
from pyengine.examples.orders.proofs import charges_in_flight, proofs, what_ran_again
from pyengine.examples.orders.supervisor import (
    Progress,
    Worker,
    WorkerEndedError,
    place,
    wait_until_finished,
)

KILL_AT = 120  # finished orders
UNSURE = 15  # customers who see the crash and order again

_TABLES = """
    drop table if exists orders, order_items, inventory;
    create table orders (
        id int generated always as identity primary key,
        number int not null, -- not unique, so that a second row would show
        customer text not null,
        total numeric(10, 2) not null
    );
    create table order_items (order_id int not null, sku text not null, quantity int not null);
    create table inventory (sku text primary key, quantity int not null check (quantity >= 0));
"""


def main() -> int:
    """Run the show; returns 1 if a proof fails, or if there is nothing to prove."""
    logging.getLogger("pyengine").setLevel(logging.WARNING)
    try:
        return 0 if _show(_directory()) else 1
    except DBOSInitializationError as error:
        print(f"The demo can't start: {error.detail}", file=sys.stderr)
    except WorkerEndedError as error:
        print(f"\nThe demo stops: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nThe demo was interrupted.", file=sys.stderr)
    return 1


def _show(directory: Path) -> bool:
    began = time.monotonic()
    os.environ["ORDERS_DIRECTORY"] = str(directory)
    print("Starting PostgreSQL in", directory, flush=True)
    with (
        embedded.start(directory) as server,
        psycopg.connect(server.dsn(), autocommit=True) as sql,
    ):
        prepare(sql)
        _run(server.url(), directory, sql)
        holds = _prove(sql)
    source = _short(Path(__file__).with_name("workflows.py"))
    print(f"\n{time.monotonic() - began:.0f} s in all. What a shop writes for this: {source}")
    print("Look at the data, which stays until the next run:")
    print(f"  PYENGINE_HOME={directory} {_short(Path(sys.executable))} -m pyengine psql")
    return holds


def _directory() -> Path:
    parser = argparse.ArgumentParser(prog="python -m pyengine.examples.orders", description=__doc__)
    parser.add_argument(
        "--directory",
        type=Path,
        default=embedded.default_root().with_name("pyengine-orders-demo"),
        help="where its PostgreSQL and its logs are (%(default)s)",
    )
    chosen: Path = parser.parse_args().directory
    return chosen.expanduser().resolve()


def _short(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def prepare(sql: psycopg.Connection[Any]) -> None:
    """Install the engine and the shop's tables, all empty: each run begins anew."""
    schema.reset(sql, truncate=False)
    schema.migrate(sql)
    sql.execute(_TABLES)
    with sql.cursor() as cursor:
        cursor.executemany(
            "insert into inventory values (%s, %s)",
            [(product.sku, product.stock) for product in products().values()],
        )
    for service in ("charges", "mails"):
        neighbours.log_of(service).unlink(missing_ok=True)
    print(
        f"{len(orders())} orders of {len(customers())} customers arrive. Each is a workflow:\n"
        "  validate > total > record (transaction) > charge > confirm\n"
    )


def _run(url: str, directory: Path, sql: psycopg.Connection[Any]) -> None:
    numbers = list(orders())
    progress = Progress(sql, len(numbers))
    with Worker(url, directory) as worker:
        print(f"Worker {worker.pid} takes orders.")
        placed = place(worker, numbers, progress, stop_at=KILL_AT)
        worker.kill()
    killed_at = time.monotonic()
    progress.end_line()
    open_orders = placed - progress.recount()
    print(f"\nWorker {worker.pid} is dead: kill -9, with {open_orders} orders under way.")
    with Worker(url, directory) as worker:
        print(
            f"Worker {worker.pid} takes over, {time.monotonic() - killed_at:.1f} s later. "
            f"{UNSURE} customers are not sure\nand order again, under the same number."
        )
        place(worker, numbers[max(placed - UNSURE, 0) :], progress, stop_at=len(numbers) + 1)
        wait_until_finished(progress, len(numbers))


def _prove(sql: psycopg.Connection[Any]) -> bool:
    print("\nThe orders that were under way, step by step:")
    print(f"  {'step':<12}{'recorded before the kill':>26}{'run after it':>16}")
    for name, kept, run in what_ran_again(sql):
        print(f"  {name:<12}{kept:>26}{run:>16}")
    twice_asked, twice_taken = charges_in_flight()
    print(
        "A recorded step never runs again. A step that the kill hit in the middle does:\n"
        f"{twice_asked} charges had reached the gateway and were asked for again. It knew their keys:\n"
        f"{twice_taken} of them were taken twice.\n"
    )
    holds = True
    for proof in proofs(sql):
        holds &= proof.holds
        print(f"  {'ok   ' if proof.holds else 'WRONG'} {proof.claim:<37}{proof.numbers}")
    return holds


if __name__ == "__main__":
    sys.exit(main())
