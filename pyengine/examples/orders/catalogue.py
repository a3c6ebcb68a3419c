"""What the shop sells and what its customers ordered, from the CSV files in data/."""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path

_DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Product:
    """An article; `stock` is how many there are before the first order."""

    sku: str
    name: str
    price: Decimal
    stock: int


@dataclass(frozen=True)
class Customer:
    """Who orders, and where the confirmation goes."""

    id: str
    name: str
    email: str
    city: str
    country: str


@dataclass(frozen=True)
class Item:
    """One line of an order."""

    sku: str
    quantity: int


@dataclass(frozen=True)
class Order:
    """What a customer asked for."""

    number: int
    placed_at: datetime
    customer: Customer
    items: list[Item]


@cache
def products() -> dict[str, Product]:
    """The articles by their sku."""
    return {
        row["sku"]: Product(row["sku"], row["name"], Decimal(row["price"]), int(row["stock"]))
        for row in _rows("products")
    }


@cache
def customers() -> dict[str, Customer]:
    """The customers by their id."""
    return {row["id"]: Customer(**row) for row in _rows("customers")}


@cache
def orders() -> dict[int, Order]:
    """The orders by their number, oldest first."""
    items = defaultdict(list)
    for row in _rows("order_items"):
        items[int(row["order"])].append(Item(row["sku"], int(row["quantity"])))
    return {
        number: Order(
            number,
            datetime.fromisoformat(row["placed_at"]),
            customers()[row["customer"]],
            items[number],
        )
        for row in _rows("orders")
        for number in [int(row["number"])]
    }


def _rows(name: str) -> list[dict[str, str]]:
    with (_DATA / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
