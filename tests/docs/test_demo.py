"""`make demo`: what it shows is true, and it fails when it is not."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import pyengine
from pyengine import DBOS, embedded
from pyengine.examples.orders import __main__ as demo
from pyengine.examples.orders import neighbours
from pyengine.examples.orders.catalogue import Item, orders, products
from pyengine.examples.orders.proofs import proofs
from pyengine.examples.orders.workflows import OrderRefusedError, process_order
from tests.fix_server import server_directory

SOURCES = Path(pyengine.__file__).parents[1]


def run_demo(directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pyengine.examples.orders", "--directory", str(directory)],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished_demo() -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    directory = server_directory()
    yield directory / "demo", run_demo(directory / "demo")
    shutil.rmtree(directory)


@pytest.fixture
def shop(
    sql: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[psycopg.Connection[Any]]:
    monkeypatch.setenv("ORDERS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(neighbours, "ANSWER_SECONDS", 0)
    demo.prepare(sql)
    yield sql
    sql.execute("drop table orders, order_items, inventory")


def failing(sql: psycopg.Connection[Any]) -> list[str]:
    return [proof.claim for proof in proofs(sql) if not proof.holds]


@pytest.mark.slow
def test_the_demo_kills_a_worker_and_loses_nothing(
    finished_demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    _, outcome = finished_demo
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "kill -9" in outcome.stdout
    assert outcome.stdout.count("  ok    ") == 6
    assert "WRONG" not in outcome.stdout
    assert outcome.stderr == ""


@pytest.mark.slow
def test_the_demo_is_readable_in_a_terminal_of_80_columns(
    finished_demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, outcome = finished_demo
    assert [
        line
        for line in outcome.stdout.splitlines()
        if len(line) > 80 and str(directory) not in line
    ] == []


@pytest.mark.slow
def test_the_demo_proves_from_the_database_and_the_logs(
    finished_demo: tuple[Path, subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, _ = finished_demo
    monkeypatch.setenv("ORDERS_DIRECTORY", str(directory))
    charges = neighbours.log_of("charges")
    with embedded.start(directory) as server, psycopg.connect(server.dsn()) as sql:
        assert failing(sql) == []

        sql.execute("insert into orders (number, customer, total) values (26001, 'C1001', 1)")
        assert "Every order is stored once" in failing(sql)
        sql.rollback()
        sql.execute("update inventory set quantity = quantity - 1 where sku = 'EQP-MOK-300'")
        assert failing(sql) == ["The inventory adds up"]
        sql.rollback()
        sql.execute(
            "update pyengine.workflows set status = 'ERROR' where workflow_id = 'order-26007'"
        )
        assert failing(sql) == ["Every order is completed"]
        sql.rollback()
        charges.write_text(charges.read_text() + charges.read_text().splitlines()[0] + "\n")
        assert failing(sql) == ["Every order is paid once", "No recorded charge ran again"]
        neighbours.log_of("mails").write_text("")
        assert "Every customer is told, once or more" in failing(sql)


@pytest.mark.slow
def test_the_demo_runs_again_in_the_same_directory(
    finished_demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    directory, _ = finished_demo
    outcome = run_demo(directory)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_an_order_is_stored_paid_and_confirmed(
    shop: psycopg.Connection[Any], dbos: type[DBOS]
) -> None:
    order = orders()[26001]
    receipt = process_order(order)

    sold = {item.sku: item.quantity for item in order.items}
    left = dict(shop.execute("select sku, quantity from inventory").fetchall())
    assert left == {sku: p.stock - sold.get(sku, 0) for sku, p in products().items()}
    (charge,) = neighbours.entries("charges")
    (mail,) = neighbours.entries("mails")
    assert shop.execute("select number, total::text from orders").fetchall() == [
        (order.number, charge["amount"])
    ]
    assert receipt in mail["subject"]


def test_the_gateway_takes_money_once_for_each_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORDERS_DIRECTORY", str(tmp_path))
    monkeypatch.setattr(neighbours, "ANSWER_SECONDS", 0)
    amount = next(iter(products().values())).price
    first = neighbours.charge("C1001", amount, idempotency_key="a/1")
    assert neighbours.charge("C1001", amount, idempotency_key="a/1") == first
    assert neighbours.charge("C1001", amount, idempotency_key="b/1") != first
    assert [entry["taken"] for entry in neighbours.entries("charges")] == [True, False, True]


def test_an_order_that_cannot_be_delivered_costs_nothing(
    shop: psycopg.Connection[Any], dbos: type[DBOS]
) -> None:
    order = orders()[26002]
    order = type(order)(order.number, order.placed_at, order.customer, [Item("EQP-NONE", 1)])
    with pytest.raises(OrderRefusedError, match="EQP-NONE"):
        process_order(order)
    assert neighbours.entries("charges") == []
    assert shop.execute("select count(*) from orders").fetchone() == (0,)


def test_the_files_of_the_shop_fit_together() -> None:
    assert len(orders()) == 300
    ordered = [item for order in orders().values() for item in order.items]
    assert {item.sku for item in ordered} <= products().keys()
    assert all(item.quantity > 0 for item in ordered)
    for sku, product in products().items():
        assert product.stock >= sum(item.quantity for item in ordered if item.sku == sku)
        assert product.price > 0
