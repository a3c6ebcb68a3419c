"""What a shop writes: an order as a workflow of four steps and one transaction.

Nothing here knows about crashes. Whatever happens to the process, each order goes on after the last
step that was recorded, with the values that were recorded.
"""

from __future__ import annotations

from decimal import Decimal

from pyengine import DBOS
from pyengine.examples.orders import neighbours
from pyengine.examples.orders.catalogue import Order, products

FREE_SHIPPING = Decimal("50.00")
SHIPPING = Decimal("4.90")


class OrderRefusedError(Exception):
    """The order can't be delivered as it is."""


@DBOS.step()
def validate(order: Order) -> None:
    """Refuse an order that can't be delivered."""
    if not order.items:
        raise OrderRefusedError(f"order {order.number} is empty")
    for item in order.items:
        if item.sku not in products() or item.quantity < 1:
            raise OrderRefusedError(f"order {order.number}: {item.quantity} x {item.sku}")


@DBOS.step()
def total(order: Order) -> Decimal:
    """The price of the goods, and of the shipping of small orders."""
    prices = (products()[item.sku].price * item.quantity for item in order.items)
    goods = sum(prices, Decimal(0))
    return goods if goods >= FREE_SHIPPING else goods + SHIPPING


@DBOS.transaction(isolation_level="READ COMMITTED")
def record(order: Order, amount: Decimal) -> int:
    """Store the order and take its goods off the shelf: with the checkpoint, in one commit."""
    sql = DBOS.sql_connection
    (order_id,) = sql.execute(
        "insert into orders (number, customer, total) values (%s, %s, %s) returning id",
        (order.number, order.customer.id, amount),
    ).fetchone()
    for item in sorted(order.items, key=lambda item: item.sku):  # one lock order for everybody
        sql.execute(
            "insert into order_items (order_id, sku, quantity) values (%s, %s, %s)",
            (order_id, item.sku, item.quantity),
        )
        sql.execute(
            "update inventory set quantity = quantity - %s where sku = %s",
            (item.quantity, item.sku),
        )
    return int(order_id)


@DBOS.step()
def charge(order: Order, amount: Decimal) -> str:
    """Take the money.

    A crash between the charge and its checkpoint makes this step run again, so the gateway is given a
    key that is the same each time: the workflow and the step.
    """
    key = f"{DBOS.workflow_id}/{DBOS.step_id}"
    return neighbours.charge(order.customer.id, amount, idempotency_key=key)


@DBOS.step()
def confirm(order: Order, receipt: str) -> None:
    """Tell the customer."""
    neighbours.send_mail(order.customer.email, f"Your order {order.number}, paid with {receipt}")


@DBOS.workflow()
def process_order(order: Order) -> str:
    """An order from its arrival to its confirmation; returns the receipt of the payment."""
    validate(order)
    amount = total(order)
    record(order, amount)
    receipt = charge(order, amount)
    confirm(order, receipt)
    return receipt
