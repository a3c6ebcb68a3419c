"""The proofs, from the database and from the neighbours' logs: nothing lost, nothing done twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg

from pyengine.examples.orders import neighbours
from pyengine.examples.orders.catalogue import orders, products


@dataclass(frozen=True)
class Proof:
    """A claim, whether it holds, and the numbers that show it."""

    claim: str
    holds: bool
    numbers: str


def proofs(sql: psycopg.Connection[Any]) -> Iterator[Proof]:
    """Everything that must be true after the run."""
    expected = len(orders())
    statuses = dict(sql.execute("select status, count(*) from pyengine.workflows group by 1"))
    yield Proof(
        "Every order is completed",
        statuses == {"SUCCESS": expected},
        ", ".join(f"{count} {status}" for status, count in sorted(statuses.items())),
    )
    stored = [number for (number,) in sql.execute("select number from orders")]
    yield Proof(
        "Every order is stored once",
        sorted(stored) == sorted(orders()),
        f"{len(stored)} rows, {len(set(stored))} different",
    )
    yield _inventory(sql)
    yield _money(sql)
    yield _no_step_again(sql)
    mails = Counter(entry["subject"].split(",")[0] for entry in neighbours.entries("mails"))
    yield Proof(
        "Every customer is told, once or more",
        set(mails) == {f"Your order {number}" for number in orders()},
        f"{mails.total()} mails for {len(mails)} orders",
    )


def _inventory(sql: psycopg.Connection[Any]) -> Proof:
    ordered = Counter[str]()
    for order in orders().values():
        ordered.update({item.sku: item.quantity for item in order.items})
    left = dict(sql.execute("select sku, quantity from inventory"))
    right = {sku: product.stock - ordered[sku] for sku, product in products().items()}
    return Proof(
        "The inventory adds up",
        left == right,
        f"{sum(product.stock for product in products().values())} - {ordered.total()} ordered"
        f" = {sum(left.values())} left",
    )


def _money(sql: psycopg.Connection[Any]) -> Proof:
    owed = dict(sql.execute("select 'order-' || number, total from orders"))
    taken = Counter[str]()
    amounts: dict[str, Decimal] = {}
    asked = neighbours.entries("charges")
    for entry in asked:
        workflow_id = entry["key"].split("/")[0]
        taken[workflow_id] += entry["taken"]
        amounts[workflow_id] = Decimal(entry["amount"])
    return Proof(
        "Every order is paid once",
        amounts == owed and set(taken.values()) == {1},
        f"{len(asked)} asked, {taken.total()} taken: {sum(owed.values())} EUR",
    )


def _no_step_again(sql: psycopg.Connection[Any]) -> Proof:
    """A charge that the first run recorded must not be in the log a second time."""
    asked = Counter(entry["key"] for entry in neighbours.entries("charges"))
    kept = sql.execute(
        """select s.workflow_id || '/' || s.step_id
        from pyengine.steps s
        join pyengine.workflows w using (workflow_id)
        where s.name = 'charge' and s.attempt = 1"""
    ).fetchall()
    repeated = [key for (key,) in kept if asked[key] != 1]
    return Proof(
        "No recorded charge ran again",
        bool(kept) and not repeated,
        f"{len(kept)} recorded, {len(repeated)} repeated",
    )


def what_ran_again(sql: psycopg.Connection[Any]) -> list[tuple[str, int, int]]:
    """For the orders that were under way at the kill: step, how many kept, how many run afterwards."""
    return sql.execute(
        """select s.name, count(*) filter (where s.attempt = 1), count(*) filter (where s.attempt > 1)
        from pyengine.steps s
        join pyengine.workflows w using (workflow_id)
        where w.attempt_count > 1
        group by s.name
        order by min(s.step_id)"""
    ).fetchall()


def charges_in_flight() -> tuple[int, int]:
    """How many charges were asked for twice, and how many of those took money twice."""
    asked = Counter(entry["key"] for entry in neighbours.entries("charges"))
    taken = Counter(entry["key"] for entry in neighbours.entries("charges") if entry["taken"])
    return sum(n > 1 for n in asked.values()), sum(n > 1 for n in taken.values())
