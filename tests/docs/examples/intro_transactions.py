# mypy: ignore-errors
# fmt: off
"""Copied from the documents; only the import is changed."""

from pyengine import DBOS
@DBOS.step()
def calculate_total(items: list[dict]) -> float:
    """Calculate order total - this step is idempotent and cached."""
    total = sum(item["price"] * item["quantity"] for item in items)
    return total

@DBOS.step()
def send_confirmation_email(email: str, order_id: str) -> None:
    """Send email - only executes once even if workflow is restarted."""
    # Call to external email service
    print(f"Sending confirmation to {email} for order {order_id}")

import sqlalchemy as sa

@DBOS.transaction()
def save_order(order_id: str, customer_id: str, total: float) -> int:
    """Save order to database with ACID guarantees."""
    result = DBOS.sql_session.execute(
        sa.text(
            "INSERT INTO orders (order_id, customer_id, total, status) "
            "VALUES (:order_id, :customer_id, :total, 'pending') "
            "RETURNING id"
        ),
        {"order_id": order_id, "customer_id": customer_id, "total": total}
    )
    row = result.fetchone()
    return row[0]

@DBOS.transaction()
def update_inventory(items: list[dict]) -> None:
    """Update inventory levels atomically."""
    for item in items:
        DBOS.sql_session.execute(
            sa.text(
                "UPDATE inventory SET quantity = quantity - :qty "
                "WHERE product_id = :pid"
            ),
            {"qty": item["quantity"], "pid": item["product_id"]}
        )

@DBOS.workflow()
def order_with_database_workflow(order_id: str, customer_id: str, items: list[dict]) -> dict:
    # Step 1: Calculate total
    total = calculate_total(items)
    
    # Step 2: Save order to database
    db_order_id = save_order(order_id, customer_id, total)
    
    # Step 3: Update inventory
    update_inventory(items)
    
    # Step 4: Send confirmation
    send_confirmation_email("[email protected]", order_id)
    
    return {"order_id": order_id, "db_id": db_order_id, "total": total}
